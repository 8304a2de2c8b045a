"""A worker's work: send its share of a subtask's requests, append what comes back to a shard of its own.

The command's own process does it where one worker is enough, else each of several
(`aisb_engine._load.job`).
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import IO, Any

import orjson

from aisb._backend import Backend, HttpBackend
from aisb._errors import RunError
from aisb._types import Message, Part, Request
from aisb_engine._load.engine import Drive
from aisb_engine._load.pacing import Clock
from aisb_engine._load.renewal import Renewal
from aisb_engine._load.vitals import Vitals
from aisb_engine._progress import Progress
from aisb_engine._record.log import LogWriter
from aisb_engine._spec import Load

Source = Callable[[], Iterable[tuple[int, Request]]]
"""Gives the requests of a share, each with its planned time: ns from the common start, 0 in a closed loop."""

AHEAD = 16
"""How many requests of an open loop are made before it begins."""


@dataclass(frozen=True, slots=True)
class Share:
    """A worker's part of a subtask.

    `limit` is the most it has in flight, None for no bound. `joins` are when its clients begin, and
    `until_ns` when it begins nothing more, both from the common start; then rows are asked again and again,
    `repeats` times each in a round, and `renewal` keeps prompts of later rounds apart from those before.
    """

    number: int
    folder: Path
    session: int
    load: Load
    opened: bool
    limit: int | None
    joins: tuple[int, ...] = ()
    until_ns: int | None = None
    repeats: int = 1
    renewal: Renewal | None = None


def shard_files(share: Share) -> tuple[Path, Path]:
    """Return the files that a worker writes: its shard of the log, and how well it kept up."""
    return share.folder / f"worker-{share.number}", share.folder / f"vitals-{share.number}.jsonl"


async def work(
    share: Share,
    backend: Backend,
    source: Source,
    *,
    clock: Clock,
    start: Callable[[], Awaitable[int]],
    progress: Progress,
    note: Callable[[str], None],
    stopping: asyncio.Event,
) -> list[str]:
    """Send a share's requests. Return notes on the measuring.

    `start` is called when all is ready, and returns the common start on the clock.

    Raises:
        RunError: the log cannot be written.
    """
    if isinstance(backend, HttpBackend):
        import aisb_engine._http.assembly  # noqa: F401 - not while the first request waits for it
    shard, vitals_file = shard_files(share)
    with LogWriter(shard, session=share.session) as log, _quiet():
        drive = Drive(backend, share.load, log, clock, progress, note, stopping, share.limit)
        # A long prompt takes milliseconds to make: the first ones are there before the clock starts.
        listed = iter(source()) if share.opened else iter(())
        first = list(islice(listed, AHEAD))
        origin = await start()
        until = None if share.until_ns is None else origin + share.until_ns
        vitals = Vitals(vitals_file, clock, lambda: progress.in_flight)
        drive.vitals = vitals
        try:
            if share.opened:
                planned = ((origin + at, request) for at, request in chain(first, listed))
                await drive.run_open(planned, bound=share.limit, until_ns=until)
            elif share.until_ns is not None:
                joins = [origin + at for at in share.joins]
                await drive.run(_again(source, share), joins=joins, until_ns=until)
            else:
                await drive.run(request for _, request in source())
        finally:
            vitals.close()
    return [vitals.failure] if vitals.failure else []


def _again(source: Source, share: Share) -> Iterator[Request]:
    """Yield the requests round after round; those of a later round are further repeats."""
    number = 0
    while True:
        empty = True
        for _, request in source():
            empty = False
            if number:
                request = replace(request, repeat=request.repeat + number * share.repeats)  # noqa: PLW2901
            yield share.renewal.of(request, number) if share.renewal else request
        if empty:
            return
        number += 1


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the garbage collector from stopping the loop: what is there stays, and rounds come seldom.

    Nothing is collected first: that takes longer than many a run, and what little garbage there is stays too.
    """
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


@contextmanager
def write_share(path: Path) -> Iterator[Callable[[int, Request], None]]:
    """Return what adds a request, with its planned time, to a share's file.

    Raises:
        RunError: the file cannot be written.
    """
    try:
        with path.open("wb") as file:
            yield lambda at, request: _write(file, at, request)
    except OSError as error:
        raise RunError(f"{path} cannot be written: {error.strerror}") from error


def _write(file: IO[bytes], at: int, request: Request) -> None:
    file.write(orjson.dumps([at, request], option=orjson.OPT_APPEND_NEWLINE))


def read_share(path: Path) -> Iterator[tuple[int, Request]]:
    """Yield the requests of a share as they were written."""
    with path.open("rb", buffering=1 << 20) as file:
        for line in file:
            at, table = orjson.loads(line)
            yield at, _request(table)


def _request(table: dict[str, Any]) -> Request:
    messages = table.pop("messages")
    lists = {key: tuple(value) for key, value in table.items() if isinstance(value, list)}
    return Request(**table | lists, messages=None if messages is None else tuple(map(_message, messages)))


def _message(table: Mapping[str, Any]) -> Message:
    content = table["content"]
    if isinstance(content, str):
        return Message(table["role"], content)
    return Message(table["role"], tuple(Part(part["kind"], part["value"]) for part in content))
