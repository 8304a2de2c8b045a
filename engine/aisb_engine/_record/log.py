"""The log: every attempt, appended as it ends, that survives a kill at any moment.

A worker appends to a file of its own, one `write` a record (`records`), so a reader sees whole records and at
most one torn one at the end. Where bytes are damaged the reader goes on at the next mark and counts what it
could not read.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator, Mapping
from errno import ENOSPC
from mmap import ACCESS_READ, mmap
from os import strerror
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self, cast
from zlib import crc32

import orjson

from aisb._errors import StorageError
from aisb._types import Prediction, request_id
from aisb_engine._record.records import LENGTH, RECORD_HEADER, RECORD_MARK, LogRecord, decode, encode
from aisb_engine._record.stored import Key, LatestAttempts, StoredRecord, entry_of, mapped, summary_of


class LogWriter:
    """Appends attempts to one worker's file. Torn bytes at its end are cut off first."""

    def __init__(self, path: Path, *, session: int = 0) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.session = session
        self._end = _sound_length(path)
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
        os.ftruncate(self._file, self._end)
        os.lseek(self._file, self._end, os.SEEK_SET)

    def append(self, prediction: Prediction, *, final: bool, extra: Mapping[str, Any] | None = None) -> None:
        """Append one attempt; `extra` is kept beside it, for whoever reads the records themselves.

        Raises:
            RunError: the disk is full or the file cannot be written; nothing half-written stays behind.
        """
        data = encode(prediction, final=final, session=self.session, extra=extra)
        try:
            written = os.write(self._file, data)
            if written != len(data):
                raise OSError(ENOSPC, strerror(ENOSPC))  # noqa: TRY301 - a part written is a full disk
        except OSError as error:
            os.ftruncate(self._file, self._end)
            os.lseek(self._file, self._end, os.SEEK_SET)
            raise StorageError(
                f"the log {self.path} cannot be written: {error.strerror}\n"
                f"  everything that had finished is kept; make room, then go on with --reuse (a performance "
                "run: start it anew)"
            ) from error
        self._end += written

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Log(NamedTuple):
    """What a log folder holds: the latest attempt for each key, and what could not be read."""

    latest: LatestAttempts
    attempts: int
    damaged: int

    @property
    def finished(self) -> set[Key]:
        """The keys that have an answer."""
        return {key for key, entry in self.latest.entries.items() if summary_of(entry).failure is None}


def read_folder(folder: Path) -> Log:
    """Read every worker's file in a folder; for each key the last attempt wins.

    Within one session a request of a lost worker may have attempts in two files: there the final one wins.
    """
    latest: dict[Key, tuple[tuple[int, bool], StoredRecord]] = {}
    attempts = damaged = 0
    for path in sorted(folder.glob("worker-*")):
        for start, end, record in _records(path):
            if record is None:
                damaged += 1
                continue
            attempts += 1
            key = record.prediction.key
            rank = (record.session, record.final)
            if key not in latest or latest[key][0] <= rank:
                latest[key] = (rank, entry_of(path, start, end, record.prediction))
    return Log(LatestAttempts({key: entry for key, (_, entry) in latest.items()}), attempts, damaged)


def read_file(path: Path) -> Iterator[LogRecord | None]:
    """Yield the records of one worker's file in order; None where bytes could not be read."""
    for _, _, record in _records(path):
        yield record


def _records(path: Path) -> Iterator[tuple[int, int, LogRecord | None]]:
    """Yield the records of a file with where their payloads begin and end."""
    data = mapped(path)
    for start, end in extents(data):
        yield start, end, decode(memoryview(data)[start:end]) if start >= 0 else None


def rewrite_log(path: Path, change: Callable[[dict[str, Any]], bool]) -> Iterator[bytes | None]:
    """Yield the records of one worker's file as bytes; None for a stretch that is damaged.

    `change` is given the header of each record, and says whether it changed it: then the record is packed
    anew, with the time stamps as they were.
    """
    with path.open("rb") as file:
        if not path.stat().st_size:
            return
        with mmap(file.fileno(), 0, access=ACCESS_READ) as data:
            for start, end in extents(data):
                if start < 0:
                    yield None
                    continue
                payload = data[start:end]
                (size,) = LENGTH.unpack_from(payload)
                header = orjson.loads(payload[4 : 4 + size])
                if change(header):
                    text = orjson.dumps(header)
                    payload = b"".join((LENGTH.pack(len(text)), text, payload[4 + size :]))
                yield RECORD_HEADER.pack(RECORD_MARK, len(payload), crc32(payload)) + payload


