"""Declare the commands of this package, in the order of `aisb --help`; none of them is imported."""

from __future__ import annotations

from aisb import Command, hookimpl


@hookimpl
def aisb_commands() -> list[Command]:
    """Declare the commands of this package."""
    lines = {
        "run": "Send tasks to models, score the answers, show the results.",
        "score": "Score a run again from its log, without sending its requests again.",
        "quick": "Measure within a minute how fast a service is, and how many users it serves.",
        "report": "Report on a run again: as a page, a table, JSON, JUnit XML.",
        "import": "Import the results of another tool as a run.",
        "runs": "List, show, tag and remove runs, and print their paths.",
        "logs": "Show the log lines of a run, and follow a running one.",
        "view": "Show runs in a browser: list, follow, open their pages, compare two.",
        "tasks": "List tasks, show what one sends, and write new ones.",
        "data": "List the data sets of tasks, check them, and download them.",
        "plugins": "Show the installed plugins and what they offer.",
        "config": "Write a configuration file to start from.",
        "doctor": "Check this machine and services, and say what to fix.",
        "completion": "Let the Tab key complete commands, options and names.",
    }
    return [
        Command(name, line, f"aisb_cli.{name}_command:{'import_' if name == 'import' else name}")
        for name, line in lines.items()
    ]
