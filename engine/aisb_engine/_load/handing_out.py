"""Assign requests to the workers of a closed loop, which share a queue that the main process keeps.

The requests of a lost worker are taken back and given to other workers, unless the load is measured. So a
worker that finds the queue empty does not end at once: it waits until nothing is in flight on any worker.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

from aisb._types import Request
from aisb_engine._load.request_queue import RequestSpan
from aisb_engine._load.share import Attach, PlannedRequest, parse_request, write_requests
from aisb_engine._record.stored import Key

RESERVE = 4
"""A worker gets requests in advance only while at least this many times as many are left per worker. Towards
the end it gets only what its clients can send at once, so that all workers end together."""

Replies = list[tuple[int, Mapping[str, Any]]]
"""Messages to workers, each with the worker's number."""


class SharedRequests:
    """Hands out the requests of a file in order: each once, or in a pressure run in repeated rounds.

    `offsets` are the byte offsets of the requests in the file. With `takes_back`, the requests of lost
    workers are handed out again.
    """

    def __init__(
        self, path: Path, offsets: array[int], workers: int, *, is_endless: bool, takes_back: bool
    ) -> None:
        self._path = path
        self._offsets = offsets
        self._workers = workers
        self._is_endless = is_endless and bool(offsets)
        self.takes_back = takes_back and not self._is_endless
        self._handed_out = 0
        self._counts_by_worker = [0] * workers
        self._positions_by_worker = [array("q") for _ in range(workers)]
        self._returned: deque[int] = deque()
        self._replies: dict[int, list[str]] = {}
        self._to_send: list[str] = []
        self._working: set[int] = set(range(workers))
        self._started: set[int] = set()
        self._idle: set[int] = set()
        self._waiting: dict[int, tuple[int, int]] = {}
        self.is_over = False

    @property
    def is_complete(self) -> bool:
        """Whether everything has been handed out."""
        return not self._is_endless and not self._left

    def answer(self, worker: int, demand: int, ahead: int) -> Replies:
        """Return the messages to send after a worker asks for requests.

        A worker's first question is answered at once. A later question that finds the queue empty is answered
        once requests were taken back, or when none can be any more.
        """
        is_first = worker not in self._started
        self._started.add(worker)
        self._working.add(worker)
        spans = self.give(worker, demand, ahead)
        if not self.takes_back:
            self.is_over = self.is_complete
        if spans or is_first or self.is_over or not self.takes_back or not self.is_complete:
            return [(worker, self._reply(spans))]
        self._waiting[worker] = (demand, ahead)
        return self._end_if_all_idle()

    def rest(self, worker: int, received: int) -> Replies:
        """Note that all clients of a worker wait after `received` requests; return the messages to send."""
        if received == self._counts_by_worker[worker]:
            self._idle.add(worker)
        return self._end_if_all_idle()

    def take_back(
        self,
        worker: int,
        done: Container[Key],
        replies: Mapping[tuple[str, int], Sequence[str]] = MappingProxyType({}),
    ) -> tuple[int, int]:
        """Take back a lost worker's requests that are not in `done`; return how many are sent again, and not.

        A conversation is not sent again if some of its turns were answered, nor is anything in a load that
        is measured. An episode is sent again: the worker that continues it gets the `replies` it already has.
        """
        resent = missing = 0
        for place, request in self._requests_of(worker):
            turns = range(request.turn, request.turn + 1 + len(request.followups))
            left = sum((request.sample_id, request.repeat, turn) not in done for turn in turns)
            if self.takes_back and left == len(turns):
                self._returned.append(place)
                self._replies.setdefault(place, []).extend(replies.get(request.key[:2], ()))
                resent += left
            else:
                missing += left
        self._positions_by_worker[worker] = array("q")
        self._counts_by_worker[worker] = 0
        self._working.discard(worker)
        self._started.discard(worker)
        self._idle.discard(worker)
        self._waiting.pop(worker, None)
        return resent, missing

    def serve_waiting(self) -> Replies:
        """Give the requests that were taken back to waiting workers; return the messages to send."""
        if self.is_complete:
            return self._end_if_all_idle()
        # Each question gets one answer; a worker that needs more by then asks again.
        waiting, self._waiting = self._waiting, {}
        return [(worker, self._reply(self.give(worker, *question))) for worker, question in waiting.items()]

    def give(self, worker: int, demand: int, ahead: int) -> list[RequestSpan]:
        """Return requests for a worker whose clients want `demand` in all, with `ahead` more in its queue.

        Clients get what they want as long as requests are left. The first time, no worker gets more than an
        equal share, so that a small number of requests is spread over all workers.
        """
        queued = self._counts_by_worker[worker] - demand
        count = self._limited(max(0, -queued))
        if not self._counts_by_worker[worker] and not self._is_endless:
            count = min(count, -(-len(self._offsets) // self._workers))
        missing = ahead - max(0, queued)
        if self._is_endless:
            count += max(0, missing)
        else:
            left = self._left - count
            count += max(0, min(missing, left // (RESERVE * self._workers)))
        self._counts_by_worker[worker] += count
        if count:
            self._idle.discard(worker)
        return list(self._spans(worker, count))

    def count_of(self, worker: int) -> int:
        """Return how many requests a worker was given."""
        return self._counts_by_worker[worker]

    @property
    def _left(self) -> int:
        return len(self._offsets) - self._handed_out + len(self._returned)

    def _limited(self, count: int) -> int:
        return count if self._is_endless else min(count, self._left)

    def _spans(self, worker: int, count: int) -> Iterator[RequestSpan]:
        positions = self._positions_by_worker[worker]
        while count and self._returned:
            place = self._returned.popleft()
            positions.append(place)
            self._to_send += self._replies.get(place, ())  # kept: this worker may be lost as well
            yield RequestSpan(self._offsets[place], 1, 0)
            count -= 1
        while count:
            number, place = divmod(self._handed_out, len(self._offsets))
            part = min(count, len(self._offsets) - place)
            if not self._is_endless:
                positions.extend(range(place, place + part))
            yield RequestSpan(self._offsets[place], part, number)
            self._handed_out += part
            count -= part

    def _reply(self, spans: Iterable[RequestSpan]) -> Mapping[str, Any]:
        replies, self._to_send = self._to_send, []
        message = {"take": [list(each) for each in spans], "is_complete": self.is_over}
        return {**message, "replies": replies} if replies else message

    def _end_if_all_idle(self) -> Replies:
        if not self.takes_back or self.is_over or not self.is_complete or self._working - self._idle:
            return []
        self.is_over = True
        self._waiting.clear()
        return [(worker, self._reply(())) for worker in sorted(self._working)]

    def _requests_of(self, worker: int) -> Iterator[tuple[int, Request]]:
        with self._path.open("rb") as file:
            for place in self._positions_by_worker[worker]:
                file.seek(self._offsets[place])
                yield place, parse_request(file.readline())[1]


@contextmanager
def shared_requests(
    path: Path,
    requests: Iterable[PlannedRequest],
    workers: int,
    *,
    is_endless: bool,
    takes_back: bool = False,
    attach: Attach | None = None,
) -> Iterator[SharedRequests]:
    """Write requests to a file, and yield the queue that hands them out. The file is deleted after the block.

    Raises:
        RunError: the file cannot be written.
    """
    offsets = array("q")
    try:
        with write_requests(path, attach) as write:
            for planned_ns, request in requests:
                offsets.append(write(planned_ns, request))
        yield SharedRequests(path, offsets, workers, is_endless=is_endless, takes_back=takes_back)
    finally:
        path.unlink(missing_ok=True)