class LogFacts(NamedTuple):
    """What a worker's file is made of. `problems` say what no run would have written."""

    records: int
    damaged: int
    keys: frozenset[tuple[str, int, int]]
    problems: tuple[str, ...]


def inspect_log(path: Path) -> LogFacts:
    """Look at each record of one worker's file, without trusting what it says."""
    records = damaged = 0
    keys, attempts = set[tuple[str, int, int]](), dict[tuple[Any, ...], int]()
    problems: list[str] = []
    for record in rewrite_log(path, lambda _: False):
        if record is None:
            damaged += 1
            continue
        records += 1
        try:
            key, session, attempt, fault = _facts(record)
        except (ValueError, KeyError, TypeError, AttributeError, struct.error) as error:
            problems.append(f"record {records} is none that a run writes: {type(error).__name__} {error}")
            continue
        keys.add(key)
        name = request_id(*key)
        if fault:
            problems.append(f"record {records} of request {name}: {fault}")
        before = attempts.get((key, session), 0)
        if attempt > 1 and attempt != before + 1:
            problems.append(
                f"record {records} of request {name}: attempt {attempt} follows attempt {before}: "
                "records were removed or added"
            )
        attempts[key, session] = attempt
    return LogFacts(records, damaged, frozenset(keys), tuple(problems))


def _facts(record: bytes) -> tuple[tuple[str, int, int], int, int, str]:
    """Return key, session and attempt of a record, and why its time stamps cannot be what it says."""
    payload = memoryview(record)[RECORD_HEADER.size :]
    (size,) = LENGTH.unpack_from(payload)
    header = orjson.loads(payload[4 : 4 + size])
    code, count = header["gaps"]
    stamps = count + 1 if header["first_chunk_ns"] is not None else 0
    between, tokens = count * {"I": 4, "q": 8}[code], header["tokens"] * 4
    fault = ""
    if sum(number for _, number in header["kinds"]) != stamps or any(n < 1 for _, n in header["kinds"]):
        fault = "its chunks have other kinds than time stamps"
    elif count < 0 or 4 + size + between + tokens != len(payload):
        fault = "its time stamps are not as many as it says"
    decode(payload)
    key = (str(header["id"]), int(header["repeat"]), int(header["turn"]))
    return key, int(header["session"]), int(header["attempt"]), fault


def extents(data: bytes | mmap, start: int = 0, end: int | None = None) -> Iterator[tuple[int, int]]:
    """Yield (start, end) of each sound payload; (-1, end) for a stretch that is damaged or torn.

    `start` and `end` are where records begin, and bound what is read.
    """
    at, limit = start, len(data) if end is None else end
    while at < limit:
        over = _payload_end(data, at)
        if over is not None:
            yield at + RECORD_HEADER.size, over
            at = over
            continue
        at = min(next_record(data, at + 1), limit)
        yield -1, at


def next_record(data: bytes | mmap, at: int) -> int:
    """Return where the first sound record begins from here on; the end of the data where there is none."""
    following = data.find(RECORD_MARK, at)
    # A mark can also stand in a text, so each must prove itself.
    while following >= 0 and _payload_end(data, following) is None:
        following = data.find(RECORD_MARK, following + 1)
    return len(data) if following < 0 else following


def _payload_end(data: bytes | mmap, at: int) -> int | None:
    if at + RECORD_HEADER.size > len(data):
        return None
    mark, length, checksum = RECORD_HEADER.unpack_from(data, at)
    start = at + RECORD_HEADER.size
    if (
        mark != RECORD_MARK
        or length <= LENGTH.size  # zeroed bytes after a mark, whose checksum is right
        or start + length > len(data)
        or crc32(memoryview(data)[start : start + length]) != checksum
    ):
        return None
    return start + cast("int", length)


def _sound_length(path: Path) -> int:
    """Return where the last sound record of a file ends."""
    if not path.exists():
        return 0
    return max((end for start, end in extents(mapped(path)) if start >= 0), default=0)
