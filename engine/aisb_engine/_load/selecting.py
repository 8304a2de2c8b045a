"""Select the rows of a task that a run sends, and their order.

Without groups, `num_prompts` is the number of rows, from the first one on. With groups, an accuracy run takes
that many of each group, so that an average over groups covers all of them; a performance run takes that many
in all, spread evenly over the groups. `rows` restricts the selection to a range of positions, in each group
or in the whole task. `shuffle` is the seed of a random order, which does not depend on `num_prompts`: a
larger number adds rows to the same selection.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, TypeAlias

from aisb._errors import ConfigError
from aisb._types import Sample
from aisb_engine._data.samples import BrokenRow
from aisb_engine._spec import row_slice

if TYPE_CHECKING:
    from aisb_engine._data.loading import LoadedSamples
    from aisb_engine._spec import RunTable, Subtask, Task

LoadedRow: TypeAlias = Sample | BrokenRow


def select_rows(
    task: Task, loaded: LoadedSamples, subtask: Subtask, run: RunTable, *, performance: bool
) -> list[LoadedRow]:
    """Return the rows that a subtask sends, in sending order.

    Raises:
        ConfigError: the range of rows is empty.
    """
    rows = loaded.rows if performance else answerable(task, loaded.rows)
    in_range = _in_range(rows, subtask.load.rows)
    if not in_range and loaded.rows:
        raise ConfigError(
            f"{subtask.key}: rows",
            f"{subtask.load.rows} leaves none of the {len(loaded.rows)} rows of the task",
        )
    order = _shuffled(in_range, subtask.load.shuffle)
    count = subtask.load.num_prompts
    if count is None or run.selection == "first":
        return order[:count]
    if performance:
        return _by_turns(order)[:count]
    counts: dict[str | None, int] = {}
    chosen = []
    for row in order:
        counts[row.group] = counts.get(row.group, 0) + 1
        if counts[row.group] <= count:
            chosen.append(row)
    return chosen


def answerable(task: Task, rows: Sequence[LoadedRow]) -> Sequence[LoadedRow]:
    """Return the rows that can be scored: those with a target, if the task needs one and any row has it."""
    if not task.sample.require_target:
        return rows
    answered = [row for row in rows if isinstance(row, BrokenRow) or has_target(row)]
    return answered if any(isinstance(row, Sample) for row in answered) else rows


def has_target(sample: Sample) -> bool:
    """Return whether a row has a reference answer."""
    return sample.target is not None and sample.target not in ("", [])


def in_data_order(loaded: LoadedSamples, chosen: Sequence[LoadedRow]) -> list[LoadedRow]:
    """Return the chosen rows in the order of the data, whatever the sending order."""
    ids = {row.id for row in chosen}
    return [row for row in loaded.rows if row.id in ids]


def _in_range(rows: Iterable[LoadedRow], text: str | None) -> list[LoadedRow]:
    """Return the rows whose position in their group (without groups, in the task) is in a range."""
    rows = list(rows)
    if text is None:
        return rows
    groups: dict[str | None, list[LoadedRow]] = {}
    for row in rows:
        groups.setdefault(row.group, []).append(row)
    ids = {id(row) for members in groups.values() for row in members[row_slice(text)]}
    return [row for row in rows if id(row) in ids]


def _shuffled(rows: Iterable[LoadedRow], seed: int | None) -> list[LoadedRow]:
    """Return rows in a random order; the sort key of each depends on the seed and its id alone."""
    if seed is None:
        return list(rows)
    return sorted(rows, key=lambda row: hashlib.sha256(f"{seed}:{row.id}".encode()).digest())


def _by_turns(rows: Sequence[LoadedRow]) -> list[LoadedRow]:
    """Return rows round-robin over the groups."""
    turns: dict[str | None, int] = {}
    ranked: list[tuple[int, LoadedRow]] = []
    for row in rows:
        turns[row.group] = turns.get(row.group, -1) + 1
        ranked.append((turns[row.group], row))
    return [row for _, row in sorted(ranked, key=lambda pair: pair[0])]
