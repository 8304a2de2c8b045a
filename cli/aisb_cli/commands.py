"""The commands that this package brings, in the order of `aisb --help`; it imports none of them."""

from __future__ import annotations

from aisb import Command, hookimpl


@hookimpl
def aisb_commands() -> list[Command]:
    """Declare the commands of this package."""
    lines = {
        "run": "Ask models the tasks' questions, score the answers, show the table.",
        "score": "Score a run again from its log, without asking the model again.",
        "quick": "Say within a minute how fast a service is, and how many users it takes.",
        "report": "Show a run again: as a page, a table, JSON, JUnit XML.",
        "import": "Make a run of answers that lm-eval, OpenCompass or Inspect asked for.",
        "runs": "List and show runs, print where one is, remove some.",
        "logs": "Show the log lines of a run, and follow those that it writes now.",
        "view": "Show runs in a browser: list, follow, open their pages, compare two.",
        "tasks": "List tasks, show what one asks, and write new ones.",
        "data": "Say which data sets are there, check them, and get them.",
        "plugins": "Show the installed plugins and what they offer.",
        "config": "Write a configuration file to start from.",
        "doctor": "Look at this machine and at services, and say what to put right.",
        "completion": "Let the Tab key complete commands, options and names.",
    }
    return [
        Command(name, line, f"aisb_cli.{name}_command:{'import_' if name == 'import' else name}")
        for name, line in lines.items()
    ]
