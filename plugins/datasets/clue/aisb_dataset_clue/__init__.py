"""Tasks of FewCLUE, with the reader that they share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable

from aisb import hookimpl


@hookimpl
def aisb_datasets() -> Mapping[str, str]:
    """Declare the reader of FewCLUE's files."""
    return {"fewclue": "aisb_dataset_clue._rows:fewclue"}


@hookimpl
def aisb_configs() -> Iterable[Traversable]:
    """Declare the folder with the tasks and aliases of this family."""
    return [files("aisb_dataset_clue")]
