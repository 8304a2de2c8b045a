"""Detect from its first bytes whether a body is a document, or a stream of events or JSON values."""

from __future__ import annotations

from typing import Final

UNKNOWN: Final = 0  # the kinds of bodies
DOCUMENT: Final = 1
EVENTS: Final = 2
VALUES: Final = 3

BOM: Final = b"\xef\xbb\xbf"
DETECTION_BYTES: Final = 16
"""The number of bytes of a body from which its kind can be detected."""
_FIELDS: Final = (b"data", b"event", b"id:", b"retry", b":")


def shows_kind(body: bytes) -> bool:
    """Return whether enough of a body has arrived to detect its kind."""
    return len(_beginning(body)) >= DETECTION_BYTES


def _beginning(body: bytes) -> bytes:
    """Return a body without its byte order mark and leading white space."""
    return body.removeprefix(BOM).lstrip()


def is_stream(body: bytes, content_type: str, *, sse: bool) -> bool:
    """Return whether a body is a stream, from its first bytes: some services send a wrong content type.

    A stream of JSON values begins like a document, so for it only the content type counts.
    """
    if not sse:
        return not content_type.startswith(("application/json", "text/html"))
    begun = _beginning(body)
    if begun[:1] in (b"{", b"[", b"<"):
        return False
    return begun.startswith(_FIELDS) or content_type.startswith("text/event-stream")


def only_comments(body: bytes) -> bool:
    """Return whether the beginning of an event stream holds only comments."""
    return all(not line or line[:1] == b":" for line in body.removeprefix(BOM).splitlines())
