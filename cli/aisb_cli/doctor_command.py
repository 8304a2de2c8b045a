"""`aisb doctor`: check this machine, the installation and services, and say what to fix."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from aisb_cli import shared_options as shared
from aisb_cli.terminal import as_json_text, plain_stream

if TYPE_CHECKING:
    from aisb_cli.doctor import Finding
    from aisb_engine import Plugins

STATE_MARKS = {"ok": ("ok", None), "note": ("note", "yellow"), "problem": ("FIX", "red")}


@click.command()
@click.option("--url", "urls", multiple=True, metavar="URL", help="Also check this service (repeatable).")
@shared.model_of_service
@click.option(
    "--launcher", metavar="NAME", help="Also check where this launcher places workers, such as a Ray cluster."
)
@shared.sets("An option of the launcher, such as launcher.address=auto.")
@shared.model_name
@shared.api_key_env
@click.option(
    "--determinism",
    is_flag=True,
    help="Send the same problems several times, alone and under load, at temperature 0.",
)
@click.option(
    "--prompts",
    type=click.IntRange(2, 64),
    default=24,
    show_default=True,
    metavar="N",
    help="Problems for --determinism; each is sent six times, so a slow service needs minutes.",
)
@shared.work_dir("Work folder of future runs.")
@shared.data_dir
@shared.as_json
@click.pass_context
def doctor(
    context: click.Context,
    urls: tuple[str, ...],
    *,
    model: str | None,
    launcher: str | None,
    sets: tuple[str, ...],
    model_name: str | None,
    api_key_env: str | None,
    determinism: bool,
    prompts: int,
    work_dir: Path,
    data_dir: Path | None,
    as_json: bool,
) -> int:
    """Check this machine, the installation and services, and say what to fix.

    `FIX` marks a problem, `note` marks what matters for some runs; the next line says what to do. The exit
    code is 1 if there is a problem. A service receives at most six short requests, and those of
    --determinism.

    \b
      aisb doctor --url http://127.0.0.1:8000
      aisb doctor --url http://127.0.0.1:8080 --models tgi_stream_api_general
      aisb doctor --url http://127.0.0.1:8000 --determinism
      aisb doctor --launcher ray --set launcher.address=auto
    """  # noqa: D301 - \b is for click
    from aisb_cli.doctor.machine import check_machine

    if determinism and not urls:
        raise click.UsageError("--determinism sends requests to a service: name it with --url")
    plugins = shared.load_plugins(context)
    found: list[Finding] = []

    def report(findings: Iterable[Finding]) -> None:
        for finding in findings:
            if not as_json:
                _print(finding, found[-1].area if found else "")
            found.append(finding)

    report(check_machine(plugins, work_dir, data_dir))
    if launcher is not None:
        from aisb_cli.doctor.launcher import check_launcher

        report(check_launcher(plugins, launcher, sets))
    options = {"model": model_name, "api_key_env": api_key_env}
    for url in urls:
        report(_service(url, plugins, model, options))
        if determinism and not any(
            one.state == "problem" and one.area.startswith("service") for one in found
        ):
            report(_determinism(url, plugins, model, options, prompts=prompts, work_dir=work_dir))
    problems = [finding for finding in found if finding.state == "problem"]
    if as_json:
        click.echo(as_json_text([one._asdict() for one in found]))
    else:
        click.echo(f"\n{len(problems)} to fix" if problems else "\nnothing to fix")
    return 1 if problems else 0


def _service(url: str, plugins: Plugins, model: str | None, options: dict[str, str | None]) -> list[Finding]:
    import asyncio

    from aisb_cli.doctor.service import check_service

    async def look() -> list[Finding]:
        return [one async for one in check_service(url, plugins, model=model, options=options)]

    return asyncio.run(look())


def _determinism(
    url: str,
    plugins: Plugins,
    model: str | None,
    options: dict[str, str | None],
    *,
    prompts: int,
    work_dir: Path,
) -> Iterable[Finding]:
    import asyncio

    from aisb_cli.doctor.determinism import check_determinism
    from aisb_cli.services import CHAT_FILE, Connection, recognize

    name = model or asyncio.run(recognize(url, plugins, Connection(options))) or CHAT_FILE
    return check_determinism(
        url, plugins, model=name, options=options, prompts=prompts, folder=work_dir.parent / "determinism"
    )


def _print(finding: Finding, area: str) -> None:
    if finding.area != area:
        click.echo(f"{'' if not area else chr(10)}{finding.area}")
    from aisb_engine import printable

    word, colour = STATE_MARKS[finding.state]
    width = max(shutil.get_terminal_size((80, 24)).columns, 40)
    lines = textwrap.wrap(
        f"{finding.name}: {finding.text}", width - 8, break_long_words=False, break_on_hyphens=False
    )
    # Clean the text first: the colour is a control sequence, which the cleaned stream would remove.
    marked = f"  {click.style(f'{word:4}', fg=colour)}  {printable(lines[0])}"
    click.echo(marked, file=plain_stream(sys.stdout))
    more = [*lines[1:]]
    if finding.remedy:
        more += textwrap.wrap(
            finding.remedy,
            width - 8,
            initial_indent="-> ",
            subsequent_indent="   ",
            break_long_words=False,
            break_on_hyphens=False,
        )
    for line in more:
        click.echo(f"        {line}")
