"""The lines between the chunks of an HTTP body: sizes and trailers (RFC 9112, 7.1)."""

from __future__ import annotations

from typing import Final

from aisb_engine._stream.problems import invalid_http

MAX_LINE_BYTES: Final = 4_096  # bytes
_HEX_DIGITS: Final = b"0123456789abcdefABCDEF"


def check_line(line: bytes) -> None:
    """Refuse a line, without its CRLF, that is too long or holds a line feed.

    Raises:
        AttemptFailed: the line is invalid.
    """
    if len(line) > MAX_LINE_BYTES or line.find(b"\n") >= 0:
        raise invalid_http("a line between chunks is too long, or ends without CRLF", line)


def read_size(line: bytes) -> int:
    """Return the size of a chunk in bytes. A chunk extension after the digits is ignored.

    Raises:
        AttemptFailed: the line has no valid number.
    """
    check_line(line)
    digits = line.partition(b";")[0].rstrip(b" \t")
    digits = digits.lstrip(b"0") or digits[:1]
    if not 0 < len(digits) < 17 or digits.translate(None, _HEX_DIGITS):
        raise invalid_http("the size of a chunk is not a number", line)
    return int(digits, 16)


SIZES: Final[dict[bytes, int]] = {b"%x" % size: size for size in range(1024)}
"""The sizes of most chunks: a lookup takes a fifth of the time of parsing."""
