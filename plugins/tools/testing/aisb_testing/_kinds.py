"""Contract suites for components that need no service, each called with one line in pytest.

Each returns the names of its checks, and raises `AssertionError` with all problems. `expected_failures` names
checks that may fail, with the reasons.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aisb import (
    Evaluator,
    Extract,
    FinishedRun,
    ImportedTask,
    Importer,
    Metric,
    Postprocessor,
    Reporter,
    Row,
    Sample,
    Score,
)
from aisb_testing._cases import (
    NONE_EXPECTED,
    CheckedCase,
    ExpectedFailures,
    exception_line,
    require,
)
from aisb_testing._made_runs import accuracy_runs, performance_runs

if TYPE_CHECKING:
    import click

ODD_TEXTS = {
    "an empty text": "",
    "white space": " \n\t ",
    "a refusal": "I cannot help with that.",
    "Chinese": "答案是 B。",
    "reasoning alone": "<think>Perhaps 7.</think>",
    "LaTeX": "\\boxed{\\frac{1}{2}}",
    "a long text": "x" * 20_000,
    "odd characters": "🙂 é \u0000 \ufffd",
    "a marked option": "The answer is (C) 1,234.5 %.",
}
"""Outputs of models that every postprocessor and evaluator must handle."""

NOTHING = Sample("0", {"question": "How much is 6 x 7?", "answer": "42"}, "42")


def check_dataset(
    make: Callable[[], Iterable[Row]], *, expected_failures: ExpectedFailures = NONE_EXPECTED
) -> list[str]:
    """Check a dataset: `make()` gives its rows, as in `lambda: dice(count=10)`.

    Rows must be mappings with text keys and values that JSON can keep, and come out the same a second time.

    Raises:
        AssertionError: the dataset does not keep the contract, with a line for each problem.
    """
    return require("dataset", dataset_cases(make), expected_failures)


def dataset_cases(make: Callable[[], Iterable[Row]]) -> Iterator[CheckedCase]:
    """Yield the checks of a dataset."""
    reason = "a task without rows cannot be run"
    try:
        rows = list(make())
    except Exception as error:  # noqa: BLE001 - whatever a dataset raises is what is to be shown
        yield CheckedCase("has rows", reason, (exception_line(error),))
        return
    yield CheckedCase("has rows", reason, () if rows else ("it yields no rows",))
    yield CheckedCase(
        "rows are mappings",
        "templates read a row's fields by name, and the run folder keeps rows as JSON",
        tuple(problem for position, row in enumerate(rows) if (problem := _row_problem(position, row))),
    )
    same = [str(row) for row in make()] == [str(row) for row in rows]
    yield CheckedCase(
        "the same rows twice",
        "a run that is resumed reads the rows again, and finds its samples by their place",
        () if same else ("a second reading yields other rows",),
    )


def _row_problem(position: int, row: object) -> str:
    if not isinstance(row, Mapping):
        return f"row {position} is {type(row).__name__}, not a mapping"
    if names := [name for name in row if not isinstance(name, str)]:
        return f"row {position} has the field {names[0]!r}, whose name is not a text"
    try:
        json.dumps(row, default=str)
    except (TypeError, ValueError) as error:
        return f"row {position} cannot be kept as JSON: {error}"
    return ""


def check_postprocessor(
    step: Postprocessor, sample: Sample = NOTHING, *, expected_failures: ExpectedFailures = NONE_EXPECTED
) -> list[str]:
    """Check a step: it must return a text, an `Extract` or None for every text, and never raise.

    Raises:
        AssertionError: the postprocessor does not keep the contract, with a line for each problem.
    """
    return require("postprocessor", postprocessor_cases(step, sample), expected_failures)


def postprocessor_cases(step: Postprocessor, sample: Sample = NOTHING) -> Iterator[CheckedCase]:
    """Yield the checks of a step, one for each kind of text that models produce."""
    for name, text in ODD_TEXTS.items():
        reason = "models produce such texts; a step that raises costs the sample its grade"
        yield CheckedCase(name, reason, _step_problems(step, text, sample))


def _step_problems(step: Postprocessor, text: str, sample: Sample) -> tuple[str, ...]:
    shown = repr(text[:30])
    try:
        answer = step(text, sample)
    except Exception as error:  # noqa: BLE001 - whatever a step raises is what is to be shown
        return (f"{shown}: {exception_line(error)}",)
    if isinstance(answer, Extract):
        if answer.span and not 0 <= answer.span[0] <= answer.span[1] <= len(text):
            return (f"{shown}: the span {answer.span} lies outside of the text",)
    elif answer is not None and not isinstance(answer, str):
        return (f"{shown}: it returns {type(answer).__name__}; it must return a text, an Extract or None",)
    return ()


def check_evaluator(
    evaluator: Evaluator,
    sample: Sample = NOTHING,
    right: str | None = None,
    *,
    expected_failures: ExpectedFailures = NONE_EXPECTED,
) -> list[str]:
    """Check an evaluator: every answer gets a score from 0 to 1, and scores can be summarized.

    `right` is an answer that must score 1; by default, the sample's target if it is a text. Create an
    evaluator that uses a judge with an `ask` that answers.

    Raises:
        AssertionError: the evaluator does not keep the contract, with a line for each problem.
    """
    return require("evaluator", evaluator_cases(evaluator, sample, right), expected_failures)


def evaluator_cases(
    evaluator: Evaluator, sample: Sample = NOTHING, right: str | None = None
) -> Iterator[CheckedCase]:
    """Yield the checks of an evaluator."""
    right = right if right is not None else sample.target if isinstance(sample.target, str) else None
    answers: dict[str, str | None] = dict(ODD_TEXTS)
    if evaluator.grades_none:
        answers["no answer"] = None
    scores: list[Score] = []
    for name, text in answers.items():
        score, problems = _score(evaluator, text, sample)
        scores += [score] if score else []
        yield CheckedCase(name, "models give such answers; a grade is a number from 0 to 1", problems)
    if right is not None:
        best, problems = _score(evaluator, right, sample)
        if best is not None and best.value != 1:
            problems = (*problems, f"the right answer {right!r} scores {best.value:g}, not 1")
        yield CheckedCase("the right answer", "reference answers score 1", problems)
    for number, some in ((0, ()), (len(scores), scores)):
        yield CheckedCase(
            f"metrics of {number} scores",
            "a run may end before the first answer, and its report is written, too",
            tuple(_metric_problems(evaluator, some)),
        )


def check_reporter(reporter: Reporter, *, expected_failures: ExpectedFailures = NONE_EXPECTED) -> list[str]:
    """Check a reporter: it shows runs with and without results, and returns the files that it wrote.

    The runs are made up: one of two tasks, of which one has groups and one no result, and one of nothing. A
    reporter with a `report_several` of its own also shows performance runs together: two of one curve, one
    alone, and one in which all requests failed. It must write into the folder that it is given.

    Raises:
        AssertionError: the reporter does not keep the contract, with a line for each problem.
    """
    return require("reporter", reporter_cases(reporter), expected_failures)


def reporter_cases(reporter: Reporter) -> Iterator[CheckedCase]:
    """Yield the checks of a reporter, one for each made-up run, or set of runs."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        for name, reason, run in accuracy_runs(Path(folder)):
            (run.folder / "summary").mkdir(parents=True)
            yield CheckedCase(name, reason, _report_problems(reporter, run))
        yield from _several_cases(reporter, Path(folder))


