"""The plugin that comes with core: readers of common file formats, and plain steps from text to text."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from aisb.builtin import readers, steps
from aisb.evaluator import Postprocessor
from aisb.hookspecs import hookimpl
from aisb.types import Row


@hookimpl
def aisb_datasets() -> Mapping[str, Callable[..., Iterable[Row]]]:
    """Return the readers by the names of their formats."""
    return {
        "jsonl": readers.jsonl,
        "json": readers.json,
        "csv": readers.csv,
        "tsv": readers.tsv,
        "parquet": readers.parquet,
    }


@hookimpl
def aisb_postprocessors() -> Mapping[str, Callable[..., Postprocessor]]:
    """Return the text steps, which clean targets and derived fields as well as answers."""
    return {
        "after": steps.after,
        "before": steps.before,
        "remove": steps.remove,
        "replace": steps.replace,
        "map": steps.map_value,
        "strip": steps.strip,
        "first-line": steps.first_line,
        "last-line": steps.last_line,
        "regex": steps.regex,
        "lower": steps.lower,
        "strip-reasoning": steps.strip_reasoning,
        "strip-markdown": steps.strip_markdown,
    }
