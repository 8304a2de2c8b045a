"""Function-calling tasks, with their reader."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable

from aisb import hookimpl


@hookimpl
def aisb_datasets() -> Mapping[str, str]:
    """Declare the readers of the leaderboard's files."""
    return {
        "bfcl": "aisb_dataset_tools._rows:bfcl",
        "bfcl-multi-turn": "aisb_dataset_tools._conversation_rows:bfcl_multi_turn",
    }


@hookimpl
def aisb_environments() -> Mapping[str, str]:
    """Declare the simulated services of its conversations, and the shell for SWE-bench."""
    return {
        "bfcl-services": "aisb_dataset_tools._conversations:bfcl_services",
        "swe-bench-shell": "aisb_dataset_tools._swe_shell:swe_bench_shell",
    }


@hookimpl
def aisb_evaluators() -> Mapping[str, str]:
    """Declare the evaluators of its conversations, and of trials of agents."""
    return {
        "agent-trial": "aisb_dataset_tools._trials:AgentTrial",
        "bfcl-turns": "aisb_dataset_tools._grading:BfclTurns",
        "swe-bench-harness": "aisb_dataset_tools._swe_harness:SweBenchHarness",
    }


@hookimpl
def aisb_importers() -> Mapping[str, str]:
    """Declare the readers of what harnesses for agents write."""
    return {
        "harbor": "aisb_dataset_tools._agent_results:Harbor",
        "swe-bench": "aisb_dataset_tools._agent_results:SweBench",
    }


@hookimpl
def aisb_configs() -> Iterable[Traversable]:
    """Declare the folder with the tasks and aliases of this family."""
    return [files("aisb_dataset_tools")]
