"""The run's end of the queue that the workers of a closed loop share: which requests each may send."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from aisb_engine._load.request_queue import Stretch
from aisb_engine._load.share import PlannedRequest, write_requests

RESERVE = 4
"""How many times the requests that one worker has waiting must be left for each worker: towards the end a
worker gets no more than its clients send at once, so that all workers end together."""


class SharedRequests:
    """Hands out the requests of a file in order, each once; in a pressure run round after round.

    `offsets` are the bytes at which requests begin in the file.
    """

    def __init__(self, offsets: array[int], workers: int, *, is_endless: bool) -> None:
        self._offsets = offsets
        self._workers = workers
        self._is_endless = is_endless and bool(offsets)
        self._given = 0
        self._given_to = [0] * workers

    @property
    def is_complete(self) -> bool:
        """Whether everything has been handed out."""
        return not self._is_endless and self._given == len(self._offsets)

    def give(self, worker: int, wanted: int, ahead: int) -> list[Stretch]:
        """Return what a worker gets whose clients want `wanted` requests in all, and `ahead` more to wait.

        What clients want they get as long as anything is left. The first time no worker gets more than an
        even part, so that few requests are spread over all workers.
        """
        held = self._given_to[worker] - wanted
        count = self._at_most(max(0, -held))
        if not self._given_to[worker] and not self._is_endless:
            count = min(count, -(-len(self._offsets) // self._workers))
        missing = ahead - max(0, held)
        if self._is_endless:
            count += max(0, missing)
        else:
            left = len(self._offsets) - self._given - count
            count += max(0, min(missing, left // (RESERVE * self._workers)))
        self._given_to[worker] += count
        return list(self._stretches(count))

    def _at_most(self, count: int) -> int:
        return count if self._is_endless else min(count, len(self._offsets) - self._given)

    def _stretches(self, count: int) -> Iterator[Stretch]:
        while count:
            number, place = divmod(self._given, len(self._offsets))
            part = min(count, len(self._offsets) - place)
            yield Stretch(self._offsets[place], part, number)
            self._given += part
            count -= part


@contextmanager
def shared_requests(
    path: Path, requests: Iterable[PlannedRequest], workers: int, *, is_endless: bool
) -> Iterator[SharedRequests]:
    """Write requests to a file, and return what hands them out. The file goes at the end of the block.

    Raises:
        RunError: the file cannot be written.
    """
    offsets = array("q")
    try:
        with write_requests(path) as write:
            for planned_ns, request in requests:
                offsets.append(write(planned_ns, request))
        yield SharedRequests(offsets, workers, is_endless=is_endless)
    finally:
        path.unlink(missing_ok=True)
