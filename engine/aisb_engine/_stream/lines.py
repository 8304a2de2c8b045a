"""The lines between the chunks of an HTTP body: sizes and trailers (RFC 9112, 7.1)."""

from __future__ import annotations

from aisb_engine._stream.problems import invalid_http

LONGEST_LINE = 4_096
HEX_DIGITS = b"0123456789abcdefABCDEF"


def check_line(line: bytes) -> None:
    """Refuse a line, without its CRLF, that is too long or holds a line feed.

    Raises:
        AttemptFailed: it does.
    """
    if len(line) > LONGEST_LINE or b"\n" in line:
        raise invalid_http("a line between chunks has no end", line)


def bare_size(line: bytes) -> bytes:
    """Return the digits of a chunk's size, without what may stand around them: an extension, and zeros.

    Raises:
        AttemptFailed: there is no number.
    """
    check_line(line)
    digits = line.partition(b";")[0].rstrip(b" \t")
    digits = digits[:1] + digits[1:].lstrip(b"0")
    if not 0 < len(digits) < 17 or digits.translate(None, HEX_DIGITS):
        raise invalid_http("the size of a chunk is no number", line)
    return digits
