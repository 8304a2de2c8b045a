"""Tasks in which a model acts over many requests, in domains of τ²-bench."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable

from aisb import hookimpl


@hookimpl
def aisb_datasets() -> Mapping[str, str]:
    """Declare the reader of tasks."""
    return {"tau2": "aisb_dataset_agents._tau2_rows:tau2"}


@hookimpl
def aisb_environments() -> Mapping[str, str]:
    """Declare the domains with their simulated user."""
    return {"tau2-domain": "aisb_dataset_agents._tau2:tau2_domain"}


@hookimpl
def aisb_evaluators() -> Mapping[str, str]:
    """Declare the reward."""
    return {"tau2-reward": "aisb_dataset_agents._tau2_reward:Tau2Reward"}


@hookimpl
def aisb_configs() -> Iterable[Traversable]:
    """Declare the folder with the tasks of this family."""
    return [files("aisb_dataset_agents")]
