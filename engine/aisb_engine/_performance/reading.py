"""Read a log into columns; a large one in parts, by several processes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from itertools import accumulate
from math import nan
from mmap import MADV_DONTNEED, PAGESIZE, mmap
from pathlib import Path
from struct import unpack_from
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import orjson

from aisb._types import ChunkKind
from aisb_engine._performance.columns import BY_KIND, CHUNK_KINDS, MAPPED_BYTES, SCALARS, LogColumns, open_map
from aisb_engine._performance.held import Held, held
from aisb_engine._record.log import extents, next_record
from aisb_engine._record.records import LENGTH, counts_of

if TYPE_CHECKING:
    from aisb_engine._performance.columns import Floats
    from aisb_engine._performance.split import Split

CountTokens = Callable[[str], int]
Key: TypeAlias = tuple[str, int, int]

_PACKED = 4096
"""The number of rows that are collected as lists before they are converted to an array."""
_FEW = 32
"""Up to this number, gaps are summed in Python, since a call of numpy costs as much."""


class LogPart(NamedTuple):
    """The part of a worker's file between the starts of two records."""

    number: int
    path: Path
    start: int
    end: int


def read_columns(
    folder: Path, *, count_tokens: CountTokens | None = None, split: Split | None = None
) -> LogColumns:
    """Read the files of all workers in a log folder; for each request the last attempt wins.

    `count_tokens`, if given, counts the tokens of every reply. With `split`, each of its processes reads a
    part; the result is the same.
    """
    import numpy as np

    files = [path for path in sorted(folder.glob("worker-*")) if path.stat().st_size]
    whole = [LogPart(number, path, 0, path.stat().st_size) for number, path in enumerate(files)]
    gathered = _Gathered(count_tokens)
    if split is None or count_tokens is not None:  # it may be a function that cannot be pickled
        gathered.read_all(whole)
    else:
        for one in split.each(_gather, [(pieces,) for pieces in shared_out(whole, split.count)]):
            gathered.extend(one)
    table = np.concatenate([np.empty((0, len(SCALARS) + len(BY_KIND) * len(CHUNK_KINDS))), *gathered.blocks])
    place = {name: number for number, name in enumerate(SCALARS)}
    latest = max(gathered.sessions, default=0)
    rows = np.array([*gathered.latest.values()], np.intp)
    order = rows[table[rows, place["session"]] == latest]
    order = order[np.lexsort((order, table[order, place["sent"]], table[order, place["planned"]]))]
    listed = order.tolist()
    return LogColumns(
        ids=[gathered.ids[row] for row in listed],
        finish=[gathered.finish[row] for row in listed],
        failures={new: gathered.failures[row] for new, row in enumerate(listed) if row in gathered.failures},
        table=table[order],
        files=files,
        damaged=gathered.damaged,
        earlier=len(rows) - len(order),
    )


def shared_out(pieces: Sequence[LogPart], count: int) -> list[list[LogPart]]:
    """Divide the parts into shares of about the same size, in order, cut between records."""
    total = sum(piece.end - piece.start for piece in pieces)
    shares: list[list[LogPart]] = [[] for _ in range(count)]
    before = 0  # bytes of the parts before this one
    for piece in pieces:
        data, start = open_map(piece.path), piece.start
        for turn in range(count):
            limit = piece.start + total * (turn + 1) // count - before
            end = piece.end if limit >= piece.end else max(start, next_record(data, max(limit, start)))
            if end > start:
                shares[turn].append(piece._replace(start=start, end=end))
                start = end
        before += piece.end - piece.start
    return shares


def _gather(state: dict[str, Any], pieces: Sequence[LogPart]) -> _Gathered:
    """Read a share of the log in a worker process."""
    del state
    gathered = _Gathered(None)
    gathered.read_all(pieces)
    return gathered


