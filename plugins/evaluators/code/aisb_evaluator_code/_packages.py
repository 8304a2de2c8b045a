"""Third-party packages that programs may import: numpy, if it is installed."""

from __future__ import annotations

import functools
import importlib.util
import re
from pathlib import Path

from aisb_evaluator_code._reasons import THIRD_PARTY


def folders(program: str) -> tuple[list[str], list[str]]:
    """Return the folders to bind into a box for a program's imports, and its search paths."""
    visible: list[str] = []
    searched: list[str] = []
    for name in THIRD_PARTY:
        if re.search(rf"\bimport\s+{name}\b|\bfrom\s+{name}\b|\b{name}\s*,", program):
            parts = _parts(name)
            visible += parts
            searched += [str(Path(parts[0]).parent)] if parts else []
    return visible, list(dict.fromkeys(searched))


@functools.cache
def _parts(name: str) -> list[str]:
    """Return the folder of a package, and that of the libraries in its wheel."""
    found = importlib.util.find_spec(name)
    if found is None or not found.origin:
        return []
    folder = Path(found.origin).parent
    libraries = folder.with_name(f"{name}.libs")
    return [str(folder), *([str(libraries)] if libraries.is_dir() else [])]
