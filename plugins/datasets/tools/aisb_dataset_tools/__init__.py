"""Function-calling tasks, with their reader."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable

from aisb import hookimpl


@hookimpl
def aisb_datasets() -> Mapping[str, str]:
    """Offer the reader of the leaderboard's files."""
    return {"bfcl": "aisb_dataset_tools._rows:bfcl"}


@hookimpl
def aisb_configs() -> Iterable[Traversable]:
    """Return the folder with this family's tasks and their other names."""
    return [files("aisb_dataset_tools")]