class _Gathered:
    """Rows that are being read: lists that are packed into arrays block by block."""

    def __init__(self, count_tokens: CountTokens | None) -> None:
        self.count_tokens = count_tokens
        self.ids: list[str] = []
        self.finish: list[str | None] = []
        self.failures: dict[int, tuple[str, str]] = {}
        self.latest: dict[Key, int] = {}
        self.sessions: set[int] = set()
        self.rank_of: dict[Key, tuple[int, bool]] = {}
        self.blocks: list[Floats] = []
        self.rows: list[list[float | None]] = []
        self.damaged = 0

    def read_all(self, pieces: Sequence[LogPart]) -> None:
        for piece in pieces:
            self.read(piece)
        self.pack()

    def read(self, piece: LogPart) -> None:
        data = open_map(piece.path)
        forgotten = 0
        for start, end in extents(data, piece.start, piece.end):
            if start < 0:
                self.damaged += 1
                continue
            self.add(piece.number, data, start)
            if end - forgotten > MAPPED_BYTES:
                whole = (end - forgotten) // PAGESIZE * PAGESIZE
                data.madvise(MADV_DONTNEED, forgotten, whole)
                forgotten += whole

    def add(self, number: int, data: mmap, start: int) -> None:
        (size,) = LENGTH.unpack_from(data, start)
        header: dict[str, Any] = orjson.loads(data[start + 4 : start + 4 + size])
        key: Key = (header["id"], header["repeat"], header["turn"])
        session = header["session"]
        row = len(self.ids)
        self.ids.append(key[0])
        self.finish.append(sys.intern(header["finish_reason"]) if header["finish_reason"] else None)
        if failure := header["failure"]:
            self.failures[row] = (failure["kind"], failure["message"])
        self.keep(key, row, (session, header["final"]))
        self.sessions.add(session)
        self.rows.append(self.row(header, number, data, start, start + 4 + size))
        if len(self.rows) == _PACKED:
            self.pack()

    def extend(self, later: _Gathered) -> None:
        """Append what was read from later parts."""
        before = len(self.ids)
        self.ids += later.ids
        self.finish += later.finish
        self.failures |= {before + row: failure for row, failure in later.failures.items()}
        for key, row in later.latest.items():
            self.keep(key, before + row, later.rank_of[key])
        self.sessions |= later.sessions
        self.blocks += later.blocks
        self.damaged += later.damaged

    def keep(self, key: Key, row: int, rank: tuple[int, bool]) -> None:
        """Use a row for its request, unless there is one of a later command, or a final one of the same."""
        if self.rank_of.get(key, (-1, False)) <= rank:
            self.latest[key], self.rank_of[key] = row, rank

    def pack(self) -> None:
        import numpy as np

        if self.rows:
            self.blocks.append(np.array(self.rows, np.float64))  # None becomes NaN
            self.rows = []

    def row(
        self, header: Mapping[str, Any], number: int, data: mmap, start: int, body: int
    ) -> list[float | None]:
        code, count = header["gaps"]
        first_ns: int | None = header["first_chunk_ns"]
        chunks = 0 if first_ns is None else count + 1
        wide = code == "q"
        places = _places(tuple([(kind, number) for kind, number in header["kinds"]]))
        first, last = [nan] * len(CHUNK_KINDS), [nan] * len(CHUNK_KINDS)
        if first_ns is not None:
            stamps = _stamps(data, body, count, first_ns, places, wide=wide)
            for kind, at_first, at_last in places.kinds:
                first[kind], last[kind] = stamps[at_first], stamps[at_last]
        tokens = Held()
        if known := header["tokens"] == chunks > 0:
            tokens = _held(data, body, count, header["kinds"], wide=wide)
        counts = counts_of(header["usage"])
        extra = header.get("extra") or {}
        retold = None
        if self.count_tokens is not None:
            retold = self.count_tokens((header["reasoning"] or "") + header["text"])
        planned, connected, sent, headers, done = header["times"]
        return [
            header["repeat"], header["turn"], header["attempt"], header["session"],
            planned, connected, sent, headers, done, extra.get("failed_ns"),
            header["failure"] is None, header["streamed"], chunks,
            *counts,
            tokens.total, retold, tokens.first, tokens.end, tokens.pace_ns, tokens.lone,
            extra.get("max_tokens", header.get("max_tokens")),
            extra.get("input_tokens_asked", header.get("input_tokens_asked")),
            number, start, body, wide, body + count * (8 if wide else 4) if known else None,
            *places.columns, *first, *last,
        ]  # fmt: skip


_NUMBER = {kind: number for number, kind in enumerate(CHUNK_KINDS)}


class _Places(NamedTuple):
    """The positions of the chunks of each kind in a reply.

    `columns` are the first three of BY_KIND; `kinds` has (kind, first position, last position) of existing
    kinds.
    """

    columns: tuple[float, ...]
    kinds: tuple[tuple[int, int, int], ...]


@lru_cache(maxsize=1024)  # most replies of a run have the same kinds in the same order
def _places(runs: tuple[tuple[ChunkKind, int], ...]) -> _Places:
    first: dict[int, int] = {}
    last: dict[int, int] = {}
    counts = [0] * len(CHUNK_KINDS)
    end = 0
    for kind, count in runs:
        number = _NUMBER[kind]
        first.setdefault(number, end)
        end += count
        last[number] = end - 1
        counts[number] += count
    numbers = range(len(CHUNK_KINDS))
    return _Places(
        (*(first.get(n, nan) for n in numbers), *(last.get(n, nan) for n in numbers), *counts),
        tuple((number, at, last[number]) for number, at in first.items()),
    )


def _stamps(
    data: mmap, at: int, count: int, first_ns: int, places: _Places, *, wide: bool
) -> Sequence[int] | Mapping[int, int]:
    """Return the stamps of a record's chunks by position; for long records only those that are needed."""
    if count <= _FEW:
        return [*accumulate(unpack_from(f"<{count}{'q' if wide else 'I'}", data, at), initial=first_ns)]
    import numpy as np

    positions = sorted({place for _, *ends in places.kinds for place in ends} - {0})
    stamps = {0: first_ns}
    if positions:
        # Summing between them takes a third of the time of summing up to each.
        raw = np.frombuffer(data, "<i8" if wide else "<u4", positions[-1], at)
        parts = np.add.reduceat(raw.astype(np.int64), [0, *positions[:-1]])
        stamps.update(zip(positions, (parts.cumsum() + first_ns).tolist(), strict=True))
    return stamps


def _held(data: mmap, at: int, count: int, runs: Sequence[tuple[ChunkKind, int]], *, wide: bool) -> Held:
    """Return the token facts of a record's chunks; `count` gaps between them begin at `at`."""
    import numpy as np

    gaps = np.frombuffer(data, "<i8" if wide else "<u4", count, at)
    return held(np.frombuffer(data, "<i4", count + 1, at + gaps.nbytes), gaps, runs)
