"""A short ladder of loads: 1, 4, 16 … users at once, until an objective breaks or the time is spent."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aisb import AisbError
from aisb_cli.services import Service
from aisb_engine import JudgedObjective, Objective, RunCommand, RunInput, execute_run, judge_objectives

if TYPE_CHECKING:
    from aisb import PerformanceResult
    from aisb_engine import Plugins

MODEL, TASK = "quick", "demo_gsm8k"
REPLY_TOKENS = 128
MAX_USERS = 256
FACTOR = 4
CLOSE = 1.5
"""The search ends when the next larger load that breaks has at most this many times as many users."""
SHORTEST, LONGEST = 1 / 15, 1 / 6
"""The sending time of a rung, as a fraction of the time for all loads."""
CLIENT_SIGNALS = frozenset({"loop lag", "client CPU", "lateness"})


@dataclass(frozen=True, slots=True)
class Rung:
    """The measurements with one number of users at once. Times are milliseconds; None is unknown.

    `rate` is requests per second that succeed, `tokens` output tokens per second of all users together.
    `failed` is the share of requests without an answer at the first attempt: of these `throttled` were
    refused with 429 to the end, and `retried` were answered at the second attempt. `distortion` says why this
    machine was the limit.
    """

    users: int
    requests: int
    rate: float
    tokens: float | None
    ttft: float | None
    ttft_p95: float | None
    tpot: float | None
    tpot_p95: float | None
    e2el: float | None
    input_tokens: float | None
    output_tokens: float | None
    failed: float
    throttled: float
    retried: float
    failure: str
    judged: tuple[JudgedObjective, ...]
    distortion: str = ""

    @property
    def missed(self) -> list[JudgedObjective]:
        """The objectives that do not hold; a number that no reply has (without streaming) is passed over."""
        return [one for one in self.judged if one.value is not None and not one.holds]

    @property
    def holds(self) -> bool:
        """Whether no objective is missed."""
        return not self.missed


class Ladder:
    """Measures rungs by ordinary performance runs below `folder`, until `seconds` are spent."""

    def __init__(
        self,
        service: Service,
        plugins: Plugins,
        options: Mapping[str, Any],
        objectives: Sequence[Objective],
        *,
        folder: Path,
        seconds: float,
        say: Callable[[Rung], None],
    ) -> None:
        self._service, self._plugins, self._options = service, plugins, options
        self._objectives = objectives
        self._folder = folder
        self._budget = seconds
        self._end = time.monotonic() + seconds
        self._say = say
        self.rungs: list[Rung] = []
        self.stopped = ""
        self.exit_code = 0

    def climb(self) -> list[Rung]:
        """Measure one user, then more, then between the last rung that holds and the first that breaks.

        A rung whose load this machine distorted is measured again once; after that the ladder ends. It also
        ends if a load cannot be measured, as when the service goes away; then `stopped` says why, and
        `exit_code` is that of the error.

        Raises:
            AisbError: not even one user could be measured.
        """
        users: int | None = 1
        while users is not None and self._fits(users):
            try:
                rung = self._measure(users)
            except AisbError as error:
                if not self.rungs:
                    raise
                self.exit_code = error.exit_code
                self.stopped = f"{users} users could not be measured: {error}".splitlines()[0]
                break
            self._say(rung)
            again = any(one.users == users for one in self.rungs)
            self.rungs = sorted((*(one for one in self.rungs if one.users != users), rung), key=_users)
            users = self._next() if not rung.distortion else None if again else users
        return self.rungs

    def _next(self) -> int | None:
        sustained = max((rung.users for rung in self.rungs if rung.holds), default=None)
        broke = min((rung.users for rung in self.rungs if not rung.holds), default=None)
        if sustained is None:  # a second rung shows why
            return FACTOR if len(self.rungs) == 1 and self.rungs[0].failed < 1 else None
        if broke is None:
            return min(sustained * FACTOR, MAX_USERS) if sustained < MAX_USERS else None
        return round(math.sqrt(sustained * broke)) if broke > max(sustained + 1, CLOSE * sustained) else None

    def _seconds(self) -> float:
        """Return for how long requests of the next rung begin: if possible, for two replies in a row."""
        slowest = max((rung.e2el or 0.0 for rung in self.rungs), default=0.0) / 1000
        return min(max(SHORTEST * self._budget, 2 * slowest), LONGEST * self._budget)

    def _fits(self, users: int) -> bool:
        """Whether a rung is likely to end in time, if its users queue behind those of the rung below it."""
        if not self.rungs:
            return True
        below = max(
            (rung for rung in self.rungs if rung.users < users), key=lambda rung: rung.users, default=None
        )
        last = 0.0 if below is None else (below.e2el or 0.0) / 1000 * users / below.users
        return time.monotonic() + self._seconds() + last < self._end

    def _measure(self, users: int) -> Rung:
        seconds = self._seconds()
        options = {"url": self._service.url, "model": self._service.model, **self._options}
        model = {"base": self._service.asked_as}
        run_input = RunInput(
            models=[MODEL],
            datasets=[TASK],
            tables={"models": {MODEL: model}},
            options={name: value for name, value in options.items() if value is not None},
            params={"max_tokens": REPLY_TOKENS},
            # One retry makes a user wait as a 429 asks; without, it would send thousands that are refused.
            load={
                "concurrency": users,
                "duration": seconds,
                "retries": 1,
                "num_warmups": 0 if self.rungs else 1,
            },
            run={"reporters": [], "max_failures": 1_000_000},
        )
        command = RunCommand(run_input, mode="perf", work_dir=self._folder)
        ended = execute_run(command, self._plugins)
        if ended.interrupted or ended.finished is None:
            raise KeyboardInterrupt
        return measured_rung(ended.finished.performance[MODEL, TASK], users, self._objectives)


def _users(rung: Rung) -> int:
    return rung.users


def measured_rung(result: PerformanceResult, users: int, objectives: Sequence[Objective]) -> Rung:
    """Return the measurements of a load with this number of users."""
    import numpy as np

    columns = result.requests()
    sent = np.asarray(columns["sent_ns"], float)
    began = (sent - np.nanmin(sent)) / 1e9 if len(sent) else sent
    ended = began + np.asarray(columns["e2el"], float) / 1000
    answered = np.asarray(columns["ok"], bool) & ~np.isnan(ended)
    at_first = answered & (np.asarray(columns["attempts"]) <= 1)
    rows = np.flatnonzero(_settled(began, users))
    numbers = {
        name: np.asarray(columns[name], float)[rows][answered[rows]]
        for name in ("ttft", "tpot", "e2el", "input_tokens", "output_tokens")
    }
    failures = [columns["failure"][row] for row in rows if columns["failure"][row]]
    judged = {name: np.asarray(values)[rows] for name, values in columns.items()} | {"ok": at_first[rows]}
    rate = _rate(began, ended, answered, users, steady=bool(at_first.all()))
    length = _mean(numbers["output_tokens"])
    signals = result.certificate.signals
    distorting = [one for one in signals if one.name in CLIENT_SIGNALS and one.verdict == "INVALID"]
    return Rung(
        users=users,
        requests=len(began),
        rate=rate,
        tokens=None if length is None else rate * length,
        ttft=_percentile(numbers["ttft"], 50),
        ttft_p95=_percentile(numbers["ttft"], 95),
        tpot=_percentile(numbers["tpot"], 50),
        tpot_p95=_percentile(numbers["tpot"], 95),
        e2el=_mean(numbers["e2el"]),
        input_tokens=_mean(numbers["input_tokens"]),
        output_tokens=length,
        failed=_share(~at_first[rows]),
        throttled=sum("429" in failure for failure in failures) / max(1, len(rows)),
        retried=_share(answered[rows] & ~at_first[rows]),
        failure=failures[0] if failures else "",
        judged=tuple(judge_objectives(judged, objectives)),
        distortion="; ".join(signal.reason for signal in distorting),
    )


def _settled(began: Any, users: int) -> Any:
    """Return which requests count: where there are enough, not the first of each user, sent all at once."""
    import numpy as np

    if len(began) < 3 * users:
        return np.ones(len(began), bool)
    return began > np.sort(began)[users - 1]


def _rate(began: Any, ended: Any, ok: Any, users: int, *, steady: bool) -> float:
    """Return successful requests per second; `steady` says that all were answered at the first attempt.

    By Little's law where each user asked several times: counting replies would misread users in lockstep.
    Otherwise, and where requests fail, those that succeeded until the last one ended.
    """
    import numpy as np

    if not ok.any():
        return 0.0
    if steady and len(began) >= 3 * users:
        settled = _settled(began, users)
        return float(users / np.mean((ended - began)[settled]))
    return float(np.count_nonzero(ok) / np.max(ended[ok]))


def _share(flags: Any) -> float:
    return float(flags.mean()) if len(flags) else 0.0


def _mean(values: Any) -> float | None:
    import numpy as np

    known = values[~np.isnan(values)]
    return float(np.mean(known)) if len(known) else None


def _percentile(values: Any, percent: float) -> float | None:
    import numpy as np

    known = values[~np.isnan(values)]
    return float(np.percentile(known, percent)) if len(known) else None
