"""The record of received requests and sent replies with their times, to check a client's measurements."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

LATENESS_STEP_NS = 20_000
LATENESS_STEPS = 5_000
"""Lateness is counted in steps of 20 µs, up to 100 ms."""


class RecordedRequest:
    """One request. Times are `time.monotonic_ns()`, which on Linux all processes of a machine share."""

    __slots__ = (
        "adapter",
        "arrival_ns",
        "attempt",
        "chunks",
        "closed",
        "fault",
        "finish_reason",
        "first_ns",
        "id",
        "last_ns",
        "late_ns",
        "model",
        "number",
        "output_tokens",
        "path",
        "prompt_tokens",
        "question",
        "request_id",
        "seed",
        "status",
        "stream",
    )

    def __init__(self, number: int, path: str, arrival_ns: int, request_id: str | None) -> None:
        self.number = number
        self.path = path
        self.arrival_ns = arrival_ns
        self.request_id = request_id
        self.id: str | None = None
        self.model: str | None = None
        self.adapter: str | None = None
        self.question: int | None = None
        self.seed: int | None = None
        self.stream = False
        self.attempt = 1
        self.fault: str | None = None
        self.status: int | None = None
        self.finish_reason: str | None = None
        self.prompt_tokens = 0
        self.output_tokens = 0
        self.chunks = 0
        self.first_ns: int | None = None
        self.last_ns: int | None = None
        self.late_ns = 0
        self.closed: str | None = None

    def table(self) -> dict[str, Any]:
        """Return all fields by name."""
        return {name: getattr(self, name) for name in self.__slots__}


class RequestRecorder:
    """The latest requests, and counts over all of them."""

    def __init__(self, size: int) -> None:
        self.entries: deque[RecordedRequest] = deque(maxlen=size)
        self.running = 0
        self.clear()

    def clear(self) -> None:
        """Remove all requests and reset the counts; requests in progress continue."""
        self.entries.clear()
        self.number = 0
        self.prompt_tokens = 0
        self.output_tokens = 0
        self.finished: Counter[str] = Counter()
        self.lateness = [0] * (LATENESS_STEPS + 1)

    def begin(self, path: str, now: int, request_id: str | None) -> RecordedRequest:
        """Record the arrival of a request."""
        self.number += 1
        entry = RecordedRequest(self.number, path, now, request_id)
        self.entries.append(entry)
        return entry

    def sent(self, entry: RecordedRequest, now: int, due: int, tokens: int) -> None:
        """Record that a chunk with tokens is written."""
        if entry.first_ns is None:
            entry.first_ns = now
        entry.last_ns = now
        entry.chunks += 1
        entry.output_tokens += tokens
        self.output_tokens += tokens
        self.count(entry, now - due)

    def count(self, entry: RecordedRequest, late: int) -> None:
        """Record the lateness of a chunk with tokens."""
        entry.late_ns = max(entry.late_ns, late)
        step = late // LATENESS_STEP_NS
        self.lateness[min(LATENESS_STEPS, step)] += 1

    def state(self, *, entries: bool = True) -> dict[str, Any]:
        """Return everything as plain data."""
        return {
            "requests": [entry.table() for entry in self.entries] if entries else [],
            "dropped": self.number - len(self.entries),
            "received": self.number,
            "running": self.running,
            "prompt_tokens": self.prompt_tokens,
            "output_tokens": self.output_tokens,
            "finished": dict(self.finished),
            "lateness": self.lateness,
        }


def merged(states: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Merge the states of several processes."""
    total: dict[str, Any] = {
        name: sum(state[name] for state in states)
        for name in ("dropped", "received", "running", "prompt_tokens", "output_tokens")
    }
    finished: Counter[str] = Counter()
    for state in states:
        finished.update(state["finished"])
    requests = [request for state in states for request in state["requests"]]
    return total | {
        "requests": sorted(requests, key=lambda request: int(request["arrival_ns"])),
        "finished": dict(finished),
        "lateness": [sum(steps) for steps in zip(*(state["lateness"] for state in states), strict=True)],
    }


def summarize_record(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return the record in the form of `GET /record`, with lateness as percentiles instead of counts."""
    lateness = state["lateness"]
    return {
        "clock": "monotonic_ns",
        **{name: value for name, value in state.items() if name != "lateness"},
        "lateness_ms": {
            "count": sum(lateness),
            **{f"p{percent}": percentile(lateness, percent) for percent in (50, 90, 99, 100)},
        },
    }


def percentile(steps: Iterable[int], percent: float) -> float | None:
    """Return a percentile of lateness: the upper end of its step, in milliseconds."""
    steps = list(steps)
    wanted = sum(steps) * percent / 100
    seen = 0
    for step, count in enumerate(steps):
        seen += count
        if count and seen >= wanted:
            return (step + 1) * LATENESS_STEP_NS / 1e6
    return None


def prometheus(state: Mapping[str, Any], model: str) -> bytes:
    """Return the counters under vLLM's names, in the text format of Prometheus."""
    labels = f'model_name="{model}"'
    lines: list[str] = []

    def add(name: str, kind: str, values: Mapping[str, int]) -> None:
        lines.append(f"# TYPE {name} {kind}")
        lines.extend(f"{name}{{{labels}{more}}} {float(value)}" for more, value in values.items())

    add("vllm:num_requests_running", "gauge", {"": state["running"]})
    add("vllm:num_requests_waiting", "gauge", {"": 0})
    add("vllm:kv_cache_usage_perc", "gauge", {"": 0})
    add("vllm:prompt_tokens_total", "counter", {"": state["prompt_tokens"]})
    add("vllm:generation_tokens_total", "counter", {"": state["output_tokens"]})
    add("vllm:prefix_cache_queries_total", "counter", {"": state["prompt_tokens"]})
    add("vllm:prefix_cache_hits_total", "counter", {"": 0})
    reasons = {reason: state["finished"].get(reason, 0) for reason in ("stop", "length", "abort")}
    add(
        "vllm:request_success_total",
        "counter",
        {f',finished_reason="{reason}"': count for reason, count in reasons.items()},
    )
    return ("\n".join(lines) + "\n").encode()
