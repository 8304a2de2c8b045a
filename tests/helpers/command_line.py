"""Run the command `aisb` in a folder, as tests of single commands do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from forked import run_forked


def aisb(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a command, and return how it ended; a traceback fails the test."""
    ended = run_forked(
        [sys.executable, "-m", "aisb_cli.main", *words],
        cwd=cwd, capture_output=True, text=True, check=False, timeout=240,
    )  # fmt: skip
    assert "Traceback" not in ended.stderr, ended.stderr
    return ended


def aisb_output(*words: str, cwd: Path, code: int = 0) -> str:
    """Run a command in a wide terminal, check its exit code, and return all of its output."""
    ended = run_forked(
        [sys.executable, "-m", "aisb_cli.main", *words],
        cwd=cwd, capture_output=True, text=True, check=False, timeout=120,
        env=os.environ | {"COLUMNS": "200"},
    )  # fmt: skip
    assert "Traceback" not in ended.stderr, ended.stderr
    assert ended.returncode == code, ended.stderr
    return ended.stdout + ended.stderr


def aisb_without_settings(*words: object, cwd: Path, code: int = 0) -> subprocess.CompletedProcess[str]:
    """Run a command without the environment variables of aisb, and check its exit code."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AISB_")}
    ended = run_forked(
        [sys.executable, "-m", "aisb_cli.main", *map(str, words)],
        cwd=cwd, capture_output=True, text=True, check=False, timeout=120,
        env=kept | {"COLUMNS": "100"},
    )  # fmt: skip
    assert ended.returncode == code, ended.stderr + ended.stdout
    return ended


class Ended(NamedTuple):
    """How a command ended, and what it printed."""

    code: int
    out: str
    err: str


def end_of_command(*words: str, cwd: Path, columns: int = 80, **variables: str) -> Ended:
    """Run a command without the environment variables of aisb and openai, and return how it ended."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AISB_", "OPENAI_"))}
    ended = run_forked(
        [sys.executable, "-m", "aisb_cli.main", *words],
        cwd=cwd, capture_output=True, text=True, check=False, timeout=120,
        env=kept | {"COLUMNS": str(columns)} | variables,
    )  # fmt: skip
    assert "Traceback" not in ended.stderr, ended.stderr
    return Ended(ended.returncode, ended.stdout, ended.stderr)


def run_on_rows(
    work: Path, toml: str, rows: Iterable[Mapping[str, Any]], *words: str
) -> subprocess.CompletedProcess[str]:
    """Write `aisb.toml` and the rows of its task, and run it without the environment variables of aisb."""
    (work / "aisb.toml").write_text(toml)
    (work / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return run_forked(
        [sys.executable, "-m", "aisb_cli.main", "run", *words],
        cwd=work, capture_output=True, text=True, check=False, timeout=60,
        env={name: value for name, value in os.environ.items() if not name.startswith("AISB_")},
    )  # fmt: skip
