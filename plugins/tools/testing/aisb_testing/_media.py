"""Generate small images, sounds and videos, for the tests of tasks that attach them."""

from __future__ import annotations

import io
import math
import struct
import wave
import zlib
from array import array


def make_png(width: int = 8, height: int = 8, color: tuple[int, int, int] = (200, 30, 30)) -> bytes:
    """Return a PNG of a single color; another color gives other content."""
    line = b"\0" + bytes(color) * width
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(line * height)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, content) for name, content in chunks)


def make_wav(seconds: float = 0.05, pitch: float = 440.0, rate: int = 8000) -> bytes:
    """Return a WAV file of one channel with a tone."""
    waves = (round(12_000 * math.sin(2 * math.pi * pitch * at / rate)) for at in range(int(seconds * rate)))
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(array("h", waves).tobytes())
    return buffer.getvalue()


def make_mp4(content: bytes = b"frames") -> bytes:
    """Return the boxes of an MP4 file without any playable frame."""
    kind = struct.pack(">4sI4s4s", b"isom", 512, b"isom", b"mp41")
    boxes = ((b"ftyp", kind), (b"mdat", content))
    return b"".join(struct.pack(">I4s", 8 + len(inner), name) + inner for name, inner in boxes)


def _chunk(name: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(name + content)
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", checksum)