def _several_cases(reporter: Reporter, folder: Path) -> Iterator[CheckedCase]:
    if type(reporter).report_several is Reporter.report_several:
        if "several" in reporter.default_for:
            yield CheckedCase(
                "several runs",
                "a reporter that is a default for several runs is asked to show them",
                ("`default_for` has 'several', and it has no method `report_several`",),
            )
        return
    for number, (name, reason, runs) in enumerate(performance_runs(folder)):
        for run in runs:
            (run.folder / "summary").mkdir(parents=True, exist_ok=True)
        into = folder / f"several-{number}"
        into.mkdir()
        yield CheckedCase(name, reason, _several_problems(reporter, runs, into))


def _several_problems(reporter: Reporter, runs: Sequence[FinishedRun], into: Path) -> tuple[str, ...]:
    try:
        files = list(reporter.report_several(runs, into))
    except Exception as error:  # noqa: BLE001 - whatever a reporter raises is what is to be shown
        return (exception_line(error),)
    strange = [file for file in files if _is_file(file) and into not in Path(file).parents]
    return (
        *_missing_files(files),
        *(f"it returns {file}, which is not in the folder that it was given" for file in strange),
    )


def _report_problems(reporter: Reporter, run: FinishedRun) -> tuple[str, ...]:
    try:
        files = list(reporter.report(run))
    except Exception as error:  # noqa: BLE001 - whatever a reporter raises is what is to be shown
        return (exception_line(error),)
    return _missing_files(files)


def _missing_files(files: Iterable[object]) -> tuple[str, ...]:
    return tuple(f"it returns {file!r}, which is not a file" for file in files if not _is_file(file))


def _is_file(file: object) -> bool:
    return isinstance(file, Path) and file.is_file()


