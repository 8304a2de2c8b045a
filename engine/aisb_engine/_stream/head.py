"""Read the head of an HTTP/1.1 reply: its status and headers, and what they say of the body (RFC 9112)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

from aisb_engine._stream.problems import invalid_http

LONGEST_HEAD = 65_536
CHUNKED = -1
"""The length of a body that says its length chunk by chunk."""
BOM = b"\xef\xbb\xbf"
_FIELDS = (b"data", b"event", b"id:", b"retry", b":")
_VERSION = b"HTTP/1."


class Head(NamedTuple):
    """A reply's head. Names of headers are in lower case; repeated headers are joined by commas.

    `length` is the body's in bytes, `CHUNKED`, or None when the body ends with its connection. `keep_alive`
    says whether the connection can carry another request after this reply.
    """

    status: int
    headers: Mapping[str, str]
    length: int | None
    keep_alive: bool


def end_of_head(data: bytes, at: int) -> int:
    """Return where the head that begins at a position ends, its empty line included; -1 when it is not whole.

    Raises:
        AttemptFailed: this is no HTTP/1, or the head is too long.
    """
    end, size = data.find(b"\r\n\r\n", at), 4
    bare = data.find(b"\n\n", at, end if end >= 0 else len(data))  # some servers leave the CR out
    if bare >= 0:
        end, size = bare, 2
    if end >= 0:
        return end + size
    begun = data[at:].lstrip(b"\r\n")
    if begun[: len(_VERSION)] != _VERSION[: len(begun)]:
        raise invalid_http("it does not begin with HTTP/1", data[at:])
    if len(data) - at > LONGEST_HEAD:
        raise invalid_http(f"its head is longer than {LONGEST_HEAD} bytes", data[at:])
    return -1


@lru_cache(maxsize=64)
def parse_head(head: bytes) -> Head:
    """Read a reply's head, up to its empty line. Under load most heads equal an earlier one.

    Raises:
        AttemptFailed: the head is not valid.
    """
    first, *lines = head.strip(b"\r\n").splitlines()
    version, _, rest = first.partition(b" ")
    code = rest[:3]
    if version not in (b"HTTP/1.1", b"HTTP/1.0") or not code.isdigit() or rest[3:4] not in (b" ", b""):
        raise invalid_http("its first line is no status line", head)
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(b":")
        if not colon or not name or name.strip() != name:
            raise invalid_http("a header is broken", line)
        key, text = name.decode("latin-1").lower(), value.strip().decode("latin-1")
        known = headers.get(key)
        headers[key] = text if known is None or known == text else f"{known}, {text}"
    status, connection = int(code), headers.get("connection", "").lower()
    length = _body_length(status, headers)
    both = "content-length" in headers and "transfer-encoding" in headers  # RFC 9112, 6.3: suspicious
    keeps = version == b"HTTP/1.1" or "keep-alive" in connection
    keep_alive = keeps and "close" not in connection and length is not None and not both
    return Head(status, headers, length, keep_alive)


def _body_length(status: int, headers: Mapping[str, str]) -> int | None:
    if status in (204, 304):
        return 0
    transfer = headers.get("transfer-encoding")
    if transfer is not None:
        return CHUNKED if transfer.lower().rpartition(",")[2].strip() == "chunked" else None
    length = headers.get("content-length")
    if length is None:
        return None
    if not (length.isascii() and length.isdigit() and len(length) < 19):
        raise invalid_http("its content-length is no number", length.encode("latin-1"))
    return int(length)


def is_stream(body: bytes, content_type: str, *, sse: bool) -> bool:
    """Tell a stream from a document by how the body begins, since some services name the wrong type.

    A stream of JSON values begins as a document does, but is not called one.
    """
    if not sse:
        return not content_type.startswith(("application/json", "text/html"))
    begun = body.removeprefix(BOM).lstrip()
    if begun[:1] in (b"{", b"[", b"<"):
        return False
    return begun.startswith(_FIELDS) or content_type.startswith("text/event-stream")


def only_comments(body: bytes) -> bool:
    """Say whether the beginning of an event stream holds nothing but comments."""
    return all(not line or line[:1] == b":" for line in body.removeprefix(BOM).splitlines())
