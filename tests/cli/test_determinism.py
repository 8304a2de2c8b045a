"""`aisb doctor --determinism` and `aisb compare --noise`, through the command."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import aisb

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
