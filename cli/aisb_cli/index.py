"""What is known of names that are not installed: which distribution of this project brings them.

`index.toml` is written by `tools/index.py` from the repository.
"""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from typing import Any

INDEXED = ("commands", "components", "models", "tasks", "aliases")
"""The lists of names that each distribution has in the index."""


def explain_name(name: str) -> str | None:
    """Return a note on a name that nothing offers: what to install, or that it is not there yet.

    None where nothing is known of it, or where the distribution that brings it is installed.
    """
    index = _index()
    families = index["families_not_offered_yet"]
    if name in index["not_offered_yet"] or any(fnmatchcase(name.lower(), one) for one in families):
        return f"the task {name} is not offered yet"
    distributions: Mapping[str, Any] = index["distributions"]
    what, owners = _owners(name, distributions)
    for owner in owners:
        if not _is_installed(owner):
            folders = " ".join(f"./{folder}" for folder in _folders(owner, distributions))
            return f"{what} with {owner}; in a checkout of aisb: pip install {folders}"
    return None


def is_ours(name: str) -> bool:
    """Say whether a distribution is one of this project."""
    return name in _index()["distributions"]


@cache
def _index() -> dict[str, Any]:
    import tomllib
    from importlib.resources import files

    return tomllib.loads(files("aisb_cli").joinpath("index.toml").read_text("utf-8"))


def _owners(name: str, distributions: Mapping[str, Any]) -> tuple[str, list[str]]:
    """Return how a note on a name begins, and the distributions that bring it.

    A name that none of them has may be of a family that one of them has, by its first words: `mmlu_redux`.
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
    """Return the folders of a distribution and of those that it needs and that are not installed."""
    wanted, found = [owner], list[str]()
    while wanted:
        table = distributions[one := wanted.pop()]
        if table["folder"] not in found and not _is_installed(one):
            found.append(table["folder"])
            wanted += table.get("needs", ())
    return found


def _is_installed(name: str) -> bool:
    try:
        distribution(name)
    except PackageNotFoundError:
        return False
    return True
