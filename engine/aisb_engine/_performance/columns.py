"""The log of a subtask as columns: one row for each request, without an object for every chunk.

Stamps are nanoseconds from the start of the run as float64, exact for a hundred days; NaN means unknown. The
gaps between chunks stay in the files, and are read only for a computation over them (`LogColumns.gaps`), so
memory grows with the number of requests, not of chunks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from mmap import ACCESS_READ, MADV_DONTNEED, MADV_SEQUENTIAL, mmap
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import orjson

from aisb._types import TOKEN_KINDS, ChunkKind
from aisb_engine._performance.held import held_tokens
from aisb_engine._record.records import LENGTH

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats: TypeAlias = NDArray[np.float64]

Kinds: TypeAlias = frozenset[ChunkKind]

CHUNK_KINDS: tuple[ChunkKind, ...] = ("role", "reasoning", "content", "tool", "finish", "usage", "keepalive")
ALL: Kinds = frozenset(CHUNK_KINDS)
SCALARS = (
    "repeat", "turn", "attempts", "session",
    "planned", "connected", "sent", "headers", "done", "failed",
    "ok", "streamed", "chunks",
    "input_tokens", "usage_tokens", "cached_tokens", "reasoning_tokens",
    "counted_tokens", "retold_tokens", "first_tokens", "end_tokens", "pace_ns", "lone",
    "max_tokens", "requested_input",
    "file", "payload", "gaps_at", "wide", "tokens_at",
)  # fmt: skip
"""The columns that are not by kind. `usage_tokens` is the server's count of output tokens, `counted_tokens`
the sum over the chunks, `retold_tokens` the count of a tokenizer. The next four are those of `Held`. The last
five locate a record's gaps in its file."""

BY_KIND = ("at_first", "at_last", "count", "first", "last")
_PLACE = {name: number for number, name in enumerate(SCALARS)}
MAPPED_BYTES = 64 << 20
"""The maximum number of bytes of a file that stay mapped in memory."""


