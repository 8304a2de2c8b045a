"""Load the rows of a task as samples: open its files, read its rows, and keep those that are selected."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from aisb._data import DataFiles
from aisb._errors import AisbError, ConfigError, DataError, did_you_mean
from aisb._options import injected_types
from aisb._templates import Template, as_text
from aisb._types import Row, Sample
from aisb_engine._builtin.characters import refuse_surrogates
from aisb_engine._data.datafiles import DataFolders
from aisb_engine._data.embedded import Embedded, EmbeddedContent
from aisb_engine._data.places import locate
from aisb_engine._data.samples import BrokenRow, SampleMaker
from aisb_engine._faults import RAISED, ComponentError, make

if TYPE_CHECKING:
    from aisb._plugins import Plugins
    from aisb_engine._spec import Task


@dataclass(frozen=True, slots=True)
class LoadedSamples:
    """The rows of a task as samples, in order, and their source.

    `count` is the number of rows before any selection, and `groups` are their groups, each with its areas.
    `sha256` is the hash of the data. `layout` is the path pattern of the task that matched (None for a
    dataset without files). Iteration and length omit the rows that could not be prepared.
    """

    rows: tuple[Sample | BrokenRow, ...]
    count: int
    sha256: str
    files: tuple[Path, ...] = ()
    layout: str | None = None
    groups: Mapping[str, list[str]] = field(default_factory=dict)

    @property
    def samples(self) -> tuple[Sample, ...]:
        """The rows that were prepared."""
        return tuple([row for row in self.rows if isinstance(row, Sample)])

    @property
    def broken(self) -> tuple[BrokenRow, ...]:
        """The rows that could not be prepared."""
        return tuple([row for row in self.rows if isinstance(row, BrokenRow)])

    def __iter__(self) -> Iterator[Sample]:
        return iter(self.samples)

    def __len__(self) -> int:
        return len(self.samples)


def load_samples(
    task: Task,
    plugins: Plugins,
    folders: DataFolders,
    *,
    split: str | None = None,
    selected: bool = True,
) -> LoadedSamples:
    """Read a task's rows and prepare them as samples.

    `split` overrides the task's own; with `selected` false, `dataset.select` is ignored. A row for which a
    plugin raises becomes a `BrokenRow` in its place, so that the ids of the other rows do not change.

    Raises:
        DataError: the data is missing or invalid; the message has the file and the line.
        ConfigError: a template or step of the task does not fit the rows.
        ComponentError: the dataset itself raised, or a step cannot be created, so the task cannot be run.
    """
    files, rows, use = _opened(task, plugins, folders, split)
    digest = None if files else hashlib.sha256()
    maker = SampleMaker(task, plugins)
    counted = _counted(rows, files, digest, EmbeddedContent(task, generated=files is None))
    samples = tuple(maker.make(_guarded(counted, use, plugins)))
    if not samples:
        raise DataError(f"{files.position if files else task.dataset.use}: there are no rows")
    kept = samples
    if selected:
        for name, values in task.dataset.select.items():
            kept = _select(kept, name, values)
    return LoadedSamples(
        kept,
        len(samples),
        files.sha256 if files else digest.hexdigest() if digest else "",
        tuple(file.path for file in files.files) if files else (),
        files.layout if files else None,
        group_areas(task, [row for row in samples if isinstance(row, Sample)]),
    )


def _opened(
    task: Task, plugins: Plugins, folders: DataFolders, split: str | None
) -> tuple[DataFiles | None, Iterable[Row], str]:
    """Open the data of a task; return its files, the rows and the name of the dataset component.

    A dataset that takes no files gets `path` and `split` as options.
    """
    table, where = task.dataset, "task.dataset"
    if not reads_files(plugins, table.use) and not table.layouts:
        locations = {"path": table.path, "split": split or table.split}
        own = {key: value for key, value in locations.items() if value is not None}
        return None, make(plugins, "dataset", table.use, table.options | own, where=where), table.use
    files, use, options = locate(task, folders, split)
    if files is None:
        raise ConfigError(f"{where}.path", f"must be set: the dataset {use!r} reads files")
    return files, make(plugins, "dataset", use, options, where=where, files=files), use


def _guarded(rows: Iterable[tuple[str, Row]], use: str, plugins: Plugins) -> Iterator[tuple[str, Row]]:
    """Yield a dataset's rows; convert its exceptions to errors that name it."""
    count = 0
    try:
        for row in rows:
            yield row
            count += 1
    except AisbError:
        raise
    except RAISED as error:
        raise ComponentError.of(plugins, "dataset", use, f"its row {count:,}", error) from error


