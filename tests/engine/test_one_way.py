"""Modules of a folder of the engine lean on each other one way: none is needed by what it needs itself."""

from __future__ import annotations

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ENGINE = Path(__file__).parents[2] / "engine/aisb_engine"


def needs(file: Path) -> set[str]:
    """The modules of the same folder that a module imports, for its types alone too."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(
            f"aisb_engine.{file.parent.name}."
        ):
            found.add(str(node.module).rpartition(".")[2])
    return found - {file.stem}


@pytest.mark.parametrize("folder", [
    "_data", "_load", "_performance", "_record", "_reporting", "_resolve", "_scoring", "_stream",
])  # fmt: skip
def test_no_module_is_needed_by_what_it_needs(folder: str) -> None:
    graph = {file.stem: needs(file) for file in (ENGINE / folder).glob("*.py")}
    assert sum(map(len, graph.values())) > 3
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"a circle: {' → '.join(error.args[1])}")
