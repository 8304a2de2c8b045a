"""The built-in plugin: readers of common file formats, simple text steps, and the local launcher."""

from __future__ import annotations

from collections.abc import Mapping

from aisb._hookspecs import hookimpl


@hookimpl
def aisb_backends() -> Mapping[str, str]:
    """Return the backend of imported answers."""
    return {"imported": "aisb_engine._builtin.imported:Imported"}


@hookimpl
def aisb_datasets() -> Mapping[str, str]:
    """Return the readers by the names of their formats."""
    return {
        "jsonl": "aisb._readers:jsonl",
        "json": "aisb._readers:json",
        "csv": "aisb._readers:csv",
        "tsv": "aisb_engine._builtin.tables:tsv",
        "parquet": "aisb_engine._builtin.tables:parquet",
        "custom": "aisb_engine._builtin.custom:custom",
        "imported": "aisb_engine._builtin.imported:imported",
    }


@hookimpl
def aisb_postprocessors() -> Mapping[str, str]:
    """Return the text steps, which clean targets and derived fields as well as answers."""
    return {
        "after": "aisb_engine._builtin.steps:after",
        "before": "aisb_engine._builtin.steps:before",
        "remove": "aisb_engine._builtin.steps:remove",
        "replace": "aisb_engine._builtin.steps:replace",
        "map": "aisb_engine._builtin.steps:map_value",
        "strip": "aisb_engine._builtin.steps:strip",
        "first-line": "aisb_engine._builtin.steps:first_line",
        "last-line": "aisb_engine._builtin.steps:last_line",
        "regex": "aisb_engine._builtin.steps:regex",
        "lower": "aisb_engine._builtin.steps:lower",
        "strip-reasoning": "aisb_engine._builtin.steps:strip_reasoning",
        "strip-markdown": "aisb_engine._builtin.steps:strip_markdown",
    }


@hookimpl
def aisb_launchers() -> Mapping[str, str]:
    """Return the launcher of worker processes on this machine."""
    return {"local": "aisb_engine._load.workers:LocalWorkers"}
