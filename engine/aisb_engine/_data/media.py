"""Attach images, audio and video to questions, from local files or URLs.

Rows are foreign data. They may only name files in the folders of the data, and the content of a file, not its
name, decides whether it is sent.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, cast
from urllib.parse import unquote_to_bytes

from aisb._errors import DataError
from aisb._media import MEDIA_TYPES, address_path
from aisb._templates import Template, as_text
from aisb._types import Part, PartKind, Sample
from aisb_engine._data.embedded import Embedded, begins_as_base64, from_base64
from aisb_engine._data.media_ends import TruncatedMediaError
from aisb_engine._data.media_types import Content, fits, inspect

if TYPE_CHECKING:
    from aisb_engine._spec import MediaTable


MAX_PATH_LENGTH = 4096


class Attached(NamedTuple):
    """One image, audio or video of a question, and its mark in the text ("": it precedes the text)."""

    at: str
    part: Part


@dataclass(frozen=True, slots=True)
class MediaFolders:
    """The folders in which paths of rows are searched, in order, and outside of which rows may not read."""

    lookup: Sequence[Path]
    allowed: Sequence[Path]

    @classmethod
    def of(cls, files: Iterable[Path], folders: Sequence[Path]) -> MediaFolders:
        """Return the folders for the rows of some files: those of the files first, then the data folders.

        A folder directly in a data folder may be a link to another place, since the user made it; a file
        may not.
        """
        lookup = [*dict.fromkeys(file.parent for file in files), *folders] or [Path()]
        below = (one for folder in folders if folder.is_dir() for one in folder.iterdir())
        linked = [one for one in below if one.is_symlink() and one.is_dir()]
        return cls(lookup, [place.resolve() for place in (*lookup, *linked)])

    def with_own(self, text: str) -> MediaFolders:
        """Add the folder that the template names before its first field: the task's author chose it."""
        own, slash, _ = text.partition("{")[0].removeprefix("file://").rpartition("/")
        more = [(place / (own or "/")).resolve() for place in self.lookup] if slash else []
        return MediaFolders(self.lookup, [*self.allowed, *more])

    def places(self, text: str) -> list[Path]:
        """Return the possible places of a path."""
        path = address_path(text) if text.startswith("file://") else Path(text)
        if path.is_absolute():
            return [path]
        return list(dict.fromkeys(place / path for place in self.lookup))

    def holds(self, path: Path) -> bool:
        """Return whether a file is in one of the folders, after all links are resolved."""
        real = path.resolve()
        return any(real.is_relative_to(folder) for folder in self.allowed)


