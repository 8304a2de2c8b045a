"""Programming tasks: complete a function, write one from a description, or solve a problem of a contest."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable

from aisb.hookspecs import hookimpl
from aisb.types import Row
from aisb_dataset_code import contests, rows


@hookimpl
def aisb_configs() -> Iterable[Traversable]:
    """Return the folder with this family's tasks and their other names."""
    return [files("aisb_dataset_code")]


@hookimpl
def aisb_datasets() -> Mapping[str, Callable[..., Iterable[Row]]]:
    """Offer the readers of files whose rows a template cannot take apart."""
    return {
        "humanevalx": rows.humanevalx,
        "livecodebench": contests.livecodebench,
        "mbpp": rows.mbpp,
    }
