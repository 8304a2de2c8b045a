"""Questions on videos and sounds as tasks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable

from aisb import hookimpl


@hookimpl
def aisb_configs() -> Iterable[Traversable]:
    """Declare the folder with the tasks and aliases of this family."""
    return [files("aisb_dataset_audiovisual")]


@hookimpl
def aisb_datasets() -> Mapping[str, str]:
    """Declare the readers of rows that go with a video or a sound."""
    return {
        "videobench": "aisb_dataset_audiovisual._videobench:videobench",
        "videomme": "aisb_dataset_audiovisual._videomme:videomme",
        "vocalsound": "aisb_dataset_audiovisual._vocalsound:vocalsound",
    }
