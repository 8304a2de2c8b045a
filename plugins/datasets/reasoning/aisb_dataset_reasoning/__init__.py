"""Reasoning tasks, with the rows and the grading that they share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable

from aisb import hookimpl


@hookimpl
def aisb_datasets() -> Mapping[str, str]:
    """Offer the rows that come with the examples to put before them."""
    return {"bbh": "aisb_dataset_reasoning._rows:bbh"}


@hookimpl
def aisb_postprocessors() -> Mapping[str, str]:
    """Offer the step that finds a letter or a free answer, as the question wants."""
    return {"bbh-answer": "aisb_dataset_reasoning._grading:bbh_answer"}


@hookimpl
def aisb_evaluators() -> Mapping[str, str]:
    """Offer the evaluator for letters, numbers, lists of words and rows of brackets."""
    return {"bbh-match": "aisb_dataset_reasoning._grading:BbhMatch"}


@hookimpl
def aisb_configs() -> Iterable[Traversable]:
    """Return the folder with this family's tasks and their other names."""
    return [files("aisb_dataset_reasoning")]
