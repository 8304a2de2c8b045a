"""Derive the planned times of requests, the number of clients, and the number of processes from a load."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from math import ceil
from typing import TYPE_CHECKING, Any

from aisb._backend import Backend, HttpBackend
from aisb._errors import ConfigError
from aisb._options import option_with
from aisb._roles import RowCount
from aisb_engine._load.arrivals import Arrival, Ramp, check_rate, schedule, trace_schedule
from aisb_engine._load.connection_limits import (
    SPARE_FILES,
    ConnectionLimits,
    check_connections,
    connection_limits,
    cores,
    raise_limit,
)
from aisb_engine._spec import DatasetTable

if TYPE_CHECKING:
    from aisb._plugins import Plugins
    from aisb._types import Sample
    from aisb_engine._spec import Load, RunSpec

STREAMS_PER_WORKER = 1024
RATE_PER_WORKER = 2000.0
RAMP_PARTS = 1000
"""Steps of the numeric integration that counts the requests of a ramp."""
CLIENT_START_SHARE = 0.1
"""The fraction of a pressure run over which its clients are added, if no rate is given."""


_EXCLUSIVE = (
    ("ramp_up", "gives the rates itself", ("request_rate",)),
    ("use_timestamp", "sends at the trace's own times", ("request_rate", "ramp_up")),
    (
        "pressure_time",
        "adds clients step by step, up to the concurrency",
        ("ramp_up", "use_timestamp", "duration"),
    ),
)

CACHE_BLOCK_TOKENS = 64
"""Tokens in a block of a server's prefix cache, at most: 16 in vLLM, 32 or 64 in TensorRT-LLM."""


def check_load(load: Load) -> None:
    """Refuse a load that contradicts itself, or that cannot be paced.

    Raises:
        ConfigError: names the key, what is wrong with it, and what would be right.
    """
    if load.request_rate:
        check_rate(load.request_rate)
    ramp = Ramp.parse(load.ramp_up) if load.ramp_up else None
    for leading, why, others in _EXCLUSIVE:
        for other in others:
            if getattr(load, leading) and getattr(load, other):
                raise ConfigError(f"load.{leading}", f"{why}; omit {other}")
    if not (load.request_rate or ramp):
        for key in ("arrival", "burstiness"):
            if getattr(load, key) is not None:
                raise ConfigError(f"load.{key}", "has no effect without request_rate or ramp_up")
    if load.request_rate or ramp:
        schedule(1, rate=load.request_rate or None, ramp=ramp, **_shape(load))


def is_open(load: Load) -> bool:
    """Return whether requests are launched at planned times, independent of earlier replies."""
    return not load.pressure_time and bool(load.request_rate or load.ramp_up or load.use_timestamp)


def is_endless(load: Load) -> bool:
    """Return whether a closed loop repeats the rows until its time is over."""
    return bool(load.pressure_time or (load.duration and not load.num_prompts and not is_open(load)))


def ends_by_time(load: Load) -> bool:
    """Return whether the number of requests depends on how fast the service is within a fixed time."""
    return bool(load.pressure_time or (load.duration and (load.concurrency or not is_open(load))))


def rows_to_send(load: Load, repeats: int) -> int | None:
    """Return how many rows a performance run sends, possibly more than there are; None for each row once.

    A trace is sent once, at its own times; an endless load repeats rows until its time is over.
    """
    if load.use_timestamp or is_endless(load):
        return None
    counts = [load.num_prompts] if load.num_prompts else []
    if load.duration and is_open(load):
        counts.append(ceil(_requests_within(load, load.duration) / repeats))
    return min(counts, default=None)


def _requests_within(load: Load, seconds: float) -> int:
    """Return how many requests are planned within a time. A ramp reaches its end rate in that time."""
    ramp = Ramp.parse(load.ramp_up) if load.ramp_up else None
    if ramp is None:
        return max(1, ceil(seconds * (load.request_rate or 0.0)))
    gaps = [1 / ramp.rate((part + 0.5) / RAMP_PARTS) for part in range(RAMP_PARTS)]
    return max(1, ceil(seconds * RAMP_PARTS / sum(gaps)))


def plan_times(load: Load, requests: int, times: Sequence[tuple[str, float | None]] = ()) -> array[int]:
    """Return when each request of an open loop is sent, up to its duration.

    `times` are the (id, time) pairs of a trace.

    Raises:
        ConfigError: a trace is out of order, or has no times.
    """
    if load.use_timestamp:
        times_ns = trace_schedule((at for _, at in times), [name for name, _ in times])
    else:
        ramp = Ramp.parse(load.ramp_up) if load.ramp_up else None
        times_ns = schedule(
            requests, rate=load.request_rate or None, ramp=ramp, seed=load.seed, **_shape(load)
        )
    if load.duration:
        del times_ns[bisect_left(times_ns, round(load.duration * 1e9)) :]
    return times_ns


FILES_PER_WORKER = 8
"""Open files that the command's process needs for each worker, with a reserve."""


