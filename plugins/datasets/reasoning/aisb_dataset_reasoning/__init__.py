"""Reasoning tasks, with the rows and the grading that they share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable

from aisb import Evaluator, Postprocessor, hookimpl
from aisb.types import Row
from aisb_dataset_reasoning.grading import BbhMatch, bbh_answer
from aisb_dataset_reasoning.rows import bbh


@hookimpl
def aisb_datasets() -> Mapping[str, Callable[..., Iterable[Row]]]:
    """Offer the rows that come with the examples to put before them."""
    return {"bbh": bbh}


@hookimpl
def aisb_postprocessors() -> Mapping[str, Callable[..., Postprocessor]]:
    """Offer the step that finds a letter or a free answer, as the question wants."""
    return {"bbh-answer": bbh_answer}


@hookimpl
def aisb_evaluators() -> Mapping[str, Callable[..., Evaluator]]:
    """Offer the evaluator for letters, numbers, lists of words and rows of brackets."""
    return {"bbh-match": BbhMatch}


@hookimpl
def aisb_configs() -> Iterable[Traversable]:
    """Return the folder with this family's tasks and their other names."""
    return [files("aisb_dataset_reasoning")]
