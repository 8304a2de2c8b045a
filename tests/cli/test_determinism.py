"""`aisb doctor --determinism` and `aisb compare --noise`, through the command."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import aisb

from aisb_cli.doctor.duration_estimate import EstimatingDisplay
from aisb_engine import Progress
from aisb_engine._progress import Silent
from aisb_mock import MockOptions, start_mock


def test_answers_that_vary_under_load_are_found_and_taken_into_account(tmp_path: Path) -> None:
    pytest.importorskip("scipy")
    options = MockOptions(accuracy=1, ttft_ms=100, corrupt_share=1, corrupt_above=3)
    with start_mock(options) as mock:
        words = ("doctor", "--url", mock.url, "--determinism", "--prompts", "8", "--json")
        ended = aisb(*words, cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    found = {one["name"]: one for one in json.loads(ended.stdout) if one["area"].startswith("determinism of")}
    assert found["alone"]["text"] == "all 8 prompts always get the same text"
    assert found["alone and under load"]["state"] == "note"
    assert "aisb compare --noise outputs/determinism/" in found["alone and under load"]["remedy"]
    assert "flip between right and wrong from alone to under load" in found["score"]["text"]
    (noise,) = (tmp_path / "outputs" / "determinism").iterdir()
    sides = ("--model-a", "alone-1", "--model-b", "alone-2")
    compared = aisb("compare", str(noise), *sides, "--noise", str(noise), cwd=tmp_path)
    assert "  0.0 % of the samples flip; " in compared.stdout
    assert "that is no more than this noise explains" in compared.stdout


def test_determinism_needs_a_service(tmp_path: Path) -> None:
    ended = aisb("doctor", "--determinism", cwd=tmp_path)
    assert ended.returncode == 2
    assert "--determinism sends requests to a service: name it with --url" in ended.stderr


@pytest.mark.slow
def test_a_slow_service_is_said_to_need_minutes(tmp_path: Path) -> None:
    """The estimate comes early on standard error; the run is then ended as by Ctrl-C."""
    with start_mock(MockOptions(ttft_ms=1500, tokens=2)) as mock:
        words = ("doctor", "--url", mock.url, "--determinism", "--prompts", "10")
        process = subprocess.Popen(
            [sys.executable, "-m", "aisb_cli.main", *words],
            cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        try:
            assert process.stderr
            line = next(line for line in process.stderr if line.startswith("a reply takes "))
        finally:
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=60)
    assert re.fullmatch(
        r"a reply takes [\d.]+ s: these 60 requests need up to \d+ min; --prompts N sends fewer, Ctrl-C ends it\n",
        line,
    )


def test_a_quick_service_gets_no_estimate() -> None:
    display = EstimatingDisplay(Silent(), "", clock=lambda: 10.0)
    quick = Progress("alone-1", "demo", Path("log"), total=24, finished=4, started=9.0)
    assert display.estimate([quick] * 6) == ""
    slow = Progress("alone-1", "demo", Path("log"), total=24, finished=2, started=0.0)
    assert display.estimate([slow] * 6).startswith("a reply takes 5 s: these 144 requests need up to 12 min")