def client_starts(load: Load, clients: int) -> array[int]:
    """Return when each client of a pressure run begins: `request_rate` a second, or within a tenth of it."""
    rate = clients / (CLIENT_START_SHARE * (load.pressure_time or 1.0))
    return schedule(clients, rate=load.request_rate or max(1.0, rate), arrival="constant")


def worker_count(load: Load, backend: Backend, requests: int, notes: list[str]) -> int:
    """Return how many processes send the requests, and check that the machine can hold them.

    With one, the command's own process sends. There are more for over a thousand streams or 2,000 requests a
    second, up to the number of cores, and whenever one process cannot open enough files.

    Raises:
        ConfigError: the machine cannot hold the concurrency, or several processes cannot use the backend.
    """
    raise_limit()
    limits = connection_limits()
    shared = isinstance(backend, HttpBackend)
    if load.workers > 1 and not (shared or backend.local):
        raise ConfigError(
            "load.workers", "a backend that is not a service runs in the command's own process; omit workers"
        )
    concurrent = load.clients(backend)
    if is_open(load) and not load.concurrency:
        concurrent = 1
    concurrent = concurrent if is_endless(load) else min(concurrent, max(1, requests))
    count = load.workers
    if not count:
        rate = Ramp.parse(load.ramp_up).end if load.ramp_up else load.request_rate or 0.0
        count = min(
            cores(), max(-(-concurrent // STREAMS_PER_WORKER), -(-int(rate) // int(RATE_PER_WORKER)), 1)
        )
        if limits.files is not None:
            count = max(count, -(-concurrent // max(1, limits.files - SPARE_FILES)))
            count = min(count, max(1, limits.files // FILES_PER_WORKER))
        count = count if shared else 1
    if count > concurrent and (load.concurrency or not is_open(load)):
        notes.append(
            f"{count} workers were requested, but at most {concurrent} requests are in flight: "
            f"{concurrent} workers are used"
        )
        count = concurrent
    if shared:
        check_connections(concurrent, count, ConnectionLimits(limits.files, limits.ports))
    return count


def with_rows(spec: RunSpec, plugins: Plugins) -> RunSpec:
    """Return a run whose generated datasets have at least `num_prompts` rows."""
    tasks = dict(spec.tasks)
    for subtask in spec.subtasks:
        task, count = tasks[subtask.task], subtask.load.num_prompts
        use = task.dataset.use
        if not count or use not in plugins.names("dataset"):
            continue
        option = option_with(plugins.find("dataset", use).factory, RowCount)
        rows = task.dataset.options.get(option.name, option.default) if option else None
        if option is None or not isinstance(rows, int) or count <= rows:
            continue
        table = {**task.dataset.model_dump(exclude_unset=True), option.name: count}
        tasks[subtask.task] = task.model_copy(update={"dataset": DatasetTable.model_validate(table)})
    return spec.model_copy(update={"tasks": tasks})


def part_of(total: int, worker: int, count: int) -> int:
    """Return one worker's part of a total that is divided evenly over `count` workers."""
    return total // count + (worker < total % count)


def requested_load(
    load: Load, backend: Backend, workers_used: int, params: Mapping[str, Any], samples: Sequence[Sample] = ()
) -> dict[str, Any]:
    """Return the requested load as `load.json` stores it; null means "not requested"."""
    bounded = None if is_open(load) and not load.concurrency else load.clients(backend)
    shaped = bool(load.request_rate or load.ramp_up) and not load.pressure_time
    return {
        "concurrency": bounded,
        "request_rate": load.request_rate or None,
        "arrival": _shape(load)["arrival"] if shaped else None,
        "burstiness": _shape(load)["burstiness"] if shaped else None,
        "ramp_up": load.ramp_up,
        "use_timestamp": load.use_timestamp,
        "pressure_time": load.pressure_time,
        "duration": load.duration,
        "num_prompts": load.num_prompts,
        "num_warmups": load.num_warmups,
        "workers": workers_used,
        "retries": load.retries,
        "seed": load.seed,
        "max_tokens": params.get("max_tokens"),
        "ignore_eos": params.get("ignore_eos"),
        **_cache_share(load, samples),
    }


def _cache_share(load: Load, samples: Sequence[Sample]) -> dict[str, float | None]:
    """Return the fraction of the input that the server should have cached: as set, else from the rows.

    A row's `shared_tokens` are the first tokens of its prompt that an earlier row begins with, too. A server
    caches whole blocks only, so tokens of an incomplete block do not count.
    """
    rows = [sample.fields for sample in samples if "shared_tokens" in sample.fields]
    total = sum(row["input_tokens_asked"] for row in rows)
    if load.cache_share is not None or not total:
        return {"cache_share": load.cache_share}
    return {
        "cache_share": sum(row["shared_tokens"] for row in rows) / total,
        "min_cache_share": sum(
            row["shared_tokens"] // CACHE_BLOCK_TOKENS * CACHE_BLOCK_TOKENS for row in rows
        )
        / total,
    }


def _shape(load: Load) -> dict[str, Any]:
    arrival: Arrival = load.arrival or ("gamma" if load.burstiness is not None else "poisson")
    return {"arrival": arrival, "burstiness": load.burstiness}
