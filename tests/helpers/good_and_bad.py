"""Two simulated models of different accuracy, and the command: for tests of `aisb compare`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from forked import run_forked

MODELS = """
[models.good]
backend = "sim"
[models.good.options]
accuracy = 0.9

[models.bad]
backend = "sim"
[models.bad.options]
accuracy = 0.4
"""
"""An `aisb.toml` with the models `good` and `bad`."""


def aisb(*words: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command, which must not end in a traceback."""
    ended = run_forked(
        [sys.executable, "-m", "aisb_cli.main", *words],
        cwd=cwd, capture_output=True, text=True, check=False, timeout=120, env=os.environ | environment,
    )  # fmt: skip
    assert "Traceback" not in ended.stderr, ended.stderr
    return ended
