"""Grade outputs from any source, one per line, with the steps and evaluators of a task.

Lines are read, graded and written in batches, so memory does not grow with the file.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from aisb import (
    OUTCOMES,
    ConfigError,
    DataError,
    Evaluator,
    Extract,
    Metric,
    Outcome,
    Postprocessor,
    Prediction,
    Sample,
    Score,
    UsageError,
)
from aisb.helpers import as_text, wilson
from aisb_analysis._shown import shown
from aisb_engine import (
    ComponentError,
    OutcomeCounts,
    PluginFaults,
    SampleMaker,
    SampleTable,
    StepError,
    call_step,
    component_owner,
    evaluator_uses,
    is_judged,
    make_component,
    make_evaluators,
    missing_judge_error,
    score_predictions,
)

if TYPE_CHECKING:
    from aisb_engine import Judging, Plugins, Task

LINES_PER_BATCH = 500
"""The number of lines in a batch."""

LONGEST_PROBLEM = 240
"""The maximum length of the line that says why an output is not correct."""

OWN_KEYS = ("output", "reference", "finish_reason", "reasoning")
"""The keys of a line with a fixed meaning; all other keys are fields of the task's row."""


class GradedLine(NamedTuple):
    """A line that can be graded."""

    number: int
    sample: Sample
    prediction: Prediction
    given_id: Any


@dataclass(slots=True)
class GradingTally:
    """The counts so far: the outcomes of each evaluator, and the lines that could not be graded.

    `kept` has the scores of evaluators with their own summary; of other evaluators only counts are kept.
    `faults` records exceptions of plugins; `owners` has the plugin of each evaluator.
    """

    task: str
    bad: int = 0
    counts: dict[str, Counter[Outcome]] = field(default_factory=dict)
    kept: dict[str, list[Score]] = field(default_factory=dict)
    judges: Mapping[str, Evaluator] = field(default_factory=dict)
    owners: Mapping[str, str] = field(default_factory=dict)
    faults: PluginFaults = field(default_factory=PluginFaults)

    def add(self, name: str, score: Score) -> None:
        """Count one score of an evaluator."""
        if score.outcome is not None:
            self.counts.setdefault(name, Counter())[score.outcome] += 1
        if name in self.kept:
            self.kept[name].append(score)

    @property
    def outcome_counts(self) -> OutcomeCounts:
        """The outcomes by the first evaluator."""
        counts = next(iter(self.counts.values()), Counter[Outcome]())
        return OutcomeCounts({name: counts[name] for name in OUTCOMES})

    def metrics(self) -> dict[str, list[Metric]]:
        """Return the metrics of each evaluator; empty if it raises."""
        found: dict[str, list[Metric]] = {}
        for name, counts in self.counts.items():
            if name in self.kept:
                try:
                    found[name] = list(self.judges[name].summarize(self.kept[name]) or [])
                except Exception as error:  # noqa: BLE001 - it is recorded, and the others are summed up
                    owner = self.owners[name]
                    self.faults.record(f"evaluator {name!r}", owner, error, during="summarize")
                continue
            asked = counts.total()
            share = counts["correct"] / asked
            low, high = wilson(share, asked)
            found[name] = [Metric("accuracy", 100 * share, 100 * low, 100 * high, "%", asked)]
        return found


