"""`aisb quick`: a first answer within a minute to how fast a service is, and how many users it can take."""

from __future__ import annotations

import asyncio
import shutil
import textwrap
import time
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aisb_cli import shared_options as shared

if TYPE_CHECKING:
    from aisb_cli.quick.ladder import Rung
    from aisb_cli.services import Service
    from aisb_engine import Plugins

SECONDS = 45.0
"""For the loads; the questions before them take up to 15 s."""
WIDTH = 100


@click.command()
@click.option(
    "--url", metavar="URL", help="Address of the service [default: the usual ports of this machine]."
)
@shared.model_of_service
@shared.model_name
@shared.api_key_env
@shared.objectives
@click.option(
    "--seconds",
    type=click.FloatRange(1, 600),
    default=SECONDS,
    show_default=True,
    metavar="S",
    help="Time for the loads.",
)
@shared.work_dir("Work folder, which will contain the folder of the runs.", Path("outputs/quick"))
@shared.as_json
@click.pass_context
def quick(context: click.Context, /, **flags: Any) -> int:
    """Find within a minute how fast a service is, how many users it takes, and what limits it.

    Without --url, the usual loopback ports of model servers are tried. aisb sends a few simple questions,
    then the requests of 1, 4, 16 … users at once, each of whom sends the next one when a reply is complete.
    The numbers are a first estimate, without intervals; the last line is the command for a thorough run.

    \b
      aisb quick
      aisb quick --url http://127.0.0.1:8000 --slo ttft_p95=500ms
    """  # noqa: D301 - \b is for click
    from aisb_cli.quick.answer import answer, thorough_command
    from aisb_cli.quick.ladder import Ladder
    from aisb_cli.quick.questions import ask_questions
    from aisb_engine import parse_run_objectives

    objectives = parse_run_objectives(",".join(flags["objectives"]) or shared.OBJECTIVES)
    plugins = shared.load_plugins(context)
    options = {"model": flags["model_name"], "api_key_env": flags["api_key_env"]}
    began = time.monotonic()
    service = asyncio.run(_service(flags["url"], plugins, flags["model"], options))
    click.echo(f"{service.kind} at {service.url}: three questions, then 1, 4, 16 … users", err=True)
    check = asyncio.run(ask_questions(service, plugins, options))
    ladder = Ladder(
        service,
        plugins,
        {"api_key_env": flags["api_key_env"]},
        objectives,
        folder=flags["work_dir"] / datetime.now().astimezone().strftime("%Y%m%d_%H%M%S"),
        seconds=flags["seconds"],
        say=lambda rung: click.echo(f"  {_rung_line(rung)}", err=True),
    )
    rungs = ladder.climb()
    taken = time.monotonic() - began
    lines = list(answer(service, rungs, check, objectives, seconds=taken, stopped=ladder.stopped))
    command = thorough_command(service, objectives, api_key_env=flags["api_key_env"])
    if flags["as_json"]:
        from aisb_cli.terminal import as_json_text

        found = {
            "service": asdict(service),
            "rungs": [asdict(rung) for rung in rungs],
            "answers": check._asdict(),
        }
        click.echo(as_json_text({**found, "lines": lines, "thorough": command}))
        return ladder.exit_code
    width = min(shutil.get_terminal_size((80, 24)).columns, WIDTH)
    for line in lines:
        click.echo(textwrap.fill(line, width, subsequent_indent="  ", break_on_hyphens=False))
    click.echo(f"a thorough run:\n  {command}")
    return ladder.exit_code


async def _service(url: str | None, plugins: Plugins, model: str | None, options: dict[str, Any]) -> Service:
    from aisb_cli.quick.services import find_services, service_at

    if url is not None:
        return await service_at(url, plugins, model, options)
    found = await find_services(plugins, model, options)
    for other in found[1:]:
        click.echo(f"also found: {other.kind} at {other.url}; --url chooses it", err=True)
    return found[0]


def _rung_line(rung: Rung) -> str:
    users = "1 user: " if rung.users == 1 else f"{rung.users} users:"
    first = "–" if rung.ttft_p95 is None else f"{rung.ttft_p95:.4g} ms"
    token = "–" if rung.tpot_p95 is None else f"{rung.tpot_p95:.3g} ms"
    text = f"{users:10} {rung.rate:.3g} requests/s, ttft_p95 {first}, tpot_p95 {token}"
    if rung.failed:
        text += f", {100 * rung.failed:.0f} % failed"
    return text + (": not used, this machine was too busy" if rung.distortion else "")
