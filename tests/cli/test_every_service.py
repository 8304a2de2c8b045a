"""Every model name over its own API, by the command: right answers, and as right when a third of replies fail."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from aisb.testing.mock import MockOptions, start_mock

MODELS = (
    "vllm_api_general", "vllm_api_general_stream", "vllm_api_general_chat", "vllm_api_stream_chat",
    "vllm_api_stream_chat_multiturn", "vllm_api_function_call_chat", "vllm_api_old", "tgi_api_general",
    "tgi_stream_api_general", "triton_api_general", "triton_stream_api_general", "mindie_stream_api_general",
)  # fmt: skip
FAULTS = (
    "status-429:0.04", "status-500:0.03", "status-503:0.03", "refuse:0.03", "cut:0.04", "stall:0.02", "hang:0.02",
    "garbage:0.03", "html:0.02", "error-event:0.03", "empty:0.01",
)  # fmt: skip
PATIENCE = (
    "load.retries=10", "load.backoff=0.05", "load.timeouts.first_byte=0.7", "load.timeouts.between_bytes=0.7"
)  # fmt: skip


def run(work: Path, url: str, *more: str) -> dict[str, list[dict[str, Any]]]:
    """Run all models on the demo task, and return the lines of their predictions."""
    words = ["run", "--models", *MODELS, "--url", url, "--datasets", "demo_gsm8k", "--max-num-workers", "12"]
    ended = subprocess.run(
        [sys.executable, "-m", "aisb_cli.main", *words, *more],
        cwd=work,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={key: value for key, value in os.environ.items() if not key.startswith("AISB_")},
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    found = {}
    for file in work.glob("outputs/default/*/predictions/*/demo_gsm8k.jsonl"):
        found[file.parent.name] = [json.loads(line) for line in file.read_text().splitlines()]
    return found


def texts(lines: list[dict[str, Any]]) -> list[object]:
    return [line["prediction"] for line in lines]


def test_every_name_gets_the_same_right_answers(tmp_path: Path) -> None:
    with start_mock(MockOptions(accuracy=1)) as mock:
        found = run(tmp_path, mock.url)
    assert sorted(found) == sorted(name.replace("_", "-") for name in MODELS)
    first = texts(found["vllm-api-general"])
    assert len(first) == 64
    assert {name for name, lines in found.items() if texts(lines) != first} == set()


def test_a_third_of_failing_replies_leaves_every_text_whole_and_none_doubled(tmp_path: Path) -> None:
    calm_folder, rough_folder = tmp_path / "calm", tmp_path / "rough"
    calm_folder.mkdir()
    rough_folder.mkdir()
    with start_mock(MockOptions(accuracy=1)) as mock:
        calm = run(calm_folder, mock.url)
    sets = [word for line in PATIENCE for word in ("--set", line)]
    with start_mock(MockOptions(accuracy=1, faults=FAULTS, retry_after=0.1)) as mock:
        rough = run(rough_folder, mock.url, *sets)
    assert {name: texts(lines) for name, lines in rough.items()} == {
        name: texts(lines) for name, lines in calm.items()
    }
    assert sum(line["attempts"] > 1 for lines in rough.values() for line in lines) > 50