def reads_files(plugins: Plugins, use: str) -> bool:
    """Return whether a dataset reads files: whether its factory has a parameter of the type `DataFiles`."""
    return DataFiles in injected_types(plugins.find("dataset", use).factory).values()


def group_areas(task: Task, samples: Iterable[Sample]) -> dict[str, list[str]]:
    """Return the groups of samples, each with the areas that its first sample gives."""
    templates = [Template(text, f"task.sample.areas.{at}") for at, text in enumerate(task.sample.areas)]
    found: dict[str, list[str]] = {}
    for sample in samples if task.sample.group else ():
        if sample.group is not None and sample.group not in found:
            areas = (template.render(sample.fields) for template in templates)
            found[sample.group] = [area for area in areas if area]
    return found


def _counted(
    rows: Iterable[Row], files: DataFiles | None, digest: Any, content: EmbeddedContent
) -> Iterator[tuple[str, Row]]:
    """Yield rows with their position and the fields of path and layout; hash rows that have no files."""
    made = [
        (name, Template(text, f"task.dataset.layouts.fields.{name}"))
        for name, text in (files.fields.items() if files else ())
    ]
    for position, row in enumerate(rows):
        if not isinstance(row, Mapping):
            raise TypeError(f"row {position}: expected a mapping with fields, found {row!r:.80}")
        if files is None:
            plain = _without_content(row, content, f"row {position}")
            digest.update(_row_bytes({key: _hashed(value) for key, value in plain.items()}))
            yield f"row {position}", plain
        else:
            current = files.current
            complete = {**row, **current.fields} if current and current.fields else row
            more = {name: template.value(complete) for name, template in made}
            plain = _without_content({**complete, **more} if more else complete, content, files.position)
            refuse_surrogates(plain, files.position)
            yield files.position, plain


_encode = json.JSONEncoder(sort_keys=True, default=str).encode


def _row_bytes(row: Row) -> bytes:
    """Return a row as `json.dumps` writes it with sorted keys; its long texts at a fraction of the cost."""
    if not all(isinstance(key, str) for key in row):
        return _encode(row).encode()
    members = [_value_bytes(key) + b": " + _value_bytes(row[key]) for key in sorted(row)]
    return b"{" + b", ".join(members) + b"}"


def _value_bytes(value: Any) -> bytes:
    # Both libraries write ASCII in the same way, except for the character 127.
    if isinstance(value, str) and value.isascii() and "\x7f" not in value:
        return orjson.dumps(value)
    return b"%d" % value if type(value) is int else _encode(value).encode()


def _hashed(value: Any) -> Any:
    """Return the value to hash: for content its own hash, which does not depend on this machine."""
    return Path(value["file"]).stem if isinstance(value, Embedded) else value


def _without_content(row: Row, content: EmbeddedContent, here: str) -> Row:
    try:
        return content.row(row)
    except DataError as error:
        error.args = (f"{here}: {error}",)
        raise


def _select(
    rows: tuple[Sample | BrokenRow, ...], name: str, values: Sequence[str]
) -> tuple[Sample | BrokenRow, ...]:
    """Keep the rows whose field has one of the values, and broken rows without the field."""
    where = f"task.dataset.select.{name}"
    there: dict[str, None] = {}
    allowed, selected = set(values), list[Sample | BrokenRow]()
    for row in rows:
        sample = row.sample if isinstance(row, BrokenRow) else row
        if name not in sample.fields:
            if row is not sample:
                selected.append(row)
                continue
            known = sorted(sample.fields)
            raise ConfigError(
                where, f"no field {name!r}{did_you_mean(name, known)}; the fields are: {', '.join(known)}"
            )
        value = as_text(sample.fields[name])
        there[value] = None
        if value in allowed:
            selected.append(row)
    for value in values:
        if value not in there:
            some = ", ".join(list(there)[:80]) + (" …" if len(there) > 80 else "")
            raise ConfigError(
                where, f"no row has {name} = {value!r}{did_you_mean(value, there)}; there are: {some}"
            )
    return tuple(selected)
