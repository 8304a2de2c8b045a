"""Lay a run out as rows, a column a model, and print them as text, CSV or Markdown."""

from __future__ import annotations

import csv
import io
import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from aisb import OUTCOMES, FinishedRun, Metric, Outcome, Result
from aisb.helpers import csv_cell
from aisb_reporter_summary._not_sent import unsent_requests
from aisb_reporter_summary._speeds import performances, summary_numbers

UNKNOWN = "–"
LABELS = ("dataset", "version", "metric", "mode")
PERF = "perf"
UNCLEAR_SHARE = 0.02
"""More unclear samples than this, and the score alone would mislead."""

WRITE = "to results/ with: {score} --dump-eval-details"
REMEDIES: dict[Outcome, str] = {
    "truncated": "ask for longer answers with --max-out-len",
    "unparsed": f"write these answers {WRITE}",
    "refused": f"write these answers {WRITE}",
    "error": "ask for them again with: {resume}",
}
GRADED_BADLY = f"their answers are there, and could not be graded; write them {WRITE}"


@dataclass(frozen=True, slots=True)
class TableRow:
    """One line of the table: what was measured, and each model's number."""

    name: str
    version: str
    metric: str
    mode: str
    cells: dict[str, tuple[Result, Metric]] = field(default_factory=dict)

    @property
    def labels(self) -> list[str]:
        """The first four columns."""
        return [self.name, self.version, self.metric, self.mode]

    def shown(self, models: Sequence[str]) -> list[str]:
        """The numbers of these models, as a table has them."""
        return [
            format_number(self.cells[model][1].value if model in self.cells else None) for model in models
        ]


def rows(run: FinishedRun) -> list[TableRow]:
    """Return a row for each task and metric, in the run's order; groups stand above their averages."""
    table: list[TableRow] = []
    for task in run.tasks:
        groups: dict[tuple[str, ...], TableRow] = {}
        overall: dict[tuple[str, ...], TableRow] = {}
        for result in (result for result in run.results if result.task == task):
            for name, metric in result.rows():
                row = TableRow(name, result.version, metric.name, result.mode)
                kept = overall if metric.group is None else groups
                kept.setdefault(tuple(row.labels), row).cells[result.model] = (result, metric)
        table += [*groups.values(), *overall.values()]
    return table + _speeds(run)


def _speeds(run: FinishedRun) -> list[TableRow]:
    """Return a row for each task and number of a performance run."""
    found: dict[tuple[str, str], TableRow] = {}
    for one in performances(run):
        left = unsent_requests(run).get((one.model, one.task), 0)
        result = Result(one.model, one.task, "", PERF, run.folder, not_sent=left)
        for name, value in summary_numbers(one):
            row = found.setdefault((one.task, name), TableRow(one.task, "", name, PERF))
            row.cells[one.model] = (result, Metric(name, value, count=one.stages[0].totals.succeeded))
    return list(found.values())


def format_number(value: float | None) -> str:
    """Return a number as every table here has it: `56.70`, or a dash where it is not known."""
    return UNKNOWN if value is None else f"{value:.2f}"


def table_text(run: FinishedRun, width: int = 80) -> str:
    """Return the table and its notes in `width` columns, as long as one model fits next to the labels."""
    table = rows(run)
    blocks = (
        [_grid(table, models, width) for models in _model_groups(table, run.models, width)] if table else []
    )
    notes = [_without_model(line, run.models, width) for line in _notes(table)]
    lines = [wrapped for line in [*notes, *warnings(run)] for wrapped in _folded(line, width)]
    return "\n\n".join([*(blocks or ["no results"]), *(["\n".join(lines)] if lines else [])]) + "\n"


def _without_model(line: str, models: Sequence[str], width: int) -> str:
    """Return a note without its model if there is no other, and the note fits in one line then."""
    if len(models) != 1 or len(line) <= width:
        return line
    short = line.replace(f" · {models[0]}: ", ": ", 1)
    return short if len(short) <= width else line


def as_markdown(run: FinishedRun) -> str:
    """Return the table and its notes in GitHub's Markdown."""
    from tabulate import tabulate

    table = rows(run)
    grid = tabulate(
        [[_inline(cell) for cell in row.labels + row.shown(run.models)] for row in table],
        headers=[_inline(header) for header in (*LABELS, *run.models)],
        tablefmt="pipe",
        disable_numparse=True,
        colalign=("left",) * len(LABELS) + ("right",) * len(run.models),
    )
    notes = [f"- {_inline(line)}" for line in _notes(table)]
    loud = [f"- **{_inline(line)}**" for line in warnings(run)]
    return f"{grid if table else 'no results'}\n\n" + "".join(f"{line}\n" for line in notes + loud)


