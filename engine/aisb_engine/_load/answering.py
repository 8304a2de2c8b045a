"""Answer single requests on demand; each is sent, retried and logged like a request of a run."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from aisb._backend import Backend
from aisb._types import Prediction, Request
from aisb_engine._load.clock import RunClock
from aisb_engine._load.runner import SubtaskRunner
from aisb_engine._load.share import LoadShare
from aisb_engine._progress import Progress
from aisb_engine._record.log import LogWriter
from aisb_engine._spec import Load


@asynccontextmanager
async def answer_requests(
    backend: Backend,
    load: Load,
    folder: Path,
    *,
    session: int,
    note: Callable[[str], None],
    say: Callable[[str], None] = lambda _line: None,
) -> AsyncIterator[Callable[[Request, Progress], Awaitable[Prediction]]]:
    """Yield a function that answers a request and counts it, within the concurrency of the load.

    The attempts are logged in the folder. The function returns the prediction of the last attempt.

    During an outage, attempts are paused, and `say` gets a line for users.

    Raises:
        RunError: the log cannot be written.
        ServiceError: raised by the function when nothing has succeeded for longer than `load.outage`.
    """
    share = LoadShare(load, load.clients(backend), on_outage="pause")
    clock, turns = RunClock(time.perf_counter_ns()), asyncio.Semaphore(share.clients)
    with LogWriter(share.log_file(folder), session=session) as log:
        runner = SubtaskRunner(
            backend, share, clock, Progress("", "", folder), note, asyncio.Event(), log, say=say
        )
        runner.watch_for_outage()

        async def answer(request: Request, progress: Progress) -> Prediction:
            async with turns:
                runner.progress = progress
                progress.in_flight += 1
                try:
                    return await runner.answer(request)
                finally:
                    progress.in_flight -= 1

        async with runner.connected(share.clients):
            yield answer
