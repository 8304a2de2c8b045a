"""Reasoning tasks, with the rows and the grading that they share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable

from aisb import hookimpl


@hookimpl
def aisb_datasets() -> Mapping[str, str]:
    """Declare the reader of rows with their examples."""
    return {"bbh": "aisb_dataset_reasoning._rows:bbh"}


@hookimpl
def aisb_postprocessors() -> Mapping[str, str]:
    """Declare the postprocessor that finds a letter or a free answer, by the kind of the question."""
    return {"bbh-answer": "aisb_dataset_reasoning._grading:bbh_answer"}


@hookimpl
def aisb_evaluators() -> Mapping[str, str]:
    """Declare the evaluator of letters, numbers, lists of words and brackets."""
    return {"bbh-match": "aisb_dataset_reasoning._grading:BbhMatch"}


@hookimpl
def aisb_configs() -> Iterable[Traversable]:
    """Declare the folder with the tasks and aliases of this family."""
    return [files("aisb_dataset_reasoning")]
