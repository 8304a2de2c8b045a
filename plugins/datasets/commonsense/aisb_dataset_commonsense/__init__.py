"""Common sense as tasks: endings, gaps, everyday physics, people, yes or no, and common falsehoods."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable

from aisb import hookimpl


@hookimpl
def aisb_configs() -> Iterable[Traversable]:
    """Declare the folder with the tasks and aliases of this family."""
    return [files("aisb_dataset_commonsense")]


@hookimpl
def aisb_datasets() -> Mapping[str, str]:
    """Declare the readers of files whose rows need more than templates."""
    return {
        "jsonl-labels": "aisb_dataset_commonsense._rows:jsonl_labels",
        "truthfulqa-rows": "aisb_dataset_commonsense._rows:truthfulqa_rows",
    }


@hookimpl
def aisb_evaluators() -> Mapping[str, str]:
    """Declare the evaluator of probabilities."""
    return {"probability-share": "aisb_dataset_commonsense._shares:ProbabilityShare"}
