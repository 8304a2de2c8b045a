"""A few rounds of what `make torture` does for as long as you like."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

TORTURE = Path(__file__).with_name("torture.py")


def rounds(count: int, seed: int, tmp_path: Path) -> str:
    ended = subprocess.run(
        [sys.executable, str(TORTURE), "--rounds", str(count), "--seed", str(seed), "--keep", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=500,
    )
    assert ended.returncode == 0, ended.stdout[-3000:] + ended.stderr[-3000:]
    return ended.stdout


def test_a_few_disturbed_runs_are_what_undisturbed_ones_are(tmp_path: Path) -> None:
    assert "4 rounds, " in rounds(4, 1000, tmp_path)


@pytest.mark.slow
def test_many_disturbed_runs_are_what_undisturbed_ones_are(tmp_path: Path) -> None:
    assert ", 0 broken" in rounds(60, 2000, tmp_path)
