"""What a load generator left beside its log: what was asked of it, and how well it could keep up.

`load.json` and `vitals-N.jsonl` are missing in runs of other kinds and may be cut short by a kill: what is
not there is not known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from aisb_engine._record.runfolder import RunFolder

GAUGES = ("running", "waiting")
"""Counters of `Backend.counters` that say something of the moment: looked at while a load goes on."""

NS_PER_SECOND = 1e9


@dataclass(frozen=True, slots=True)
class ClientHealthSummary:
    """How well the workers kept up, second by second; milliseconds, the worst worker counts.

    `lag` is the 95th percentile over the seconds of each second's p99 of event-loop lag; `cpu` that of the
    share of a core that a worker used.
    """

    seconds: int
    lag: float | None
    lag_max: float | None
    late_max: float | None
    cpu: float | None


@dataclass(frozen=True, slots=True)
class LoadFiles:
    """What `load.json` and the client's health files say; None or empty where they do not.

    A load whose end was not recorded, as after a kill, was interrupted. `lost_workers` are those that ended
    before their work did: `how`, and which `share` of the load was not asked for that. `log_file` has the
    readable lines of asking; its path begins in the run folder.
    """

    asked: Mapping[str, Any] = field(default_factory=dict)
    planned: int | None = None
    warmups: str = ""
    counters: Any = None
    input_exact: bool | None = None
    notes: tuple[str, ...] = ()
    proxy: str | None = None
    subtasks_at_once: int = 1
    interrupted: bool = False
    lost_workers: Sequence[Mapping[str, Any]] = ()
    log_file: str = ""
    lines: Sequence[Mapping[str, Any]] = field(default=(), repr=False)

    @property
    def client_health(self) -> ClientHealthSummary | None:
        """How well the workers kept up in all; None where it is not known."""
        return _summed(self.lines)

    def client_health_in(self, start: float, end: float) -> ClientHealthSummary | None:
        """Return how well they kept up in the seconds that lie whole in a stretch of time (ns)."""
        return _summed([line for line in self.lines if start + NS_PER_SECOND <= _time(line) <= end])

    @property
    def concurrency(self) -> int | None:
        """The most requests that were to be in flight."""
        found = self.number("concurrency")
        return int(found) if found else None

    @property
    def rate(self) -> float | None:
        """Requests a second that were asked; None where there was no pacing."""
        return self.number("request_rate") or None

    @property
    def ramps(self) -> bool:
        """Whether the rate was to grow over the run."""
        return bool(self.asked.get("ramp_up"))

    def number(self, name: str) -> float | None:
        """Return a number that was asked, None where it is none."""
        value = self.asked.get(name)
        return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def read_load_files(folder: RunFolder, model: str, task: str) -> LoadFiles:
    """Read what stands beside a subtask's log."""
    log = folder.log(model, task)
    table: Any = {}
    with suppress(OSError, ValueError):
        table = orjson.loads((log / "load.json").read_bytes())
    if not isinstance(table, Mapping):
        table = {}
    warm = table.get("warmups")
    warmups = ""
    if isinstance(warm, Mapping) and warm.get("sent"):
        warmups = f"{warm['sent']} sent, {warm.get('answered', 0)} answered"
    asked = table.get("asked")
    proxy = table.get("proxy")
    return LoadFiles(
        asked=asked if isinstance(asked, Mapping) else {},
        planned=table.get("planned") if isinstance(table.get("planned"), int) else None,
        warmups=warmups,
        counters=table.get("counters"),
        input_exact=table.get("input_exact"),
        notes=tuple(map(str, table.get("notes") or ())),
        proxy=str(proxy) if proxy else None,
        subtasks_at_once=int(table.get("subtasks_at_once") or _at_once(folder)),
        interrupted=bool(table.get("interrupted")) or table.get("ended_ns", 0) is None,
        lost_workers=[one for one in table.get("lost_workers") or () if isinstance(one, Mapping)],
        log_file=str(folder.infer_log(model, task).relative_to(folder.path)),
        lines=_lines(log),
    )


def _at_once(folder: RunFolder) -> int:
    """Return how many subtasks the run's configuration let run at the same time."""
    import tomllib

    with suppress(OSError, ValueError, TypeError, AttributeError, RecursionError):
        config = tomllib.loads(folder.config.read_text("utf-8"))
        at_once = int(config["run"].get("max_num_workers", 1))
        return max(1, min(at_once, len(config.get("subtasks", [1]))))
    return 1


def _lines(log: Path) -> list[Mapping[str, Any]]:
    lines: list[Mapping[str, Any]] = []
    for path in sorted(log.glob("vitals-*.jsonl")):
        for line in path.read_bytes().splitlines():
            with suppress(ValueError):
                lines.append(orjson.loads(line))
    return lines


def _time(line: Mapping[str, Any]) -> float:
    """Return when the second of a line was over."""
    at = line.get("t_ns")
    return float(at) if isinstance(at, int | float) else -1.0


def _summed(lines: Sequence[Mapping[str, Any]]) -> ClientHealthSummary | None:
    if not lines:
        return None

    def of(name: str, share: float) -> float | None:
        values = sorted(float(line[name]) for line in lines if isinstance(line.get(name), int | float))
        return values[min(len(values) - 1, int(share * len(values)))] if values else None

    return ClientHealthSummary(
        len(lines),
        of("lag_ms_p99", 0.95),
        of("lag_ms_max", 1.0),
        of("late_ms_max", 1.0),
        of("cpu_share", 0.95),
    )
