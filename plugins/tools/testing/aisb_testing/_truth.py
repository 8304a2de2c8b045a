"""The requests that a scripted service recorded, and the true metrics computed from them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from aisb_testing._steps import Action, Step

ExpectedEnd = Action | Literal["played", "client left", "stopped"]


class Written(NamedTuple):
    """A step with bytes, and the time at which it was written."""

    ns: int
    step: Step


@dataclass(slots=True)
class ServedRequest:
    """One received request, and what really happened to it. Times are `time.monotonic_ns()`.

    `place` is its place among the requests of its connection, from 1. `end` says how it ended: with the last
    step ("played"), with what the script did to the connection, or because the client left.
    """

    path: str
    headers: dict[str, str]
    content: bytes
    received_ns: int
    number: int = 0
    connection: int = 0
    place: int = 1
    written: list[Written] = field(default_factory=list)
    ended_ns: int | None = None
    end: ExpectedEnd | None = None

    @property
    def body(self) -> Any:
        """The JSON that was sent."""
        return json.loads(self.content)

    @property
    def tokens(self) -> int:
        """The number of output tokens written."""
        return sum(written.step.tokens for written in self.written)

    @property
    def whole_ns(self) -> int | None:
        """The time at which the reply was complete; None if it never was."""
        return next((written.ns for written in self.written if written.step.whole), None)

    @property
    def over_ns(self) -> int | None:
        """The time at which the request ended: its reply was complete, or its connection closed."""
        return self.whole_ns or self.ended_ns

    @property
    def token_stamps(self) -> list[tuple[int, int]]:
        """The times at which tokens were written, with their numbers."""
        return [(written.ns, written.step.tokens) for written in self.written if written.step.tokens]

    @property
    def ttft_ms(self) -> float | None:
        """The time from the request to the first token."""
        stamps = self.token_stamps
        return (stamps[0][0] - self.received_ns) / 1e6 if stamps else None

    @property
    def e2el_ms(self) -> float | None:
        """The time from the request to the last token."""
        stamps = self.token_stamps
        return (stamps[-1][0] - self.received_ns) / 1e6 if stamps else None

    @property
    def tpot_ms(self) -> float | None:
        """The time from the first tokens to the last, for each token that came after the first ones."""
        stamps = self.token_stamps
        later = sum(count for _, count in stamps[1:])
        return (stamps[-1][0] - stamps[0][0]) / 1e6 / later if later else None


@dataclass(frozen=True, slots=True)
class ServiceTruth:
    """The true metrics of requests, or of a time window; by default from the first request to the last end.

    A request counts from the moment it was read until the reply was whole, or its connection was closed. Only
    requests with a whole reply are answered.
    """

    requests: tuple[ServedRequest, ...]
    start_ns: int | None = None
    end_ns: int | None = None

    @property
    def window(self) -> tuple[int, int]:
        """The start and the end of the window."""
        starts = [request.received_ns for request in self.requests]
        ends = [end for request in self.requests if (end := request.over_ns) is not None]
        start = self.start_ns if self.start_ns is not None else min(starts, default=0)
        end = self.end_ns if self.end_ns is not None else max(ends, default=start)
        return start, end

    @property
    def seconds(self) -> float:
        """The length of the window."""
        start, end = self.window
        return (end - start) / 1e9

    @property
    def received(self) -> int:
        """The number of requests received in the window."""
        start, end = self.window
        return sum(start <= request.received_ns <= end for request in self.requests)

    @property
    def answered(self) -> float:
        """The number of answered requests, each weighted by the fraction of its time in the window."""
        return sum(share for request, share in self._shares() if request.whole_ns is not None)

    @property
    def tokens(self) -> int:
        """The number of output tokens written in the window, also of incomplete replies."""
        start, end = self.window
        stamps = (stamp for request in self.requests for stamp in request.token_stamps)
        return sum(count for ns, count in stamps if start <= ns <= end)

    @property
    def request_rate(self) -> float | None:
        """Requests answered per second."""
        return self.answered / self.seconds if self.seconds else None

    @property
    def token_rate(self) -> float | None:
        """Output tokens per second."""
        return self.tokens / self.seconds if self.seconds else None

    @property
    def mean_in_flight(self) -> float | None:
        """The average number of requests in flight."""
        start, end = self.window
        spent = sum(max(0, min(over, end) - max(begun, start)) for _, begun, over in self._spans())
        return spent / (end - start) if end > start else None

    @property
    def most_in_flight(self) -> int:
        """The maximum number of requests in flight."""
        start, end = self.window
        changes = []
        for _, begun, over in self._spans():
            if begun <= end and over >= start:
                changes += [(begun, 1), (over, -1)]
        flying = most = 0
        for _, change in sorted(changes):  # at one time an end comes before a beginning
            flying += change
            most = max(most, flying)
        return most

    def _spans(self) -> Iterator[tuple[ServedRequest, int, int]]:
        _, end = self.window
        for request in self.requests:
            yield request, request.received_ns, request.over_ns if request.over_ns is not None else end

    def _shares(self) -> Iterator[tuple[ServedRequest, float]]:
        start, end = self.window
        for request, begun, over in self._spans():
            inside = min(over, end) - max(begun, start)
            if over > begun:
                yield request, max(0.0, inside / (over - begun))
            else:
                yield request, float(start <= begun <= end)
