"""Programming tasks: complete a function, write one from a description, or solve a problem of a contest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable

from aisb import hookimpl


@hookimpl
def aisb_configs() -> Iterable[Traversable]:
    """Declare the folder with the tasks and aliases of this family."""
    return [files("aisb_dataset_code")]


@hookimpl
def aisb_datasets() -> Mapping[str, str]:
    """Declare the readers of files whose rows need more than templates."""
    return {
        "humanevalx": "aisb_dataset_code._rows:humanevalx",
        "livecodebench": "aisb_dataset_code._contests:livecodebench",
        "mbpp": "aisb_dataset_code._rows:mbpp",
    }
