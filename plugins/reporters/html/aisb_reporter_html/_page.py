"""Assemble the page of a run: markup, style, scripts and data in one file.

All data of a run is compressed and base64-encoded, so that no text can inject markup; scripts of the page
unpack it and show it as text. A content security policy forbids all network requests.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import cache, partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import orjson

from aisb import FinishedRun, PerformanceResult
from aisb_reporter_html._answers import LIMITS, Packer, TaskAnswers, read_tasks
from aisb_reporter_html._curves import curves
from aisb_reporter_html._speeds import requests_of
from aisb_reporter_plots import (
    embed,
    fill,
    frame,
    pack_rates,
    pack_requests,
    page_part,
    plotly_bundle,
)
from aisb_reporter_summary import as_tables, points_of

WEB_FOLDER = Path(__file__).parent / "web"
SCRIPTS = (
    "dom.js",
    "svg.js",
    "contents.js",
    "overview.js",
    "groups.js",
    "curves.js",
    "tradeoffs.js",
    "rows.js",
    "samples.js",
    "reader.js",
    "speeds.js",
    "main.js",
)
SEVERAL_SCRIPTS = ("dom.js", "svg.js", "contents.js", "tradeoffs.js", "loads.js", "several.js")
INITIAL_CAPACITY = 10_000
"""The number of answers for which a page of the usual size has room; with more, the page grows."""


def page(run: FinishedRun, most: int) -> bytes:
    """Return the page of a run, of at most about `most` bytes as far as cutting texts can do it."""
    summary = as_tables(run)
    measured = _performances(run)
    tasks = [] if summary["performance_run"] and not run.results else read_tasks(run)
    head: dict[str, Any] = {
        "summary": summary,
        "folder": str(run.folder),
        "points": asdict(points_of([run])),
        "curves": [{"task": task.task, "models": found} for task in tasks if (found := curves(task))],
    }
    data = {f"requests-{n}": embed(pack_requests(found)) for n, found in enumerate(measured)}
    data |= {f"rates-{n}": embed(pack_rates(found)) for n, found in enumerate(measured)}
    data |= {f"slow-{n}": embed(orjson.dumps(requests_of(found))) for n, found in enumerate(measured)}
    if measured:
        data["plotly"] = plotly_bundle()
    make_page = _frame(run, summary)
    head["tasks"], texts = fitting(tasks, most - len(make_page(data=data)))
    return make_page(data=data | {"head": embed(orjson.dumps(head, default=str))} | texts)


def page_of_several(runs: Sequence[FinishedRun], notes: Sequence[str] = (), heading: str = "") -> bytes:
    """Return the page of several performance runs: charts over their loads, and all numbers as a table.

    `heading` replaces the models and tasks in its title; `notes` are lines at its top.
    """
    points = points_of(runs)
    models = list(dict.fromkeys(point["model"] for point in points.points))
    tasks = list(dict.fromkeys(point["task"] for point in points.points))
    stamps = sorted({run.timestamp for run in runs})
    head = {
        "points": asdict(points),
        "notes": list(notes),
        "heading": heading or f"{title(models, 'models')} on {title(tasks, 'tasks')}",
        "from": stamps[0] if len(stamps) == 1 else f"{stamps[0]} to {stamps[-1]}",
        "made": version("aisb-core"),
    }
    return frame(
        title=f"{head['heading']} · {len(runs)} runs",
        style=web_file("page.css"),
        body=web_file("several.html"),
        data={"head": embed(orjson.dumps(head, default=str))},
        script="".join((page_part("shared.js"), *map(web_file, SEVERAL_SCRIPTS))),
    )


def _performances(run: FinishedRun) -> list[PerformanceResult]:
    return list(run.performance.values()) if run.is_performance else []


def fitting(tasks: Sequence[TaskAnswers], most: int) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Return what the page holds of the answers, their texts cut as far as they must be for it to fit."""
    answers = sum(len(answered.lines) for task in tasks for answered in task.answered)
    most = int(most * max(1.0, answers / INITIAL_CAPACITY))
    heads: list[dict[str, Any]] = []
    texts: dict[str, str] = {}
    for limit in LIMITS:
        heads, texts = [], {}
        packer = Packer(limit)
        size = 0
        for number, task in enumerate(tasks):
            packed, blocks = packer.pack(task)
            packed["cut"] = limit
            heads.append(packed)
            size += len(embed(orjson.dumps(packed)))
            for place, block in enumerate(blocks):
                texts[f"texts-{number}-{place}"] = embed(block)
                size += len(texts[f"texts-{number}-{place}"]) + 60
            if size > most:
                break
        if size <= most:
            break
    return heads, texts


def _frame(run: FinishedRun, summary: dict[str, Any]) -> Callable[..., bytes]:
    """Return what makes the page of its data: everything else stands."""
    models, tasks = list(summary["models"]), list(summary["tasks"])
    charts = map(page_part, ("shared.js", "linked.js", "over_time.js", "requests.js", "rates.js"))
    return partial(
        frame,
        title=f"{title(models, 'models')} on {title(tasks, 'tasks')} · {run.timestamp}",
        style=web_file("page.css") + web_file("samples.css"),
        body=fill(
            web_file("page.html"),
            tools=page_part("tools.html"),
            requests=page_part("requests.html"),
            rates=page_part("rates.html"),
        ),
        script="".join((*charts, *map(web_file, SCRIPTS))),
    )


def title(names: Sequence[str], kind: str) -> str:
    """Return one or two names, or the number of more."""
    return " and ".join(names) if len(names) <= 2 else f"{len(names)} {kind}"


@cache
def web_file(name: str) -> str:
    """Return one of the files that the page is made of."""
    return (WEB_FOLDER / name).read_text("utf-8")