class LineReader:
    """Turns lines into samples and predictions, as the task does with its rows."""

    def __init__(self, task: Task, plugins: Plugins) -> None:
        table = task.sample
        self._whole = SampleMaker(task, plugins)
        self._needs_reference = bool(table.target or table.target_letter or table.target_index)
        # Lines may lack fields of the task's rows: fields that depend on them are left out.
        self._parts = [
            SampleMaker(_only(task, SampleTable(fields={name: made})), plugins)
            for name, made in table.fields.items()
        ]
        self._group = SampleMaker(_only(task, SampleTable(group=table.group)), plugins)
        self._choices = SampleMaker(_only(task, SampleTable(choices=table.choices)), plugins)
        self._plugins = plugins
        self._clean: list[tuple[str, Postprocessor]] = [
            (
                use.use,
                make_component(
                    plugins, "postprocessor", use.use, use.options, where=f"task.sample.clean.{position}"
                ),
            )
            for position, use in enumerate(table.clean)
        ]

    def read(self, number: int, data: bytes) -> GradedLine:
        """Read one line.

        Raises:
            DataError: it is not a JSON object, or lacks a field; the message does not name the line.
            ComponentError: a step raised.
        """
        try:
            given = orjson.loads(data)
        except orjson.JSONDecodeError as error:
            raise DataError(f"it is not JSON: {str(error).split(': line 1')[0]}") from None
        if not isinstance(given, dict):
            raise DataError(f"it must be a JSON object with `output` and `reference`, and is {_shown(given)}")
        output = given.get("output")
        if not isinstance(output, str):
            found = "is missing" if output is None else f"is {_shown(output)}"
            raise DataError(f"`output` {found}; it must be the text of the model")
        for key in ("finish_reason", "reasoning"):
            if not isinstance(given.get(key), str | None):
                raise DataError(f"`{key}` is {_shown(given[key])}; it must be a text, or left out")
        row = {key: value for key, value in given.items() if key not in OWN_KEYS}
        prediction = Prediction(
            str(number),
            text=output,
            reasoning=given.get("reasoning") or "",
            finish_reason=given.get("finish_reason"),
        )
        return GradedLine(
            number, self._sample(str(number), row, given.get("reference")), prediction, row.get("id")
        )

    def _sample(self, identity: str, row: Mapping[str, Any], reference: Any) -> Sample:
        sample = Sample(identity, row)
        if reference is None and self._needs_reference:
            try:
                return self._whole.again(sample)  # the line may be a complete row of the task
            except (ConfigError, DataError):
                raise DataError(
                    '`reference` is missing; it must be the reference answer, as in "reference": "42"'
                ) from None
        for part in (*self._parts, self._group, self._choices):
            try:
                made = part.again(sample)
            except (ConfigError, DataError):
                continue
            sample = replace(made, choices=made.choices or sample.choices, group=made.group or sample.group)
        choices = sample.choices or _listed(row)
        return replace(sample, choices=choices, target=self._target(reference, sample))

    def _target(self, reference: Any, sample: Sample) -> Any:
        if reference is None or isinstance(reference, Mapping):
            return reference
        if isinstance(reference, list):
            return [self._cleaned(as_text(one), sample) for one in reference]
        return self._cleaned(as_text(reference), sample)

    def _cleaned(self, text: str, sample: Sample) -> str:
        """Clean a reference as the task cleans targets; unchanged if a step finds nothing in it."""
        cleaned = text
        for name, step in self._clean:
            try:
                found = call_step(name, step, cleaned, sample)
            except StepError as error:
                raised = error.error
                raise ComponentError.of(self._plugins, "postprocessor", name, "", raised) from raised
            if found is None:
                return text
            cleaned = found.text if isinstance(found, Extract) else found
        return cleaned


