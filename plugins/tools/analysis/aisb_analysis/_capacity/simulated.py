"""Simulated services of known capacity in virtual time, to measure the coverage of the search."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from math import exp
from random import Random
from typing import NamedTuple

import numpy as np

from aisb_analysis._capacity.loads import LoadPoint, MeasuredLoad

OVERHEAD_SECONDS = 1.5
"""The overhead of an ordinary run, in seconds."""
BACK_OFF = 1.0
"""The time that a client waits after a 429, in seconds."""


class Done(NamedTuple):
    """One request of a simulated service. Times are seconds since the load began, `tpot` milliseconds."""

    began: float
    first: float
    end: float
    tpot: float = 0.0
    refused: bool = False


class Clients:
    """The arrival times of requests: planned in advance, or at the end of each user's last reply."""

    def __init__(self, load: MeasuredLoad, random: Random) -> None:
        self._until = load.length
        self._closed = load.users is not None
        self._times = [0.0] * load.users if load.users else list(_poisson(load, random))
        heapq.heapify(self._times)

    def next(self) -> float | None:
        """Return the time of the next request without removing it; None at the end."""
        return self._times[0] if self._times else None

    def take(self) -> float:
        """Remove the next request, and return its time."""
        return heapq.heappop(self._times)

    def ended(self, at: float) -> None:
        """Schedule the next request of a user whose reply has ended."""
        if self._closed and at < self._until:
            heapq.heappush(self._times, at)


def _poisson(load: MeasuredLoad, random: Random) -> Iterator[float]:
    at = random.expovariate(load.rate or 1.0)
    while at < load.length:
        yield at
        at += random.expovariate(load.rate or 1.0)


@dataclass
class SimulatedRun:
    """A service in virtual time. `now` is the time since the first load, `served` counts requests."""

    seed: int = 0
    now: float = 0.0
    served: int = 0
    random: Random = field(init=False)

    def __post_init__(self) -> None:
        self.random = Random(self.seed)

    def requests(self, clients: Clients) -> Iterator[Done]:
        """Serve the requests of the clients."""
        raise NotImplementedError

    def measure(self, load: MeasuredLoad) -> LoadPoint:
        """Serve one load, and advance virtual time."""
        done = list(self.requests(Clients(load, self.random)))
        columns = np.array(done, float).reshape(-1, 5).T
        began, first, end, tpot = columns[:4]
        refused = columns[4] > 0
        took = max(load.length, float(end.max()) if done else 0.0) + OVERHEAD_SECONDS
        self.now += took
        return LoadPoint(
            load,
            began,
            end - began,
            {"ttft": 1000 * (first - began), "tpot": tpot, "e2el": 1000 * (end - began)},
            refused,
            refused,
            took,
        )


@dataclass
class Slots(SimulatedRun):
    """Serves `slots` requests at once, independently of each other; other requests wait in one queue.

    `sigma` is the shape of lognormal service times with the same mean. The first `cold` requests take twice
    as long; after `slower_from` seconds, all take `slower` times as long.
    """

    slots: int = 8
    seconds: float = 0.5
    sigma: float = 0.0
    cold: int = 0
    slower: float = 1.0
    slower_from: float = 300.0

    def requests(self, clients: Clients) -> Iterator[Done]:
        """Serve in the order of arrival."""
        free = [0.0] * self.slots
        while clients.next() is not None:
            began = clients.take()
            start = max(began, free[0])
            end = start + self._time(self.now + start)
            heapq.heapreplace(free, end)
            clients.ended(end)
            yield Done(began, start + 0.05, max(end, start + 0.05))

    def _time(self, at: float) -> float:
        time = self.seconds
        if self.sigma:
            time *= exp(self.random.gauss(-(self.sigma**2) / 2, self.sigma))
        self.served += 1
        if self.served <= self.cold:
            time *= 2
        return time * self.slower if at >= self.slower_from else time