class Media:
    """One entry of `prompt.media`, with its templates parsed."""

    def __init__(self, table: MediaTable, where: str, folders: MediaFolders) -> None:
        self.where = where
        self._table = table
        self._kind = Template(table.kind, f"{where}.kind")
        self._file = Template(table.file, f"{where}.file")
        self._folders = folders.with_own(table.file)

    def attached(self, fields: Mapping[str, Any]) -> list[Attached]:
        """Return the media that a row attaches: one, several for a list, none for an empty field.

        Raises:
            DataError: a file is missing, empty, too large, outside the data folders, or of another kind.
        """
        sources = self.sources(fields)
        if not sources:
            return []
        kind = self._kind_of(fields)
        return [Attached(self._table.at, Part(kind, self._address(one, kind))) for one in sources]

    def sources(self, fields: Mapping[str, Any]) -> list[str | Embedded]:
        """Return the paths and URLs in a row unchanged, and content that was stored in the row."""
        found = self._file.value(fields)
        values = found if isinstance(found, list | tuple) else [found]
        return [one if isinstance(one, Embedded) else as_text(one) for one in values if one not in (None, "")]

    def key(self, one: str | Embedded) -> str:
        """Return what a resumed run must have in common: a file's path and size, or the hash of content."""
        if isinstance(one, Embedded):
            return Path(one["file"]).stem
        path = None if _is_address(one) else self._found(one)
        return f"{one}\0{path.stat().st_size if path else ''}"

    def _found(self, text: str) -> Path | None:
        """Return the local file for a path; None if there is none."""
        return next((path for path in self._folders.places(text) if _is_file(path)), None)

    def _kind_of(self, fields: Mapping[str, Any]) -> PartKind:
        kind = cast("PartKind", self._kind.render(fields).strip().lower())
        if kind not in MEDIA_TYPES:
            raise DataError(f"{self._kind.where}: {kind!r} is not one of {', '.join(MEDIA_TYPES)}")
        return kind

    def _address(self, source: str | Embedded, kind: PartKind) -> str:
        if isinstance(source, Embedded):
            content = Content(source["type"], source.get("width"), source.get("height"))
            self._check("the content of the row", kind, content, source["size"])
            return Path(source["file"]).as_uri()
        if source.startswith(("http://", "https://")):
            return source
        if source.startswith("data:"):
            return self._data_url(source, kind)
        return self._file_address(source, kind)

    def _file_address(self, text: str, kind: PartKind) -> str:
        path = self._found(text)
        if path is None and begins_as_base64(text):
            self._decoded("the content of the row", text)
        if path is None and len(text) > MAX_PATH_LENGTH:
            raise DataError(
                f"{self.where}: {text[:60]!r}… is too long for a path, "
                "and not base64 of an image, audio or video"
            )
        if path is None:
            searched = "".join(f"\n  {place}" for place in self._folders.places(text))
            raise DataError(
                f"{self.where}: there is no file {text[:200]!r}; searched:{searched}\n"
                "  a path is searched next to the data file, then in --data-dir and AISB_DATA; "
                "a URL begins with http:// or https://"
            )
        if not self._folders.holds(path):
            raise DataError(
                f"{self.where}: {path} is outside the data folders, where rows may not read; "
                "if it belongs to the data, set --data-dir to a folder that contains both"
            )
        known = MEDIA_TYPES[kind]
        if path.suffix.lower() not in known:
            raise DataError(
                f"{self.where}: {path} does not have the suffix of {_a(kind)}; "
                f"known: {', '.join(known)}; a data URL can have a type that types allows"
            )
        size = path.stat().st_size
        if not size:
            raise DataError(f"{self.where}: {path} is empty")
        self._check_size(str(path), size)
        try:
            with path.open("rb") as stream:
                self._check(str(path), kind, self._inspected(str(path), stream, size), size)
        except OSError as error:
            raise DataError(f"{self.where}: {path} cannot be read: {error.strerror}") from error
        return path.resolve().as_uri()

    def _data_url(self, url: str, kind: PartKind) -> str:
        """Return a data URL after checks, with the type of its content instead of a wrong one.

        Of an image, the type must be known or one of `types`.
        """
        what = "the data URL"
        self._check_size(what, len(url))
        head, comma, data = url.partition(",")
        declared = head.removeprefix("data:").partition(";")[0].strip().lower()
        if not comma:
            raise DataError(f"{self.where}: {what} has no content; it is written data:TYPE;base64,CONTENT")
        content = self._decoded(what, data) if head.endswith(";base64") else unquote_to_bytes(data)
        if not content:
            raise DataError(f"{self.where}: {what} is empty")
        if declared in self._table.types:
            return url
        found = self._inspected(what, BytesIO(content), len(content))
        if (
            found is None
            and declared not in MEDIA_TYPES[kind].values()
            and (kind == "image" or declared.partition("/")[0] != kind)
        ):
            raise DataError(
                f"{self.where}: {what} holds {declared or 'no type'}, not {_a(kind)} of a known type; "
                f"known: {_known(kind)}. Convert it, or add types = [{json.dumps(declared)}] to this entry "
                "of prompt.media if the service reads it"
            )
        self._check(what, kind, found, len(content))
        if found is None or declared == found.type or not found.type.startswith(f"{kind}/"):
            return url
        _, semicolon, options = head.partition(";")
        return f"data:{found.type}{semicolon}{options},{data}"

    def _decoded(self, what: str, text: str) -> bytes:
        try:
            return from_base64(text)
        except ValueError as error:
            raise DataError(f"{self.where}: {what} is not valid base64: {error}") from error

    def _inspected(self, what: str, stream: BinaryIO, size: int) -> Content | None:
        try:
            return inspect(stream, size)
        except TruncatedMediaError as error:
            raise DataError(f"{self.where}: {what}: {error}") from error

    def _check(self, what: str, kind: PartKind, content: Content | None, size: int) -> None:
        """Check the type and size of content. Unknown types of audio and video are accepted."""
        self._check_size(what, size)
        if content is None:
            if kind == "image":
                raise DataError(f"{self.where}: {what} is not an image of a known type, despite its name")
            return
        if not fits(kind, content.type):
            raise DataError(f"{self.where}: {what} is {content.type}, not {kind}")
        if kind == "image" and content.width is None:
            raise DataError(
                f"{self.where}: {what} is {content.type}, whose size is not read here; known: {_known(kind)}"
            )
        pixels, limit = (content.width or 0) * (content.height or 0), self._table.max_pixels
        if pixels > limit:
            raise DataError(
                f"{self.where}: {what} has {content.width:,} × {content.height:,} = {pixels:,} pixels, but "
                f"max_pixels is {limit:,}; decoding it needs {pixels * 3 / 1e6:,.0f} MB"
            )

    def _check_size(self, what: str, size: int) -> None:
        limit = self._table.max_mb
        if size > limit * 1e6:
            raise DataError(
                f"{self.where}: {what} has {size / 1e6:.1f} MB, but max_mb is {limit:g}; "
                f"make it smaller, or raise max_mb if the service accepts it"
            )


def _known(kind: PartKind) -> str:
    return ", ".join(dict.fromkeys(MEDIA_TYPES[kind].values()))


def _a(kind: str) -> str:
    return f"{'an' if kind[0] in 'ai' else 'a'} {kind}"


def _is_address(text: str) -> bool:
    return text.startswith(("http://", "https://", "data:"))


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # the name is too long, or has a null character
        return False


def attach(text: str, attached: Iterable[Attached]) -> str | tuple[Part, ...]:
    """Return a turn's content, with each medium at its mark in the text, or before the text."""
    before: list[Part] = []
    pieces: list[str | Part] = [text]
    for at, part in attached:
        for index, piece in enumerate(pieces) if at else ():
            if isinstance(piece, str) and at in piece:
                head, _, tail = piece.partition(at)
                pieces[index : index + 1] = [head, part, tail]
                break
        else:
            before.append(part)
    if not before and len(pieces) == 1:
        return text
    parts = [Part("text", piece) if isinstance(piece, str) else piece for piece in pieces if piece]
    return (*before, *parts)


def media_hash(media: Sequence[Media], samples: Iterable[Sample]) -> str:
    """Return a hash over the media of all samples: their paths and URLs, and the sizes of files.

    The content of files is not hashed, since reading it all before the first request could take very long.
    Media that a broken row does not have are omitted.
    """
    digest = hashlib.sha256()
    for sample in samples:
        for entry in media:
            try:
                sources = entry.sources(sample.fields)
            except Exception:  # noqa: BLE001, S112 - rendering the prompt says what is wrong with the row
                continue
            for one in sources:
                digest.update(f"{entry.key(one)}\0".encode("utf-8", "replace"))
    return digest.hexdigest()
