"""Tasks of FewCLUE, with the reader that they share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable

from aisb import hookimpl
from aisb.types import Row
from aisb_dataset_clue.rows import fewclue


@hookimpl
def aisb_datasets() -> Mapping[str, Callable[..., Iterable[Row]]]:
    """Offer the reader of FewCLUE's files."""
    return {"fewclue": fewclue}


@hookimpl
def aisb_configs() -> Iterable[Traversable]:
    """Return the folder with this family's tasks and their other names."""
    return [files("aisb_dataset_clue")]