def as_csv(run: FinishedRun) -> str:
    """Return the table as CSV, unknown cells empty; what belongs to a number follows after all models."""
    table = rows(run)
    table = [*table, *_unscored(run)]
    numbers_there = [cell for row in table for cell in row.cells.values()]
    remarks = {
        name: remark
        for name, remark in (
            ("groups", lambda _, metric: some_groups(metric)),
            ("trial", _trial),
            ("not sent", _not_sent),
        )
        if any(remark(*cell) for cell in numbers_there)
    }
    detail_columns = ("n", "low", "high", "bound_low", "bound_high", *OUTCOMES, *remarks)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    heads = [*LABELS, *run.models, *(f"{model} {name}" for model in run.models for name in detail_columns)]
    writer.writerow(map(csv_cell, heads))
    for row in table:
        found = [row.cells.get(model) for model in run.models]
        cells = [
            *row.labels,
            *(_exact(cell[1].value) if cell else "" for cell in found),
            *(
                value
                for cell in found
                for value in (
                    [*_details(*cell), *(remark(*cell) for remark in remarks.values())]
                    if cell
                    else [""] * len(detail_columns)
                )
            ),
        ]
        writer.writerow(map(csv_cell, cells))
    return text.getvalue()


def _unscored(run: FinishedRun) -> Iterator[TableRow]:
    """Yield a row without a number for each task that was asked in part, and not scored."""
    for (model, task), left in unsent_requests(run).items():
        if (model, task) in run.unscored and not run.is_performance:
            result = Result(model, task, "", "", run.folder, not_sent=left)
            yield TableRow(task, "", "", "", {model: (result, Metric("", None, count=0))})


