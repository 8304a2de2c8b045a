"""Read the files that a load generator writes next to its log: the requested load, and the client's health.

`load.json` and `client_health-N.jsonl` do not exist in other kinds of runs, and may be incomplete after a
kill; what they do not contain is unknown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from aisb_engine._record.old_keys import update_keys
from aisb_engine._record.runfolder import RunFolder

GAUGES = ("running", "waiting")
"""Counters of `Backend.counters` that show a current state, and are sampled during a load."""

HEALTH_FILES, OLD_HEALTH_FILES = "client_health-*.jsonl", "vitals-*.jsonl"

NS_PER_SECOND = 1e9

IMPORTED = "imported.json"
"""The file, in the log folder, with the numbers of another tool that does not store single requests."""


MIN_STALL = 50.0
"""Shorter stalls of the event loop, in milliseconds, do not count as such."""


@dataclass(frozen=True, slots=True)
class ClientHealthSummary:
    """How well the clients kept up with the load, in milliseconds, over all workers and seconds.

    `lag` is the 95th percentile of the event-loop lag, of which each second has its own 99th percentile.
    `cpu` is the 95th percentile of the share of a core that a worker used. `stalled` is the share of the time
    in stalls of the event loop: the longest one of each second, if it exceeds `MIN_STALL`.
    """

    seconds: int
    lag: float | None
    lag_max: float | None
    late_max: float | None
    cpu: float | None
    stalled: float


@dataclass(frozen=True, slots=True)
class LoadFiles:
    """The content of `load.json` and the client's health files; None or empty if they do not have it.

    A load without a recorded end, as after a kill, was interrupted. `lost_workers` are those that ended
    before their work was done: `how`, and the `share` of the load that was therefore not sent. `log_file` has
    the log lines of inference; its path is relative to the run folder. `imported` names the tool that
    measured an imported run; `chunk_times` is false if it stored the times of only the first and the last
    chunk. `sessions` are the facts on a load of sessions.
    """

    requested: Mapping[str, Any] = field(default_factory=dict)
    planned: int | None = None
    warmups: str = ""
    counters: Any = None
    input_exact: bool | None = None
    sessions: Mapping[str, Any] | None = None
    notes: tuple[str, ...] = ()
    proxy: str | None = None
    subtasks_at_once: int = 1
    interrupted: bool = False
    lost_workers: Sequence[Mapping[str, Any]] = ()
    log_file: str = ""
    imported: str = ""
    chunk_times: bool = True
    lines: Sequence[Mapping[str, Any]] = field(default=(), repr=False)

    @property
    def client_health(self) -> ClientHealthSummary | None:
        """The health of the client over the whole load; None if it is unknown."""
        return _summarize(self.lines)

    def client_health_in(self, start: float, end: float) -> ClientHealthSummary | None:
        """Return the health of the client in the seconds that are completely within an interval (ns)."""
        return _summarize([line for line in self.lines if start + NS_PER_SECOND <= _time(line) <= end])

    @property
    def concurrency(self) -> int | None:
        """The requested maximum number of requests in flight."""
        found = self.number("concurrency")
        return int(found) if found else None

    @property
    def rate(self) -> float | None:
        """The requested rate per second; None without pacing."""
        return self.number("request_rate") or None

    @property
    def ramps(self) -> bool:
        """Whether the requested rate changes during the run."""
        return bool(self.requested.get("ramp_up"))

    def number(self, name: str) -> float | None:
        """Return a requested value if it is a number, else None."""
        value = self.requested.get(name)
        return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def read_load_files(folder: RunFolder, model: str, task: str) -> LoadFiles:
    """Read the files next to a subtask's log."""
    log = folder.log(model, task)
    file = log / "load.json"
    table: Any = {}
    with suppress(OSError, ValueError):
        table = update_keys(file, orjson.loads(file.read_bytes()))
    if not isinstance(table, Mapping):
        table = {}
    warm = table.get("warmups")
    warmups = ""
    if isinstance(warm, Mapping) and warm.get("sent"):
        warmups = f"{warm['sent']} sent, {warm.get('answered', 0)} answered"
    requested = table.get("requested")
    proxy = table.get("proxy")
    return LoadFiles(
        requested=requested if isinstance(requested, Mapping) else {},
        planned=table.get("planned") if isinstance(table.get("planned"), int) else None,
        warmups=warmups,
        counters=table.get("counters"),
        input_exact=table.get("input_exact"),
        sessions=sessions if isinstance(sessions := table.get("sessions"), Mapping) else None,
        notes=tuple(map(str, table.get("notes") or ())),
        proxy=str(proxy) if proxy else None,
        subtasks_at_once=int(table.get("subtasks_at_once") or _at_once(folder)),
        interrupted=bool(table.get("interrupted")) or table.get("ended_ns", 0) is None,
        lost_workers=[one for one in table.get("lost_workers") or () if isinstance(one, Mapping)],
        imported=str(table.get("imported") or ""),
        chunk_times=table.get("chunk_times") is not False,
        log_file=str(folder.infer_log(model, task).relative_to(folder.path)),
        lines=_lines(log),
    )


def _at_once(folder: RunFolder) -> int:
    """Return the number of parallel subtasks in the run's configuration."""
    import tomllib

    with suppress(OSError, ValueError, TypeError, AttributeError, RecursionError):
        config = tomllib.loads(folder.config.read_text("utf-8"))
        at_once = int(config["run"].get("max_num_workers", 1))
        return max(1, min(at_once, len(config.get("subtasks", [1]))))
    return 1


def _lines(log: Path) -> list[Mapping[str, Any]]:
    lines: list[Mapping[str, Any]] = []
    for path in sorted([*log.glob(HEALTH_FILES), *log.glob(OLD_HEALTH_FILES)]):
        for line in path.read_bytes().splitlines():
            with suppress(ValueError):
                lines.append(orjson.loads(line))
    return lines


def _time(line: Mapping[str, Any]) -> float:
    """Return the time at which the second of a line ended."""
    at = line.get("t_ns")
    return float(at) if isinstance(at, int | float) else -1.0


def _summarize(lines: Sequence[Mapping[str, Any]]) -> ClientHealthSummary | None:
    if not lines:
        return None

    def of(name: str, share: float) -> float | None:
        values = sorted(float(line[name]) for line in lines if isinstance(line.get(name), int | float))
        return values[min(len(values) - 1, int(share * len(values)))] if values else None

    lags = [float(line["lag_ms_max"]) for line in lines if isinstance(line.get("lag_ms_max"), int | float)]
    return ClientHealthSummary(
        len(lines),
        of("lag_ms_p99", 0.95),
        of("lag_ms_max", 1.0),
        of("late_ms_max", 1.0),
        of("cpu_share", 0.95),
        sum(stall for stall in lags if stall > MIN_STALL) / 1000 / len(lines),
    )
