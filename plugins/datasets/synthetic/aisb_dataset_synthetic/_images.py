"""Generate images of given sizes, each with different content, so that caches do not contain them."""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Sequence
from random import Random

from aisb import UsageError

SQUARE_PIXELS = 16
"""The side of the squares of an image: it is fast to generate, and its file is as large as a photograph's."""

MAX_SIDE = 16_384
_SIZE = re.compile(r"(\d{1,5})\s*[x×*]\s*(\d{1,5})")

Size = tuple[int, int]


def read_sizes(option: str | Sequence[str]) -> list[Size]:
    """Parse sizes in pixels, such as 1024x768.

    Raises:
        UsageError: a text is not a size, or the size is too large.
    """
    texts = [option] if isinstance(option, str) else list(option)
    found = [_SIZE.fullmatch(text.strip()) for text in texts]
    sizes = [(int(one[1]), int(one[2])) for one in found if one]
    if (
        not texts
        or len(sizes) < len(texts)
        or not all(1 <= side <= MAX_SIDE for size in sizes for side in size)
    ):
        raise UsageError(
            f"image_size = {option!r} must be a size such as '1024x768', or a list of sizes, "
            f"with sides of 1 to {MAX_SIDE:,} pixels"
        )
    return sizes


def make_image(key: str, size: Size) -> bytes:
    """Return a PNG of a size; its content depends only on the key."""
    width, height = size
    across = -(-width // SQUARE_PIXELS)
    random, lines = Random(key), []
    for top in range(0, height, SQUARE_PIXELS):
        colors = random.randbytes(3 * across)
        line = b"".join(colors[at : at + 3] * SQUARE_PIXELS for at in range(0, 3 * across, 3))[: 3 * width]
        lines += [b"\0" + line] * min(SQUARE_PIXELS, height - top)
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(b"".join(lines), 1)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        for name, content in chunks
    )
