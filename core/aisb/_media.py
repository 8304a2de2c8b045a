"""Encode local images, audio and video files as data URLs."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

from aisb._errors import DataError
from aisb._types import Part, PartKind

MEDIA_TYPES: Mapping[PartKind, Mapping[str, str]] = {
    "image": {
        ".bmp": "image/bmp", ".gif": "image/gif", ".jpeg": "image/jpeg", ".jpg": "image/jpeg",
        ".png": "image/png", ".tif": "image/tiff", ".tiff": "image/tiff", ".webp": "image/webp",
    },
    "audio": {
        ".aac": "audio/aac", ".flac": "audio/flac", ".m4a": "audio/mp4", ".mp3": "audio/mpeg",
        ".ogg": "audio/ogg", ".opus": "audio/ogg", ".wav": "audio/wav", ".webm": "audio/webm",
    },
    "video": {
        ".avi": "video/x-msvideo", ".m4v": "video/mp4", ".mkv": "video/x-matroska", ".mov": "video/quicktime",
        ".mp4": "video/mp4", ".mpeg": "video/mpeg", ".mpg": "video/mpeg", ".webm": "video/webm",
    },
}  # fmt: skip
"""The media type for a file suffix, by kind. Unlike `mimetypes`, it is the same on every machine."""


def address_path(address: str) -> Path:
    """Return the local path of a `file:` URL."""
    return Path(unquote(urlsplit(address).path))


def data_url(part: Part) -> str:
    """Return a URL that a service can read: a data URL for a local file, any other URL unchanged.

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
    kind = MEDIA_TYPES[part.kind].get(path.suffix.lower(), "application/octet-stream")
    return f"data:{kind};base64,{b64encode(content).decode()}"