@dataclass
class Limited(SimulatedRun):
    """A token bucket in front of a service without limits: requests without a token get status 429."""

    rate: float = 10.0
    burst: float = 20.0
    seconds: float = 0.5

    def requests(self, clients: Clients) -> Iterator[Done]:
        """Serve requests that find a token, and refuse the others."""
        tokens, since = self.burst, 0.0
        while clients.next() is not None:
            began = clients.take()
            tokens, since = min(self.burst, tokens + self.rate * (began - since)), began
            if tokens < 1:
                clients.ended(began + BACK_OFF)
                yield Done(began, began, began, refused=True)
                continue
            tokens -= 1
            end = began + self.seconds * self.random.uniform(0.8, 1.2)
            clients.ended(end)
            yield Done(began, began + 0.05, end)


@dataclass
class Batching(SimulatedRun):
    """Continuous batching: each decoding request and each prefill token makes a step longer."""

    input_tokens: int = 512
    output_tokens: int = 128
    sequences: int = 64
    kv_tokens: int = 60_000
    chunk: int = 2048
    step_ms: float = 12.0
    decode_ms: float = 0.35
    prefill_ms: float = 0.08

    def requests(self, clients: Clients) -> Iterator[Done]:
        """Serve step by step."""
        waiting: deque[tuple[float, int, int]] = deque()
        prefilling: deque[list[float]] = deque()
        ends: list[tuple[int, float, float, int, int]] = []
        now, step, kv = 0.0, 0, 0
        while True:
            while (at := clients.next()) is not None and at <= now:
                waiting.append(
                    (clients.take(), self._draw(self.input_tokens), self._draw(self.output_tokens))
                )
            while waiting and len(ends) + len(prefilling) < self.sequences:
                began, inputs, outputs = waiting[0]
                if kv + inputs + outputs > self.kv_tokens:
                    break
                waiting.popleft()
                kv += inputs + outputs
                prefilling.append([began, inputs, outputs, inputs])
            if not ends and not prefilling:
                if at is None:
                    return
                now = at
                continue
            budget, ready = self.chunk, []
            while prefilling and budget:
                used = min(budget, int(prefilling[0][3]))
                prefilling[0][3] -= used
                budget -= used
                if prefilling[0][3] == 0:
                    ready.append(prefilling.popleft())
            now += (
                self.step_ms + self.decode_ms * len(ends) + self.prefill_ms * (self.chunk - budget)
            ) / 1000
            step += 1
            for one in ready:
                began, inputs, outputs = one[0], int(one[1]), int(one[2])
                heapq.heappush(ends, (step + outputs - 1, began, now, inputs + outputs, outputs))
            while ends and ends[0][0] <= step:
                _, began, first, held, outputs = heapq.heappop(ends)
                kv -= held
                clients.ended(now)
                yield Done(began, first, now, 1000 * (now - first) / max(1, outputs - 1))

    def _draw(self, mean: int) -> int:
        """Draw a length between 0.5 and 1.5 times the mean."""
        return self.random.randint(mean // 2, mean + mean // 2)


Make = Callable[[int], SimulatedRun]
SERVICES: dict[str, Make] = {
    "slots": lambda seed: Slots(seed),
    "slots, 5 s": lambda seed: Slots(seed, slots=64, seconds=5.0),
    "batching": lambda seed: Batching(seed),
    "limiter": lambda seed: Limited(seed),
    "warming": lambda seed: Slots(seed, cold=1500),
    "degrading": lambda seed: Slots(seed, slower=1.5),
    "heavy tails": lambda seed: Slots(seed, sigma=1.2),
}
"""Factories of services by name; the argument is the seed."""
LASTING: dict[str, Make] = {
    **SERVICES,
    "warming": lambda seed: Slots(seed),
    "degrading": lambda seed: Slots(seed, slower=1.5, slower_from=0.0),
}
"""The same services in their final state, whose capacity the search must find."""
