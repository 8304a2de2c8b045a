"""A bundle: the pages of `aisb view` for many runs as files, which any web server can serve.

Each run gets its data and its report, made from a copy in which secrets are masked. The pages use relative
addresses alone, and their content policy lets them load files of the bundle only.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from aisb import AisbError, UsageError
from aisb.helpers import write_file
from aisb_cli.viewing.plotting import INSTALL
from aisb_cli.viewing.reading import describe, run_state
from aisb_engine import RUN_STATUSES, RunFolder, is_being_written, read_progress, read_run

if TYPE_CHECKING:
    from aisb_engine import Plugins

MARKER = "bundle.json"
VERSION = 1
REPORT = "report.html"
REPORT_NAME = "scores, samples and plots"
REPORT_BYTES = 6_000_000
PAGE_FILES = ("common.js", "list.js", "run.js", "compare.js", "page.js", "page.css")
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'"
)
_TIMESTAMP = re.compile(r"\d{8}_\d{6}(_\d+)?")


class Bundled(NamedTuple):
    """A bundle that was written: its runs, those that were written anew, and problems by run."""

    runs: int
    written: int
    removed: int
    problems: Mapping[str, str]


def write_bundle(
    folder: Path, work_dir: Path, plugins: Plugins, note: Callable[[str], None] = lambda _: None
) -> Bundled:
    """Write a bundle of all runs of a work folder, or make an older one equal to it.

    A run is written anew only if its files have changed. `note` is called with a line for each one.

    Raises:
        UsageError: `folder` is not empty, and is not a bundle; or the reporter `html` is not installed.
        AisbError: the bundle cannot be written.
    """
    _check_reporter()
    known = _known_runs(folder)
    runs = RunFolder.list(work_dir)
    for leftover in folder.glob("runs/*/.aisb-bundle-*"):  # of a command that was killed
        shutil.rmtree(leftover)
    removed = _remove(folder, set(known) - {run.timestamp for run in runs})
    states: dict[str, str] = {}
    records: list[dict[str, Any]] = []
    problems: dict[str, str] = {}
    written = 0
    for run in reversed(runs):
        place = folder / "runs" / run.timestamp
        state = hashlib.sha256(repr((VERSION, run_state(run))).encode()).hexdigest()
        if known.get(run.timestamp) == state and (earlier := _read(place / "run.json")):
            records.append(earlier)
        else:
            note(f"{run.timestamp} …")
            record, problem = _write_run(run, place, plugins)
            records.append(record)
            written += 1
            if problem:
                problems[run.timestamp] = problem
        if run.timestamp not in problems and not is_being_written(run):
            states[run.timestamp] = state
    _write_pages(folder)
    listed = {
        "work_dir": work_dir.resolve().name,
        "count": len(records),
        "statuses": RUN_STATUSES,
        "runs": records,
    }
    write_file(folder / "runs.json", orjson.dumps(listed))
    everything = {run.timestamp: states.get(run.timestamp, "") for run in runs}
    write_file(folder / MARKER, orjson.dumps({"bundle": VERSION, "runs": everything}))
    return Bundled(len(records), written, removed, problems)


def _check_reporter() -> None:
    try:
        import aisb_reporter_html  # noqa: F401 - whether it is there
    except ImportError as error:
        raise UsageError(
            f"a bundle contains the reports of aisb-reporter-html, which is not installed: {INSTALL}"
        ) from error


def _known_runs(folder: Path) -> dict[str, str]:
    """Return the runs of an existing bundle with their states; refuse a folder with anything else."""
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise UsageError(f"{folder} is not a folder: name a new folder for the bundle")
    if not folder.exists() or not any(folder.iterdir()):
        write_file(folder / MARKER, orjson.dumps({"bundle": VERSION, "runs": {}}))
        return {}
    found = _read(folder / MARKER)
    runs = found.get("runs")
    if found.get("bundle") != VERSION or not isinstance(runs, dict):
        raise UsageError(
            f"{folder} is not empty, and is not a bundle that aisb view wrote: name a new folder, or an "
            "older bundle to update"
        )
    return {name: str(state) for name, state in runs.items() if _TIMESTAMP.fullmatch(name)}


def _remove(folder: Path, names: Iterable[str]) -> int:
    """Remove runs that the work folder no longer has."""
    removed = 0
    for name in names:
        place = folder / "runs" / name
        if place.is_dir() and not place.is_symlink():
            shutil.rmtree(place)
            removed += 1
    return removed


def _write_run(run: RunFolder, place: Path, plugins: Plugins) -> tuple[dict[str, Any], str]:
    """Write the files of one run; return its record, and why its report is missing."""
    from aisb_analysis import masked_copy, secrets_mask
    from aisb_engine import open_run

    place.mkdir(parents=True, exist_ok=True)
    problem = ""
    pages: list[str] = []
    mask = secrets_mask(plugins)
    if not is_being_written(run):
        try:
            opened = open_run(run.path.parent, run.timestamp, plugins)
            mask = secrets_mask(plugins, opened)
            with tempfile.TemporaryDirectory(prefix=".aisb-bundle-", dir=place) as temporary:
                copy = Path(temporary) / run.timestamp
                masked_copy(opened, copy, plugins)
                write_file(place / REPORT, _report(copy, plugins))
            pages = [REPORT]
        except AisbError as error:
            problem = mask(str(error).replace(str(run.path), run.timestamp))  # no place of this machine
            (place / REPORT).unlink(missing_ok=True)
    table = mask({**describe(read_run(run)), "progress": read_progress(run)})
    record = {
        **{key: value for key, value in table.items() if key != "path"},
        "pages": pages,
        "page_names": {REPORT: REPORT_NAME},
        "report_problem": problem or None,
        "live": [],
    }
    write_file(place / "run.json", orjson.dumps(record))
    return record, problem


def _report(copy: Path, plugins: Plugins) -> bytes:
    """Return the page of a run by the reporter `html`."""
    from aisb_engine import open_finished_run
    from aisb_reporter_html import page

    run = open_finished_run(copy, plugins=plugins)
    return page(replace(run, folder=Path(copy.name)), REPORT_BYTES)


def _write_pages(folder: Path) -> None:
    """Write the page and its scripts, with the content policy in the page itself."""
    own = files("aisb_cli.viewing")
    text = own.joinpath("page.html").read_text("utf-8")
    meta = f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
    text = text.replace("<html ", "<html data-bundle ", 1).replace(
        '<meta charset="utf-8">', f'<meta charset="utf-8">\n{meta}', 1
    )
    for name in PAGE_FILES:
        write_file(folder / name, own.joinpath(name).read_bytes())
    write_file(folder / "index.html", text.encode())


def _read(path: Path) -> dict[str, Any]:
    """Read a JSON object; empty if the file is missing or is something else."""
    with suppress(OSError, ValueError):
        table = orjson.loads(path.read_bytes())
        if isinstance(table, dict):
            return table
    return {}