@dataclass(frozen=True, slots=True)
class LogColumns:
    """The latest attempt of each request, in sending order.

    `finish` holds the finish reasons; `failures` the (kind, message) of each failed row. `earlier` counts the
    requests of earlier commands in the same log, which are left out because their clocks began at another
    time. `damaged` counts the parts of the log that could not be read.
    """

    ids: Sequence[str]
    finish: Sequence[str | None]
    failures: Mapping[int, tuple[str, str]]
    table: Floats
    files: Sequence[Path] = ()
    damaged: int = 0
    earlier: int = 0
    _maps: list[mmap] = field(default_factory=list, repr=False)

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, name: str) -> Floats:
        column: Floats = self.table[:, _PLACE[name]]
        return column

    def first(self, kinds: Kinds = TOKEN_KINDS) -> Floats:
        """Return the stamp of each request's first chunk of these kinds."""
        import numpy as np

        stamps: Floats = np.fmin.reduce(self._by_kind("first", kinds), axis=1)
        return stamps

    def last(self, kinds: Kinds = TOKEN_KINDS) -> Floats:
        """Return the stamp of each request's last chunk of these kinds."""
        import numpy as np

        stamps: Floats = np.fmax.reduce(self._by_kind("last", kinds), axis=1)
        return stamps

    def count(self, kinds: Kinds = TOKEN_KINDS) -> Floats:
        """Return each request's number of chunks of these kinds."""
        counts: Floats = self._by_kind("count", kinds).sum(axis=1)
        return counts

    def part(self, rows: Any) -> LogColumns:
        """Return a subset of the rows, without their names, for computations over their chunks."""
        return LogColumns([], [], {}, self.table[rows], self.files)

    @property
    def end(self) -> Floats:
        """The end of each request: of its reply, its failure, or the last stamp of it."""
        import numpy as np

        last_event = np.fmax(np.fmax(self.last(ALL), self["headers"]), self["sent"])
        ends: Floats = np.fmax(np.fmax(self["done"], self["failed"]), last_event)
        return ends

    def gaps(self, rows: Iterable[int], kinds: Kinds = TOKEN_KINDS) -> Iterator[tuple[int, Any]]:
        """Yield (row, nanoseconds between its chunks of these kinds) for each row that has two or more."""
        import numpy as np

        at_first = np.fmin.reduce(self._by_kind("at_first", kinds), axis=1)
        at_last = np.fmax.reduce(self._by_kind("at_last", kinds), axis=1)
        together = at_last - at_first + 1 == self.count(kinds)
        several = at_first < at_last
        for row, raw in self._raw(row for row in rows if several[row]):
            if not len(raw):
                continue
            if together[row]:
                yield row, raw[int(at_first[row]) : int(at_last[row])]
            else:
                yield row, np.diff(self._offsets(raw)[self._mask(row, kinds)])

    def chunks(self, row: int, kinds: Kinds = TOKEN_KINDS) -> tuple[Any, Any, Any]:
        """Return (stamps, mask of these kinds, tokens) of one request's chunks; no tokens if unknown."""
        import numpy as np

        known = self.table[row]
        count = int(known[_PLACE["chunks"]])
        start = len(SCALARS) + BY_KIND.index("first") * len(CHUNK_KINDS)
        begun = np.nanmin(known[start : start + len(CHUNK_KINDS)]) if count else 0
        raw = next((gaps for _, gaps in self._raw([row])), np.zeros(0))
        stamps = self._offsets(raw)[:count] + begun
        return stamps, self._mask(row, kinds), self._tokens(row)

    def per_token(self, rows: Iterable[int], kinds: Kinds = TOKEN_KINDS) -> Iterator[tuple[int, Any]]:
        """Yield (row, nanoseconds for each token) for rows with known token counts of all chunks.

        A chunk's gap is divided equally, to the nearest nanosecond, over its tokens and those that came
        without text since the previous chunk. The gap of a chunk without tokens is added to the next one.
        """
        import numpy as np

        for row in rows:
            stamps, bearing, tokens = self.chunks(row)
            tokens[bearing] = held_tokens(tokens, bearing)
            holding = (bearing if kinds == TOKEN_KINDS else self._mask(row, kinds)) & (tokens > 0)
            shares = tokens[holding][1:]
            yield row, np.repeat(np.rint(np.diff(stamps[holding]) / shares).astype(np.int64), shares)

    def _by_kind(self, name: str, kinds: Kinds) -> Floats:
        start = len(SCALARS) + BY_KIND.index(name) * len(CHUNK_KINDS)
        chosen: Floats = self.table[:, [start + n for n, kind in enumerate(CHUNK_KINDS) if kind in kinds]]
        return chosen

    def _raw(self, rows: Iterable[int]) -> Iterator[tuple[int, Any]]:
        """Yield (row, all gaps of its record), straight from the file."""
        import numpy as np

        maps = self._mapped()
        touched = 0
        for row in rows:
            place = self.table[row]
            number, at = int(place[_PLACE["file"]]), int(place[_PLACE["gaps_at"]])
            wide = place[_PLACE["wide"]]
            count = max(0, int(place[_PLACE["chunks"]]) - 1)
            yield row, np.frombuffer(maps[number], "<i8" if wide else "<u4", count, at)
            touched += count * (8 if wide else 4)
            if touched > MAPPED_BYTES:
                touched = 0
                for each in maps:
                    each.madvise(MADV_DONTNEED)

    def _offsets(self, raw: Any) -> Any:
        import numpy as np

        offsets = np.zeros(len(raw) + 1, np.int64)
        np.cumsum(raw, dtype=np.int64, out=offsets[1:])
        return offsets

    def _tokens(self, row: int) -> Any:
        import numpy as np

        at = self.table[row, _PLACE["tokens_at"]]
        if np.isnan(at):
            return np.zeros(0, np.int64)
        file, count = int(self.table[row, _PLACE["file"]]), int(self.table[row, _PLACE["chunks"]])
        return np.frombuffer(self._mapped()[file], "<i4", count, int(at)).astype(np.int64)

    def _mask(self, row: int, kinds: Kinds) -> Any:
        """Return the mask of a request's chunks of these kinds, from its record in the file."""
        import numpy as np

        file, at = int(self.table[row, _PLACE["file"]]), int(self.table[row, _PLACE["payload"]])
        data = self._mapped()[file]
        (size,) = LENGTH.unpack_from(data, at)
        runs = orjson.loads(data[at + 4 : at + 4 + size])["kinds"]
        return np.repeat([kind in kinds for kind, _ in runs], [count for _, count in runs]).astype(bool)

    def _mapped(self) -> list[mmap]:
        if not self._maps:
            self._maps.extend(open_map(path) for path in self.files)
        return self._maps


def open_map(path: Path) -> mmap:
    """Map a file of the log into memory, for sequential reading."""
    with path.open("rb") as file:
        data = mmap(file.fileno(), 0, access=ACCESS_READ)
    data.madvise(MADV_SEQUENTIAL)
    return data
