"""Determine whether an audio or video file is complete, from its lengths, counts and checksums.

Nothing is decoded. A file is refused only if it announces more than it has; data after its end is accepted.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import BinaryIO


class TruncatedMediaError(ValueError):
    """The bytes begin like a known type, but are incomplete."""


LENGTH_UNKNOWN = 0x7FFFFF00
"""A program that writes a RIFF file to a pipe gives a length from this one on, or 0."""

WRONG_BY = 16
"""Some programs count the header of a RIFF file in its length, others do not."""

FLAC_END = 1 << 21
"""The last frame of a FLAC begins at most so many bytes before its end."""


def check_complete(kind: str, stream: BinaryIO, size: int) -> None:
    """Check that a stream of `size` bytes and of a media type is complete; types without a check pass.

    Raises:
        TruncatedMediaError: it is cut off.
    """
    check = _CHECKS.get(kind)
    if check is not None:
        stream.seek(0)
        check(kind, stream, size)


def _short(kind: str, announced: int, size: int) -> TruncatedMediaError:
    return TruncatedMediaError(
        f"the {kind} is cut off: {announced:,} bytes are announced, and there are {size:,}"
    )


def _check_boxes(kind: str, stream: BinaryIO, size: int) -> None:
    """Check that no box of an MP4 file or its kin reaches past the end of the file."""
    at = 0
    while size - at >= 8:
        stream.seek(at)
        length, name = struct.unpack(">I4s", stream.read(8))
        if length == 1:
            (length,) = struct.unpack(">Q", stream.read(8))
        if length < 8 or not name.isalnum():  # to the end of the file, or no box
            return
        at += length
    stream.seek(min(at, size))
    if at > size or stream.read(8).strip(b"\0"):
        raise _short(kind, max(at, size + 1), size)


def _check_riff(kind: str, stream: BinaryIO, size: int) -> None:
    name, length = struct.unpack("<4sI", stream.read(8))
    if name == b"RIFF" and 0 < length < LENGTH_UNKNOWN and length > size + WRONG_BY:
        raise _short(kind, length, size)


def _check_frames(kind: str, stream: BinaryIO, size: int) -> None:
    """Check that the last frame of an MP3 or AAC file is complete, and that all counted bytes are there."""
    length = _mp3_frame if kind == "audio/mpeg" else _aac_frame
    at = 0
    head = stream.read(10)
    if head[:3] == b"ID3":
        at = 10 + _id3_length(head[6:10])
        if at > size:
            raise _short(kind, at, size)
    first = at
    while at < size:
        stream.seek(at)
        head = stream.read(10)
        frame = length(head)
        if not frame:  # a tag after the last frame, or a bit rate without a length
            return
        if at == first and kind == "audio/mpeg":
            stream.seek(at)
            counted = _counted_bytes(stream.read(frame))
            if counted and first + counted > size:
                raise _short(kind, first + counted, size)
        at += frame
    if at > size:
        raise _short(kind, at, size)


def _id3_length(field: bytes) -> int:
    return sum((byte & 0x7F) << 7 * place for place, byte in enumerate(reversed(field)))


_RATES = {
    (1, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (1, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (1, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (2, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}  # fmt: skip
"""Bit rates in kbit/s by version of MPEG audio and layer; layer 3 of version 2 has those of layer 2."""
_SAMPLING = (44_100, 48_000, 32_000)


def _mp3_frame(head: bytes) -> int:
    """Return the bytes of a frame of MPEG audio; 0 if this is none, or its length is not stated."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return 0
    version, layer = head[1] >> 3 & 3, 4 - (head[1] >> 1 & 3)
    rate, sampling, padding = head[2] >> 4, head[2] >> 2 & 3, head[2] >> 1 & 1
    if version == 1 or layer == 4 or not 0 < rate < 15 or sampling == 3:
        return 0
    half = 1 if version == 3 else 2
    hertz = _SAMPLING[sampling] // {3: 1, 2: 2, 0: 4}[version]
    bits = 1000 * _RATES[half, min(layer, 2) if half == 2 else layer][rate - 1]
    if layer == 1:
        return (12 * bits // hertz + padding) * 4
    return (72 if layer == 3 and half == 2 else 144) * bits // hertz + padding


def _counted_bytes(frame: bytes) -> int:
    """Return the bytes of all frames, as the first frame (Xing, Info) states them; 0 if it does not."""
    at = max(frame.find(b"Xing", 0, 64), frame.find(b"Info", 0, 64))
    if at < 0 or len(frame) < at + 16:
        return 0
    (flags,) = struct.unpack_from(">I", frame, at + 4)
    if not flags & 2:
        return 0
    place = at + 8 + (4 if flags & 1 else 0)
    return int.from_bytes(frame[place : place + 4], "big")


def _aac_frame(head: bytes) -> int:
    if len(head) < 6 or head[0] != 0xFF or head[1] & 0xF6 != 0xF0:
        return 0
    length = (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5
    return length if length >= 7 else 0


def _check_pages(kind: str, stream: BinaryIO, size: int) -> None:
    """Check that the last page of an Ogg file is complete."""
    at = 0
    while at < size:
        stream.seek(at)
        head = stream.read(27)
        if len(head) < 27 and b"OggS".startswith(head[:4]):
            raise _short(kind, at + 27, size)
        if head[:4] != b"OggS":
            return
        lengths = stream.read(head[26])
        at += 27 + head[26] + sum(lengths)
        if len(lengths) < head[26] or at > size:
            raise _short(kind, at, size)


def _check_flac(kind: str, stream: BinaryIO, size: int) -> None:
    """Check the last frame of a FLAC: its checksum, and that it ends the samples that the header counts."""
    at, last, head = 4, False, b""
    while not last:
        stream.seek(at)
        block = stream.read(4)
        if len(block) < 4:
            raise TruncatedMediaError(f"the {kind} is cut off in its header")
        last = bool(block[0] & 0x80)
        if not block[0] & 0x7F:
            head = stream.read(34)
        at += 4 + int.from_bytes(block[1:], "big")
    if at > size or len(head) < 34:
        raise TruncatedMediaError(f"the {kind} is cut off in its header")
    total = int.from_bytes(head[13:18], "big") & (1 << 36) - 1
    begin = max(at, size - FLAC_END)
    stream.seek(begin)
    tail = stream.read(size - begin)
    if tail[-128:-125] == b"TAG":
        tail = tail[:-128]
    if not tail and not total:
        return
    place = following = len(tail)
    while (place := max(tail.rfind(b"\xff\xf8", 0, place), tail.rfind(b"\xff\xf9", 0, place))) >= 0:
        end = _last_sample(tail[place : place + 16], int.from_bytes(head[:2], "big"))
        if end is None:
            continue
        if _crc(tail[place:], 16, 0x8005):
            if following < len(tail) and not _crc(tail[place:following], 16, 0x8005):
                break  # a whole frame, and no whole one after it: neither is an earlier one the last
            following = place
            continue
        if total and end < total:
            raise TruncatedMediaError(
                f"the {kind} is cut off: {total:,} samples are announced, and there are {end:,}"
            )
        return
    raise TruncatedMediaError(f"the {kind} is cut off: its last frame is incomplete")


def _last_sample(head: bytes, block: int) -> int | None:
    """Return the number of samples up to the end of a FLAC frame; None if this is not the header of a frame.

    `block` is the number of samples in the frames of a file whose frames are equally long.
    """
    code, rate = (head[2] >> 4, head[2] & 15) if len(head) >= 6 else (0, 0)
    if code == 0 or rate == 15 or head[3] & 1:
        return None
    ones = 0
    while ones < 8 and head[4] << ones & 0x80:
        ones += 1
    more = max(0, ones - 1)
    number = head[4] & (0xFF >> ones + 1 if ones else 0x7F)
    for byte in head[5 : 5 + more]:
        number = number << 6 | byte & 0x3F
    at = 5 + more
    size_bytes = {6: 1, 7: 2}.get(code, 0)
    samples = 1 + int.from_bytes(head[at : at + size_bytes], "big")
    if not size_bytes:
        samples = 192 if code == 1 else 576 << code - 2 if code < 6 else 256 << code - 8
    at += size_bytes + {12: 1, 13: 2, 14: 2}.get(rate, 0)
    if ones in {1, 8} or at >= len(head) or _crc(head[: at + 1], 8, 0x07):
        return None
    return (number if head[1] & 1 else number * block) + samples


def _crc(data: bytes, bits: int, polynomial: int) -> int:
    """Return the remainder of a checksum: 0 for data that its own checksum follows."""
    table, remainder, mask = _crc_table(bits, polynomial), 0, (1 << bits) - 1
    for byte in data:
        remainder = (remainder << 8 & mask) ^ table[remainder >> bits - 8 ^ byte]
    return remainder


def _crc_table(bits: int, polynomial: int) -> list[int]:
    if (bits, polynomial) not in _TABLES:
        table = []
        for byte in range(256):
            value = byte << bits - 8
            for _ in range(8):
                value = value << 1 ^ (polynomial if value >> bits - 1 else 0)
                value &= (1 << bits) - 1
            table.append(value)
        _TABLES[bits, polynomial] = table
    return _TABLES[bits, polynomial]


_TABLES: dict[tuple[int, int], list[int]] = {}
_CHECKS: dict[str, Callable[[str, BinaryIO, int], None]] = {
    "video/mp4": _check_boxes,
    "audio/mp4": _check_boxes,
    "video/quicktime": _check_boxes,
    "audio/wav": _check_riff,
    "video/x-msvideo": _check_riff,
    "audio/mpeg": _check_frames,
    "audio/aac": _check_frames,
    "audio/ogg": _check_pages,
    "audio/flac": _check_flac,
}
