"""Find the models of a run that answered alone and under load, and compare their answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from aisb_analysis._under_load import UnderLoad, compare_under_load
from aisb_engine import Grade, Subtask

if TYPE_CHECKING:
    from aisb import FinishedRun


def loaded_name(model: str, in_flight: int) -> str:
    """Return the name of a model that answers again with a number of requests in flight."""
    return f"{model}-at-{in_flight}"


def answers_under_load(run: FinishedRun, *, seed: int = 0) -> list[UnderLoad]:
    """Compare the scored answers, alone and under load, of each model and task in a run.

    Raises:
        UsageError: scipy is not installed.
        RunError: a file of the run is damaged.
    """
    found = []
    for alone, loaded, in_flight in _pairs(run.configuration):
        before, after = _grades(run, alone), _grades(run, loaded)
        if before and after:
            lengths = (_lengths(run, alone), _lengths(run, loaded))
            found.append(
                compare_under_load(
                    before, after, lengths, names=(alone, loaded), in_flight=in_flight, seed=seed
                )
            )
    return found


def _pairs(configuration: Mapping[str, Any]) -> Iterator[tuple[Subtask, Subtask, tuple[int, int]]]:
    loads = {
        (one["model"], one["task"]): one.get("load", {}).get("concurrency")
        for one in configuration.get("subtasks", ())
    }
    for (model, task), low in loads.items():
        for (other, same_task), high in loads.items():
            if low and high and low < high and same_task == task and other == loaded_name(model, high):
                yield Subtask(model=model, task=task), Subtask(model=other, task=task), (low, high)


def _grades(run: FinishedRun, subtask: Subtask) -> dict[str, list[Grade]]:
    """Return the grades of the task's first evaluator, by sample."""
    found: dict[str, list[Grade]] = {}
    first = None
    for row in run.scores(subtask.model, subtask.task):
        first = first or row["evaluator"]
        if row["evaluator"] == first:
            grade = Grade(row["outcome"], row["value"], row["answer"], None)
            found.setdefault(row["id"], []).append(grade)
    return found


def _lengths(run: FinishedRun, subtask: Subtask) -> dict[str, float]:
    """Return the output tokens of each sample, over all repeats and turns, if they are known."""
    found: dict[str, float] = {}
    for row in run.requests(subtask.model, subtask.task):
        tokens = (row["usage"] or {}).get("output_tokens")
        if tokens is not None:
            found[row["id"]] = found.get(row["id"], 0.0) + tokens
    return found
