"""Every model name over its own API, by the command: right answers, and as right when a third of replies fail."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from forked import run_forked

from aisb_mock import MockOptions, start_mock
from aisb_testing._fixtures import Answering

MODELS = (
    "vllm_api_general", "vllm_api_general_stream", "vllm_api_general_chat", "vllm_api_stream_chat",
    "vllm_api_stream_chat_multiturn", "vllm_api_function_call_chat", "vllm_api_old", "tgi_api_general",
    "tgi_stream_api_general", "triton_api_general", "triton_stream_api_general", "mindie_stream_api_general",
    "openai",
)  # fmt: skip
FAULTS = (
    "status-429:0.04", "status-500:0.03", "status-503:0.03", "refuse:0.03", "cut:0.04", "stall:0.02", "hang:0.02",
    "garbage:0.03", "html:0.02", "error-event:0.03", "empty:0.01",
)  # fmt: skip
PATIENCE = (
    "load.retries=10", "load.backoff=0.05", "load.timeouts.first_byte=2", "load.timeouts.between_bytes=2"
)  # fmt: skip
QUICK_FAULTS = (
    "status-429:0.05", "status-500:0.04", "status-503:0.04", "refuse:0.03", "cut:0.05", "garbage:0.03", "html:0.02",
    "error-event:0.03", "empty:0.01",
)  # fmt: skip
"""Without those that wait: the timeouts that hold by default are minutes."""


def run(work: Path, url: str, *more: str, code: int = 0) -> dict[str, list[dict[str, Any]]]:
    """Run all models on the demo task, and return the lines of their predictions."""
    words = ["run", "--models", *MODELS, "--url", url, "--datasets", "demo_gsm8k", "--max-num-workers", "13"]
    ended = command(work, *words, *more)
    assert ended.returncode == code, ended.stdout + ended.stderr
    return predictions(work)


def command(work: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a folder."""
    return run_forked(
        [sys.executable, "-m", "aisb_cli.main", *words],
        cwd=work,
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
        env={key: value for key, value in os.environ.items() if not key.startswith("AISB_")}
        | {"OPENAI_API_KEY": "sk-none"},
    )


def predictions(work: Path) -> dict[str, list[dict[str, Any]]]:
    """Return the lines of all predictions of the one run of a folder, by model."""
    found = {}
    for file in work.glob("outputs/default/*/predictions/*/demo_gsm8k.jsonl"):
        found[file.parent.name] = [json.loads(line) for line in file.read_text().splitlines()]
    return found


def texts(lines: list[dict[str, Any]]) -> list[object]:
    return [line["prediction"] for line in lines]


@pytest.mark.slow
def test_every_name_gets_the_same_right_answers(tmp_path: Path) -> None:
    with start_mock(MockOptions(accuracy=1)) as mock:
        found = run(tmp_path, mock.url)
    assert sorted(found) == sorted(name.replace("_", "-") for name in MODELS)
    first = texts(found["vllm-api-general"])
    assert len(first) == 64
    assert {name for name, lines in found.items() if texts(lines) != first} == set()


@pytest.mark.slow
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


@pytest.mark.slow
def test_with_the_defaults_going_on_with_the_run_finishes_what_was_left(tmp_path: Path) -> None:
    calm_folder, rough_folder = tmp_path / "calm", tmp_path / "rough"
    calm_folder.mkdir()
    rough_folder.mkdir()
    with start_mock(MockOptions(accuracy=1)) as mock:
        calm = run(calm_folder, mock.url)
    with start_mock(MockOptions(accuracy=1, faults=QUICK_FAULTS, retry_after=0.1)) as mock:
        first = run(rough_folder, mock.url, code=1)
        assert any(line["failure"] for lines in first.values() for line in lines)
        codes = [1]
        while codes[-1] == 1 and len(codes) < 6:
            codes.append(command(rough_folder, "run", "--reuse", "latest").returncode)
    assert codes[-1] == 0, codes
    finished = predictions(rough_folder)
    assert {name: texts(lines) for name, lines in finished.items()} == {
        name: texts(lines) for name, lines in calm.items()
    }


SESSIONS = """
[tasks.sessions]
summary = "Sessions of three turns"
dataset.path = "./rows.jsonl"
prompt = { user = "{first}", followups = "{later}", system = "Be brief." }
evaluate = [{ use = "exact-match" }]
"""


def test_a_sessions_later_turns_are_asked_with_the_answers_that_were_given(
    tmp_path: Path, answering: Callable[..., Answering]
) -> None:
    def answer(body: dict[str, Any]) -> tuple[int, str, dict[str, str]]:
        turn = {"role": "assistant", "content": f"so much for {body['messages'][-1]['content']}"}
        events = [{"choices": [{"delta": turn}]}, {"choices": [{"delta": {}, "finish_reason": "stop"}]}]
        said = "".join(f"data: {json.dumps(event)}\n\n" for event in events)
        return 200, f"{said}data: [DONE]\n\n", {"content-type": "text/event-stream"}

    (tmp_path / "aisb.toml").write_text(SESSIONS)
    rows = [{"first": "a", "later": ["b", "c"]}, {"first": "x", "later": ["y"]}]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    service = answering({"/v1/models": (200, {"data": [{"id": "m"}]}), "/v1/chat/completions": answer})
    words = [
        "run",
        "--models",
        "vllm_api_stream_chat_multiturn",
        "--datasets",
        "sessions",
        "--url",
        service.url,
    ]
    ended = command(tmp_path, *words)
    assert ended.returncode == 0, ended.stderr
    asked = [[turn["content"] for turn in body["messages"]] for body in service.bodies]
    assert sorted(asked) == [
        ["Be brief.", "a"],
        ["Be brief.", "a", "so much for a", "b"],
        ["Be brief.", "a", "so much for a", "b", "so much for b", "c"],
        ["Be brief.", "x"],
        ["Be brief.", "x", "so much for x", "y"],
    ]
    (file,) = tmp_path.glob("outputs/default/*/predictions/*/sessions.jsonl")
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert [(line["id"], line["turn"], line["prediction"]) for line in lines] == [
        ("0", 0, "so much for a"), ("0", 1, "so much for b"), ("0", 2, "so much for c"),
        ("1", 0, "so much for x"), ("1", 1, "so much for y"),
    ]  # fmt: skip