def check_importer(
    importer: Importer,
    path: Path,
    foreign: Path,
    *,
    expected_failures: ExpectedFailures = NONE_EXPECTED,
) -> list[str]:
    """Check an importer: it reads `path`, and returns None for `foreign`, which another tool wrote.

    Raises:
        AssertionError: the importer does not keep the contract, with a line for each problem.
    """
    return require("importer", importer_cases(importer, path, foreign), expected_failures)


def importer_cases(importer: Importer, path: Path, foreign: Path) -> Iterator[CheckedCase]:
    """Yield the checks of an importer."""
    yield CheckedCase(
        "says what it reads",
        "`reads` is part of the help text of aisb import",
        () if importer.reads else ("`reads` is empty",),
    )
    yield CheckedCase(
        "its own file",
        "each row has its own position and at least one answer",
        tuple(_import_problems(importer, path)),
    )
    yield CheckedCase(
        "another tool's file",
        "all importers are tried in turn, and the first that does not return None is used",
        tuple(_foreign_problems(importer, foreign)),
    )


def _import_problems(importer: Importer, path: Path) -> Iterator[str]:
    try:
        tasks = list(importer.read(path) or ())
    except Exception as error:  # noqa: BLE001 - whatever an importer raises is what is to be shown
        yield exception_line(error)
        return
    for task in tasks:
        yield from _task_problems(task)
    if not tasks:
        yield f"it reads nothing in {path}"


def _foreign_problems(importer: Importer, foreign: Path) -> Iterator[str]:
    try:
        is_taken = importer.read(foreign) is not None
    except Exception as error:  # noqa: BLE001 - as above
        yield f"{foreign}: {exception_line(error)}; it must return None"
        return
    if is_taken:
        yield f"it accepts {foreign} as its own; it must return None"


def _task_problems(task: object) -> Iterator[str]:
    if not isinstance(task, ImportedTask):
        yield f"it yields {type(task).__name__}, not ImportedTask"
        return
    if len({row.position for row in task.rows}) != len(task.rows):
        yield f"{task.task}: two rows have the same position"
    if not all(row.answers for row in task.rows):
        yield f"{task.task}: a row has no answer"


def check_command(
    command: click.Command, *, expected_failures: ExpectedFailures = NONE_EXPECTED
) -> list[str]:
    """Check a click command: it has a help text, and explains each of its options.

    Raises:
        AssertionError: the command does not keep the contract, with a line for each problem.
    """
    return require("command", command_cases(command), expected_failures)


def command_cases(command: click.Command) -> Iterator[CheckedCase]:
    """Yield the checks of a click command."""
    import click

    if not isinstance(command, click.Command):
        problem = f"it is a {type(command).__name__}, not a click command; decorate it with @click.command()"
        yield CheckedCase("click command", "aisb calls it with the user's arguments", (problem,))
        return
    has_help = bool(command.help or command.short_help)
    yield CheckedCase(
        "help text",
        "aisb COMMAND --help begins with it",
        () if has_help else (f"{command.name} has no help text; the docstring of its function becomes one",),
    )
    unexplained = [
        f"{parameter.opts[0]} has no help text"
        for parameter in command.params
        if parameter.param_type_name == "option" and not getattr(parameter, "help", None)
    ]
    yield CheckedCase("help of its options", "aisb COMMAND --help explains each", tuple(unexplained))


def _score(evaluator: Evaluator, text: str | None, sample: Sample) -> tuple[Score | None, tuple[str, ...]]:
    """Return the score of an answer, and its problems."""
    import asyncio

    shown = repr(text and text[:30])

    async def wait(score: Any) -> Any:
        return await score

    try:
        score = evaluator.score(text, sample)
        if inspect.isawaitable(score):
            score = asyncio.run(wait(score))
    except Exception as error:  # noqa: BLE001 - whatever an evaluator raises is what is to be shown
        return None, (f"{shown}: score: {exception_line(error)}",)
    if not isinstance(score, Score):
        return None, (f"{shown}: score returns {type(score).__name__}, not Score",)
    if not 0 <= score.value <= 1:
        return score, (f"{shown}: the value {score.value} lies outside of 0 to 1",)
    return score, ()


def _metric_problems(evaluator: Evaluator, scores: Sequence[Score]) -> Iterator[str]:
    for name, make in (("summarize", evaluator.summarize), ("extra_metrics", evaluator.extra_metrics)):
        try:
            metrics = list(make(scores) or ())
        except Exception as error:  # noqa: BLE001 - as above
            yield f"{name}: {exception_line(error)}"
            continue
        if any(not isinstance(metric, Metric) for metric in metrics):
            yield f"{name} returns something other than a Metric"
