"""Install small distributions for a test: each is built by its build backend, and its wheel is unpacked.

That is what pip does with them, without the second or two that pip takes; `tests/test_packaging.py` shows pip itself.
"""

from __future__ import annotations

import tempfile
import zipfile
from pathlib import Path

from hatchling.builders.wheel import WheelBuilder


def install(target: Path, *projects: Path) -> Path:
    """Install distributions in a folder, which is to stand on PYTHONPATH; return the folder."""
    with tempfile.TemporaryDirectory() as wheels:
        for project in projects:
            for wheel in WheelBuilder(str(project)).build(directory=wheels, versions=["standard"]):
                with zipfile.ZipFile(wheel) as archive:
                    archive.extractall(target)
    return target
