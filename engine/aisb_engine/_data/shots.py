"""Select the few-shot examples of a sample: the first rows, rows at fixed positions, or a draw by a seed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import TYPE_CHECKING

from aisb._errors import ConfigError
from aisb._types import Sample
from aisb_engine._data.loading import LoadedSamples
from aisb_engine._data.samples import BrokenRow

if TYPE_CHECKING:
    from aisb_engine._spec import Task

SPARE = 32
"""Rows that are drawn in addition to the examples, since some may be the sample itself or ask the same."""


class Shots:
    """Selects few-shot examples: at fixed positions, by a seed (for all samples or each), or the first ones.

    An example from the task's own rows is never the sample itself, nor a row with the same question; the next
    row is taken instead. With examples from the sample's group, positions count within the group.
    """

    def __init__(self, task: Task, pool: LoadedSamples, ask: Callable[[Sample], str]) -> None:
        self.pool = pool
        self._count = task.prompt.shots
        self._table = task.prompt.shots_from
        self._own = self._table.split is None or self._table.split == task.dataset.split
        self._ask = ask
        groups: dict[str | None, list[Sample | BrokenRow]] = {}
        for row in pool.rows:
            groups.setdefault(row.group if self._table.same_group else None, []).append(row)
        self._ordered = {group: self._order(group, rows) for group, rows in groups.items()}
        self._questions: dict[str, str] = {}

    def choose(self, sample: Sample) -> Sequence[Sample]:
        """Return the examples for one sample, in the order of its prompt.

        Raises:
            ConfigError: there are too few rows.
            ComponentError: one of them could not be prepared. Another one would change the prompt.
        """
        group = sample.group if self._table.same_group else None
        rows = self._ordered.get(group, [])
        if self._table.per_sample:
            rows = self._drawn_for(rows, sample)
        if self._own:
            rows = self._others(rows, sample)
        if len(rows) < self._count:
            raise ConfigError(
                "task.prompt.shots",
                f"{self._count} examples are needed, but {self._origin(group)} has {len(rows)}"
                + (" besides the sample itself" if self._own else ""),
            )
        return [_usable(row) for row in rows[: self._count]]

    def _others(self, rows: Sequence[Sample | BrokenRow], sample: Sample) -> list[Sample | BrokenRow]:
        others: list[Sample | BrokenRow] = []
        question = self._question(sample)
        for row in rows:
            if row.id != sample.id and (isinstance(row, BrokenRow) or self._question(row) != question):
                others.append(row)
                if len(others) == self._count:
                    break
        return others

    def _question(self, row: Sample) -> str:
        if row.id not in self._questions:
            self._questions[row.id] = self._ask(row)
        return self._questions[row.id]

    def _order(self, group: str | None, rows: list[Sample | BrokenRow]) -> list[Sample | BrokenRow]:
        """Return all rows in the order in which they are used as examples."""
        positions = self._table.positions
        if positions is not None:
            if len(positions) < self._count:
                raise ConfigError(
                    "task.prompt.shots_from.positions",
                    f"names {len(positions)} rows, but {self._count} examples are needed",
                )
            for position in positions:
                if not 0 <= position < len(rows):
                    raise ConfigError(
                        "task.prompt.shots_from.positions",
                        f"there is no row {position} (counted from 0): {self._origin(group)} has {len(rows)}",
                    )
            first = set(positions)
            return [rows[p] for p in positions] + [row for p, row in enumerate(rows) if p not in first]
        if self._table.seed is None:
            return rows
        return self._drawn(rows, group or "")

    def _drawn(self, rows: Sequence[Sample | BrokenRow], key: str) -> list[Sample | BrokenRow]:
        """Return the rows in the order of the draw that the seed makes for a key."""
        random = Random(f"{self._table.seed}:{key}")
        drawn = [random.random() for _ in rows]
        return [rows[index] for index in sorted(range(len(rows)), key=drawn.__getitem__)]

    def _drawn_for(self, rows: Sequence[Sample | BrokenRow], sample: Sample) -> list[Sample | BrokenRow]:
        """Return enough rows of the draw of one sample; all of them in that order would take long to make."""
        random = Random(f"{self._table.seed}:{sample.id}")
        return random.sample(rows, min(len(rows), self._count + SPARE))

    def _origin(self, group: str | None) -> str:
        split = f"split {self._table.split!r}" if self._table.split else "the data"
        return f"{split} of group {group!r}" if group is not None else split


def _usable(row: Sample | BrokenRow) -> Sample:
    if isinstance(row, BrokenRow):
        raise row.error
    return row
