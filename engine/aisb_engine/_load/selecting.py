"""Which rows of a task a run asks, and in which order.

Without groups `num_prompts` is how many rows are asked, from the beginning. With groups it is how many of
each group an accuracy run asks, so that an average over groups is over all of them; a performance run asks
so many in all, spread evenly over the groups. `rows` is a range of places in the data, of each group or of
the whole task, outside of which nothing is asked. `shuffle` is a seed: rows are taken in a drawn order, of
which any number is the beginning, so that a larger number extends a run.
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
    """Return the rows that a subtask asks, in the order in which they are asked.

    Raises:
        ConfigError: the range of rows that was set leaves none.
    """
    rows = loaded.rows if performance else answerable(task, loaded.rows)
    asked = _in_range(rows, subtask.load.rows)
    if not asked and loaded.rows:
        raise ConfigError(
            f"{subtask.key}: rows",
            f"{subtask.load.rows} leaves none of the {len(loaded.rows)} rows of the task",
        )
    order = _drawn(asked, subtask.load.shuffle)
    count = subtask.load.num_prompts
    if count is None or run.selection == "first":
        return order[:count]
    if performance:
        return _by_turns(order)[:count]
    taken: dict[str | None, int] = {}
    chosen = []
    for row in order:
        taken[row.group] = taken.get(row.group, 0) + 1
        if taken[row.group] <= count:
            chosen.append(row)
    return chosen


def answerable(task: Task, rows: Sequence[LoadedRow]) -> Sequence[LoadedRow]:
    """Return the rows that can be scored: those with a target, where the task requires one and any has it."""
    if not task.sample.require_target:
        return rows
    answered = [row for row in rows if isinstance(row, BrokenRow) or has_target(row)]
    return answered if any(isinstance(row, Sample) for row in answered) else rows


def has_target(sample: Sample) -> bool:
    """Say whether a row says what would be right."""
    return sample.target is not None and sample.target not in ("", [])


def in_data_order(loaded: LoadedSamples, chosen: Sequence[LoadedRow]) -> list[LoadedRow]:
    """Return rows as they stand in the data, whatever the order in which they are asked."""
    ids = {row.id for row in chosen}
    return [row for row in loaded.rows if row.id in ids]


def _in_range(rows: Iterable[LoadedRow], text: str | None) -> list[LoadedRow]:
    """Return the rows whose place in their group lies in a range; without groups, in the whole task."""
    rows = list(rows)
    if text is None:
        return rows
    groups: dict[str | None, list[LoadedRow]] = {}
    for row in rows:
        groups.setdefault(row.group, []).append(row)
    wanted = {id(row) for members in groups.values() for row in members[row_slice(text)]}
    return [row for row in rows if id(row) in wanted]


def _drawn(rows: Iterable[LoadedRow], seed: int | None) -> list[LoadedRow]:
    """Return rows in an order that a seed draws; where each stands depends on its id alone."""
    if seed is None:
        return list(rows)
    return sorted(rows, key=lambda row: hashlib.sha256(f"{seed}:{row.id}".encode()).digest())


def _by_turns(rows: Sequence[LoadedRow]) -> list[LoadedRow]:
    """Return rows so that every group has had its turn before any has the next one."""
    turns: dict[str | None, int] = {}
    ranked: list[tuple[int, LoadedRow]] = []
    for row in rows:
        turns[row.group] = turns.get(row.group, -1) + 1
        ranked.append((turns[row.group], row))
    return [row for _, row in sorted(ranked, key=lambda pair: pair[0])]
