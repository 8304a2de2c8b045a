"""Tasks over long texts, with the readers, the hidden facts and the grading that they need."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable

from aisb import Evaluator, hookimpl
from aisb.types import Row
from aisb_dataset_long.grading import LEvalScore, LongBenchScore, NeedleRecall
from aisb_dataset_long.needles import needle
from aisb_dataset_long.rows import key_values, leval, longbench


@hookimpl
def aisb_datasets() -> Mapping[str, Callable[..., Iterable[Row]]]:
    """Offer the readers of long texts, and the maker of texts with hidden facts."""
    return {
        "key-values": key_values,
        "leval": leval,
        "longbench": longbench,
        "needle": needle,
    }


@hookimpl
def aisb_evaluators() -> Mapping[str, Callable[..., Evaluator]]:
    """Offer the evaluators that grade each set by its own measure."""
    return {
        "leval-score": LEvalScore,
        "longbench-score": LongBenchScore,
        "needle-recall": NeedleRecall,
    }


@hookimpl
def aisb_configs() -> Iterable[Traversable]:
    """Return the folder with this family's tasks and their other names."""
    return [files("aisb_dataset_long")]
