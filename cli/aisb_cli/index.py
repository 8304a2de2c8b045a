"""Look up names that are not installed: the distribution of this project that has them.

`tools/index.py` writes `index.toml` from the repository.
"""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from typing import Any, NamedTuple

INDEXED = ("commands", "components", "models", "tasks", "aliases")
"""The lists of names of each distribution in the index."""


def explain_name(name: str) -> str | None:
    """Return a note on an unknown name: what to install, or that it does not exist yet.

    None if the name is not in the index, or the distribution that has it is installed.
    """
    index = _index()
    for pattern, reason in not_offered_yet().items():
        if name == pattern or fnmatchcase(name.lower(), pattern):
            return f"the task {name} is not offered yet: {reason}"
    distributions: Mapping[str, Any] = index["distributions"]
    what, owners = _owners(name, distributions)
    for owner in owners:
        if not _is_installed(owner):
            command = _install_command(owner, distributions)
            return f"{what} with {owner}; in a checkout of aisb: {command}"
    return None


def explain_command(name: str) -> str | None:
    """Return what to install for a command such as `config import`; None if no distribution here has it."""
    is_known = any(name in table.get("commands", ()) for table in _index()["distributions"].values())
    return explain_name(name) if is_known else None


def not_offered_yet() -> Mapping[str, str]:
    """Return names of tasks of other tools that nothing here brings, with the reason; `*` is any text."""
    found: Mapping[str, str] = _index()["not_offered_yet"]
    return found


class NotInstalled(NamedTuple):
    """A distribution of this project that is not installed.

    `names` holds what it brings, by the kinds of `INDEXED`; `install` is the command that installs it from a
    checkout.
    """

    distribution: str
    names: Mapping[str, list[str]]
    install: str


def not_installed() -> list[NotInstalled]:
    """Return every distribution of this project that is not installed, with what it brings."""
    distributions: Mapping[str, Any] = _index()["distributions"]
    return [
        NotInstalled(
            name,
            {kind: list(table[kind]) for kind in INDEXED if kind in table},
            _install_command(name, distributions),
        )
        for name, table in sorted(distributions.items())
        if not _is_installed(name)
    ]


def _install_command(owner: str, distributions: Mapping[str, Any]) -> str:
    return "pip install " + " ".join(f"./{folder}" for folder in _folders(owner, distributions))


def is_ours(name: str) -> bool:
    """Return whether a distribution belongs to this project."""
    return name in _index()["distributions"]


@cache
def _index() -> dict[str, Any]:
    import tomllib
    from importlib.resources import files

    return tomllib.loads(files("aisb_cli").joinpath("index.toml").read_text("utf-8"))


def _owners(name: str, distributions: Mapping[str, Any]) -> tuple[str, list[str]]:
    """Return the beginning of a note on a name, and the distributions that have it.

    An unknown name may belong to a family that a distribution has, by its first words: `mmlu_redux`.
    """
    names = {
        key: {n for kind in INDEXED for n in table.get(kind, ())} for key, table in distributions.items()
    }
    owners = [key for key, known in names.items() if name in known]
    if owners:
        return f"{name} comes", owners
    family = name.lower().replace("-", "_")
    while family:
        owners = [key for key, known in names.items() if any(f"{n}_".startswith(f"{family}_") for n in known)]
        if owners:
            break
        family = family.rpartition("_")[0]
    return f"the family {family} comes", owners if len(owners) == 1 else []


def _folders(owner: str, distributions: Mapping[str, Any]) -> list[str]:
    """Return the folders of a distribution and of its requirements that are not installed."""
    pending, found = [owner], list[str]()
    while pending:
        table = distributions[one := pending.pop()]
        if table["folder"] not in found and not _is_installed(one):
            found.append(table["folder"])
            pending += table.get("needs", ())
    return found


def _is_installed(name: str) -> bool:
    try:
        distribution(name)
    except PackageNotFoundError:
        return False
    return True
