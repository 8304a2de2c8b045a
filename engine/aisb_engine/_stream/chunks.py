"""The chunks in which HTTP/1.1 sends a body of unknown length: how they say their size, where they end."""

from __future__ import annotations

from functools import lru_cache

SIZES = (b"%x", b"%X")
"""How a chunk says its size; servers differ in the letters."""


def first_chunk(data: bytes) -> int:
    """Return where the chunk ends that these bytes begin with; their length when that cannot be told."""
    line = data.find(b"\r\n")
    try:
        end = line + 2 + int(data[: max(line, 0)], 16) + 2
    except ValueError:  # no size, or more than that
        return len(data)
    return end if line < end <= len(data) else len(data)


@lru_cache(maxsize=4096)
def size_line(size: bytes, length: int) -> bytes:
    """Return how a chunk begins that is this long with its size and line ends."""
    for digits in range(1, 9):
        line = size % max(0, length - digits - 4)
        if len(line) == digits + 2:
            return line
    return bytes(length + 1)  # no chunk has this length: nothing begins with this
