"""Images, audio and video that go with a question: files of this machine, or addresses.

A row is data of someone else. It may name files below the folders of the data and no others, and what a file
holds decides whether it is sent, not its name.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, cast

from aisb._errors import DataError
from aisb._media import MEDIA_TYPES, address_path
from aisb._templates import Template, as_text
from aisb._types import Part, PartKind, Sample
from aisb_engine._data.embedded import Embedded
from aisb_engine._data.media_types import Content, TornMediaError, fits, inspect

if TYPE_CHECKING:
    from aisb_engine._spec import MediaTable


LONGEST_PATH = 4096


class Attached(NamedTuple):
    """One image, audio or video of a question, and the mark in its text where it stands ("": before it)."""

    at: str
    part: Part


@dataclass(frozen=True, slots=True)
class MediaFolders:
    """Where the paths of rows are looked for, in order, and the folders outside of which no row may reach."""

    lookup: Sequence[Path]
    allowed: Sequence[Path]

    @classmethod
    def of(cls, files: Iterable[Path], folders: Sequence[Path]) -> MediaFolders:
        """Return the folders for the rows of some files: the files' own come first, then the data folders.

        A folder directly below a data folder may be a link to elsewhere, which its owner made.
        """
        lookup = [*dict.fromkeys(file.parent for file in files), *folders] or [Path()]
        below = (one for folder in folders if folder.is_dir() for one in folder.iterdir())
        linked = [one for one in below if one.is_symlink()]
        return cls(lookup, [place.resolve() for place in (*lookup, *linked)])

    def with_own(self, text: str) -> MediaFolders:
        """Add the folder that a template itself names, before its first field: it is the task's own word."""
        own, slash, _ = text.partition("{")[0].removeprefix("file://").rpartition("/")
        more = [(place / (own or "/")).resolve() for place in self.lookup] if slash else []
        return MediaFolders(self.lookup, [*self.allowed, *more])

    def places(self, text: str) -> list[Path]:
        """Return where a path may lie."""
        path = address_path(text) if text.startswith("file://") else Path(text)
        if path.is_absolute():
            return [path]
        return list(dict.fromkeys(place / path for place in self.lookup))

    def holds(self, path: Path) -> bool:
        """Say whether a file, with all links followed, is below one of the folders."""
        real = path.resolve()
        return any(real.is_relative_to(folder) for folder in self.allowed)


