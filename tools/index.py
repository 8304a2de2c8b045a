"""Write the index of names that the command answers with an install line, `cli/aisb_cli/index.toml`.

    python tools/index.py

It is made from the installed distributions of this repository. A test holds the file equal to it.
"""
# ruff: noqa: INP001 - a program of the repository

from __future__ import annotations

import sys
import tomllib
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from workspace import ROOT, distributions, needed_by

from aisb_engine import Catalog, DeclaredCommands, Plugins, read_toml

FILE = ROOT / "cli" / "aisb_cli" / "index.toml"
HEAD = """\
# Which distribution brings a name, where it stands in the repository, and what it needs of the others.
# tools/index.py writes this file; only `not_offered_yet` is written by hand: names of tasks of other tools
# that no distribution here brings so far, with the reason. A `*` stands for any text.
"""


def index_text(old: str) -> str:
    """Return the text of the index; what is not offered yet comes from its old text."""
    tables = _tables()
    tasks = {
        name for table in tables.values() for name in (*table.get("tasks", ()), *table.get("aliases", ()))
    }
    by_hand = tomllib.loads(old)
    later = {name: why for name, why in by_hand["not_offered_yet"].items() if name not in tasks}
    lines = [HEAD, "[not_offered_yet]", *(f'"{name}" = "{why}"' for name, why in later.items())]
    for name, table in sorted(tables.items()):
        lines += ["", f"[distributions.{name}]", f'folder = "{table.pop("folder")}"']
        lines += [f"{key} = {_list(values)}" for key, values in table.items() if values]
    return "\n".join(lines) + "\n"


def _tables() -> dict[str, dict[str, Any]]:
    folders = distributions()
    names = {folder: name for name, folder in folders.items()}
    tables: dict[str, dict[str, Any]] = {
        name: {
            "folder": folder.relative_to(ROOT).as_posix(),
            "needs": sorted({names[other] for other in needed_by(name)} - {name}),
        }
        for name, folder in folders.items()
    }
    for owner, kind, name in sorted(_names()):
        if owner in tables:
            tables[owner].setdefault(kind, []).append(name)
    return tables


def _names() -> set[tuple[str, str, str]]:
    plugins = Plugins.load()
    owners = {info.name: info.distribution for info in plugins.infos}
    catalog = Catalog(plugins)
    found = {(one.distribution, "commands", one.command.name) for one in DeclaredCommands().all()}
    found |= {(one.distribution, "components", one.name) for one in plugins.components()}
    for what in ("model", "task"):
        found |= {(owners[entry.plugin], f"{what}s", entry.name) for entry in catalog.entries(what)}
    for plugin, folder in plugins.config_folders():
        file = folder / "aliases.toml"
        if file.is_file():
            found |= {(owners[plugin], "aliases", alias) for alias in read_toml(file)}
    return found


def _list(values: list[str]) -> str:
    return "".join(["[\n", *(f'  "{value}",\n' for value in values), "]"]) if values else "[]"


if __name__ == "__main__":
    FILE.write_text(index_text(FILE.read_text("utf-8")), "utf-8")
