"""Find the files of a dataset on disk, read them line by line, and say exactly where one is wrong.

A path is looked for under `--data-dir`, `$AISB_DATA` and `./datasets`; one that begins with `./` or `../` is
beside the task file. In a path `{split}` is the split, and any other `{name}` stands for what a file's path
has there, which its rows get as a field: `mmlu/{split}/{subject}_{split}.csv`.
"""

from __future__ import annotations

import glob
import hashlib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from aisb._errors import ConfigError, DataError, DataMissing

if TYPE_CHECKING:
    from aisb_engine._spec import DatasetTable, Layout

LFS_MARK = b"version https://git-lfs"
_NAME = re.compile(r"\{([^\W\d]\w*)\}")
_GZIP, _UTF8_MARK, _UTF16_MARKS = b"\x1f\x8b", b"\xef\xbb\xbf", (b"\xff\xfe", b"\xfe\xff")


@dataclass(eq=False)
class DataFile:
    """One file that is there. `fields` is what its path says: `{"subject": "anatomy"}`.

    A reader that counts rows rather than lines sets `row`; both are for errors. `sha256` is over the content
    (of a `.gz` file, what is packed in it), and known once the file was read to its end.
    """

    path: Path
    fields: Mapping[str, str] = field(default_factory=dict)
    source: str | None = None
    line: int | None = None
    row: int | None = None
    sha256: str | None = None

    def lines(self) -> Iterator[str]:
        """Yield the lines with their ends, counting them.

        Raises:
            DataError: the file cannot be read, is a Git LFS pointer, or is not UTF-8.
        """
        digest = hashlib.sha256()
        self.line = 0
        with self._reading() as stream:
            for line in stream:
                self.line += 1
                digest.update(line)
                yield self._decoded(self._begun(line) if self.line == 1 else line)
        self.sha256 = digest.hexdigest()

    def read(self) -> bytes:
        """Return the whole content; raise DataError when it cannot be read or is a Git LFS pointer."""
        with self._reading() as stream:
            content: bytes = stream.read()
        self.sha256 = hashlib.sha256(content).hexdigest()
        if content.startswith(LFS_MARK):
            raise self._pointer()
        return content

    def text(self) -> str:
        """Return the whole content as text; raise DataError when it is not UTF-8."""
        return "".join(self.lines())

    def wrong(self, message: str) -> DataError:
        """Return the error that says what is wrong with the place that is being read."""
        return DataError(f"{self.here}: {message}")

    @property
    def here(self) -> str:
        """The file, and the line or row that was read last."""
        if self.row is not None:
            return f"{self.path}, row {self.row}"
        return f"{self.path}, line {self.line}" if self.line else str(self.path)

    def _reading(self) -> _Reading:
        return _Reading(self)

    def _begun(self, line: bytes) -> bytes:
        """Check the first line for what shows the whole file to be something else."""
        if line.startswith(LFS_MARK):
            raise self._pointer()
        if line.startswith(_UTF16_MARKS):
            raise self.wrong(
                "the file is UTF-16, and UTF-8 is wanted; "
                f"turn it with: iconv -f UTF-16 -t UTF-8 {self.path.name} > new"
            )
        return line.removeprefix(_UTF8_MARK)

    def _decoded(self, line: bytes) -> str:
        try:
            return line.decode()
        except UnicodeDecodeError as error:
            raise self.wrong(
                f"byte {line[error.start]:#04x} at {error.start} is not UTF-8; find the encoding "
                f"(often GB18030 or Latin-1), then\n  iconv -f GB18030 -t UTF-8 {self.path.name} > new"
            ) from error

    def _pointer(self) -> DataError:
        self.line = None
        get = f"; or get the file from {self.source}" if self.source else ""
        return self.wrong(
            f"this is a Git LFS pointer, not the data; run `git lfs pull` in {self.path.parent}{get}"
        )


class _Reading:
    """An open file, unpacked where it is gzip; errors while it is read name the file."""

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
            raise self.file.wrong(f"cannot be read: {error.strerror}") from error
        return self.stream

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        import zlib

        self.stream.close()
        if isinstance(error, OSError | EOFError | zlib.error):
            raise self.file.wrong(f"cannot be read to its end: {error}") from error


