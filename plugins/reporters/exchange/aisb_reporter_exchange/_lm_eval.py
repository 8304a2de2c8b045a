"""Results of lm-evaluation-harness: `results_<time>.json`, and `samples_<task>_<time>.jsonl` next to it.

https://github.com/EleutherAI/lm-evaluation-harness/blob/main/docs/interface.md
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import orjson

from aisb import FinishedRun, Metric, Reporter
from aisb.helpers import write_file
from aisb_reporter_exchange._lm_eval_samples import mean_value, sample_line
from aisb_reporter_exchange._metrics import RUNS, is_mean, proportion, standard_error
from aisb_reporter_exchange._subtasks import Answer, ScoredSubtask, scored_subtasks

ACCURACY = "acc"
FILTER = "none"
"""The name of the filter of a result: ours have one rule to find the answer, which the configuration has."""


@dataclass(kw_only=True)
class LmEval(Reporter):
    """The scores and answers of a run as lm-evaluation-harness writes them."""

    samples: Annotated[bool, "also write each answer"] = True

    def report(self, run: FinishedRun) -> Iterable[Path]:
        """Write `exchange/lm-eval/<model>/results_<time>.json`, and `samples_<task>_<time>.jsonl`."""
        models: dict[str, list[ScoredSubtask]] = {}
        for one in scored_subtasks(run, "results of lm-eval"):
            models.setdefault(one.result.model, []).append(one)
        served = [found[0].served for found in models.values()]
        written: list[Path] = []
        for model, found in models.items():
            name = found[0].served if served.count(found[0].served) == 1 else model
            written += self._write(found, name, run.folder / "exchange" / "lm-eval" / sanitized(name))
        return written

    def _write(self, subtasks: Sequence[ScoredSubtask], name: str, folder: Path) -> Iterator[Path]:
        time = subtasks[0].started.replace(tzinfo=None).isoformat(timespec="microseconds").replace(":", "-")
        tables = _Tables(subtasks[0], name)
        for subtask in subtasks:
            name_of_values, parts = _parts(subtask)
            tables.add(subtask, parts, name_of_values)
            for part in parts if self.samples else ():
                if part.lines:
                    yield _written(folder / f"samples_{part.file}_{time}.jsonl", b"".join(part.lines))
        data = orjson.dumps(tables.content(), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
        yield _written(folder / f"results_{time}.json", data)


@dataclass(slots=True)
class _Part:
    """One task of lm-eval: a whole task of ours, or a group of it."""

    name: str
    group: str | None
    lines: list[bytes]
    values: list[float]
    hashes: list[str]

    @property
    def file(self) -> str:
        return re.sub(r"[^\w.-]", "_", self.name)


def sanitized(model: str) -> str:
    """Return the name of a model's folder, as lm-eval makes it."""
    return re.sub(r"[\"<>:/|\\?*\[\]]+", "__", model)


def _parts(subtask: ScoredSubtask) -> tuple[str, list[_Part]]:
    """Return the tasks that lm-eval would have, each with its samples, and the name of their values."""
    task, parts = subtask.result.task, dict[str | None, _Part]()
    samples = list(_by_sample(subtask))
    name = _name_of_values(subtask, samples)
    for number, repeats in enumerate(samples):
        group = repeats[0].sample.get("group")
        own = task if group is None else f"{task}_{group}"
        part = parts.setdefault(group, _Part(own, group, [], [], []))
        line = sample_line(subtask, repeats, number, name)
        part.values.append(line[name])
        part.hashes.append(line["doc_hash"] + line["prompt_hash"] + line["target_hash"])
        part.lines.append(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))
    return name, list(parts.values()) or [_Part(task, None, [], [], [])]


def _name_of_values(subtask: ScoredSubtask, samples: Sequence[Sequence[Answer]]) -> str:
    """Return the name of the metric whose mean the values of samples have, else that of the evaluator."""
    name = _name(subtask.headline)
    if not samples or is_mean(subtask.headline, [mean_value(repeats) for repeats in samples]):
        return name
    score = samples[0][0].score
    return str(score["evaluator"]) if score else name


def _by_sample(subtask: ScoredSubtask) -> Iterator[list[Answer]]:
    """Yield the answers to each sample that were graded: one for each repeat."""
    samples: dict[str, list[Answer]] = {}
    for answer in subtask.answers():
        if answer.score is not None:
            samples.setdefault(answer.id, []).append(answer)
    yield from samples.values()


