"""Import trials of agent harnesses: Harbor's trial results, and SWE-bench's reports.

A trial becomes an answer with its result in JSON (`state`, `reward`), which `agent-trial` grades. A trial
that the harness could not run or verify is a failure without an answer.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from aisb import DataError, Failure, ImportedAnswer, ImportedRow, ImportedTask, Importer, Usage

GRADED_BY = "agent_trials"
TIMEOUTS = frozenset({"AgentTimeoutError"})
"""Harbor's exception for an agent's timeout; its other exceptions are failures of the harness."""
NOTHING_SUBMITTED = "no patch was submitted"


class Harbor(Importer):
    """Reads the trials of a job of Harbor, which also runs Terminal-Bench."""

    reads = "a job's folder, with a result.json for each trial"

    def read(self, path: Path) -> Iterator[ImportedTask] | None:
        """Return the trials below a folder, by model; None if there are none.

        Raises:
            DataError: a result of a trial cannot be read.
        """
        files = sorted(path.rglob("result.json")) if path.is_dir() else [path]
        found = [(file, table) for file in files if (table := _trial(file)) is not None]
        return _harbor_tasks(path, found) if found else None


class SweBench(Importer):
    """Reads the report that SWE-bench's run_evaluation writes: `MODEL.RUN_ID.json`."""

    reads = "MODEL.RUN_ID.json of run_evaluation, or a folder with such files"

    def read(self, path: Path) -> Iterator[ImportedTask] | None:
        """Return the results in reports; None if there are no reports."""
        files = sorted(path.glob("*.json")) if path.is_dir() else [path] if path.suffix == ".json" else []
        found = [(file, table) for file in files if (table := _report(file)) is not None]
        return (_swe_bench_task(file, table) for file, table in found) if found else None


def _table(path: Path) -> Mapping[str, Any] | None:
    try:
        table = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):  # a file of another tool or kind
        return None
    return table if isinstance(table, dict) else None


def _trial(path: Path) -> Mapping[str, Any] | None:
    table = _table(path) if path.name == "result.json" else None
    return table if table is not None and {"task_name", "trial_name"} <= table.keys() else None


def _report(path: Path) -> Mapping[str, Any] | None:
    table = _table(path)
    return table if table is not None and {"resolved_ids", "submitted_ids"} <= table.keys() else None


def _harbor_tasks(path: Path, found: list[tuple[Path, Mapping[str, Any]]]) -> Iterator[ImportedTask]:
    """Yield a task for each model; several trials of a task are its repeats."""
    trials: dict[tuple[str, str], dict[str, list[ImportedAnswer]]] = {}
    for file, table in found:
        try:
            of = (_model(table), str(table.get("source") or path.name))
            trials.setdefault(of, {}).setdefault(str(table["task_name"]), []).append(_harbor_answer(table))
        except (TypeError, ValueError, AttributeError) as error:
            raise DataError(f"{file} is not the result of a trial: {error}") from error
    for (model, task), by_name in trials.items():
        rows = tuple(
            ImportedRow(position, name, "passed", tuple(answers), fields={"task": name})
            for position, (name, answers) in enumerate(sorted(by_name.items()))
        )
        yield ImportedTask("harbor", path, model, task, rows, graded_by=GRADED_BY)


def _model(table: Mapping[str, Any]) -> str:
    """Return the model of a trial, or the agent that has none."""
    agent = table.get("agent_info") or {}
    model = agent.get("model_info") or {}
    return str(model.get("name") or agent.get("name") or "agent")


def _harbor_answer(table: Mapping[str, Any]) -> ImportedAnswer:
    agent = table.get("agent_result") or {}
    usage = Usage(agent.get("n_input_tokens"), agent.get("n_output_tokens"), agent.get("n_cache_tokens"))
    exception = table.get("exception_info") or {}
    kind = str(exception.get("exception_type") or "")
    reward = ((table.get("verifier_result") or {}).get("rewards") or {}).get("reward")
    is_cut = kind in TIMEOUTS
    if reward is None and not is_cut:
        message = str(exception.get("exception_message") or "the trial was not verified")
        return ImportedAnswer(usage=usage, failure=Failure("protocol", f"{kind or 'no reward'}: {message}"))
    value = 0.0 if reward is None else float(reward)
    state = "passed" if value >= 1 else "timed out" if is_cut else "failed"
    return ImportedAnswer(_answer(state, value, trial=table["trial_name"]), usage=usage)


def _swe_bench_task(path: Path, table: Mapping[str, Any]) -> ImportedTask:
    """Return the instances of a report, including those without a submission."""
    answers: dict[str, ImportedAnswer] = {}
    for key, state in (
        ("unresolved_ids", "failed"),
        ("empty_patch_ids", "no patch"),
        ("resolved_ids", "passed"),
    ):
        value = float(state == "passed")
        answers |= {name: ImportedAnswer(_answer(state, value)) for name in table.get(key, ())}
    for key, message in (
        ("error_ids", "the harness failed: the patch did not apply, or its tests could not be run"),
        ("incomplete_ids", NOTHING_SUBMITTED),
    ):
        failed = ImportedAnswer(failure=Failure("protocol", message))
        answers |= dict.fromkeys(table.get(key, ()), failed)
    reasons = table.get("failure_reasons") or {}
    for name in table.get("infra_failure_ids", ()):  # the harness counts them as unresolved or as errors, too
        why = f"the harness failed, and not the patch: {reasons.get(name, 'no reason is given')}"
        answers[name] = ImportedAnswer(failure=Failure("protocol", why))
    known = {*answers}
    lost = ImportedAnswer(failure=Failure("protocol", "the report does not mention it"))
    answers |= {name: lost for name in table["submitted_ids"] if name not in known}
    rows = tuple(
        ImportedRow(position, name, "passed", (answer,), fields={"task": name})
        for position, (name, answer) in enumerate(sorted(answers.items()))
    )
    resolved, total = len(table["resolved_ids"]), table.get("total_instances") or len(rows)
    scores = {"resolved": 100.0 * resolved / total} if total else {}
    model = path.name.removesuffix(".json").partition(".")[0]
    return ImportedTask("swe-bench", path, model, "swe_bench", rows, scores, graded_by=GRADED_BY)


def _answer(state: str, reward: float, **more: Any) -> str:
    return json.dumps({"state": state, "reward": reward, **more})
