"""Many tasks that end together: what a load's clients and launched requests run in."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from aisb_engine._http.transport import Transport


class Crew:
    """Tasks that end together: when all are done, when one of them fails, or at the stop.

    Leaving the block waits for that, cancels what is left, and closes the transport.
    """

    def __init__(self, stopping: asyncio.Event, transport: Transport | None) -> None:
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = stopping
        self._transport = transport
        self._ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def add(self, work: Coroutine[Any, Any, None]) -> None:
        """Let one more work."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()  # read always: one never read is printed
        if self._ended.done():
            return
        if error is not None:
            self._ended.set_exception(error)
        elif not self._tasks:
            self._ended.set_result(None)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        stop = asyncio.create_task(self._stopping.wait())
        try:
            if error is None and self._tasks:
                ends: set[asyncio.Future[Any]] = {self._ended, stop}
                await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
                if self._ended.done():
                    self._ended.result()
        finally:
            left = [*self._tasks, stop]
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)
            if self._ended.done():
                self._ended.exception()  # it was raised above, unless another one was on its way
            if self._transport is not None:
                await self._transport.aclose()
