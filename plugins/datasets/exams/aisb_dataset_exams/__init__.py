"""Exams as tasks: multiple choice in English and Chinese, with one right option or several or none at all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable

from aisb.evaluator import Evaluator, Postprocessor
from aisb.hookspecs import hookimpl
from aisb.types import Row
from aisb_dataset_exams import answers, rows


@hookimpl
def aisb_configs() -> Iterable[Traversable]:
    """Return the folder with this family's tasks and their other names."""
    return [files("aisb_dataset_exams")]


@hookimpl
def aisb_datasets() -> Mapping[str, Callable[..., Iterable[Row]]]:
    """Offer the readers of files whose rows a template cannot take apart."""
    return {"agieval-rows": rows.agieval_rows, "race-articles": rows.race_articles}


@hookimpl
def aisb_postprocessors() -> Mapping[str, Callable[..., Postprocessor]]:
    """Offer the step that finds one letter, several, or a value."""
    return {"exam-answer": answers.exam_answer}


@hookimpl
def aisb_evaluators() -> Mapping[str, Callable[..., Evaluator]]:
    """Offer the grader of answers of one letter, several, or a value."""
    return {"exam-match": answers.ExamMatch}
