"""Find the files of a dataset.

A path is searched in `--data-dir`, `$AISB_DATA`, `./datasets` and, in a checkout of AISBench, in
`./ais_bench/datasets`. A path that begins with `./` or `../` is relative to the task file. In a path
`{split}` is the split. Any other `{name}` matches a part of the file's path, which the rows of the file get
as a field: `mmlu/{split}/{subject}_{split}.csv`.
"""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from aisb._data import DataFile, DataFiles
from aisb._errors import ConfigError, DataMissing

if TYPE_CHECKING:
    from aisb_engine._spec import DatasetTable, Layout

_NAME = re.compile(r"\{([^\W\d]\w*)\}")


class Located(NamedTuple):
    """The result for a dataset table: files (None if it has no path), dataset component, and its options."""

    files: DataFiles | None
    use: str
    options: dict[str, Any]


@dataclass(frozen=True)
class DataFolders:
    """The folders in which data is searched, in order; `beside` is the folder of the task file."""

    roots: Sequence[Path]
    beside: Path | None = None

    @classmethod
    def default(cls, data_dir: Path | str | None = None) -> DataFolders:
        """Return `--data-dir`, `$AISB_DATA`, `./datasets` and AISBench's folder, as far as they are set."""
        aisbench = "ais_bench/datasets" if Path("ais_bench").is_dir() else None
        folders = (data_dir, os.environ.get("AISB_DATA"), "datasets", aisbench)
        return cls([Path(root).expanduser() for root in folders if root])

    def locate(
        self, table: DatasetTable, *, split: str | None = None, task: str = "", source: str | None = None
    ) -> Located:
        """Find the files of a dataset: at its path, else in the first of its layouts that exists.

        Raises:
            DataMissing: there are no files; the message lists the places that were searched.
            ConfigError: a path has `{split}` and no split is set, or another split than the table's own is
                requested and no path has `{split}`.
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
        pull = f"\n  aisb data pull {task} downloads it, or tells which files to place where" if task else ""
        raise DataMissing(self._not_found(task, tried, source) + pull)

    def find(self, path: str, *, source: str | None = None) -> DataFiles:
        """Return the files at one path; raise DataMissing if there are none."""
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
        lines.append("  place it there, or name its folder with --data-dir or the variable AISB_DATA")
        return "\n".join(lines)


def _has_split(way: Layout) -> bool:
    """Return whether a layout has several splits; otherwise its files are the task's own split."""
    return any("{split}" in path for path in ([way.path] if isinstance(way.path, str) else way.path))


def with_split(path: str, split: str | None) -> str:
    """Return a path with its split filled in; raise ConfigError if it needs one and none is set."""
    if "{split}" not in path:
        return path
    if not split:
        raise ConfigError("task.dataset.split", f"must be set: the path {path} has {{split}}")
    return path.replace("{split}", split)


def _existing(root: Path, pattern: str, source: str | None) -> list[DataFile]:
    """Return the files in a folder that match a path, sorted, with the fields from their paths."""
    texts = _NAME.split(pattern)
    if len(texts) == 1:
        path = Path(os.path.normpath(root / pattern))
        return [DataFile(path, source=source)] if path.is_file() else []
    wanted, checked = "", set()
    for position, text in enumerate(texts):
        if position % 2 == 0:
            wanted += re.escape(text)
        else:
            wanted += f"(?P={text})" if text in checked else f"(?P<{text}>[^/]+)"
            checked.add(text)
    starred = "".join("*" if position % 2 else glob.escape(text) for position, text in enumerate(texts))
    files = []
    for name in sorted(glob.glob(starred, root_dir=root)):  # noqa: PTH207 - Path.glob knows no escaping
        fits = re.fullmatch(wanted, Path(name).as_posix())
        if fits and (root / name).is_file():
            files.append(DataFile(root / name, fits.groupdict(), source))
    return files