def _exact(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _details(result: Result, metric: Metric) -> list[str]:
    known = [str(metric.count), _exact(metric.low), _exact(metric.high)]
    if metric is not result.headline:
        return known + [""] * (2 + len(OUTCOMES))
    bounds = [_exact(bound) for bound in result.bounds or (None, None)]
    return known + bounds + [str(result.outcomes[outcome]) for outcome in OUTCOMES]


def _trial(result: Result, _metric: Metric) -> str:
    return " ".join(result.trial)


def _not_sent(result: Result, _metric: Metric) -> str:
    return str(result.not_sent or "")


def some_groups(metric: Metric) -> str:
    """Return how many of a task's groups a number covers; empty if it covers all of them."""
    return "{} of {} groups".format(*metric.groups) if metric.groups else ""


def _notes(table: Sequence[TableRow]) -> Iterator[str]:
    """Yield what each number rests on: how many samples, how sure, and how they ended."""
    for row in (row for row in table if row.mode != PERF):
        for model, (result, metric) in row.cells.items():
            said = [f"n {metric.count}", some_groups(metric)]
            if metric.low is not None and metric.high is not None:
                said.append(f"95 % [{metric.low:.1f}, {metric.high:.1f}]")
            if metric.name.startswith("cons@"):
                said.append("more than half of k right")
            if metric is result.headline:
                if result.bounds:
                    said.append(f"bounds [{result.bounds[0]:.1f}, {result.bounds[1]:.1f}]")
                said.append(
                    " ".join(f"{outcome} {count}" for outcome, count in result.outcomes.items() if count)
                )
            name = row.name if row.metric == "accuracy" else f"{row.name} {row.metric}"
            yield f"{name} · {model}: {', '.join(filter(None, said))}"


def warnings(run: FinishedRun) -> Iterator[str]:
    """Yield what a reader must know before believing a number."""
    resume = run.command("aisb run --reuse")
    if failing := [result for result in run.results if _only_failed(result)]:
        several = len(run.models) > 1
        shares = ", ".join(
            f"{result.task}{f' · {result.model}' if several else ''} {100 * _unclear_share(result):.1f} %"
            for result in failing
        )
        yield f"warning: failed requests count as wrong: {shares}"
    for result in run.results:
        share = _unclear_share(result)
        if share > UNCLEAR_SHARE and not _only_failed(result):
            counts = {outcome: result.outcomes[outcome] for outcome in REMEDIES if result.outcomes[outcome]}
            most = max(counts, key=lambda outcome: counts[outcome])
            found = ", ".join(f"{outcome} {count}" for outcome, count in counts.items())
            remedy = REMEDIES[most] if most != "error" or result.failed else GRADED_BADLY
            yield (
                f"warning: {result.task} · {result.model}: {100 * share:.1f} % unclear ({found}): "
                f"{_where(result)}{remedy.format(resume=resume, score=run.command('aisb score'))}"
            )
        if result.trial:
            yield (
                f"warning: {result.task} · {result.model}: scored by other rules than the task's own "
                f"({', '.join(result.trial)}); score it by its own with: {run.command('aisb score')}"
            )
        for fault in result.faults:
            yield f"warning: {result.task} · {result.model}: {fault}"
        for doubt in result.doubts:
            yield f"warning: {result.task} · {result.model}: {doubt}"
        if result.not_sent:
            yield (
                f"warning: {result.task} · {result.model}: {result.not_sent} requests not sent yet: "
                f"resume with: {resume}"
            )
    for one in performances(run):
        if one.certificate.verdict != "VALID":
            reasons = "; ".join(one.certificate.reasons)
            yield f"warning: {one.task} · {one.model}: {one.certificate.verdict}: {reasons}"
    for model, task in () if run.is_performance else run.unscored:
        why = run.manifest.get("tasks", {}).get(task, {}).get("skip_reason")
        left = unsent_requests(run).get((model, task), 0)
        asked = f"; {left} requests not sent yet: resume with: {resume}" if left else ""
        if not _has_evaluator(run, task) and not (why or asked):
            yield (
                f"{task} · {model}: not scored, since the task has no evaluator; "
                f"predictions/{model}/{task}.jsonl has the answers"
            )
            continue
        yield f"warning: {task} · {model}: no result" + (
            f": {why}" if why else asked or f"; logs/infer/{model}/{task}.out says why"
        )


def _has_evaluator(run: FinishedRun, task: str) -> bool:
    """Return whether a task is graded; the resolved configuration leaves out an empty list of evaluators."""
    table = run.configuration.get("tasks", {}).get(task)
    return table is None or bool(table.get("evaluate"))


def _unclear_share(result: Result) -> float:
    return result.unclear / result.predictions if result.predictions else 0.0


def _only_failed(result: Result) -> bool:
    """Return whether many samples are unclear, and all of them because their requests failed."""
    return _unclear_share(result) > UNCLEAR_SHARE and result.unclear == result.failed


def _where(result: Result) -> str:
    """Name the first request that failed, and the log that says why, before the remedy."""
    if result.first_error is None:
        return ""
    return "the first error is request {}; log: {}; ".format(*result.first_error)


def _folded(line: str, width: int) -> list[str]:
    """Break a line over several, but never in a command, in an interval, or between a word and its number."""
    text, colon, command = line.partition(": aisb ")
    glued = re.sub(r" (?=[\d[%])", "\N{NO-BREAK SPACE}", text)
    glued += colon[:2] + (colon[2:] + command).replace(" ", "\N{NO-BREAK SPACE}")
    folded = textwrap.wrap(
        glued, width, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False
    )
    return [part.replace("\N{NO-BREAK SPACE}", " ") for part in folded]


def _inline(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")


def _grid(table: Sequence[TableRow], models: Sequence[str], width: int) -> str:
    """Return one block of the table; names are broken over lines where they would not fit otherwise."""
    from tabulate import tabulate

    def drawn(name: int, metric: int, header: int) -> str:
        widest = (name, 7, metric, 7)
        body = [
            [_broken(label, most) for label, most in zip(row.labels, widest, strict=True)] + row.shown(models)
            for row in table
        ]
        return tabulate(
            body,
            headers=[*LABELS, *(_broken(model, header) for model in models)],
            tablefmt="simple",
            disable_numparse=True,
            colalign=("left",) * len(LABELS) + ("right",) * len(models),
        )

    # From the roomiest to the tightest; the last is taken even if it does not fit: nothing is hidden.
    for limits in ((200, 200, 200), (200, 200, 16), (24, 16, 16), (24, 16, 11), (16, 14, 11)):
        block = drawn(*limits)
        if _widest(block) <= width:
            return block
    return block


def _model_groups(table: Sequence[TableRow], models: Sequence[str], width: int) -> Iterator[tuple[str, ...]]:
    """Split the models into those that fit next to each other."""
    block: tuple[str, ...] = ()
    for model in models:
        if block and _widest(_grid(table, (*block, model), width)) > width:
            yield block
            block = ()
        block = (*block, model)
    yield block


def _broken(text: str, width: int) -> str:
    return "\n".join(textwrap.wrap(text, width)) or text


def _widest(block: str) -> int:
    return max(len(line) for line in block.splitlines())
