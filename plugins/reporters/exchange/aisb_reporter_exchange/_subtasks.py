"""A run as subtasks with their facts and answers: what every format needs, whatever its form."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import orjson

from aisb import FinishedRun, Metric, Result, Row, RunError
from aisb.helpers import as_text

URL = re.compile(r"https?://[^\s,;()]+")
HUB_URL = re.compile(r"https://huggingface\.co/datasets/([\w.-]+/[\w.-]+)")
HUB_NAME = re.compile(r"([\w.-]+/[\w.-]+) of the Hugging Face hub")

FOLDERS = re.compile(r"(?<![\w:/.])~?/(?:[^\s/\'\"]+/)*")
"""The folders of an absolute path, which is no part of an address."""

MAX_FIELD = 100_000
"""The number of characters from which a field of a sample is left out."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to one sample in one repeat.

    `turns` are its requests in order, `score` is the grade by the first evaluator (None if it was not
    graded), and `others` are the grades by further evaluators.
    """

    sample: Row
    repeat: int
    turns: tuple[Row, ...]
    score: Row | None
    others: tuple[Row, ...]

    @property
    def id(self) -> str:
        """The id of the sample."""
        return str(self.sample["id"])

    @property
    def grades(self) -> tuple[Row, ...]:
        """The grades by all evaluators, the first evaluator's first."""
        return self.others if self.score is None else (self.score, *self.others)

    @property
    def last(self) -> Row:
        """The request that was graded."""
        return self.turns[-1]

    @property
    def failure(self) -> str | None:
        """Why a request failed, or why its reply could not be graded; None if neither happened."""
        for turn in self.turns:
            if turn.get("failure"):
                return f"{turn['failure']['kind']}: {turn['failure']['message']}"
        if self.score and self.score["outcome"] == "error":
            details = self.score["details"]
            return str(details.get("raised") or details.get("failure") or "the answer could not be graded")
        return None

    @property
    def references(self) -> list[str]:
        """The reference answers as texts."""
        target = self.sample["target"]
        if target is None:
            return []
        return [as_text(one) for one in target] if isinstance(target, list) else [as_text(target)]

    @property
    def fields(self) -> dict[str, Any]:
        """The data of the sample, without media and without texts of more than 100,000 characters."""
        given = self.sample.get("fields") or {}
        return {key: value for key, value in given.items() if not _is_bulky(value)}

    @property
    def most_likely(self) -> int | None:
        """The position of the most likely option, if the likelihoods of options were compared."""
        totals = [one["total"] for one in self.last.get("logprobs") or ()]
        return totals.index(max(totals)) if totals else None


