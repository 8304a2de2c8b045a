"""Compare the public API with that of the last tag, if there is one: `make lint` runs it."""
# ruff: noqa: INP001, S603, T201 - a program of the repository, which starts git and griffe

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = {"aisb": "core", "aisb_engine": "engine"}
"""The packages whose exported names are promised, and where each stands."""


def last_tag() -> str | None:
    """Return the last tag that this commit has behind it; None if there is none."""
    words = ["git", "describe", "--tags", "--abbrev=0"]
    ended = subprocess.run(words, capture_output=True, text=True, check=False, cwd=ROOT)
    return ended.stdout.strip() if ended.returncode == 0 else None


def main() -> int:
    """Return 1 when a name or a signature was broken since the last tag."""
    tag = last_tag()
    if tag is None:
        return 0
    griffe = str(Path(sys.executable).with_name("griffe"))
    broken = 0
    for package, folder in PACKAGES.items():
        words = [griffe, "check", package, "--search", folder, "--against", tag]
        ended = subprocess.run(words, capture_output=True, text=True, check=False, cwd=ROOT)
        if ended.returncode:
            print(f"{package} breaks what {tag} promised:\n{ended.stdout}{ended.stderr}")
            broken = 1
    return broken


if __name__ == "__main__":
    sys.exit(main())
