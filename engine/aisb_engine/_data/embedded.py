"""Images, audio and video that are stored in the rows themselves: as bytes in Parquet, or as base64 text.

Content that a task attaches is written to a file, once for equal content, and the row's field becomes a table
with the path. So rows with a gigabyte of images need little memory, the log has only paths, and a service
that may read local files can be sent a path. The files are a cache, and can be removed between runs.
"""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aisb._errors import DataError
from aisb._templates import Template
from aisb._types import Row
from aisb_engine._data.media_ends import TruncatedMediaError
from aisb_engine._data.media_types import inspect, suffix_of

if TYPE_CHECKING:
    from aisb_engine._spec import Task

_BASE64 = re.compile(
    r"iVBORw0KGgo|/9j/|R0lGOD|UklGR|Qk[0-3]|SUkqA|TU0AK|T2dnU|SUQz|ZkxhQ|GkXfo|AAAA[A-Za-z0-9+/]{2}Z0eX"
)
"""The beginnings of the known file types in base64."""

_LETTERS = re.compile(r"[A-Za-z0-9+/=\s]+")
_NO_LETTER = re.compile(r"[^A-Za-z0-9+/=]|=(?=[^=])")
_DATA_URL = re.compile(r"data:[\w.+-]+/[\w.+-]+(?:;[\w=.+-]+)*;base64,")
SHORTEST, LOOKED_AT = 64, 256
"""A text with fewer characters than the first is a path; with fewer than the second, if it has a dot."""


class Embedded(dict[str, Any]):
    """Content from a row: `file`, `type`, `size` in bytes, and for an image `width` and `height`."""


def cache_folder() -> Path:
    """Return the folder for content from rows: `$AISB_CACHE`, else the user's cache folder."""
    folder = os.environ.get("AISB_CACHE")
    if folder:
        return Path(folder).expanduser() / "media"
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "aisb" / "media"


class EmbeddedContent:
    """Moves content out of a task's rows to files: the fields that `prompt.media` attaches become tables.

    Bytes in other fields are removed, since no prompt, grade or log can contain them. A `generated` dataset
    has new content in each run, so its files are removed when the process ends, and all must be attached.
    """

    def __init__(self, task: Task, *, generated: bool = False) -> None:
        templates = (Template(one.file) for one in task.prompt.media)
        self._attached = {name for template in templates if template.single for name in template.names}
        self._generated = generated

    def row(self, row: Row) -> Row:
        """Return a row without bytes.

        Raises:
            DataError: the content of an attached field is not an image, audio or video, or is incomplete.
        """
        changed: dict[str, Any] = {}
        for name, value in row.items():
            if name in self._attached:
                replaced = self._taken(name, value)
                if replaced is not value:
                    changed[name] = replaced
            elif _has_bytes(value):
                if self._generated:
                    raise DataError(
                        f"the field {name!r} has images or audio, but prompt.media attaches nothing"
                    )
                changed[name] = _without_bytes(value)
        return {**row, **changed} if changed else row

    def _taken(self, name: str, value: Any) -> Any:
        if isinstance(value, str):
            return self._text(name, value)
        if isinstance(value, bytes | bytearray | memoryview):
            return self._stored(name, bytes(value))
        if isinstance(value, Mapping):
            if "bytes" in value:
                content = value["bytes"]
                return value.get("path") if content is None else self._taken(name, content)
            return {key: self._taken(name, one) for key, one in value.items()}
        if isinstance(value, list | tuple):
            return [self._taken(name, one) for one in value]
        return value

    def _text(self, name: str, text: str) -> Any:
        """Return the content of a base64 text; return a path or URL unchanged."""
        url = _DATA_URL.match(text)
        begin = url.end() if url else 0
        if not url and not _is_base64(text):
            return text
        try:
            content = from_base64(text[begin:])
        except ValueError as error:
            raise DataError(f"the field {name!r} is not valid base64: {error}") from error
        return self._stored(name, content, text if url else None)

    def _stored(self, name: str, content: bytes, address: str | None = None) -> Any:
        """Write content to its file. Content whose type only its data URL tells stays in the row."""
        if not content:
            raise DataError(f"the field {name!r} is empty: it has no bytes")
        try:
            found = inspect(BytesIO(content), len(content))
        except TruncatedMediaError as error:
            raise DataError(f"the field {name!r}: {error}") from error
        suffix = suffix_of(found.type) if found else None
        if found is None or suffix is None:
            if address:
                return address
            description = f"of the type {found.type}" if found else "that begin with " + repr(content[:12])
            raise DataError(
                f"the field {name!r} holds {len(content):,} bytes {description}: "
                "no known image, audio or video"
            )
        digest = sha256(content).hexdigest()
        folder = _folder_of_this_process() if self._generated else cache_folder()
        path = folder / digest[:2] / f"{digest[:40]}{suffix}"
        _write_once(path, content)
        table = Embedded(file=str(path), type=found.type, size=len(content))
        if found.width is not None:
            table |= {"width": found.width, "height": found.height}
        return table


@cache
def _folder_of_this_process() -> Path:
    """Return a folder that is removed at the end of the process."""
    import atexit
    import shutil
    import tempfile

    folder = Path(tempfile.mkdtemp(prefix="aisb-media-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def from_base64(text: str) -> bytes:
    """Return the bytes of base64, which may have line ends.

    Raises:
        ValueError: it is damaged, with the place of the first wrong character.
    """
    text = "".join(text.split())
    try:
        return base64.b64decode(text, validate=True)
    except ValueError as error:
        wrong = _NO_LETTER.search(text)
        if wrong:
            raise ValueError(f"{wrong[0]!r} is character {wrong.start() + 1:,} of {len(text):,}") from error
        raise ValueError(f"{error}; it has {len(text):,} characters and may be cut off") from error


def begins_as_base64(text: str) -> bool:
    """Return whether a text begins like base64 of a known type, whatever follows."""
    return len(text) >= SHORTEST and bool(_BASE64.match(text))


def _is_base64(text: str) -> bool:
    """Return whether a text that is not a URL is base64 content rather than a path."""
    return begins_as_base64(text) and bool(_LETTERS.fullmatch(text[:LOOKED_AT]))


def _has_bytes(value: Any) -> bool:
    """Return whether a field has content as in Parquet: bytes, a table with bytes, or a list of these."""
    if isinstance(value, list) and value:
        value = value[0]
    return isinstance(value, bytes) or (isinstance(value, dict) and isinstance(value.get("bytes"), bytes))


def _without_bytes(value: Any) -> Any:
    """Return a value with content replaced by empty bytes, so that templates that use it raise an error."""
    if isinstance(value, list):
        return [_without_bytes(one) for one in value]
    if isinstance(value, dict):
        return {key: _without_bytes(one) for key, one in value.items()}
    return b"" if isinstance(value, bytes) else value


def _write_once(path: Path, content: bytes) -> None:
    if path.is_file() and path.stat().st_size == len(content):
        return
    scratch = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch.write_bytes(content)
        scratch.replace(path)
    except OSError as error:
        raise DataError(
            f"{path} cannot be written: {error.strerror}; "
            "content of rows is stored there while it is sent: set AISB_CACHE to another folder"
        ) from error
