"""Suggest the command line of `aisb sweep` if an option of `aisb run` was given several values."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

KEYS = {
    "--request-rate": "load.request_rate",
    "--concurrency": "load.concurrency",
    "--input-len": "task.dataset.input",
    "--output-len": "task.dataset.output",
}
"""Options of `aisb run` with one value, and the key of a grid that takes several."""
SEVERAL = re.compile(r"\d+(\.\d+)?(,\d+(\.\d+)?)+")
MODES = ("-m", "--mode")


def sweep_line(words: Sequence[str]) -> str:
    """Return the command line if an option of `KEYS` lists values (`--request-rate 5,10`), else ""."""
    grids: list[str] = []
    rest: list[str] = []
    left = iter(words)
    for word in left:
        flag, equals, value = word.partition("=")
        if flag in KEYS or flag in MODES:
            value = value if equals else next(left, "")
        if flag in KEYS and SEVERAL.fullmatch(value):
            grids += ["--grid", f"{KEYS[flag]}={value}"]
        elif flag in KEYS:
            rest += [word] if equals else [word, value]
        elif flag not in MODES:
            rest.append(word)
    return shlex.join(["aisb", "sweep", *grids, *rest]) if grids else ""