class _Tables:
    """The content of a results file, which has a table for each kind of fact, by task."""

    def __init__(self, first: ScoredSubtask, name: str) -> None:
        self._first = first
        self._name = name
        self._ended = first.ended
        self._tables: dict[str, dict[str, Any]] = {
            key: {}
            for key in (
                *("results", "groups", "group_subtasks", "configs", "versions", "n-shot"),
                *("higher_is_better", "n-samples", "task_hashes"),
            )
        }

    def add(self, subtask: ScoredSubtask, parts: Sequence[_Part], name_of_values: str) -> None:
        """Add a task of ours, with its groups as tasks of their own."""
        self._ended = max(self._ended, subtask.ended)
        task, tables = subtask.result.task, self._tables
        whole = [value for part in parts for value in part.values]
        groups = [part for part in parts if part.group is not None]
        self._entry(subtask, task, [m for _, m in subtask.metrics if m.group is None], whole, name_of_values)
        tables["group_subtasks"][task] = [part.name for part in groups]
        if groups:
            tables["groups"][task] = tables["results"][task]
        for part in groups:
            own = [metric for _, metric in subtask.metrics if metric.group == part.group]
            self._entry(subtask, part.name, own, part.values, name_of_values)
        for part in parts:
            if part.hashes:
                tables["task_hashes"][part.name] = _hash("".join(part.hashes))

    def _entry(
        self,
        subtask: ScoredSubtask,
        name: str,
        metrics: Sequence[Metric],
        values: Sequence[float],
        name_of_values: str,
    ) -> None:
        tables, scores, better = self._tables, dict[str, Any](), dict[str, bool]()
        for metric in metrics:
            theirs = _name(metric)
            if f"{theirs},{FILTER}" in scores:  # another metric that is equal, such as avg@n
                continue
            mean_of_samples = theirs == name_of_values and len(values) > 1 and is_mean(metric, values)
            scores[f"{theirs},{FILTER}"] = proportion(metric, metric.value or 0.0)
            scores[f"{theirs}_stderr,{FILTER}"] = standard_error(values) if mean_of_samples else "N/A"
            better[theirs] = metric.better != "lower"
        tables["results"][name] = {"alias": name, "sample_len": len(values), **scores}
        tables["higher_is_better"][name] = better
        tables["versions"][name] = subtask.result.version
        tables["n-shot"][name] = subtask.shots
        tables["n-samples"][name] = {"original": len(values), "effective": len(values)}
        tables["configs"][name] = _config(subtask, name, better)

    def content(self) -> dict[str, Any]:
        """Return all tables, with the facts on the run."""
        first = self._first
        began, ended = first.started, self._ended
        tables = {key: table for key, table in self._tables.items() if key != "groups" or table}
        return {
            **tables,
            "config": {
                "model": first.model.get("backend") or "unknown",
                "model_args": _model_args(first, self._name),
                "gen_kwargs": dict(first.params),
                "batch_size": first.params.get("batch_size"),
                "limit": None,
                "bootstrap_iters": 0,
            },
            "git_hash": None,
            "date": began.timestamp(),
            "lm_eval_version": None,
            "aisb_version": first.run.manifest.get("aisb"),
            "aisb_run": first.run.timestamp,
            "model_source": first.model.get("backend") or "unknown",
            "model_name": self._name,
            "model_name_sanitized": sanitized(self._name),
            "start_time": began.timestamp(),
            "end_time": ended.timestamp(),
            "total_evaluation_time_seconds": str((ended - began).total_seconds()),
        }


def _name(metric: Metric) -> str:
    """Return the name of a metric there."""
    if metric.name in ("accuracy", "weighted_average") or RUNS.fullmatch(metric.name):
        return ACCURACY
    return metric.name.replace(",", " ")


def _config(subtask: ScoredSubtask, name: str, better: Mapping[str, bool]) -> dict[str, Any]:
    task = subtask.task
    prompt, dataset = task.get("prompt", {}), task.get("dataset", {})
    return {
        "task": name,
        "dataset_path": subtask.hub_dataset or dataset.get("use"),
        "test_split": dataset.get("split"),
        "doc_to_text": prompt.get("user"),
        "doc_to_target": task.get("sample", {}).get("target"),
        "description": prompt.get("system") or "",
        "num_fewshot": subtask.shots,
        "metric_list": [{"metric": one, "higher_is_better": is_better} for one, is_better in better.items()],
        "output_type": "multiple_choice" if subtask.result.mode == "logprob" else "generate_until",
        "generation_kwargs": dict(subtask.params),
        "repeats": subtask.repeats,
        "metadata": {"version": subtask.result.version, "limits": subtask.limits},
    }


def _model_args(subtask: ScoredSubtask, name: str) -> str:
    url = subtask.known_model.get("url")
    return f"model={name}" + (f",base_url={url}" if url else "")


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _written(path: Path, data: bytes) -> Path:
    write_file(path, data)
    return path
