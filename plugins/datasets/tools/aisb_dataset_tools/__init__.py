"""Function-calling tasks, with their reader."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable

from aisb import hookimpl
from aisb.types import Row
from aisb_dataset_tools.rows import bfcl


@hookimpl
def aisb_datasets() -> Mapping[str, Callable[..., Iterable[Row]]]:
    """Offer the reader of the leaderboard's files."""
    return {"bfcl": bfcl}


@hookimpl
def aisb_configs() -> Iterable[Traversable]:
    """Return the folder with this family's tasks and their other names."""
    return [files("aisb_dataset_tools")]
