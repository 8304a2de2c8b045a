"""Questions on images as tasks: subjects of study, pages, scenes, geometry, and where things are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable

from aisb import hookimpl


@hookimpl
def aisb_configs() -> Iterable[Traversable]:
    """Declare the folder with the tasks and aliases of this family."""
    return [files("aisb_dataset_vision")]


@hookimpl
def aisb_datasets() -> Mapping[str, str]:
    """Declare the readers of rows with images that need more than templates."""
    return {
        "image-questions": "aisb_dataset_vision._questions:image_questions",
        "ocrbench-v2": "aisb_dataset_vision._ocrbench:ocrbench_v2",
        "omnidocbench": "aisb_dataset_vision._pages:omnidocbench",
        "refcoco": "aisb_dataset_vision._places:refcoco",
        "textvqa": "aisb_dataset_vision._texts:textvqa",
        "vlmeval-tsv": "aisb_dataset_vision._sheets:vlmeval_tsv",
    }
