"""Exams as tasks: English and Chinese questions with one correct option, several, or no options."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable

from aisb import hookimpl


@hookimpl
def aisb_configs() -> Iterable[Traversable]:
    """Declare the folder with the tasks and aliases of this family."""
    return [files("aisb_dataset_exams")]


@hookimpl
def aisb_datasets() -> Mapping[str, str]:
    """Declare the readers of files whose rows need more than templates."""
    return {
        "agieval-rows": "aisb_dataset_exams._rows:agieval_rows",
        "race-articles": "aisb_dataset_exams._rows:race_articles",
    }


@hookimpl
def aisb_postprocessors() -> Mapping[str, str]:
    """Declare the postprocessor that finds one letter, several, or a value."""
    return {"exam-answer": "aisb_dataset_exams._answers:exam_answer"}


@hookimpl
def aisb_evaluators() -> Mapping[str, str]:
    """Declare the evaluator of answers of one letter, several, or a value."""
    return {"exam-match": "aisb_dataset_exams._answers:ExamMatch"}
