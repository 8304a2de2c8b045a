"""Contract suites for the kinds of component that need no service: one line each in pytest.

Each raises `AssertionError` with everything that is wrong, and returns what it tried.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aisb import (
    Evaluator,
    Extract,
    FinishedRun,
    ImportedTask,
    Importer,
    Metric,
    Outcome,
    Postprocessor,
    Reporter,
    Result,
    Row,
    Sample,
    Score,
)

if TYPE_CHECKING:
    import click

ODD_TEXTS = (
    "",
    " \n\t ",
    "I cannot help with that.",
    "答案是 B。",
    "<think>Perhaps 7.</think>",
    "\\boxed{\\frac{1}{2}}",
    "x" * 20_000,
    "🙂 é \u0000 \ufffd",
    "The answer is (C) 1,234.5 %.",
)
"""Outputs that every step and every evaluator meets sooner or later."""

NOTHING = Sample("0", {"question": "How much is 6 x 7?", "answer": "42"}, "42")


def check_dataset(make: Callable[[], Iterable[Row]]) -> list[str]:
    """Check a dataset: `make()` gives its rows, as in `lambda: dice(count=10)`.

    Rows must be mappings with text keys and values that JSON can keep, and come out the same a second time.

    Return what was tried.

    Raises:
        AssertionError: the dataset does not keep the contract, with a line for all that is wrong.
    """
    wrong: list[str] = []
    rows = list(make())
    if not rows:
        wrong.append("it yields no rows")
    for position, row in enumerate(rows):
        if not isinstance(row, Mapping):
            wrong.append(f"row {position} is {type(row).__name__}, not a mapping")
            continue
        if names := [name for name in row if not isinstance(name, str)]:
            wrong.append(f"row {position} has the field {names[0]!r}, whose name is not a text")
            continue
        try:
            json.dumps(row, default=str)
        except (TypeError, ValueError) as error:
            wrong.append(f"row {position} cannot be kept as JSON: {error}")
    if [str(row) for row in make()] != [str(row) for row in rows]:
        wrong.append("a second reading yields other rows: a run could not be resumed")
    return _checked("dataset", wrong, [f"{len(rows)} rows, twice"])


def check_postprocessor(step: Postprocessor, sample: Sample = NOTHING) -> list[str]:
    """Check a step: it must return a text, an `Extract` or None for every text, and never raise.

    Return what was tried.

    Raises:
        AssertionError: the postprocessor does not keep the contract, with a line for all that is wrong.
    """
    wrong: list[str] = []
    for text in ODD_TEXTS:
        shown = repr(text[:30])
        try:
            answer = step(text, sample)
        except Exception as error:  # noqa: BLE001 - whatever a step raises is what is to be shown
            wrong.append(f"{shown}: it raises {type(error).__name__}: {error}")
            continue
        if isinstance(answer, Extract):
            if answer.span and not 0 <= answer.span[0] <= answer.span[1] <= len(text):
                wrong.append(f"{shown}: the span {answer.span} lies outside of the text")
        elif answer is not None and not isinstance(answer, str):
            wrong.append(f"{shown}: it returns {type(answer).__name__}; a text, an Extract or None is right")
    return _checked("postprocessor", wrong, [repr(text[:30]) for text in ODD_TEXTS])


def check_evaluator(evaluator: Evaluator, sample: Sample = NOTHING, right: str | None = None) -> list[str]:
    """Check an evaluator: scores lie in 0 to 1 for every answer, and metrics can be made of them.

    `right` is an answer that must score 1; left out, the sample's own target where it is a text. An evaluator
    that asks a judge is to be made with an `ask` that answers.

    Return what was tried.

    Raises:
        AssertionError: the evaluator does not keep the contract, with a line for all that is wrong.
    """
    wrong: list[str] = []
    right = right if right is not None else sample.target if isinstance(sample.target, str) else None
    answers: list[str | None] = [*ODD_TEXTS, *([None] if evaluator.grades_none else [])]
    scores = [score for text in answers if (score := _score(evaluator, text, sample, wrong)) is not None]
    best = _score(evaluator, right, sample, wrong) if right is not None else None
    if best is not None and best.value != 1:
        wrong.append(f"the right answer {right!r} scores {best.value:g}, not 1")
    for some in ((), scores):
        wrong += _metrics(evaluator, some)
    return _checked("evaluator", wrong, [repr(text and text[:30]) for text in [*answers, right]])


def check_reporter(reporter: Reporter) -> list[str]:
    """Check a reporter: it shows runs with and without results, and returns the files that it wrote.

    The runs are made up: one of two tasks, of which one has groups and one no result, and one of nothing.

    Return what was tried.

    Raises:
        AssertionError: the reporter does not keep the contract, with a line for all that is wrong.
    """
    import tempfile

    wrong: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        for name, run in _made_runs(Path(folder)):
            (run.folder / "summary").mkdir(parents=True)
            try:
                files = list(reporter.report(run))
            except Exception as error:  # noqa: BLE001 - whatever a reporter raises is what is to be shown
                wrong.append(f"{name}: it raises {type(error).__name__}: {error}")
                continue
            wrong += [
                f"{name}: it returns {file!r}, which is no file" for file in files if not _is_file(file)
            ]
    return _checked("reporter", wrong, ["a run with results", "a run without results"])


def _is_file(file: object) -> bool:
    return isinstance(file, Path) and file.is_file()


def _made_runs(folder: Path) -> list[tuple[str, FinishedRun]]:
    metrics = (
        Metric("accuracy", 75.0, 30.1, 95.4, "%", 4),
        Metric("accuracy", 50.0, 9.5, 90.5, "%", 2, "anatomy"),
        Metric("accuracy", 100.0, 34.2, 100.0, "%", 2, "virology"),
        Metric("naive_average", 75.0, None, None, "%", 4),
    )
    outcomes: dict[Outcome, int] = {"correct": 3, "wrong": 1}
    file = folder / "results.json"
    shown = Result(
        "model-a",
        "exam",
        "c2e13a",
        "gen",
        file,
        metrics=metrics,
        outcomes=outcomes,
        bounds=(75.0, 75.0),
        asked=4,
    )
    full = FinishedRun(
        folder / "20261121_220301",
        "20261121_220301",
        models=("model-a",),
        tasks=("exam", "essay"),
        results=(shown,),
        unscored=(("model-a", "essay"),),
    )
    return [
        ("a run with results", full),
        ("a run without results", FinishedRun(folder / "20261121_220302", "20261121_220302")),
    ]


def check_importer(importer: Importer, path: Path, foreign: Path) -> list[str]:
    """Check an importer: it reads `path`, and returns None for `foreign`, which another tool wrote.

    Return what was tried.

    Raises:
        AssertionError: the importer does not keep the contract, with a line for all that is wrong.
    """
    wrong: list[str] = []
    tasks = list(importer.read(path) or ())
    if not tasks:
        wrong.append(f"it reads nothing in {path}")
    if importer.read(foreign) is not None:
        wrong.append(f"it takes {foreign} for its own; None is right")
    if not importer.reads:
        wrong.append("`reads` is empty: it says what the importer reads, for the help text")
    for task in tasks:
        if not isinstance(task, ImportedTask):
            wrong.append(f"it yields {type(task).__name__}, not ImportedTask")
        elif len({row.position for row in task.rows}) != len(task.rows):
            wrong.append(f"{task.task}: two rows have the same position")
        elif not all(row.answers for row in task.rows):
            wrong.append(f"{task.task}: a row has no answer")
    return _checked("importer", wrong, [str(path), str(foreign)])


def check_command(command: click.Command) -> list[str]:
    """Check a click command: it has a help text, and explains each of its options.

    Return what was tried.

    Raises:
        AssertionError: the command does not keep the contract, with a line for all that is wrong.
    """
    wrong: list[str] = []
    if not (command.help or command.short_help):
        wrong.append(f"{command.name} has no help text; its function's docstring is one")
    wrong += [
        f"{command.name}: {parameter.opts[0]} has no help text"
        for parameter in command.params
        if parameter.param_type_name == "option" and not getattr(parameter, "help", None)
    ]
    return _checked("command", wrong, [str(command.name)])


def _score(evaluator: Evaluator, text: str | None, sample: Sample, wrong: list[str]) -> Score | None:
    import asyncio

    shown = repr(text and text[:30])

    async def wait(score: Any) -> Any:
        return await score

    try:
        score = evaluator.score(text, sample)
        if inspect.isawaitable(score):
            score = asyncio.run(wait(score))
    except Exception as error:  # noqa: BLE001 - whatever an evaluator raises is what is to be shown
        wrong.append(f"{shown}: score raises {type(error).__name__}: {error}")
        return None
    if not isinstance(score, Score):
        wrong.append(f"{shown}: score returns {type(score).__name__}, not Score")
        return None
    if not 0 <= score.value <= 1:
        wrong.append(f"{shown}: the value {score.value} lies outside of 0 to 1")
    return score


def _metrics(evaluator: Evaluator, scores: Sequence[Score]) -> list[str]:
    wrong: list[str] = []
    for name, make in (("summarize", evaluator.summarize), ("extra_metrics", evaluator.extra_metrics)):
        try:
            metrics = make(scores)
        except Exception as error:  # noqa: BLE001 - as above
            wrong.append(f"{name} raises {type(error).__name__} for {len(scores)} scores: {error}")
            continue
        if any(not isinstance(metric, Metric) for metric in metrics or ()):
            wrong.append(f"{name} returns something else than Metric")
    return wrong


def _checked(kind: str, wrong: list[str], tried: list[str]) -> list[str]:
    if wrong:
        raise AssertionError("\n".join([f"the {kind} does not keep the contract:", *wrong]))
    return tried
