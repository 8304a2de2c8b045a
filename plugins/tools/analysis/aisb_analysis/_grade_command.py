"""`aisb grade`: grade outputs from any source, without a run."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import click

from aisb_engine import command_options as shared

if TYPE_CHECKING:
    from aisb_analysis._grading import GradingTally
    from aisb_engine import Judging, Resolver


@click.command()
@click.argument("task")
@click.argument("file", metavar="FILE.jsonl")
@click.option(
    "-o",
    "--output",
    "output",
    metavar="FILE",
    help="File for the graded lines [default: standard output].",
)
@click.option(
    "--set",
    "sets",
    multiple=True,
    metavar="PATH=VALUE",
    help="Grade by other rules, e.g. task.postprocess=[…].",
)
@shared.judge_options
@shared.allow_options
@click.pass_context
def grade(
    context: click.Context,
    task: str,
    file: str,
    output: str | None,
    *,
    sets: tuple[str, ...],
    judge: str | None,
    judge_url: str | None,
) -> int:
    """Grade outputs from any source as a run of TASK would grade them.

    Each line of FILE.jsonl (`-` reads a pipe) is a JSON object with `output`, the text of the model, and
    `reference`, the reference answer. `finish_reason`, `reasoning` and other fields of the task's rows
    (`options`, `prompt` …) are optional. Each line of the result has `answer`, `outcome`, `value`, `rule` and
    `span`; a summary follows on standard error.

    \b
    Grade a file:
      aisb grade gsm8k outputs.jsonl -o graded.jsonl
    Grade one output:
      echo '{"output": "So it is 18.", "reference": "18"}' | aisb grade gsm8k -
    """  # noqa: D301 - \b is for click
    import asyncio

    from aisb import DataError
    from aisb_analysis._grading import check_task
    from aisb_analysis._grading import grade_lines as graded
    from aisb_engine import Catalog, Resolver, RunInput

    plugins = context.obj.load_plugins()
    own = Path("aisb.toml") if Path("aisb.toml").is_file() else None
    table = {key: value for key, value in (("base", judge), ("url", judge_url)) if value}
    run_input = RunInput(file=own, sets=sets, judge=table)
    resolver = Resolver(plugins, Catalog(plugins), run_input)
    resolved = resolver.show(task)
    check_task(resolved)

    async def run(lines: BinaryIO, out: BinaryIO) -> GradingTally:
        async with _judging(resolver, output) as judging:
            return await graded(
                resolved,
                lines,
                plugins,
                write=out.write,
                complain=lambda line: click.echo(line, err=True),
                judging=judging,
            )

    with _opened(file, output) as (lines, out):
        tally = asyncio.run(run(lines, out))
        out.flush()
    click.echo("\n".join([*_summary(tally), *tally.faults.lines()]), err=True)
    if tally.faults.faults:
        return 1
    if not tally.counts:
        raise DataError(_nothing_graded(file, tally))
    return 0


def _nothing_graded(file: str, tally: GradingTally) -> str:
    """Return why no line of a file was graded."""
    name = "the input" if file == "-" else file
    form = 'each line is a JSON object, as in {"output": "So it is 18.", "reference": "18"}'
    if not tally.bad:
        return f"{name} has no lines; {form}"
    return f"none of the {tally.bad} lines of {name} can be graded, for the reasons above; {form}"


@asynccontextmanager
async def _judging(resolver: Resolver, output: str | None) -> AsyncIterator[Judging | None]:
    """Open the judge, if one is named. Its replies are logged in a folder next to the graded lines."""
    from tempfile import TemporaryDirectory

    from aisb_engine import Judging, answer_requests, judge_of

    judge = judge_of(resolver)
    if judge is None:
        yield None
        return
    with TemporaryDirectory() as temporary:
        folder = Path(f"{output}.judge") if output and output != "-" else Path(temporary)
        async with Judging(judge, resolver.plugins, folder, folder / "judge.out", answer_requests) as judging:
            yield judging
            click.echo(judging.tally.summary(judging.name), err=True)


@contextmanager
def _opened(file: str, output: str | None) -> Iterator[tuple[BinaryIO, BinaryIO]]:
    """Open the input and the output."""
    from aisb import UsageError

    try:
        lines = sys.stdin.buffer if file == "-" else Path(file).open("rb")  # noqa: SIM115 - closed below
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}; `-` reads a pipe") from error
    try:
        if output is None or output == "-":
            yield lines, sys.stdout.buffer
            return
        if Path(output).exists() and file != "-" and Path(output).samefile(file):
            raise UsageError(f"-o {output} is the input file; name another one")
        try:
            out = Path(output).open("wb")  # noqa: SIM115 - closed below
        except OSError as error:
            raise UsageError(f"-o {output} cannot be written: {error.strerror}") from error
        with out:
            yield lines, out
    finally:
        if file != "-":
            lines.close()


def _summary(tally: GradingTally) -> Iterator[str]:
    counts = tally.outcome_counts
    for name, metrics in tally.metrics().items():
        for metric in metrics:
            if metric.group is not None or metric.value is None:
                continue
            by = f" ({name})" if len(tally.counts) > 1 else ""
            line = f"{tally.task} {metric.name}{by} {metric.value:.2f}, n {metric.count}"
            if metric.low is not None and metric.high is not None:
                line += f", 95 % [{metric.low:.1f}, {metric.high:.1f}]"
            yield line
    if counts.bounds:
        listed = ", ".join(f"{name} {count}" for name, count in counts.counts.items() if count)
        yield f"  {listed}; bounds [{counts.bounds[0]:.1f}, {counts.bounds[1]:.1f}]"
        if counts.doubtful:
            yield f"  {counts.unclear_share:.1f} % are neither correct nor wrong: see the bounds"
    else:
        yield f"{tally.task}: no line was graded"
    if tally.bad and counts.total:
        yield f"  {tally.bad} of {tally.bad + counts.total} lines could not be graded and are left out"
