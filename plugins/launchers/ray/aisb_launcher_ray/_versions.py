"""Hash the installed packages of aisb. This runs on each node, to detect nodes with other code.

Ray sends this module's source to the nodes, which may lack it, so it imports only the standard library.
"""

from __future__ import annotations

import hashlib
import pkgutil
import sys
from collections.abc import Iterable, Mapping
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path

ALWAYS = ("aisb", "aisb_engine", "aisb_launcher_ray")


def packages() -> set[str]:
    """Return the top-level packages of aisb and of its plugins."""
    own = {module.name for module in pkgutil.iter_modules() if module.name.partition("_")[0] == "aisb"}
    return own | {point.module.partition(".")[0] for point in entry_points(group="aisb")}


def hashes(names: Iterable[str]) -> dict[str, str]:
    """Return a hash of the source of each package; an empty text for one that is not installed."""
    return {name: _hash(name) for name in sorted(names)} | {
        "python": ".".join(map(str, sys.version_info[:2]))
    }


def _hash(name: str) -> str:
    spec = find_spec(name)
    if spec is None:
        return ""
    folders = sorted(spec.submodule_search_locations or ())
    files = [
        (file.relative_to(top).as_posix(), file) for top in map(Path, folders) for file in top.rglob("*")
    ]
    if not folders and spec.origin:
        files = [(Path(spec.origin).name, Path(spec.origin))]
    total = hashlib.sha256()
    for place, file in sorted(files):
        if file.suffix in {".py", ".toml"}:
            total.update(place.encode() + b"\0" + file.read_bytes() + b"\0")
    return total.hexdigest()[:12]


def needed(payloads: Iterable[bytes]) -> list[str]:
    """Return the packages that pickled jobs name, and those that every worker needs."""
    known, found = packages(), set(ALWAYS)
    for payload in payloads:
        found |= {name for name in known if name.encode() in payload}
    return sorted(found)


def version_differences(ours: Mapping[str, str], theirs: Mapping[str, str]) -> list[str]:
    """Return the differences on a node, each in a few words; empty if there are none."""
    lines = []
    for name, value in ours.items():
        other = theirs.get(name, "")
        if other == value:
            continue
        if name == "python":
            lines.append(f"it runs Python {other}, this command {value}")
        elif not other:
            lines.append(f"{name} is not installed there")
        else:
            lines.append(f"{name} is another version there ({other}, here {value})")
    return lines
