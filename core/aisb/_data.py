"""The input of datasets: data files, tokenizers, and pools of words to generate prompts from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from aisb._deprecated import Renamed
from aisb._errors import DataError

LFS_MARK = b"version https://git-lfs"
_GZIP, _UTF8_MARK, _UTF16_MARKS = b"\x1f\x8b", b"\xef\xbb\xbf", (b"\xff\xfe", b"\xfe\xff")


@dataclass(eq=False)
class DataFile:
    """One data file. `fields` are the fields in its path: `{"subject": "anatomy"}`.

    `line` and `row` are the current position for error messages; a reader that does not read by lines sets
    `row`. `sha256` is the hash of the content (of a `.gz` file: the decompressed content). It is set after
    the file has been read to its end.
    """

    path: Path
    fields: Mapping[str, str] = field(default_factory=dict)
    source: str | None = None
    line: int | None = None
    row: int | None = None
    sha256: str | None = None

    def lines(self) -> Iterator[str]:
        """Yield the lines with their line ends, and keep `line` up to date.

        Raises:
            DataError: the file cannot be read, is a Git LFS pointer, or is not UTF-8.
        """
        from hashlib import sha256

        digest = sha256()
        self.line = 0
        with _Reading(self) as stream:
            for line in stream:
                self.line += 1
                digest.update(line)
                yield self._decoded(self._first_line(line) if self.line == 1 else line)
        self.sha256 = digest.hexdigest()

    def read(self) -> bytes:
        """Return the whole content; raise DataError if it cannot be read or is a Git LFS pointer."""
        from hashlib import sha256

        with _Reading(self) as stream:
            content: bytes = stream.read()
        self.sha256 = sha256(content).hexdigest()
        if content.startswith(LFS_MARK):
            raise self._pointer()
        return content

    def text(self) -> str:
        """Return the whole content as text; raise DataError if it is not UTF-8."""
        return "".join(self.lines())

    def error(self, message: str) -> DataError:
        """Return an error with a message on the current position; the caller raises it."""
        return DataError(f"{self.position}: {message}")

    @property
    def position(self) -> str:
        """The current position: the file, and the line or row that was read last."""
        if self.row is not None:
            return f"{self.path}, row {self.row}"
        return f"{self.path}, line {self.line}" if self.line else str(self.path)

    wrong, here = Renamed("error"), Renamed("position")

    def _first_line(self, line: bytes) -> bytes:
        """Return the first line without a byte-order mark; raise if the file is a pointer or UTF-16."""
        if line.startswith(LFS_MARK):
            raise self._pointer()
        if line.startswith(_UTF16_MARKS):
            raise self.error(
                "the file is UTF-16, but must be UTF-8; "
                f"convert it with: iconv -f UTF-16 -t UTF-8 {self.path.name} > new"
            )
        return line.removeprefix(_UTF8_MARK)

    def _decoded(self, line: bytes) -> str:
        try:
            return line.decode()
        except UnicodeDecodeError as error:
            raise self.error(
                f"byte {line[error.start]:#04x} at {error.start} is not UTF-8; find the encoding "
                f"(often GB18030 or Latin-1), then\n  iconv -f GB18030 -t UTF-8 {self.path.name} > new"
            ) from error

    def _pointer(self) -> DataError:
        self.line = None
        get = f"; or get the file from {self.source}" if self.source else ""
        return self.error(
            f"this is a Git LFS pointer, not the data; run `git lfs pull` in {self.path.parent}{get}"
        )


class _Reading:
    """Opens a data file, decompresses gzip, and names the file in errors while it is read."""

    def __init__(self, file: DataFile) -> None:
        self.file = file

    def __enter__(self) -> Any:
        try:
            with self.file.path.open("rb") as stream:
                packed = stream.read(2) == _GZIP
            if packed:
                import gzip

                self.stream: Any = gzip.open(self.file.path)
            else:
                self.stream = self.file.path.open("rb")
        except OSError as error:
            raise self.file.error(f"cannot be read: {error.strerror}") from error
        return self.stream

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        import zlib

        self.stream.close()
        if isinstance(error, OSError | EOFError | zlib.error):
            raise self.file.error(f"cannot be read to its end: {error}") from error


class DataFiles:
    """The files of one dataset, in order. `layout` is the path pattern of the task that matched them.

    `fields` are templates by name; each row of this layout gets their values as fields.
    """

    def __init__(
        self, files: Sequence[DataFile], layout: str = "", fields: Mapping[str, str] | None = None
    ) -> None:
        self.files = list(files)
        self.layout = layout
        self.fields = dict(fields or {})
        self.current: DataFile | None = None

    def __iter__(self) -> Iterator[DataFile]:
        for file in self.files:
            self.current = file
            yield file

    @property
    def position(self) -> str:
        """The current position in the current file, for errors."""
        return self.current.position if self.current else self.layout

    here = Renamed("position")

    @property
    def sha256(self) -> str:
        """The hash of the data: of a single file its own, of several files the hash of their list.

        The list is the output of `sha256sum` for the decompressed files, in order.
        """
        from hashlib import sha256

        for file in self.files:
            if file.sha256 is None:
                file.read()
        if len(self.files) == 1:
            return str(self.files[0].sha256)
        listed = "".join(f"{file.sha256}  {file.path.name.removesuffix('.gz')}\n" for file in self.files)
        return sha256(listed.encode()).hexdigest()


class Tokenizer(Protocol):
    """Converts text to token ids and back. A configuration sets an option of this type to a folder's path.

    Special tokens that a model expects around a text are neither added nor counted. `path` is the folder.
    """

    path: Path

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text."""

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of ids, with that of special ones."""

    def count(self, text: str) -> int:
        """Return the number of tokens in a text."""

    def counts(self, texts: Sequence[str]) -> list[int]:
        """Return the number of tokens in each text; faster than `count` for many texts."""

    def vocabulary(self) -> dict[int, str]:
        """Return the tokens in the tokenizer's notation by id, in order of id, without special tokens."""


class PromptPool(NamedTuple):
    """The words or token ids from which a dataset generates prompts.

    A field of a row with an attribute `pool` of this type is a generated prompt. For a warm-up, or when a
    performance run repeats the prompt, the engine replaces each of its words or ids by another one from the
    pool, so that the prefix cache of the service does not contain it. `exact` tells that this keeps the
    number of tokens.
    """

    values: Sequence[Any]
    exact: bool
