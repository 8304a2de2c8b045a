"""Detect from its beginning whether a body is a document, or a stream of events or of JSON values."""

from __future__ import annotations

from typing import Final

UNKNOWN: Final = 0  # what a body is
DOCUMENT: Final = 1
EVENTS: Final = 2
VALUES: Final = 3

BOM: Final = b"\xef\xbb\xbf"
ENOUGH: Final = 16
"""This many bytes of a body are enough to tell its kind."""
_FIELDS: Final = (b"data", b"event", b"id:", b"retry", b":")


def shows_kind(body: bytes) -> bool:
    """Return whether enough of a body has arrived to tell its kind."""
    return len(_beginning(body)) >= ENOUGH


def _beginning(body: bytes) -> bytes:
    """Return a body without a byte order mark and leading white space."""
    return body.removeprefix(BOM).lstrip()


def is_stream(body: bytes, content_type: str, *, sse: bool) -> bool:
    """Tell a stream from a document by the beginning of the body, since some services send a wrong type.

    A stream of JSON values begins like a document, so only its content type tells them apart.
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