@dataclass(frozen=True)
class ScoredSubtask:
    """One model on one task of a run, with its result."""

    run: FinishedRun
    result: Result

    @cached_property
    def task(self) -> Mapping[str, Any]:
        """The resolved table of the task; empty if the configuration is missing."""
        return self._table("tasks", self.result.task)

    @cached_property
    def model(self) -> Mapping[str, Any]:
        """The resolved table of the model; empty if the configuration is missing."""
        return self._table("models", self.result.model)

    @cached_property
    def known_model(self) -> Mapping[str, Any]:
        """What the manifest has on the model: served, detail, url, identity."""
        found: Mapping[str, Any] = self.run.manifest.get("models", {}).get(self.result.model, {})
        return found

    @cached_property
    def known_task(self) -> Mapping[str, Any]:
        """What the manifest has on the task: version, and the hash and files of its data."""
        found: Mapping[str, Any] = self.run.manifest.get("tasks", {}).get(self.result.task, {})
        return found

    @cached_property
    def params(self) -> Mapping[str, Any]:
        """The generation parameters that were sent."""
        for pair in self.run.configuration.get("subtasks", ()):
            if (pair["model"], pair["task"]) == (self.result.model, self.result.task):
                return {**pair.get("params", {}), **pair.get("forced", {})}
        return {}

    @cached_property
    def stored(self) -> Mapping[str, Any]:
        """The file of results: when it was scored, by which distributions, and the judge; {} without it."""
        if not self.result.file.exists():
            return {}
        found: Mapping[str, Any] = orjson.loads(self.result.file.read_bytes())
        return found

    @cached_property
    def samples(self) -> Mapping[str, Row]:
        """The samples by id; empty if the run does not have them."""
        return {row["id"]: row for row in self.run.samples(self.result.model, self.result.task)}

    @property
    def limits(self) -> list[str]:
        """What a reader of the score must know: what it leaves out, and rules that differ from the task's."""
        result, found = self.result, list[str]()
        if self.headline.groups:
            found.append("{} of {} groups".format(*self.headline.groups))
        if result.not_sent:
            found.append(f"{result.not_sent} requests not sent")
        if result.failed:
            found.append(f"{result.failed} failed requests, which count as not correct")
        if result.trial:
            found.append(f"scored by other rules than the task's ({', '.join(result.trial)})")
        return found

    @property
    def served(self) -> str:
        """The name under which the service has the model; without one, the name of the model in the run."""
        found = self.known_model.get("served") or self.model.get("options", {}).get("model")
        return str(found or self.result.model)

    @property
    def repeats(self) -> int:
        """The number of answers to each sample."""
        return int(self.params.get("num_return_sequences") or 1)

    @property
    def shots(self) -> int:
        """The number of examples in the prompt."""
        return int(self.task.get("prompt", {}).get("shots", 0))

    @property
    def hub_dataset(self) -> str | None:
        """The id of the dataset on the Hugging Face hub, if the task names one."""
        named = self.task.get("pull", {}).get("huggingface")
        source = str(self.task.get("source", ""))
        found = HUB_URL.search(source) or HUB_NAME.search(source)
        return str(named) if named else found[1] if found else None

    @property
    def urls(self) -> list[str]:
        """The addresses in the task's source."""
        return URL.findall(str(self.task.get("source", "")))

    @property
    def is_imported(self) -> bool:
        """Whether another tool sent the requests, so that their time is not known."""
        return "imported" in self.run.manifest

    @property
    def started(self) -> datetime:
        """When the run started, in UTC."""
        return self._times()[0]

    @property
    def ended(self) -> datetime:
        """When the last command that sent requests ended, in UTC."""
        return self._times()[1]

    @property
    def scored(self) -> datetime:
        """When the answers were scored, in UTC."""
        return _time(self.stored.get("scored")) or self.ended

    @property
    def command(self) -> str | None:
        """The first command that sent requests, without the folders of this machine; None if unknown."""
        if self.is_imported:
            return None
        words = next((one["command"] for one in self._asking() if one.get("command")), None)
        return FOLDERS.sub("", " ".join(words)) if words else None

    @property
    def metrics(self) -> list[tuple[str, Metric]]:
        """The metrics that have a value, each with the name of its row: the task, or the task and a group."""
        task = self.result.task
        return [
            (task if one.group is None else f"{task}-{one.group}", one)
            for one in self.result.metrics
            if one.value is not None
        ]

    @property
    def headline(self) -> Metric:
        """The main metric, or the first one with a value if that has none."""
        main = self.result.headline
        return main if main is not None and main.value is not None else self.metrics[0][1]

    def answers(self) -> Iterator[Answer]:
        """Yield the answers in sample order.

        Raises:
            RunError: the run has no grades of single answers.
        """
        pair = self.result.model, self.result.task
        turns: dict[tuple[str, int], list[Row]] = {}
        for row in self.run.requests(*pair):
            turns.setdefault((row["id"], row["repeat"]), []).append(row)
        grades: dict[tuple[str, int], list[Row]] = {}
        for row in self.run.scores(*pair):
            grades.setdefault((row["id"], row["repeat"]), []).append(row)
        if turns and not grades and not self.result.faults:
            raise RunError(
                f"{self.run.folder} has no grades of single answers of {pair[0]} on {pair[1]}\n"
                f"  score it again: {self.run.command('aisb score')}"
            )
        for (key, repeat), rows in turns.items():
            graded = grades.get((key, repeat), [])
            sample = self.samples.get(key) or _sample(rows[0])
            yield Answer(sample, repeat, tuple(rows), graded[0] if graded else None, tuple(graded[1:]))

    def _table(self, kind: str, name: str) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.run.configuration.get(kind, {}).get(name, {})
        return found

    def _asking(self) -> list[Mapping[str, Any]]:
        """Return the commands that sent requests; runs of old versions do not tell which did."""
        return [one for one in self.run.manifest.get("sessions", ()) if one.get("started_sending", True)]

    def _times(self) -> tuple[datetime, datetime]:
        asking = self._asking()
        begins = [time for one in asking if (time := _time(one.get("started")))]
        ends = [time for one in asking if (time := _time(one.get("ended")))]
        first = min(begins, default=None) or _folder_time(self.run.timestamp)
        return first, max(ends, default=first)


def token_usage(answer: Answer) -> dict[str, int] | None:
    """Return the tokens of all turns, if the service reported them for each; both formats name them so."""
    given, written = _total(answer, "input_tokens"), _total(answer, "output_tokens")
    if given is None or written is None:
        return None
    found = {"input_tokens": given, "output_tokens": written, "total_tokens": given + written}
    if (cached := _total(answer, "cached_tokens")) is not None:
        found["input_tokens_cache_read"] = cached
    if (reasoning := _total(answer, "reasoning_tokens")) is not None:
        found["reasoning_tokens"] = reasoning
    return found


def _total(answer: Answer, name: str) -> int | None:
    counts = [(turn.get("usage") or {}).get(name) for turn in answer.turns]
    return sum(map(int, counts)) if None not in counts else None  # type: ignore[arg-type]


def scored_subtasks(run: FinishedRun, form: str) -> list[ScoredSubtask]:
    """Return the subtasks of a run that have a result with a value. If there are none, a line says so.

    Raises:
        RunError: it is a performance run; `form` is the format that was asked for.
    """
    if run.is_performance:
        raise RunError(f"{run.folder} is a performance run: it has no scores to write as {form}")
    found = [ScoredSubtask(run, result) for result in run.results]
    found = [one for one in found if one.metrics]
    if not found:
        say(f"{run.folder} has no scores to write as {form}; score it with: {run.command('aisb score')}")
    return found


def say(line: str) -> None:
    """Tell the user what was not written, and how to get it."""
    sys.stderr.write(f"{line}\n")


def _is_bulky(value: object) -> bool:
    return isinstance(value, str) and (len(value) > MAX_FIELD or value.startswith("data:"))


def _sample(row: Row) -> Row:
    """Return the sample of a request in a run without its samples."""
    return {
        "id": row["id"], "group": row["group"], "target": row["gold"], "choices": (),
        "prompt": row["origin_prompt"], "fields": {},
    }  # fmt: skip


def _time(text: object) -> datetime | None:
    try:
        found = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _folder_time(timestamp: str) -> datetime:
    """Return the time in the name of a run folder, which has no zone; 1970 if it has another name."""
    try:
        return datetime.strptime(timestamp[:15], "%Y%m%d_%H%M%S").astimezone(UTC)
    except ValueError:
        return datetime.fromtimestamp(0, UTC)
