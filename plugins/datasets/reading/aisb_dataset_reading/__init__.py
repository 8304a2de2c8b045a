"""Tasks of reading, knowledge and summaries, with the readers and steps that they share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable

from aisb import hookimpl


@hookimpl
def aisb_datasets() -> Mapping[str, str]:
    """Declare the readers of files with special formats of answers."""
    return {
        "drop-rows": "aisb_dataset_reading._rows:drop_rows",
        "line-pairs": "aisb_dataset_reading._rows:line_pairs",
        "squad-json": "aisb_dataset_reading._rows:squad_json",
        "trivia-tsv": "aisb_dataset_reading._rows:trivia_tsv",
    }


@hookimpl
def aisb_postprocessors() -> Mapping[str, str]:
    """Declare the postprocessors that find a short answer, and the word that completes a text."""
    return {
        "next-word": "aisb_dataset_reading._answers:next_word",
        "short-answer": "aisb_dataset_reading._answers:short_answer",
    }


@hookimpl
def aisb_configs() -> Iterable[Traversable]:
    """Declare the folder with the tasks and aliases of this family."""
    return [files("aisb_dataset_reading")]
