"""Exams as tasks: multiple choice in English and Chinese, with one right option or several or none at all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable

from aisb import hookimpl


@hookimpl
def aisb_configs() -> Iterable[Traversable]:
    """Return the folder with this family's tasks and their other names."""
    return [files("aisb_dataset_exams")]


@hookimpl
def aisb_datasets() -> Mapping[str, str]:
    """Offer the readers of files whose rows a template cannot take apart."""
    return {
        "agieval-rows": "aisb_dataset_exams._rows:agieval_rows",
        "race-articles": "aisb_dataset_exams._rows:race_articles",
    }


@hookimpl
def aisb_postprocessors() -> Mapping[str, str]:
    """Offer the step that finds one letter, several, or a value."""
    return {"exam-answer": "aisb_dataset_exams._answers:exam_answer"}


@hookimpl
def aisb_evaluators() -> Mapping[str, str]:
    """Offer the grader of answers of one letter, several, or a value."""
    return {"exam-match": "aisb_dataset_exams._answers:ExamMatch"}
