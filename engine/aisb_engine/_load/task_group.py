"""A group of tasks that ends as a whole: the clients of a load, or its launched requests."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any, Self


class TaskGroup:
    """A group of tasks that ends when all are done, when one of them fails, or when `stopping` is set.

    The end of the block waits for one of these, and cancels the remaining tasks. Unlike this group,
    `asyncio.TaskGroup` cannot be stopped by an event, and raises an exception group.
    """

    def __init__(self, stopping: asyncio.Event) -> None:
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = stopping
        self._ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._is_complete = False

    @property
    def is_ending(self) -> bool:
        """Whether a task has failed or the run is stopping, so that no task should be added."""
        return self._ended.done() or self._stopping.is_set()

    def add(self, task: asyncio.Task[None]) -> None:
        """Add a task to the group."""
        self._tasks.add(task)
        task.add_done_callback(self._remove)

    def _remove(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = (
            None if task.cancelled() else task.exception()
        )  # asyncio prints exceptions that nobody retrieves
        if self._ended.done():
            return
        if error is not None:
            self._ended.set_exception(error)
        elif self._is_complete and not self._tasks:
            self._ended.set_result(None)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_complete = True  # from now on only the group's own tasks can add another one
        stop = asyncio.create_task(self._stopping.wait())
        try:
            if error is None and (self._tasks or self._ended.done()):
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
                self._ended.exception()  # raised above, unless another exception was already on its way
