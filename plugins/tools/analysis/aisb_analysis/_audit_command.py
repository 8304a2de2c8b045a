"""`aisb audit`: list answers that may have been extracted wrongly."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aisb_engine import command_options as shared

if TYPE_CHECKING:
    from aisb_analysis._audit import Audit, AuditEntry

PAGE_WIDTH = 80


@click.command()
@shared.which_run
@shared.only_models
@shared.only_tasks
@click.option(
    "--with",
    "also",
    multiple=True,
    metavar="STEP",
    help='Another extractor: a name, or {use="regex", pattern="…"}.',
)
@click.option(
    "--limit",
    type=click.IntRange(min=0),
    default=5,
    show_default=True,
    metavar="N",
    help="Maximum number of outputs to show.",
)
@shared.as_json
@shared.work_dir
@click.pass_context
def audit(context: click.Context, /, **flags: Any) -> int:
    """Show which answers of a run may have been extracted wrongly, the likeliest first.

    RUN is a timestamp, a path, a tag, or `latest`. The task's own steps and other installed extractors read
    each output again. audit/<model>/<task>.jsonl in the run folder has every output with the answer, rule and
    position of each extractor; the HTML page next to it shows the outputs in doubt. Outputs come first if
    another, equally marked answer would change their verdict. Nothing is sent, and no score changes.

    \b
      aisb audit latest --task gsm8k --with last-line
    """  # noqa: D301 - \b is for click
    import asyncio

    from aisb import RunError, UsageError
    from aisb_analysis._audit import audit_subtask as audited
    from aisb_analysis._audit import to_lines
    from aisb_analysis._audit_page import to_page
    from aisb_engine import (
        ComponentError,
        PluginFaults,
        judge_from_log,
        open_run,
        read_answers,
        write_atomically,
    )

    plugins = context.obj.load_plugins()
    folder, spec = run = open_run(flags["work_dir"], flags["which"], plugins)
    tables: list[dict[str, Any]] = []
    faults = PluginFaults(folder)
    subtasks = run.subtasks(flags["models"], flags["tasks"])
    for subtask in subtasks:
        task = spec.tasks[subtask.task]
        try:
            answers = read_answers(folder, subtask, task, plugins)
            ask = judge_from_log(run, task, plugins)
            marks = spec.models[subtask.model].marks
            found = asyncio.run(
                audited(task, answers, plugins, also=flags["also"], ask=ask, faults=faults, marks=marks)
            )
        except UsageError as error:
            if isinstance(error, ComponentError):
                faults.add(error)
            if len(subtasks) == 1 or (flags["also"] and not isinstance(error, ComponentError | RunError)):
                raise
            click.echo(f"{subtask.task} · {subtask.model} is left out: {error}", err=True)
            continue
        file = folder.path / "audit" / subtask.model / f"{subtask.task}.jsonl"
        write_atomically(file, to_lines(found))
        page = file.with_suffix(".html")
        write_atomically(page, to_page(found, f"{subtask.task} · {subtask.model}"))
        if flags["as_json"]:
            tables.append(_audit_table(subtask.model, subtask.task, found, file))
            continue
        click.echo(f"{subtask.task} · {subtask.model}: {len(found.entries)} outputs")
        for line in _lines(found, flags["limit"]):
            click.echo(line)
        click.echo(f"all outputs, with the reading of each extractor: {file}")
        click.echo(f"outputs in doubt, as a page: {page}\n")
    if flags["as_json"]:
        click.echo(json.dumps(tables, ensure_ascii=False, indent=2, default=str))
    for line in faults.lines():
        click.echo(line, err=True)
    return 1 if faults.faults else 0


def _audit_table(model: str, task: str, found: Audit, file: Path) -> dict[str, Any]:
    from aisb_analysis._audit import FLAGS

    return {
        "model": model,
        "task": task,
        "outputs": len(found.entries),
        "flags": {flag: found.flagged[flag] for flag in FLAGS},
        "extractors": [count._asdict() for count in found.extractors],
        "worst": [{"id": e.id, "repeat": e.repeat, "flags": e.flags} for e in found.entries if e.flags],
        "notes": found.notes,
        "file": str(file),
    }


def _lines(found: Audit, limit: int) -> Iterator[str]:
    from tabulate import tabulate

    from aisb_analysis._audit import FLAGS

    yield from found.notes
    yield ""
    for flag, meaning in FLAGS.items():
        yield f"{found.flagged[flag]:6,}  {flag + ':':<12}{meaning}"
    share = 100 * found.contested / len(found.entries) if found.entries else 0.0
    if share:
        yield f"another, equally marked answer would change {found.contested:,} verdicts ({share:.1f} %)"
    yield ""
    rows = [
        (_cut(count.name, 30), count.found, count.same, "–" if count.right is None else count.right)
        for count in found.extractors
    ]
    yield tabulate(
        rows,
        headers=("extractor", "finds", "the same", "right"),
        colalign=("left", "right", "right", "right"),
    )
    yield ""
    for entry in [entry for entry in found.entries if entry.flags][:limit]:
        yield from _entry_lines(entry)
    left = sum(bool(entry.flags) for entry in found.entries) - limit
    if left > 0:
        yield f"and {left:,} more"


def _entry_lines(entry: AuditEntry) -> Iterator[str]:
    name = entry.id if not entry.repeat else f"{entry.id}.r{entry.repeat}"
    yield _cut(f"{name}  {', '.join(entry.flags)}  ({entry.outcome})", PAGE_WIDTH)
    own = entry.own
    own_reading = "nothing" if own.answer is None else f"{_cut(own.answer, 30)!r} ({own.rule or 'all of it'})"
    yield f"  extracted {_cut(own_reading, 34)}; reference answer {_cut(str(entry.gold), 12)!r}"
    answers: dict[str, list[str]] = {}
    for by, reading in entry.others.items():
        if reading.answer is not None and reading.same != own.same:
            answers.setdefault(_cut(reading.answer, 20), []).append(by)
    if answers:
        readings = "; ".join(f"{answer!r} by {', '.join(by)}" for answer, by in answers.items())
        yield f"  others extracted {_cut(readings, PAGE_WIDTH - 19)}"
    yield from (f"  {line}" for line in _excerpts(entry, PAGE_WIDTH - 2))


def _excerpts(entry: AuditEntry, width: int) -> Iterator[str]:
    """Yield excerpts of an output around both readings if another one would change the verdict.

    Else the excerpt around the correct answer, or around the extracted one.
    """
    end = (len(entry.text), len(entry.text))
    if not entry.is_contested:
        yield _excerpt(entry.text, entry.gold_at or entry.own.span or end, width)
        return
    spans = [
        entry.own.span,
        *(reading.span for reading in entry.others.values() if reading.same != entry.own.same),
    ]
    pieces = [_excerpt(entry.text, span, width) for span in dict.fromkeys(filter(None, spans))]
    yield from list(dict.fromkeys(pieces or [_excerpt(entry.text, end, width)]))[:3]


def _excerpt(text: str, span: tuple[int, int], width: int) -> str:
    """Return the excerpt of an output around a span, in one line."""
    room = width - 4
    start, end = span
    begin = max(0, min((start + end - room) // 2, len(text) - room))
    piece = " ".join(text[begin : begin + room].split())
    return f"{'… ' if begin else ''}{piece}{' …' if begin + room < len(text) else ''}"


def _cut(text: str, width: int) -> str:
    text = " ".join(text.split())
    return text if len(text) <= width else f"{text[: width - 1]}…"
