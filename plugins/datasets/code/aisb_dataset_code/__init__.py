"""Programming tasks: complete a function, write one from a description, or solve a problem of a contest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable

from aisb import hookimpl


@hookimpl
def aisb_configs() -> Iterable[Traversable]:
    """Return the folder with this family's tasks and their other names."""
    return [files("aisb_dataset_code")]


@hookimpl
def aisb_datasets() -> Mapping[str, str]:
    """Offer the readers of files whose rows a template cannot take apart."""
    return {
        "humanevalx": "aisb_dataset_code._rows:humanevalx",
        "livecodebench": "aisb_dataset_code._contests:livecodebench",
        "mbpp": "aisb_dataset_code._rows:mbpp",
    }
