"""Read the tasks of a domain from a checkout of τ²-bench."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from aisb import DataError, Row, UsageError

VARIABLE = "AISB_TAU2"
HOW_TO_GET_IT = (
    "git clone https://github.com/sierra-research/tau2-bench, and name the folder in the variable "
    f"{VARIABLE} (the package tau2 of PyPI is another program)"
)


def checkout_at(given: Path | None) -> Path:
    """Return the checkout of τ²-bench that an option or the variable names.

    Raises:
        UsageError: neither does, or it is not a checkout.
    """
    named = given or (Path(os.environ[VARIABLE]) if os.environ.get(VARIABLE) else None)
    if named is None:
        raise UsageError(f"a checkout of tau2-bench is needed: {HOW_TO_GET_IT}")
    if not (named / "src" / "tau2" / "domains").is_dir() or not domains_in(named).is_dir():
        raise UsageError(f"{named} is not a checkout of tau2-bench: {HOW_TO_GET_IT}")
    return named.resolve()


def domains_in(checkout: Path) -> Path:
    """Return the folder of a checkout with the data of all domains."""
    return checkout / "data" / "tau2" / "domains"


def tau2(
    *,
    domain: Annotated[str, "domain: airline, retail or telecom"],
    split: Annotated[
        str, "split of split_tasks.json; base is the published one, empty takes every task"
    ] = "base",
    checkout: Annotated[Path | None, f"checkout of tau2-bench; default: the variable {VARIABLE}"] = None,
) -> Iterator[Row]:
    """Tasks of a domain of τ²-bench, from `data/tau2/domains/DOMAIN/tasks.json` of a checkout.

    Fields: `name` (the id there), `domain`, `purpose`, and `task` (the task as it is in the file).
    """
    folder = domains_in(checkout_at(checkout)) / domain
    tasks = _read(folder / "tasks.json")
    tasks = tasks["tasks"] if isinstance(tasks, dict) and "tasks" in tasks else tasks
    chosen: set[str] | None = None
    if split:
        splits = _read(folder / "split_tasks.json")
        if split not in splits:
            raise DataError(f"{folder} has no split {split!r}; it has {', '.join(splits)}")
        chosen = set(splits[split])
    for task in tasks:
        missing = [name for name in ("id", "user_scenario", "evaluation_criteria") if name not in task]
        if missing:
            raise DataError(f"{folder / 'tasks.json'}: a task has no {missing[0]!r}")
        if chosen is None or task["id"] in chosen:
            purpose = (task.get("description") or {}).get("purpose") or ""
            yield {"name": task["id"], "domain": domain, "purpose": purpose, "task": task}


def _read(file: Path) -> Any:
    try:
        return json.loads(file.read_bytes())
    except FileNotFoundError as error:
        raise DataError(f"{file} is missing: is {file.parent.name!r} a domain of this checkout?") from error
    except (OSError, ValueError) as error:
        raise DataError(f"{file} cannot be read: {error}") from error
