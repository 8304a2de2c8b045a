"""A compact sequence of the kinds of a reply's chunks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, groupby, repeat
from typing import overload

from aisb._types import ChunkKind


class Kinds(Sequence[ChunkKind]):
    """The kinds of chunks in order, stored as runs of equal kinds, since a reply has few runs."""

    __slots__ = ("runs",)

    def __init__(self, runs: Iterable[tuple[ChunkKind, int]] = ()) -> None:
        self.runs = tuple(runs)

    def __len__(self) -> int:
        return sum(count for _, count in self.runs)

    def __iter__(self) -> Iterator[ChunkKind]:
        return chain.from_iterable(repeat(kind, count) for kind, count in self.runs)

    @overload
    def __getitem__(self, at: int) -> ChunkKind: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[ChunkKind]: ...
    def __getitem__(self, at: int | slice) -> ChunkKind | Sequence[ChunkKind]:
        return tuple(self)[at]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence):
            return NotImplemented
        return tuple(self) == tuple(other)

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        return f"Kinds({self.runs})"


def runs_of(kinds: Sequence[ChunkKind]) -> Sequence[tuple[ChunkKind, int]]:
    """Return the kinds in order as runs: each kind with its number of consecutive chunks."""
    if isinstance(kinds, Kinds):
        return kinds.runs
    return [(kind, len([*run])) for kind, run in groupby(kinds)]
