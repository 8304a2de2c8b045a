"""End the boxes of one answer from another thread, when the run is stopped while its program runs."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator

_this_thread = threading.local()


class AnswerBoxes:
    """The boxes that one answer has at the moment."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ends: set[Callable[[], None]] = set()
        self._is_stopped = False

    @contextlib.contextmanager
    def of_this_thread(self) -> Iterator[None]:
        """Take the boxes that this thread makes in the block."""
        _this_thread.boxes = self
        try:
            yield
        finally:
            _this_thread.boxes = None

    def stop(self) -> None:
        """End all boxes, and those that are still made."""
        with self._lock:
            self._is_stopped = True
            ends = [*self._ends]
        for end in ends:
            end()

    @contextlib.contextmanager
    def _holding(self, end: Callable[[], None]) -> Iterator[None]:
        with self._lock:
            self._ends.add(end)
            is_late = self._is_stopped
        if is_late:
            end()
        try:
            yield
        finally:
            with self._lock:
                self._ends.discard(end)


def ended_by_a_stop(end: Callable[[], None]) -> contextlib.AbstractContextManager[None]:
    """Call `end` if the answer of this thread is stopped during the block; it must not raise."""
    boxes: AnswerBoxes | None = getattr(_this_thread, "boxes", None)
    return boxes._holding(end) if boxes else contextlib.nullcontext()  # noqa: SLF001 - the same module
