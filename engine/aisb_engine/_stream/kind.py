"""Tell what the body of a reply is by how it begins: a document, or a stream of events or of JSON values."""

from __future__ import annotations

from typing import Final

UNKNOWN: Final = 0  # what a body is
DOCUMENT: Final = 1
EVENTS: Final = 2
VALUES: Final = 3

BOM: Final = b"\xef\xbb\xbf"
ENOUGH: Final = 16
"""How many bytes of a body tell what it is."""
_FIELDS: Final = (b"data", b"event", b"id:", b"retry", b":")


def shows_kind(body: bytes) -> bool:
    """Say whether enough of a body has come to tell what it is."""
    return len(_beginning(body)) >= ENOUGH


def _beginning(body: bytes) -> bytes:
    """Return a body without what says nothing of it: a byte order mark, and white space."""
    return body.removeprefix(BOM).lstrip()


def is_stream(body: bytes, content_type: str, *, sse: bool) -> bool:
    """Tell a stream from a document by how the body begins, since some services name the wrong type.

    A stream of JSON values begins as a document does, but is not called one.
    """
    if not sse:
        return not content_type.startswith(("application/json", "text/html"))
    begun = _beginning(body)
    if begun[:1] in (b"{", b"[", b"<"):
        return False
    return begun.startswith(_FIELDS) or content_type.startswith("text/event-stream")


def only_comments(body: bytes) -> bool:
    """Say whether the beginning of an event stream holds nothing but comments."""
    return all(not line or line[:1] == b":" for line in body.removeprefix(BOM).splitlines())
