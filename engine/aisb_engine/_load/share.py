"""A process's share of a load: all of it if one process sends, else an equal part.

The requests of workers are written to files, which they read while they send.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import orjson

from aisb._errors import StorageError
from aisb._types import Message, Part, Request
from aisb_engine._load.loads import client_starts, is_endless, is_open, part_of
from aisb_engine._load.prefix_cache import PrefixCacheBuster, in_round
from aisb_engine._spec import Load

PlannedRequest = tuple[int, Request]
"""A request with its planned time in ns from the common start; 0 in a closed loop."""
Attach = Callable[[Request], Mapping[str, Any]]
"""Returns what a worker needs in addition to a request, as JSON values; it is written to the same line."""
ReadAttached = Callable[[Request, Mapping[str, Any]], None]
"""Receives what was attached to a request, before the request is sent."""
RequestSource = Callable[[], Iterable[PlannedRequest]]
"""Returns the requests of a share in order; in an endless load it is called for each round."""


@dataclass(frozen=True, slots=True)
class LoadShare:
    """One process's share of a subtask's load: number `number` of `processes`.

    `clients` is the concurrency of the whole load. In an endless load, rows repeat in rounds: a row has
    `repeats` requests in a round, and `cache_buster` makes the prompts of later rounds differ. `on_outage` is
    the reaction to an outage.
    """

    load: Load
    clients: int
    number: int = 0
    processes: int = 1
    repeats: int = 1
    cache_buster: PrefixCacheBuster | None = None
    on_outage: Literal["continue", "pause", "slow"] = "continue"

    @property
    def is_open(self) -> bool:
        """Whether requests are launched at planned times."""
        return is_open(self.load)

    @property
    def limit(self) -> int | None:
        """The maximum of requests in flight in this process; None for no limit."""
        if self.is_open and self.load.concurrency is None:
            return None
        return max(1, part_of(self.clients, self.number, self.processes))

    @property
    def client_starts(self) -> list[int]:
        """The start of each client of this process in a pressure run: ns from the common start."""
        if self.duration_ns is None:
            return []
        times = client_starts(self.load, self.clients)[self.number :: self.processes]
        return [at for at in times if at < self.duration_ns]

    @property
    def is_endless(self) -> bool:
        """Whether rows repeat until the time is over."""
        return is_endless(self.load)

    @property
    def duration_ns(self) -> int | None:
        """The time from the common start after which no request begins; None for no limit."""
        seconds = self.load.pressure_time or self.load.duration
        return round(seconds * 1e9) if seconds else None

    def log_file(self, folder: Path) -> Path:
        """Return the log of this process in a subtask's log folder."""
        return folder / f"worker-{self.number}"

    def health_file(self, folder: Path) -> Path:
        """Return the file to which this process writes its client health."""
        return folder / f"client_health-{self.number}.jsonl"


def rounds(share: LoadShare, source: RequestSource) -> Iterator[Request]:
    """Yield the requests of an endless load, round after round."""
    number, is_empty = 0, False
    while not is_empty:
        is_empty = True
        for _, request in source():
            is_empty = False
            yield in_round(request, number, share.repeats, share.cache_buster)
        number += 1


@contextmanager
def distribute_requests(
    paths: list[Path], requests: Iterable[PlannedRequest], attach: Attach | None = None
) -> Iterator[None]:
    """Write the requests of an open loop to files in turn, so that workers share every period equally.

    The files are deleted after the block.
    """
    try:
        with ExitStack() as stack:
            writers = [stack.enter_context(write_requests(path, attach)) for path in paths]
            for place, (planned_ns, request) in enumerate(requests):
                writers[place % len(writers)](planned_ns, request)
        yield
    finally:
        for path in paths:
            path.unlink(missing_ok=True)


@contextmanager
def write_requests(path: Path, attach: Attach | None = None) -> Iterator[Callable[[int, Request], int]]:
    """Yield a function that appends a request with its planned time to a file, and returns its byte offset.

    Raises:
        RunError: the file cannot be written.
    """
    end = 0

    def write(planned_ns: int, request: Request) -> int:
        nonlocal end
        begin = end
        more = () if attach is None else (attach(request),)
        end += file.write(orjson.dumps([planned_ns, request, *more], option=orjson.OPT_APPEND_NEWLINE))
        return begin

    try:
        with path.open("wb") as file:
            yield write
    except OSError as error:
        raise StorageError(f"{path} cannot be written: {error.strerror}") from error


def read_requests(path: Path, read: ReadAttached | None = None) -> Iterator[PlannedRequest]:
    """Yield the requests of a file in order."""
    with path.open("rb", buffering=1 << 20) as file:
        for line in file:
            yield parse_request(line, read)


def parse_request(line: bytes, read: ReadAttached | None = None) -> PlannedRequest:
    """Parse one line of such a file into a request and its planned time."""
    planned_ns, table, *more = orjson.loads(line)
    request = request_of(table)
    if read is not None and more:
        read(request, more[0])
    return planned_ns, request


def request_of(table: dict[str, Any]) -> Request:
    """Return the request that a JSON object describes."""
    messages = table.pop("messages")
    lists = {key: tuple(value) for key, value in table.items() if isinstance(value, list)}
    return Request(**table | lists, messages=None if messages is None else tuple(map(_message, messages)))


def _message(table: Mapping[str, Any]) -> Message:
    content = table["content"]
    if not isinstance(content, str):
        content = tuple(Part(part["kind"], part["value"]) for part in content)
    return Message(table["role"], content, tuple(table["tool_calls"]), table["tool_call_id"])