class Media:
    """One entry of `prompt.media`, made ready."""

    def __init__(self, table: MediaTable, where: str, folders: MediaFolders) -> None:
        self.where = where
        self._table = table
        self._kind = Template(table.kind, f"{where}.kind")
        self._file = Template(table.file, f"{where}.file")
        self._folders = folders.with_own(table.file)

    def attached(self, fields: Mapping[str, Any]) -> list[Attached]:
        """Return what a row attaches: one thing, several for a list, none for an empty field.

        Raises:
            DataError: a file is missing, empty, too large, outside of the data's folders, or of another kind.
        """
        given = self.given(fields)
        if not given:
            return []
        kind = self._kind_of(fields)
        return [Attached(self._table.at, Part(kind, self._address(one, kind))) for one in given]

    def given(self, fields: Mapping[str, Any]) -> list[str | Embedded]:
        """Return the paths and addresses that a row gives, as it gives them, and what stood in it."""
        found = self._file.value(fields)
        values = found if isinstance(found, list | tuple) else [found]
        return [one if isinstance(one, Embedded) else as_text(one) for one in values if one not in (None, "")]

    def key(self, one: str | Embedded) -> str:
        """Return what a resumed run must find again: a file's name and size, the hash of content in a row."""
        if isinstance(one, Embedded):
            return Path(one["file"]).stem
        path = None if _is_address(one) else self._found(one)
        return f"{one}\0{path.stat().st_size if path else ''}"

    def _found(self, text: str) -> Path | None:
        """Return the file of this machine that a path means; None where there is none."""
        return next((path for path in self._folders.places(text) if _is_file(path)), None)

    def _kind_of(self, fields: Mapping[str, Any]) -> PartKind:
        kind = cast("PartKind", self._kind.render(fields).strip().lower())
        if kind not in MEDIA_TYPES:
            raise DataError(f"{self._kind.where}: {kind!r} is not one of {', '.join(MEDIA_TYPES)}")
        return kind

    def _address(self, given: str | Embedded, kind: PartKind) -> str:
        if isinstance(given, Embedded):
            content = Content(given["type"], given.get("width"), given.get("height"))
            self._check("what the row holds", kind, content, given["size"])
            return Path(given["file"]).as_uri()
        if given.startswith(("http://", "https://")):
            return given
        if given.startswith("data:"):
            self._check_data_url(given, kind)
            return given
        return self._file_address(given, kind)

    def _file_address(self, text: str, kind: PartKind) -> str:
        path = self._found(text)
        if path is None and len(text) > LONGEST_PATH:
            raise DataError(
                f"{self.where}: {text[:60]!r}… is too long for a path, and no image, audio or video in base64"
            )
        if path is None:
            looked = "".join(f"\n  {place}" for place in self._folders.places(text))
            raise DataError(
                f"{self.where}: there is no file {text[:200]!r}; looked for:{looked}\n"
                "  a path is taken beside the data file, then under --data-dir and AISB_DATA; "
                "an address begins with http:// or https://"
            )
        if not self._folders.holds(path):
            raise DataError(
                f"{self.where}: {path} is outside of the data's folders, and a row may name no file there; "
                "if it belongs to the data, let --data-dir name the folder that holds both"
            )
        known = MEDIA_TYPES[kind]
        if path.suffix.lower() not in known:
            raise DataError(
                f"{self.where}: {path} does not end as {_a(kind)} does; "
                f"known: {', '.join(known)}; a data URL can say any type"
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

    def _check_data_url(self, url: str, kind: PartKind) -> None:
        """Check the content of a data URL in base64, where its type is one that is known."""
        self._check_size("the data URL", len(url))
        head, _, data = url.partition(",")
        said = head.removeprefix("data:").partition(";")[0].lower()
        if not head.endswith(";base64"):
            return
        try:
            content = base64.b64decode("".join(data.split()), validate=True)
        except (binascii.Error, ValueError) as error:
            raise DataError(f"{self.where}: the data URL is no base64 that can be read: {error}") from error
        if said in MEDIA_TYPES[kind].values() or said.partition("/")[0] != kind:
            found = self._inspected("the data URL", BytesIO(content), len(content))
            self._check("the data URL", kind, found, len(content))

    def _inspected(self, what: str, stream: BinaryIO, size: int) -> Content | None:
        try:
            return inspect(stream, size)
        except TornMediaError as error:
            raise DataError(f"{self.where}: {what}: {error}") from error

    def _check(self, what: str, kind: PartKind, content: Content | None, size: int) -> None:
        """Check what some content is, and how large. Audio and video have more forms than are known here."""
        self._check_size(what, size)
        if content is None:
            if kind == "image":
                raise DataError(f"{self.where}: {what} is no image of a known type, whatever its name says")
            return
        if not fits(kind, content.type):
            raise DataError(f"{self.where}: {what} is {content.type}, which is no {kind}")
        pixels, most = (content.width or 0) * (content.height or 0), self._table.max_pixels
        if pixels > most:
            raise DataError(
                f"{self.where}: {what} has {content.width:,} × {content.height:,} = {pixels:,} pixels, and "
                f"max_pixels allows {most:,}; who decodes it needs {pixels * 3 / 1e6:,.0f} MB"
            )

    def _check_size(self, what: str, size: int) -> None:
        most = self._table.max_mb
        if size > most * 1e6:
            raise DataError(
                f"{self.where}: {what} has {size / 1e6:.1f} MB, and max_mb allows {most:g}; "
                f"make it smaller, or raise max_mb if the service takes as much"
            )


def _a(kind: str) -> str:
    return f"{'an' if kind[0] in 'ai' else 'a'} {kind}"


def _is_address(text: str) -> bool:
    return text.startswith(("http://", "https://", "data:"))


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name that is too long, or has a null character
        return False


def attach(text: str, attached: Iterable[Attached]) -> str | tuple[Part, ...]:
    """Return a turn's content: each thing at its mark where the text has one, else before the text."""
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
    """Return a hash over the media of all samples: what is given, and of a file how large it is.

    Not over the files' content, which can be more than anyone wants to read before the first request. What a
    row that could not be made does not have is left out.
    """
    digest = hashlib.sha256()
    for sample in samples:
        for entry in media:
            try:
                given = entry.given(sample.fields)
            except Exception:  # noqa: BLE001, S112 - rendering the prompt says what is wrong with the row
                continue
            for one in given:
                digest.update(f"{entry.key(one)}\0".encode("utf-8", "replace"))
    return digest.hexdigest()
