"""Competition mathematics, graded by what an answer means."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.resources import files
from importlib.resources.abc import Traversable

from aisb import hookimpl


@hookimpl
def aisb_configs() -> Iterable[Traversable]:
    """Declare the folder with the tasks and aliases of this family."""
    return [files("aisb_dataset_competition")]
