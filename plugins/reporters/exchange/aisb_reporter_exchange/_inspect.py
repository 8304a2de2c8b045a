"""Evaluation logs of Inspect in its JSON form, version 2: one for each model and task.

https://inspect.aisi.org.uk/eval-logs.html
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import fsum
from pathlib import Path
from typing import Annotated, Any

import orjson

from aisb import FinishedRun, Metric, Reporter
from aisb.helpers import write_file
from aisb_reporter_exchange._inspect_samples import SampleWriter
from aisb_reporter_exchange._metrics import is_mean, proportion, standard_error
from aisb_reporter_exchange._subtasks import Answer, ScoredSubtask, scored_subtasks

VERSION = 2
GENERATION = (
    *("max_tokens", "temperature", "top_p", "top_k", "seed", "frequency_penalty", "presence_penalty"),
    "num_choices",
)


@dataclass(kw_only=True)
class InspectLog(Reporter):
    """Each model and task as an evaluation log of Inspect, for `inspect view` and programs that read logs."""

    media: Annotated[bool, "put images, audio and video into the log, not only their names"] = False

    def report(self, run: FinishedRun) -> Iterable[Path]:
        """Write `exchange/inspect/<time>_<task>_<id>.json` for each model and task."""
        folder = run.folder / "exchange" / "inspect"
        for subtask in scored_subtasks(run, "logs of Inspect"):
            log = _log(subtask, SampleWriter(subtask, media=self.media))
            time = log["eval"]["created"].replace(":", "-")
            task = re.sub(r"[^A-Za-z0-9-]+", "-", subtask.result.task)
            path = folder / f"{time}_{task}_{log['eval']['task_id']}.json"
            write_file(path, orjson.dumps(log, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
            yield path


def _log(subtask: ScoredSubtask, writer: SampleWriter) -> dict[str, Any]:
    answers = list(subtask.answers())
    samples = [writer.sample(answer) for answer in answers]
    usages = [sample["model_usage"] for sample in samples if sample["model_usage"]]
    config = {key: subtask.params[key] for key in GENERATION if _is_number(subtask.params.get(key))}
    return {
        "version": VERSION,
        "status": "cancelled" if subtask.result.not_sent else "success",
        "eval": _spec(subtask, writer, answers, config),
        "plan": {"name": "aisb", "steps": [{"solver": "generate", "params": {}}], "config": config},
        "results": _results(subtask, answers),
        "stats": {
            "started_at": subtask.started.isoformat(),
            "completed_at": subtask.ended.isoformat(),
            "model_usage": _total([one[writer.model] for one in usages], writer.model),
        },
        "samples": samples,
    }


def _spec(
    subtask: ScoredSubtask, writer: SampleWriter, answers: Sequence[Answer], config: Mapping[str, Any]
) -> dict[str, Any]:
    run, result, task = subtask.run, subtask.result, subtask.task
    version, ids = run.manifest.get("aisb"), list(dict.fromkeys(answer.id for answer in answers))
    evaluators = list(dict.fromkeys(score["evaluator"] for one in answers for score in one.grades))
    key = (run.timestamp, result.model, result.task)
    return {
        "eval_id": _short_id(*key, "eval"),
        "run_id": _short_id(run.timestamp),
        "created": subtask.started.isoformat(timespec="seconds"),
        "task": result.task,
        "task_id": _short_id(*key),
        "task_version": result.version,
        "task_attribs": {},
        "task_args": {"shots": subtask.shots} | ({"variant": result.variant} if result.variant else {}),
        "dataset": {
            "name": result.task,
            "location": subtask.hub_dataset or next(iter(subtask.urls), None),
            "samples": len(ids),
            "sample_ids": ids,
            "shuffled": False,
        },
        "model": writer.model,
        "model_generate_config": config,
        **({"model_base_url": url} if (url := subtask.known_model.get("url")) else {}),
        "model_args": {},
        "config": {
            "epochs": subtask.repeats,
            **({"epochs_reducer": ["mean"]} if subtask.repeats > 1 else {}),
            "fail_on_error": False,
        },
        "packages": {"aisb": str(version)} if version else {},
        "metadata": {
            "aisb_run": run.timestamp,
            "name_in_run": result.model,
            "task_version": result.version,
            "params": dict(subtask.params),
            "limits": subtask.limits,
            **{name: str(task[name]) for name in ("source", "licence") if task.get(name)},
        },
        "scorers": [{"name": name, "options": {}, "metrics": []} for name in evaluators],
    }


def _results(subtask: ScoredSubtask, answers: Sequence[Answer]) -> dict[str, Any]:
    scorers: dict[str, dict[str, Any]] = {}
    names = list(dict.fromkeys(score["evaluator"] for one in answers for score in one.grades))
    first = next(iter(names), "score")
    for _, metric in subtask.metrics:
        scorer = next((name for name in names if metric.name.endswith(f" ({name})")), first)
        scorers.setdefault(scorer, {})[_metric_key(metric)] = _metric(metric)
    values = _sample_means(answers)
    if len(values) > 1 and first in scorers and is_mean(subtask.headline, values):
        scorers[first]["stderr"] = {"name": "stderr", "value": standard_error(values), "params": {}}
    graded = len({answer.id for answer in answers if answer.score})
    result = subtask.result
    return {
        "total_samples": len(answers),
        "completed_samples": sum(answer.failure is None for answer in answers),
        "scores": [
            {
                "name": name,
                "scorer": name,
                **({"reducer": "mean"} if subtask.repeats > 1 else {}),
                "scored_samples": graded,
                "unscored_samples": len({answer.id for answer in answers}) - graded,
                "params": {},
                "metrics": metrics,
            }
            for name, metrics in scorers.items()
        ],
        "metadata": {
            "outcomes": dict(result.outcomes),
            "bounds_percent": result.bounds and list(result.bounds),
        },
    }


def _metric_key(metric: Metric) -> str:
    return metric.name if metric.group is None else f"{metric.name} ({metric.group})"


def _metric(metric: Metric) -> dict[str, Any]:
    known = {"low_95": metric.low, "high_95": metric.high}
    interval = {key: proportion(metric, value) for key, value in known.items() if value is not None}
    return {
        "name": metric.name,
        **({"group": metric.group} if metric.group is not None else {}),
        "value": proportion(metric, metric.value or 0.0),
        "params": {},
        "metadata": {**interval, "samples": metric.count},
    }


def _sample_means(answers: Sequence[Answer]) -> list[float]:
    """Return the mean over repeats of each sample's values."""
    values: dict[str, list[float]] = {}
    for answer in answers:
        if answer.score:
            values.setdefault(answer.id, []).append(answer.score["value"])
    return [fsum(own) / len(own) for own in values.values()]


def _total(usages: Sequence[Mapping[str, int]], model: str) -> dict[str, dict[str, int]]:
    """Return the sum of all usages, by model; empty if the service reported none."""
    if not usages:
        return {}
    total: dict[str, int] = {}
    for usage in usages:
        for name, count in usage.items():
            total[name] = total.get(name, 0) + count
    return {model: total}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _short_id(*parts: str) -> str:
    """Return an id in the form of Inspect's, 22 letters and digits, that is the same for the same parts."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:22]
