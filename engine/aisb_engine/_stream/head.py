"""Parse the head of an HTTP/1.1 reply: status, headers, and the length of the body (RFC 9112)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from aisb_engine._stream.problems import invalid_http

LONGEST_HEAD = 65_536
"""The default of `load.max_head`: the maximum bytes of a head."""
CHUNKED = -1
"""The `length` of a body in chunked encoding."""
_VERSION = b"HTTP/1."
_STATUS_LINE = re.compile(rb"HTTP/1\.([0-9]) ([1-9][0-9]{2})(?: .*)?")
_EMPTY_LINE = b"\r\n\r\n"
_MAX_PARSED = 64
_FOLD = re.compile(rb"\r?\n[ \t]+")  # a header that continues on the next line (RFC 9112, 5.2)


class Head(NamedTuple):
    """The head of a reply. Header names are in lower case; repeated headers are joined by commas.

    `length` is the body's in bytes, `CHUNKED`, or None when the body ends with its connection. `keep_alive`
    says whether the connection can carry another request after this reply.
    """

    status: int
    headers: Mapping[str, str]
    length: int | None
    keep_alive: bool


_PARSED: dict[bytes, Head] = {}
"""Parsed heads by their bytes, without the empty line."""


def read_head(data: bytes, at: int, longest: int = LONGEST_HEAD) -> tuple[Head, int] | None:
    """Return the head that begins at a position, and its end; None if it is incomplete.

    Under load most heads are equal, so parsed ones are cached: finding one takes a third of the time.

    Raises:
        AttemptFailed: the head is not valid, or longer than `longest` bytes.
    """
    raw, is_whole, _ = (b"", b"", b"") if at else data.partition(_EMPTY_LINE)
    known = _PARSED.get(raw)
    if known is not None and is_whole and len(raw) <= longest:
        return known, len(raw) + 4
    end = _end_of_head(data, at, longest)
    if end < 0:
        return None
    head = _parse_head(data[at:end])
    if is_whole and end == len(raw) + 4:
        if len(_PARSED) >= _MAX_PARSED:
            _PARSED.clear()
        _PARSED[raw] = head
    return head, end


def _end_of_head(data: bytes, at: int, longest: int) -> int:
    """Return the end of the head that begins at a position, with its empty line; -1 if incomplete.

    Raises:
        AttemptFailed: the data is not HTTP/1, or the head is too long.
    """
    end = data.find(b"\r\n\r\n", at)
    if data.startswith(_VERSION, at) and at < end <= at + longest and data.find(b"\n\n", at, end) < 0:
        return end + 4  # nearly always
    head = data[at:].lstrip(b"\r\n")  # empty lines may precede it
    at = len(data) - len(head)
    end, size = data.find(b"\r\n\r\n", at), 4
    bare = data.find(b"\n\n", at, end if end >= 0 else len(data))  # some servers omit the CR
    if bare >= 0:
        end, size = bare, 2
    if head[: len(_VERSION)] != _VERSION[: len(head)]:
        raise invalid_http("it does not begin with HTTP/1", head)
    if (end if end >= 0 else len(data)) - at > longest:
        raise invalid_http(f"its head is longer than {longest} bytes (load.max_head)", head)
    return end + size if end >= 0 else -1


def _parse_head(head: bytes) -> Head:
    """Parse the head of a reply, up to its empty line.

    Raises:
        AttemptFailed: the head is not valid.
    """
    first, *lines = _FOLD.sub(b" ", head.strip(b"\r\n")).splitlines()
    match = _STATUS_LINE.fullmatch(first)
    if not match:
        raise invalid_http("its first line is not a status line", head)
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(b":")
        if not colon or not name or name.strip() != name:
            raise invalid_http("a header line is malformed", line)
        key, text = name.decode("latin-1").lower(), value.strip().decode("latin-1")
        known = headers.get(key)
        headers[key] = text if known is None or known == text else f"{known}, {text}"
    status, connection = int(match[2]), headers.get("connection", "").lower()
    length = _body_length(status, headers)
    both = "content-length" in headers and "transfer-encoding" in headers  # RFC 9112, 6.3: close afterwards
    is_persistent = match[1] != b"0" or "keep-alive" in connection
    keep_alive = is_persistent and "close" not in connection and length is not None and not both
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
    number, *others = {one.strip() for one in length.split(",")}  # the same value twice is allowed
    if others or not (number.isascii() and number.isdigit() and len(number) < 19):
        raise invalid_http("its content-length is not a number", length.encode("latin-1"))
    return int(number)
