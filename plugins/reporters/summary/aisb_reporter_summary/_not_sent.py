"""How many requests of a run have not been asked: of one that was stopped or killed, or ended early."""

from __future__ import annotations

from aisb import FinishedRun
from aisb_reporter_summary._speeds import performances

ModelAndTask = tuple[str, str]


def unsent_requests(run: FinishedRun) -> dict[ModelAndTask, int]:
    """Return the number of unsent requests by (model, task), without pairs that have none."""
    found = {(one.model, one.task): one.not_sent for one in run.results}
    found |= {(one.model, one.task): one.achieved.offered - one.achieved.sent for one in performances(run)}
    if not run.is_performance:
        found |= {pair: _left_over(run, *pair) for pair in run.unscored}
    return {pair: count for pair, count in found.items() if count > 0}


def _left_over(run: FinishedRun, model: str, task: str) -> int:
    """Count the requests of a pair that was never scored, by its log."""
    requests = len(run.samples(model, task)) * _repeats(run, model, task)
    return requests - len({(row["id"], row["repeat"]) for row in run.requests(model, task)})


def _repeats(run: FinishedRun, model: str, task: str) -> int:
    for table in run.configuration.get("subtasks", ()):
        if (table.get("model"), table.get("task")) == (model, task):
            params = {**table.get("params", {}), **table.get("forced", {})}
            return int(params.get("num_return_sequences", 1))
    return 1
