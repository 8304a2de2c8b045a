"""The tasks of a dataset package, and writers of files in the formats of published data: for the tests of datasets."""

from __future__ import annotations

import importlib.resources
import json
import re
import tomllib
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from aisb import Prediction, Request
from aisb_engine import Catalog, Plugins, RunInput, Selection
from aisb_engine._resolve.config import resolve


class TaskFamily:
    """The task files and aliases of a package."""

    def __init__(self, package: str) -> None:
        self.folder = Path(str(importlib.resources.files(package)))

    @cached_property
    def tasks(self) -> dict[str, dict[str, Any]]:
        """Return the table of each task file, by name."""
        files = (self.folder / "tasks").glob("*.toml")
        return {file.stem: tomllib.loads(file.read_text("utf-8")) for file in files}

    @cached_property
    def aliases(self) -> dict[str, str]:
        """Return the task that each alias stands for."""
        return tomllib.loads((self.folder / "aliases.toml").read_text("utf-8"))

    @cached_property
    def modes(self) -> dict[str, str]:
        """Return the mode, `gen` or `logprob`, of each task and of each variant (`task:variant`)."""
        modes = {name: task.get("mode", "gen") for name, task in self.tasks.items()}
        for name, task in self.tasks.items():
            for variant, table in task.get("variants", {}).items():
                modes[f"{name}:{variant}"] = table.get("mode", modes[name])
        return modes


def check_alias(plugins: Plugins, alias: str, target: str) -> None:
    """Check that an alias stands for a selection, and that a run with it has that task, variant and part."""
    meant = Selection.parse(target)
    assert Catalog(plugins).aliases[alias] == target
    (task,) = resolve(plugins, RunInput(models=["sim"], datasets=[alias])).tasks.values()
    assert (task.name, task.variant) == (meant.name, meant.variant)
    if meant.select:
        assert task.dataset.select == meant.select


def comparing_judge(target: str, answer: str) -> Callable[[Request], Awaitable[Prediction]]:
    """Return a judge that compares: it finds target and answer in its question by patterns with one group.

    Its verdict is A if the answer contains the target, else B.
    """

    async def ask(request: Request) -> Prediction:
        question = request.messages[-1].content
        assert isinstance(question, str)
        wanted, given = (re.search(pattern, question, re.DOTALL) for pattern in (target, answer))
        assert wanted, question
        assert given, question
        return Prediction(request.sample_id, text="AB"[wanted[1] not in given[1]], finish_reason="stop")

    return ask


def write_text(path: Path, text: str) -> None:
    """Write a file, and create its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def as_jsonl(rows: Iterable[Mapping[str, Any]]) -> str:
    """Return rows as lines of JSON."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def write_jsonl(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write rows as lines of JSON."""
    write_text(path, as_jsonl(rows))


def write_parquet(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write rows as a Parquet file; it needs pyarrow."""
    from pyarrow import Table, parquet

    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(Table.from_pylist(list(rows)), path)
