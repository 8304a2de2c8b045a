"""The command as a process that a test stops or kills."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from forked import Forked


def start(*words: str, cwd: Path, **more: str) -> subprocess.Popen[str]:
    """Start the command without settings of the environment; its output is one stream of text."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("AISB_", "OPENAI_"))}
    return Forked(
        [sys.executable, "-m", "aisb_cli.main", *words],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**environment, **more, "COLUMNS": "200"},
    )


def wait_for_answers(run: subprocess.Popen[str], work: Path, size: int = 10_000) -> None:
    """Wait until a run has logged that many bytes of answers."""
    while sum(path.stat().st_size for path in work.glob("outputs/default/*/log/*/*/worker-*")) < size:
        time.sleep(0.01)
        assert run.poll() is None
