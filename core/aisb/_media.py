"""Encode local images, audio and video files as data URLs."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

from aisb._errors import DataError
from aisb._types import Part, PartKind

MEDIA_TYPES: Mapping[PartKind, Mapping[str, str]] = {
    "image": {".bmp": "image/bmp", ".gif": "image/gif", ".jpeg": "image/jpeg", ".jpg": "image/jpeg",
              ".png": "image/png", ".tif": "image/tiff", ".tiff": "image/tiff", ".webp": "image/webp"},
    "audio": {".aac": "audio/aac", ".flac": "audio/flac", ".m4a": "audio/mp4", ".mp3": "audio/mpeg",
              ".ogg": "audio/ogg", ".opus": "audio/ogg", ".wav": "audio/wav", ".webm": "audio/webm"},
    "video": {".avi": "video/x-msvideo", ".m4v": "video/mp4", ".mkv": "video/x-matroska", ".mp4": "video/mp4",
              ".mov": "video/quicktime", ".mpeg": "video/mpeg", ".mpg": "video/mpeg", ".webm": "video/webm"},
}  # fmt: skip
"""The media type for a file suffix, by kind. Unlike `mimetypes`, it is the same on every machine."""

_MARKS = {
    b"\x89PNG": "image/png", b"\xff\xd8\xff": "image/jpeg", b"GIF8": "image/gif", b"BM": "image/bmp",
    b"II*\0": "image/tiff", b"MM\0*": "image/tiff", b"WEBP": "image/webp", b"WAVE": "audio/wav",
    b"fLaC": "audio/flac", b"OggS": "audio/ogg", b"ID3": "audio/mpeg"}  # fmt: skip
"""The media type for the first bytes of a file; of a RIFF file, for those after its length."""


def address_path(address: str) -> Path:
    """Return the local path of a `file:` URL."""
    return Path(unquote(urlsplit(address).path))


def data_url(part: Part) -> str:
    """Return a URL that a service can read: a data URL for a local file, any other URL unchanged.

    The content of the file determines its type; its suffix does only for types without a mark.

    Raises:
        DataError: the file cannot be read.
    """
    if not part.value.startswith("file:"):
        return part.value
    path = address_path(part.value)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
    head = content[8:12] if content.startswith(b"RIFF") else content[:8]
    found = next((kind for mark, kind in _MARKS.items() if head.startswith(mark) and part.kind in kind), "")
    kind = found or MEDIA_TYPES[part.kind].get(path.suffix.lower(), "application/octet-stream")
    return f"data:{kind};base64,{b64encode(content).decode()}"
