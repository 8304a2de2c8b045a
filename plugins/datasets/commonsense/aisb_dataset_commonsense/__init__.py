"""Common sense as tasks: endings, gaps, everyday physics, people, yes or no, and common falsehoods."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable

from aisb.evaluator import Evaluator
from aisb.hookspecs import hookimpl
from aisb.types import Row
from aisb_dataset_commonsense import rows, shares


@hookimpl
def aisb_configs() -> Iterable[Traversable]:
    """Return the folder with this family's tasks and their other names."""
    return [files("aisb_dataset_commonsense")]


@hookimpl
def aisb_datasets() -> Mapping[str, Callable[..., Iterable[Row]]]:
    """Offer the readers of files whose rows a template cannot put together."""
    return {"jsonl-labels": rows.jsonl_labels, "truthfulqa-rows": rows.truthfulqa_rows}


@hookimpl
def aisb_evaluators() -> Mapping[str, Callable[..., Evaluator]]:
    """Offer the grader of probabilities."""
    return {"probability-share": shares.ProbabilityShare}
