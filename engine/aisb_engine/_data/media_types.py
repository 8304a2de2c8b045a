"""Determine the type of a file from its first bytes: image, audio or video, and the size of an image.

Headers, lengths and end marks are read. Nothing is decoded, so a small file that claims to be huge does no
harm.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import BinaryIO, NamedTuple

from aisb._media import MEDIA_TYPES
from aisb_engine._data.media_ends import TruncatedMediaError, check_complete

SIGNATURE_BYTES = 64
"""The number of bytes that determine the type."""

SHORTEST_TEXT = 16
"""A file that begins with this many printable characters is a text, such as an error page."""


class Content(NamedTuple):
    """The media type of content; for an image also width and height in pixels."""

    type: str
    width: int | None = None
    height: int | None = None


MOST_PAGES = 1_000
"""The pages of a TIFF that are looked at."""

END_BYTES = 65_536
"""The end mark of a JPEG is looked for in pieces of so many bytes, from the end of the file."""


def inspect(stream: BinaryIO, size: int) -> Content | None:
    """Return the type of a stream of `size` bytes; None if it is unknown.

    Raises:
        TruncatedMediaError: the header is that of a known type, but the rest is missing or invalid.
    """
    kind = media_type(stream.read(SIGNATURE_BYTES))
    if kind is None:
        return None
    measure = _SIZES.get(kind)
    try:
        check_complete(kind, stream, size)
        if measure is None:
            return Content(kind)
        stream.seek(0)
        width, height = measure(stream, size)
    except (struct.error, IndexError) as error:
        raise TruncatedMediaError(f"the {kind} is cut off") from error
    if width < 1 or height < 1:
        raise TruncatedMediaError(f"the {kind} claims to have {width} × {height} pixels")
    return Content(kind, width, height)


def media_type(head: bytes) -> str | None:
    """Return the media type for the first bytes of a file; None if it is unknown."""
    for mark, kind in _MARKS:
        if head.startswith(mark):
            return kind
    if head[:4] in {b"RIFF", b"RF64"}:
        return _RIFF.get(head[8:12])
    if head[4:8] == b"ftyp":
        return _BRANDS.get(head[8:12], "video/mp4")
    if head[:2] == b"BM" and len(head) >= 26 and head[6:10] == bytes(4):
        return "image/bmp"
    if len(head) > 2 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0:
        return "audio/aac" if head[1] & 0x06 == 0 else "audio/mpeg"
    words = len(head) >= SHORTEST_TEXT and all(byte in _PRINTED for byte in head)
    return "text/plain" if words else None


def fits(kind: str, found: str) -> bool:
    """Return whether a media type can be an `image`, `audio` or `video`; some containers can be two."""
    return found.startswith(f"{kind}/") or (kind != "image" and found in _CONTAINERS)


def suffix_of(found: str) -> str | None:
    """Return the file suffix for which `data_url` gives a media type; None if it does not know the type."""
    return _ENDINGS.get(found)


_PRINTED = frozenset({*range(0x20, 0x7F), *b"\t\r\n"})
_MARKS = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"II*\0", "image/tiff"),
    (b"MM\0*", "image/tiff"),
    (b"fLaC", "audio/flac"),
    (b"OggS", "audio/ogg"),
    (b"ID3", "audio/mpeg"),
    (b"\x1a\x45\xdf\xa3", "video/webm"),
    (b"\0\0\1\xba", "video/mpeg"),
    (b"\0\0\1\xb3", "video/mpeg"),
)
_RIFF = {b"WEBP": "image/webp", b"WAVE": "audio/wav", b"AVI ": "video/x-msvideo"}
_BRANDS = {
    b"M4A ": "audio/mp4",
    b"qt  ": "video/quicktime",
    b"heic": "image/heic",
    b"heix": "image/heic",
    b"mif1": "image/heif",
    b"avif": "image/avif",
}
_CONTAINERS = frozenset({"audio/ogg", "audio/mp4", "video/webm", "video/mp4", "video/quicktime"})
_ENDINGS = {type_: suffix for kinds in MEDIA_TYPES.values() for suffix, type_ in kinds.items()}


def _png(stream: BinaryIO, size: int) -> tuple[int, int]:
    head = stream.read(24)
    if head[12:16] != b"IHDR":
        raise TruncatedMediaError("the image/png has no header")
    width, height = struct.unpack(">II", head[16:24])
    at, name = 8, b""
    while name != b"IEND":
        stream.seek(at)
        length, name = struct.unpack(">I4s", stream.read(8))
        at += 12 + length
        if at > size:
            raise TruncatedMediaError("the image/png is cut off")
    return width, height


def _jpeg(stream: BinaryIO, size: int) -> tuple[int, int]:
    at = 2
    while at < size:
        stream.seek(at)
        mark, name = struct.unpack(">BB", stream.read(2))
        if mark != 0xFF:
            raise TruncatedMediaError("the image/jpeg has an invalid marker")
        if name in {0xFF, 0x01} or 0xD0 <= name <= 0xD8:  # padding, and markers without content
            at += 1 if name == 0xFF else 2
            continue
        (length,) = struct.unpack(">H", stream.read(2))
        if 0xC0 <= name <= 0xCF and name not in {0xC4, 0xC8, 0xCC}:
            _, height, width = struct.unpack(">BHH", stream.read(5))
            if not _has_end(stream, at, size):
                raise TruncatedMediaError("the image/jpeg is cut off: it has no end mark")
            return width, height
        if name in {0xD9, 0xDA}:
            break
        at += 2 + length
    raise TruncatedMediaError("the image/jpeg is cut off before its size")


def _has_end(stream: BinaryIO, start: int, size: int) -> bool:
    """Return whether a JPEG has its end mark after a position; other data may follow it."""
    end = size
    while end > start:
        begin = max(start, end - END_BYTES)
        stream.seek(begin)
        if b"\xff\xd9" in stream.read(end - begin):
            return True
        if begin == start:
            break
        end = begin + 1  # the mark may lie across two pieces
    return False


def _gif(stream: BinaryIO, size: int) -> tuple[int, int]:
    width, height, flags = struct.unpack("<6xHHB2x", stream.read(13))
    at = 13 + _color_table(flags)
    images = 0
    while at < size:
        stream.seek(at)
        mark = stream.read(1)
        if mark == b"\x21":
            at += 2
        elif mark == b"\x2c":
            (flags,) = struct.unpack("<8xB", stream.read(9))
            at += 11 + _color_table(flags)
            images += 1
        else:  # the end mark, or other data after the last image
            break
        at = _after_blocks(stream, at)
    if at > size or not images:
        raise TruncatedMediaError("the image/gif is cut off")
    return width, height


def _color_table(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _after_blocks(stream: BinaryIO, at: int) -> int:
    """Return the position after the blocks of data that begin at a position; an empty one ends them."""
    stream.seek(at)
    while True:
        (length,) = struct.unpack("B", stream.read(1))
        at += 1 + length
        if not length:
            return at
        stream.seek(at)


def _bmp(stream: BinaryIO, size: int) -> tuple[int, int]:
    head = stream.read(38)
    at, header = struct.unpack("<10xII", head[:18])
    packed = length = 0
    if header == 12:
        width, height, bits = struct.unpack("<HH2xH", head[18:26])
    else:
        width, height, bits, packed, length = struct.unpack("<ii2xHII", head[18:38])
    if packed in {0, 3, 6}:  # colors as they are, with or without masks
        length = (abs(width) * bits + 31) // 32 * 4 * abs(height)
    if at + length > size:
        raise TruncatedMediaError("the image/bmp is cut off")
    return abs(width), abs(height)


def _webp(stream: BinaryIO, size: int) -> tuple[int, int]:
    head = stream.read(30)
    (length,) = struct.unpack("<I", head[4:8])
    at = 12
    while at < length + 8:
        stream.seek(at + 4)
        (chunk,) = struct.unpack("<I", stream.read(4))
        if at + 8 + chunk > size:
            raise TruncatedMediaError("the image/webp is cut off")
        at += 8 + chunk + chunk % 2
    if head[12:16] == b"VP8X":
        return 1 + int.from_bytes(head[24:27], "little"), 1 + int.from_bytes(head[27:30], "little")
    if head[12:16] == b"VP8L":
        (bits,) = struct.unpack("<I", head[21:25])
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    width, height = struct.unpack("<HH", head[26:30])
    return width & 0x3FFF, height & 0x3FFF


def _tiff(stream: BinaryIO, size: int) -> tuple[int, int]:
    order = "<" if stream.read(2) == b"II" else ">"
    (at,) = struct.unpack(f"{order}2xI", stream.read(6))
    first: dict[int, Sequence[int]] = {}
    seen: set[int] = set()
    while at and at not in seen and len(seen) < MOST_PAGES:
        seen.add(at)
        found, at = _tiff_page(stream, order, at, size)
        first = first or found
    return next(iter(first.get(256, ())), 0), next(iter(first.get(257, ())), 0)


def _tiff_page(stream: BinaryIO, order: str, at: int, size: int) -> tuple[dict[int, Sequence[int]], int]:
    """Return the sizes and places in the directory of a page, and the place of the next one."""
    stream.seek(at)
    (count,) = struct.unpack(f"{order}H", stream.read(2))
    entries = stream.read(12 * count)
    (after,) = struct.unpack(f"{order}I", stream.read(4).ljust(4, b"\0"))
    found: dict[int, Sequence[int]] = {}
    for place in range(0, 12 * count, 12):
        tag, kind, number = struct.unpack_from(f"{order}HHI", entries, place)
        if tag not in _TIFF_TAGS or kind not in {3, 4}:
            continue
        width = 2 if kind == 3 else 4
        if number * width > size:
            raise TruncatedMediaError("the image/tiff is cut off")
        content = entries[place + 8 : place + 12]
        if number * width > 4:
            stream.seek(struct.unpack(f"{order}I", content)[0])
            content = stream.read(number * width)
        found[tag] = struct.unpack_from(f"{order}{number}{'H' if kind == 3 else 'I'}", content)
    for places, lengths in ((273, 279), (324, 325)):
        for begin, length in zip(found.get(places, ()), found.get(lengths, ()), strict=False):
            if begin + length > size:
                raise TruncatedMediaError("the image/tiff is cut off")
    return found, after


_TIFF_TAGS = {256, 257, 273, 279, 324, 325}
"""Width, height, and the places and lengths of strips and of tiles."""
_SIZES: dict[str, Callable[[BinaryIO, int], tuple[int, int]]] = {
    "image/png": _png,
    "image/jpeg": _jpeg,
    "image/gif": _gif,
    "image/bmp": _bmp,
    "image/webp": _webp,
    "image/tiff": _tiff,
}
