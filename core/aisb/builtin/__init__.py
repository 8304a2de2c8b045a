"""The plugin that comes with core: readers of common file formats, and plain steps from text to text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from aisb.hookspecs import hookimpl

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable


@hookimpl
def aisb_backends() -> Mapping[str, str]:
    """Return the backend of answers that were imported."""
    return {"imported": "aisb.builtin.imported:Imported"}


@hookimpl
def aisb_datasets() -> Mapping[str, str]:
    """Return the readers by the names of their formats."""
    return {
        "jsonl": "aisb.builtin.readers:jsonl",
        "json": "aisb.builtin.readers:json",
        "csv": "aisb.builtin.readers:csv",
        "tsv": "aisb.builtin.readers:tsv",
        "parquet": "aisb.builtin.readers:parquet",
        "custom": "aisb.builtin.custom:custom",
        "imported": "aisb.builtin.imported:imported",
    }


@hookimpl
def aisb_postprocessors() -> Mapping[str, str]:
    """Return the text steps, which clean targets and derived fields as well as answers."""
    return {
        "after": "aisb.builtin.steps:after",
        "before": "aisb.builtin.steps:before",
        "remove": "aisb.builtin.steps:remove",
        "replace": "aisb.builtin.steps:replace",
        "map": "aisb.builtin.steps:map_value",
        "strip": "aisb.builtin.steps:strip",
        "first-line": "aisb.builtin.steps:first_line",
        "last-line": "aisb.builtin.steps:last_line",
        "regex": "aisb.builtin.steps:regex",
        "lower": "aisb.builtin.steps:lower",
        "strip-reasoning": "aisb.builtin.steps:strip_reasoning",
        "strip-markdown": "aisb.builtin.steps:strip_markdown",
    }


@hookimpl
def aisb_configs() -> Iterable[Traversable]:
    """Return the folder with the tasks for data files of people's own."""
    return [Path(__file__).parent]
