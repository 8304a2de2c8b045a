"""The predictions of a log. Large ones stay in the file, and are read each time they are used.

A run may have many answers of several megabytes, which would not fit into memory together.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple, TypeAlias, overload

from aisb._types import Prediction, Timing
from aisb_engine._record.records import decode

CACHED_RECORDS = 65_536
"""The maximum size in bytes of a record that is kept in memory."""

Key: TypeAlias = tuple[str, int, int]


class Stored(NamedTuple):
    """A prediction in a log file: the place of its payload, and the other fields without answer and times."""

    path: Path
    start: int
    end: int
    summary: Prediction

    def read(self) -> Prediction:
        """Read the prediction from the log."""
        with self.path.open("rb") as file:
            file.seek(self.start)
            return decode(memoryview(file.read(self.end - self.start))).prediction


StoredRecord: TypeAlias = Prediction | Stored


def entry_of(path: Path, start: int, end: int, prediction: Prediction) -> StoredRecord:
    """Return the representation of a record in memory: the prediction, or its place."""
    if end - start <= CACHED_RECORDS:
        return prediction
    summary = replace(prediction, text="", reasoning="", tool_calls=(), logprobs=(), timing=Timing())
    return Stored(path, start, end, summary)


def summary_of(entry: StoredRecord) -> Prediction:
    """Return a prediction; a large one without the answer and the times."""
    return entry.summary if isinstance(entry, Stored) else entry


def loaded(entry: StoredRecord) -> Prediction:
    """Return the complete prediction."""
    return entry.read() if isinstance(entry, Stored) else entry


class Predictions(Sequence[Prediction]):
    """Predictions in order. A large element is read at each access, and not kept."""

    def __init__(self, entries: Sequence[StoredRecord]) -> None:
        self._entries = entries

    def __len__(self) -> int:
        return len(self._entries)

    @overload
    def __getitem__(self, index: int) -> Prediction: ...
    @overload
    def __getitem__(self, index: slice) -> Predictions: ...
    def __getitem__(self, index: int | slice) -> Prediction | Predictions:
        if isinstance(index, slice):
            return Predictions(self._entries[index])
        return loaded(self._entries[index])

    def __iter__(self) -> Iterator[Prediction]:
        return map(loaded, self._entries)

    def summaries(self) -> Iterator[Prediction]:
        """Yield the predictions; large ones without the answer and the times."""
        return map(summary_of, self._entries)

    def without_times(self) -> Predictions:
        """Return a copy in which the predictions in memory have no time stamps."""
        return Predictions(
            [one if isinstance(one, Stored) else replace(one, timing=Timing()) for one in self._entries]
        )


class LatestAttempts(Mapping[Key, Prediction]):
    """The latest attempt for each key. A value that is not in memory is read at each access."""

    def __init__(self, entries: Mapping[Key, StoredRecord]) -> None:
        self.entries = entries

    def __len__(self) -> int:
        return len(self.entries)

    def __iter__(self) -> Iterator[Key]:
        return iter(self.entries)

    def __contains__(self, key: object) -> bool:
        return key in self.entries

    def __getitem__(self, key: Key) -> Prediction:
        return loaded(self.entries[key])


def summaries(predictions: Iterable[Prediction]) -> Iterator[Prediction]:
    """Yield predictions; large ones without the answer and the times."""
    return predictions.summaries() if isinstance(predictions, Predictions) else iter(predictions)


def summary_for(attempts: Mapping[Key, Prediction], key: Key) -> Prediction | None:
    """Return the latest attempt for a key, if there is one; a large one without the answer and the times."""
    if not isinstance(attempts, LatestAttempts):
        return attempts.get(key)
    entry = attempts.entries.get(key)
    return None if entry is None else summary_of(entry)


def map_file(path: Path) -> mmap.mmap | bytes:
    """Return the bytes of a file as a memory map."""
    with path.open("rb") as file:
        try:
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except ValueError:  # an empty file
            return b""
