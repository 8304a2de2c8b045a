"""Tasks of reading, knowledge and summaries, with the readers and steps that they share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable

from aisb import Postprocessor, hookimpl
from aisb.types import Row
from aisb_dataset_reading import answers, rows


@hookimpl
def aisb_datasets() -> Mapping[str, Callable[..., Iterable[Row]]]:
    """Offer the readers of files whose answers are written in a way of their own."""
    return {
        "drop-rows": rows.drop_rows,
        "line-pairs": rows.line_pairs,
        "squad-json": rows.squad_json,
        "trivia-tsv": rows.trivia_tsv,
    }


@hookimpl
def aisb_postprocessors() -> Mapping[str, Callable[..., Postprocessor]]:
    """Offer the steps that find a short answer, and the word that completes a text."""
    return {"next-word": answers.next_word, "short-answer": answers.short_answer}


@hookimpl
def aisb_configs() -> Iterable[Traversable]:
    """Return the folder with this family's tasks and their other names."""
    return [files("aisb_dataset_reading")]
