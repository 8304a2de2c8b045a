"""Images, audio and video that go with a question: files of this machine, or addresses."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from aisb._errors import DataError
from aisb._media import TYPES, address_path
from aisb._templates import Template, as_text
from aisb._types import Part, PartKind, Sample

if TYPE_CHECKING:
    from aisb_engine._spec import MediaTable


class Attached(NamedTuple):
    """One image, audio or video of a question, and the mark in its text where it stands ("": before it)."""

    at: str
    part: Part


class Media:
    """One entry of `prompt.media`, made ready. A relative path is looked for in `roots`, in order."""

    def __init__(self, table: MediaTable, where: str, roots: Sequence[Path]) -> None:
        self.where = where
        self._table = table
        self._kind = Template(table.kind, f"{where}.kind")
        self._file = Template(table.file, f"{where}.file")
        self._roots = roots

    def attached(self, fields: Mapping[str, Any]) -> list[Attached]:
        """Return what a row attaches: one thing, several for a list, none for an empty field.

        Raises:
            DataError: a file is missing, empty, too large, or of an unknown type.
        """
        given = self.given(fields)
        if not given:
            return []
        kind = self._kind_of(fields)
        return [Attached(self._table.at, Part(kind, self._address(text, kind))) for text in given]

    def given(self, fields: Mapping[str, Any]) -> list[str]:
        """Return the paths and addresses that a row gives, as it gives them."""
        found = self._file.value(fields)
        values = found if isinstance(found, list | tuple) else [found]
        return [text for text in map(as_text, values) if text]

    def find(self, text: str) -> Path | None:
        """Return the file of this machine that a path means; None for an address, or where there is none."""
        if text.startswith(("http://", "https://", "data:")):
            return None
        return next((path for path in self._places(text) if path.is_file()), None)

    def _kind_of(self, fields: Mapping[str, Any]) -> PartKind:
        kind = cast("PartKind", self._kind.render(fields).strip().lower())
        if kind not in TYPES:
            raise DataError(f"{self._kind.where}: {kind!r} is not one of {', '.join(TYPES)}")
        return kind

    def _address(self, text: str, kind: PartKind) -> str:
        if text.startswith(("http://", "https://")):
            return text
        if text.startswith("data:"):
            self._check_size("the data URL", len(text))
            return text
        path = self.find(text)
        if path is None:
            looked = "".join(f"\n  {place}" for place in self._places(text))
            raise DataError(
                f"{self.where}: there is no file {text[:200]!r}; looked for:{looked}\n"
                "  a path is taken beside the data file, then under --data-dir and AISB_DATA; "
                "an address begins with http:// or https://"
            )
        known = TYPES[kind]
        if path.suffix.lower() not in known:
            raise DataError(
                f"{self.where}: {path} does not end as {'an' if kind[0] in 'ai' else 'a'} {kind} does; "
                f"known: {', '.join(known)}; a data URL can say any type"
            )
        size = path.stat().st_size
        if not size:
            raise DataError(f"{self.where}: {path} is empty")
        self._check_size(str(path), size)
        return path.as_uri()

    def _check_size(self, what: str, size: int) -> None:
        most = self._table.max_mb
        if size > most * 1e6:
            raise DataError(
                f"{self.where}: {what} has {size / 1e6:.1f} MB, and max_mb allows {most:g}; "
                f"make it smaller, or raise max_mb if the service takes as much"
            )

    def _places(self, text: str) -> list[Path]:
        path = address_path(text) if text.startswith("file://") else Path(text)
        if path.is_absolute():
            return [path]
        return list(dict.fromkeys((root / path).resolve() for root in self._roots))


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
            for text in given:
                path = entry.find(text)
                digest.update(f"{text}\0{path.stat().st_size if path else ''}\0".encode("utf-8", "replace"))
    return digest.hexdigest()


def roots_for(files: Iterable[Path], folders: Sequence[Path]) -> list[Path]:
    """Return the folders in which a row's paths are looked for: those of the data's own files come first."""
    return [*dict.fromkeys(file.parent for file in files), *folders] or [Path()]
