"""The log: every attempt, appended when it ends. It survives a kill at any moment.

A worker appends to its own file, with one `write` per record (`records`), so a reader sees complete records
and at most one incomplete one at the end. If bytes are damaged, the reader continues at the next mark, and
counts the damaged sections.
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
from aisb_engine._record.records import (
    LENGTH,
    RECORD_HEADER,
    RECORD_MARK,
    LogRecord,
    decode,
    decode_outcome,
    encode,
)
from aisb_engine._record.stored import (
    Key,
    LatestAttempts,
    Stored,
    StoredRecord,
    entry_of,
    map_file,
    summary_of,
)


class LogWriter:
    """Appends attempts to one worker's file. It first removes an incomplete record at the end."""

    def __init__(self, path: Path, *, session: int = 0) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.session = session
        self._end = _valid_length(path)
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
        os.ftruncate(self._file, self._end)
        os.lseek(self._file, self._end, os.SEEK_SET)

    def append(self, prediction: Prediction, *, final: bool, extra: Mapping[str, Any] | None = None) -> None:
        """Append one attempt; `extra` is stored in the record's header.

        Raises:
            RunError: the disk is full or the file cannot be written; no incomplete record is left behind.
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
                "  all finished requests are kept; make room, then resume the run (a performance run: start "
                "it anew)"
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
    """The content of a log folder: the latest attempt for each key, and the number of damaged sections."""

    latest: LatestAttempts
    attempts: int
    damaged: int

    @property
    def finished(self) -> set[Key]:
        """The keys with an answer."""
        return {key for key, entry in self.latest.entries.items() if summary_of(entry).failure is None}


def read_folder(folder: Path, *, keep_answers: bool = True) -> Log:
    """Read the files of all workers in a folder; the last attempt for each key wins.

    Without `keep_answers`, answers stay in the files like large ones: a resumed run needs few of them.
    In one session, a request of a lost worker may have attempts in two files; then the final one wins.
    """
    latest: dict[Key, tuple[tuple[int, bool], StoredRecord]] = {}
    attempts = damaged = 0
    for path in sorted(folder.glob("worker-*")):
        for start, end, record in _records(path, decode if keep_answers else decode_outcome):
            if record is None:
                damaged += 1
                continue
            attempts += 1
            key = record.prediction.key
            rank = (record.session, record.final)
            if key not in latest or latest[key][0] <= rank:
                found = record.prediction
                entry = entry_of(path, start, end, found) if keep_answers else Stored(path, start, end, found)
                latest[key] = (rank, entry)
    return Log(LatestAttempts({key: entry for key, (_, entry) in latest.items()}), attempts, damaged)


def read_file(path: Path) -> Iterator[LogRecord | None]:
    """Yield the records of one worker's file in order; None for a damaged section."""
    for _, _, record in _records(path):
        yield record


def _records(
    path: Path, read: Callable[[memoryview], LogRecord] = decode
) -> Iterator[tuple[int, int, LogRecord | None]]:
    """Yield the records of a file with the start and end of their payloads."""
    data = map_file(path)
    view = memoryview(data)
    for start, end in extents(data):
        yield start, end, read(view[start:end]) if start >= 0 else None


def rewrite_log(path: Path, change: Callable[[dict[str, Any]], bool]) -> Iterator[bytes | None]:
    """Yield the records of one worker's file as bytes; None for a damaged section.

    `change` is called with the header of each record, and returns whether it changed it. A changed record is
    encoded again, with the same time stamps.
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
    """Facts on a worker's file. `problems` describe records that no run would have written."""

    records: int
    damaged: int
    keys: frozenset[tuple[str, int, int]]
    problems: tuple[str, ...]


def inspect_log(path: Path) -> LogFacts:
    """Check each record of one worker's file, without trusting its content."""
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
            problems.append(f"record {records} is invalid: {type(error).__name__} {error}")
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
    """Return key, session and attempt of a record, and the problem with its time stamps, if any."""
    payload = memoryview(record)[RECORD_HEADER.size :]
    (size,) = LENGTH.unpack_from(payload)
    header = orjson.loads(payload[4 : 4 + size])
    code, count = header["gaps"]
    stamps = count + 1 if header["first_chunk_ns"] is not None else 0
    between, tokens = count * {"I": 4, "q": 8}[code], header["tokens"] * 4
    fault = ""
    if sum(number for _, number in header["kinds"]) != stamps or any(n < 1 for _, n in header["kinds"]):
        fault = "the number of its chunk kinds differs from that of its time stamps"
    elif count < 0 or 4 + size + between + tokens != len(payload):
        fault = "the number of its time stamps differs from that in its header"
    decode(payload)
    key = (str(header["id"]), int(header["repeat"]), int(header["turn"]))
    return key, int(header["session"]), int(header["attempt"]), fault


def extents(data: bytes | mmap, start: int = 0, end: int | None = None) -> Iterator[tuple[int, int]]:
    """Yield (start, end) of each valid payload; (-1, end) for a damaged or incomplete section.

    `start` and `end` limit the reading, and must be the beginnings of records.
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
    """Return the start of the next valid record from here; the end of the data if there is none."""
    following = data.find(RECORD_MARK, at)
    # A mark can also occur in a text, so the record's checksum must be verified.
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
        or length <= LENGTH.size  # zeroed bytes after a mark would have a valid checksum
        or start + length > len(data)
        or crc32(memoryview(data)[start : start + length]) != checksum
    ):
        return None
    return start + cast("int", length)


def _valid_length(path: Path) -> int:
    """Return the end of the last valid record of a file."""
    if not path.exists():
        return 0
    return max((end for start, end in extents(map_file(path)) if start >= 0), default=0)