class DataFiles:
    """The files of one dataset in order. `layout` is the path, as the task writes it, that was found.

    `fields` are templates that this layout's rows get as fields.
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
    def here(self) -> str:
        """The place that is being read, for errors."""
        return self.current.here if self.current else self.layout

    @property
    def sha256(self) -> str:
        """One hash over the content of all files: of one file its own, of several that over their list.

        The list is what `sha256sum` prints for the unpacked files, in order.
        """
        for file in self.files:
            if file.sha256 is None:
                file.read()
        if len(self.files) == 1:
            return str(self.files[0].sha256)
        listed = "".join(f"{file.sha256}  {file.path.name.removesuffix('.gz')}\n" for file in self.files)
        return hashlib.sha256(listed.encode()).hexdigest()


class Located(NamedTuple):
    """What a dataset table leads to: its files (None when it names no path), the component, its options."""

    files: DataFiles | None
    use: str
    options: dict[str, Any]


@dataclass(frozen=True)
class DataFolders:
    """The folders under which data is looked for, in order; `beside` is that of the task file."""

    roots: Sequence[Path]
    beside: Path | None = None

    @classmethod
    def default(cls, data_dir: Path | str | None = None, beside: Path | None = None) -> DataFolders:
        """Return `--data-dir`, `$AISB_DATA` and `./datasets`, as far as they are given."""
        given = (data_dir, os.environ.get("AISB_DATA"), "datasets")
        return cls([Path(root).expanduser() for root in given if root], beside)

    def locate(
        self, table: DatasetTable, *, split: str | None = None, task: str = "", source: str | None = None
    ) -> Located:
        """Find the files of a dataset: at its path, else in the first of its layouts that exists.

        Raises:
            DataMissing: nothing is there; the message names each place that was tried.
            ConfigError: a path has `{split}`, and no split is set; or another split is asked for than the
                table's own, and nothing has `{split}`.
        """
        other = split is not None and split != table.split
        split = split or table.split
        options = table.options
        from aisb_engine._spec import Layout

        ways = [Layout(path=table.path)] if table.path is not None else table.layouts
        if not ways:
            return Located(None, table.use, options)
        if other:
            several = [way for way in ways if _has_split(way)]
            if not several:
                raise ConfigError(
                    "task.dataset.path" if table.path is not None else "task.dataset.layouts",
                    f"{ways[0].path} has no {{split}}, so there is no split {split!r} to read",
                )
            ways = several
        tried: list[Path] = []
        for way in ways:
            called = way.splits.get(split, split) if split else None
            patterns = [
                with_split(p, called) for p in ([way.path] if isinstance(way.path, str) else way.path)
            ]
            found = [self._matches(pattern, source, tried) for pattern in patterns]
            if all(found):
                files = DataFiles([file for some in found for file in some], " + ".join(patterns), way.fields)
                return Located(files, way.use or table.use, options | way.options)
        pull = f"\n  aisb data pull {task} gets it, or says what to place where" if task else ""
        raise DataMissing(self._not_found(task, tried, source) + pull)

    def find(self, path: str, *, source: str | None = None) -> DataFiles:
        """Return the files at one path; raise DataMissing when there are none."""
        tried: list[Path] = []
        if found := self._matches(path, source, tried):
            return DataFiles(found, path)
        raise DataMissing(self._not_found(path, tried, source))

    def _matches(self, pattern: str, source: str | None, tried: list[Path]) -> list[DataFile]:
        if pattern.startswith(("./", "../")):
            roots: Sequence[Path] = [self.beside or Path()]
        elif Path(pattern).is_absolute():
            roots = [Path(Path(pattern).anchor)]
            pattern = str(Path(pattern).relative_to(roots[0]))
        else:
            roots = self.roots
        for root in roots:
            tried.append(Path(os.path.normpath(Path.cwd() / root / pattern)))
            if found := _existing(root, pattern, source):
                plain = {file.path for file in found}
                packed = _existing(root, f"{pattern}.gz", source) if _NAME.search(pattern) else []
                found += [file for file in packed if file.path.with_suffix("") not in plain]
                return sorted(found, key=lambda file: file.path)
            if found := _existing(root, f"{pattern}.gz", source):
                return found
        return []

    @staticmethod
    def _not_found(what: str, tried: Sequence[Path], source: str | None) -> str:
        lines = [f"no data for {what}; none of these exists:" if what else "no data; none of these exists:"]
        lines += [f"  {path}" for path in dict.fromkeys(tried)]
        if source:
            lines.append(f"  the data comes from {source}")
        lines.append("  place it there, or say where it is with --data-dir or the variable AISB_DATA")
        return "\n".join(lines)


def _has_split(way: Layout) -> bool:
    """Say whether a layout has more than one split; files without one have the task's own rows."""
    return any("{split}" in path for path in ([way.path] if isinstance(way.path, str) else way.path))


def with_split(path: str, split: str | None) -> str:
    """Return a path with its split; raise ConfigError when it wants one and none is set."""
    if "{split}" not in path:
        return path
    if not split:
        raise ConfigError("task.dataset.split", f"must be given: the path {path} has {{split}}")
    return path.replace("{split}", split)


def _existing(root: Path, pattern: str, source: str | None) -> list[DataFile]:
    """Return the files under a root that fit a path, sorted, with what its names stand for."""
    texts = _NAME.split(pattern)
    if len(texts) == 1:
        path = Path(os.path.normpath(root / pattern))
        return [DataFile(path, source=source)] if path.is_file() else []
    wanted, seen = "", set()
    for position, text in enumerate(texts):
        if position % 2 == 0:
            wanted += re.escape(text)
        else:
            wanted += f"(?P={text})" if text in seen else f"(?P<{text}>[^/]+)"
            seen.add(text)
    starred = "".join("*" if position % 2 else glob.escape(text) for position, text in enumerate(texts))
    files = []
    for name in sorted(glob.glob(starred, root_dir=root)):  # noqa: PTH207 - Path.glob knows no escaping
        fits = re.fullmatch(wanted, Path(name).as_posix())
        if fits and (root / name).is_file():
            files.append(DataFile(root / name, fits.groupdict(), source))
    return files
