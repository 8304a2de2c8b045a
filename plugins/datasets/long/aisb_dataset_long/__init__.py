"""Tasks with long texts: their readers, needle generation and evaluators."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable

from aisb import hookimpl


@hookimpl
def aisb_datasets() -> Mapping[str, str]:
    """Declare the readers of long texts, and the generator of texts with hidden facts."""
    return {
        "aa-lcr": "aisb_dataset_long._documents:aa_lcr",
        "key-values": "aisb_dataset_long._rows:key_values",
        "leval": "aisb_dataset_long._rows:leval",
        "longbench": "aisb_dataset_long._rows:longbench",
        "needle": "aisb_dataset_long._needles:needle",
    }


@hookimpl
def aisb_evaluators() -> Mapping[str, str]:
    """Declare the evaluators, which grade each set by its own measure."""
    return {
        "leval-score": "aisb_dataset_long._grading:LEvalScore",
        "longbench-score": "aisb_dataset_long._grading:LongBenchScore",
        "needle-recall": "aisb_dataset_long._grading:NeedleRecall",
    }


@hookimpl
def aisb_configs() -> Iterable[Traversable]:
    """Declare the folder with the tasks and aliases of this family."""
    return [files("aisb_dataset_long")]