async def grade_lines(
    task: Task,
    lines: Iterable[bytes],
    plugins: Plugins,
    *,
    write: Callable[[bytes], Any],
    complain: Callable[[str], Any],
    judging: Judging | None = None,
) -> GradingTally:
    """Grade lines; pass each graded line to `write`, and an error for each bad line to `complain`.

    Exceptions of plugins are recorded in the tally's `faults`.

    Raises:
        UsageError: the task does not grade texts, or none of its evaluators can be created.
        ServiceError: the judge model cannot be reached.
    """
    check_task(task)
    if judging is None and is_judged(task, plugins):
        raise missing_judge_error(task.name)
    ask = judging.ask if judging else None
    faults = PluginFaults()
    judges = make_evaluators(task, plugins, ask, faults=faults)
    if not judges:
        raise UsageError("\n  ".join([f"no evaluator of {task.name} can be created", *faults.lines()]))
    owners = {
        name: component_owner(plugins, "evaluator", use.use) for name, use in evaluator_uses(task).items()
    }
    tally = GradingTally(task.name, judges=judges, owners=owners, faults=faults)
    tally.kept = {n: [] for n, judge in judges.items() if type(judge).summarize is not Evaluator.summarize}
    reader = LineReader(task, plugins)
    numbered = ((number, data) for number, data in enumerate(lines, 1) if data.strip())
    while batch := list(islice(numbered, LINES_PER_BATCH)):
        ready = list(_read(reader, batch, tally, complain))
        samples = {line.sample.id: line.sample for line in ready}
        predictions = [line.prediction for line in ready]
        scored = await score_predictions(task, samples, predictions, plugins, judges=judges, faults=faults)
        for name, scores in scored.items():
            for one in scores:
                tally.add(name, one)
        for position, line in enumerate(ready):
            write(_graded(line, {name: scores[position] for name, scores in scored.items()}))
    return tally


def check_task(task: Task) -> None:
    """Refuse a task that grades no texts.

    Raises:
        UsageError: the task has no evaluator, or compares likelihoods.
    """
    if task.mode == "logprob":
        raise UsageError(
            f"{task.name}{f':{task.variant}' if task.variant else ''} compares log-likelihoods, "
            f"so it grades no texts; use it without the variant: {task.name}"
        )
    if not task.evaluate:
        raise UsageError(
            f"{task.name} has no evaluator, so its answers cannot be graded\n"
            "  set one, as in --set 'task.evaluate=[{use=\"exact-match\"}]'"
        )


def _read(
    reader: LineReader,
    batch: Iterable[tuple[int, bytes]],
    tally: GradingTally,
    complain: Callable[[str], Any],
) -> Iterator[GradedLine]:
    for number, data in batch:
        try:
            yield reader.read(number, data.removeprefix(b"\xef\xbb\xbf") if number == 1 else data)
        except (DataError, ComponentError) as error:
            tally.bad += 1
            complain(f"line {number} is left out: {error}")
            if isinstance(error, ComponentError):
                tally.faults.add(error, f"line {number}")


def _graded(line: GradedLine, scores: Mapping[str, Score]) -> bytes:
    first, *others = scores.items()
    table: dict[str, Any] = {"line": line.number}
    if line.given_id is not None:
        table["id"] = line.given_id
    table |= _score_table(first[1])
    if others:
        table["others"] = {name: _score_table(score) for name, score in others}
    return orjson.dumps(table, option=orjson.OPT_APPEND_NEWLINE, default=str)


def _score_table(score: Score) -> dict[str, Any]:
    table = {
        "answer": score.answer,
        "outcome": score.outcome,
        "value": score.value,
        "rule": score.rule,
        "span": score.span,
    }
    if score.outcome != "correct" and (problem := _problem(score)):
        table["problem"] = problem
    return table | ({"details": dict(score.details)} if score.outcome == "error" else {})


def _problem(score: Score) -> str:
    """Return in one line why an evaluator did not accept an answer, with the failed test."""
    problem, test = (score.details.get(key) or "" for key in ("problem", "test"))
    problem = str(problem or score.details.get("raised") or "").removesuffix(": ")
    line = shown(f"{problem}: {test}" if test else problem)
    return line if len(line) <= LONGEST_PROBLEM else f"{line[: LONGEST_PROBLEM - 1]}…"


def _listed(row: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the options that a line lists under `options` or `choices`, as a list or a table of letters."""
    for key in ("options", "choices"):
        found = row.get(key)
        if isinstance(found, Mapping):
            found = [found[letter] for letter in sorted(found)]
        if isinstance(found, list) and found:
            return tuple([as_text(option) for option in found])
    return ()


def _only(task: Task, table: SampleTable) -> Task:
    return task.model_copy(update={"sample": table})


def _shown(value: Any) -> str:
    text = orjson.dumps(value).decode()
    return text if len(text) <= 40 else f"{text[:39]}…"
