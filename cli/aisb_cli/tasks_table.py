"""The table of all tasks, printed by `aisb tasks list --markdown` and shown in docs/tasks.md."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aisb_engine import Plugins

HEADERS = (
    "task", "rows", "tested on", "style", "shots", "graded by", "data", "licence", "names in other tools",
)  # fmt: skip
UNKNOWN = "–"
GENERATED_ROWS = "generated rows"
"""What the tests of a task read, unless its lock says that they read published data, or some of its rows."""


def markdown_table(plugins: Plugins) -> str:
    """Return all installed tasks as a Markdown table, from their files, locks and aliases."""
    from aisb_engine import Catalog, read_toml

    catalog = Catalog(plugins)
    names: dict[str, list[str]] = {}
    for alias, target in catalog.aliases.items():
        names.setdefault(target.split(":")[0], []).append(alias)
    lines = [_line(HEADERS), _line("---" for _ in HEADERS)]
    for entry in catalog.entries("task"):
        table = read_toml(entry.path)
        cells = _cells(entry.name, table, catalog.lock.get(entry.name, {}), names.get(entry.name, []))
        lines.append(_line(_escaped(cell) for cell in cells))
    return "\n".join(lines) + "\n"


def _cells(name: str, table: Mapping[str, Any], lock: Mapping[str, Any], names: list[str]) -> Iterator[str]:
    from aisb_engine import PromptTable

    prompt = PromptTable(**table.get("prompt", {}))
    rows = lock.get("asked", lock.get("rows"))
    graders = [use["use"] for use in table.get("evaluate", [])]
    yield f"`{name}`"
    yield f"{rows:,}" if rows else UNKNOWN
    yield read_by_tests(lock)
    yield "likelihood" if table.get("mode") == "logprob" else prompt.style
    yield str(prompt.shots)
    yield ", ".join(f"`{grader}`" for grader in graders) or "not graded"
    yield _source(str(table.get("source", UNKNOWN)))
    yield str(table.get("licence", UNKNOWN))
    yield ", ".join(f"`{one}`" for one in names) or UNKNOWN


def read_by_tests(lock: Mapping[str, Any]) -> str:
    """Return what the tests of a task read, from its entry in `datasets.lock`."""
    return str(lock.get("tested_on", "published data" if "sha256" in lock else GENERATED_ROWS))


def _source(text: str) -> str:
    """Return a source with its first URL as a link, and its note on omitted files."""
    found = re.search(r"https?://[^\s,;)]+", text)
    if not found:
        return text
    return f"[{found[0].split('://')[1].split('/')[0]}]({found[0]})"


def _line(cells: Any) -> str:
    return f"| {' | '.join(cells)} |"


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")
