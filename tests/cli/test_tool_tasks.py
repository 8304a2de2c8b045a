"""Tasks whose rows bring functions, through the whole command: sent, called, and graded."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from command_line import run_on_rows

from aisb_mock import MockOptions, start_mock

TASK = """
[tasks.calls]
summary = "Calls"
dataset.path = "./rows.jsonl"
sample.target = "{answer}"
prompt.user = "{question}"
prompt.tools = "{functions}"
evaluate = [{ use = "call-match" }]
"""


def function(name: str, **types: str) -> dict[str, Any]:
    properties = {key: {"type": kind} for key, kind in types.items()}
    return {"name": name, "parameters": {"type": "object", "properties": properties}}


ROWS = [
    {"question": "one", "functions": [function("add", a="integer")], "answer": [{"add": {"a": [1]}}]},
    {"question": "two", "functions": [function("say", w="string")], "answer": [{"say": {"w": ["text"]}}]},
    {"question": "three", "functions": [function("add", a="integer")], "answer": [{"add": {"a": [7]}}]},
]


def run(work: Path, url: str, *words: str) -> subprocess.CompletedProcess[str]:
    return run_on_rows(work, TASK, ROWS, "--url", url, "--datasets", "calls", *words)


@pytest.mark.parametrize("stream", ["true", "false"])
@pytest.mark.parametrize("place", ["field", "content"])
def test_calls_are_graded_streamed_or_whole_from_tool_calls_or_from_the_text(
    tmp_path: Path, place: str, stream: str
) -> None:
    sets = [f"model.stream={stream}", f"model.returns_tool_calls={'true' if place == 'field' else 'false'}"]
    words = [word for line in sets for word in ("--set", line)]
    with start_mock(MockOptions(tool_calls=place)) as mock:
        ended = run(tmp_path, mock.url, "--models", "vllm_api_function_call_chat", *words)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    (results,) = tmp_path.glob("outputs/default/*/results/*/calls.json")
    assert json.loads(results.read_text())["outcomes"] == {
        "correct": 2, "wrong": 1, "truncated": 0, "unparsed": 0, "refused": 0, "error": 0,
    }  # fmt: skip
    (file,) = tmp_path.glob("outputs/default/*/predictions/*/calls.jsonl")
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert [(line["tool_calls"][0]["name"], line["prediction"]) for line in lines] == [
        ("add", ""), ("say", ""), ("add", ""),
    ]  # fmt: skip


def test_a_text_endpoint_is_refused_before_anything_is_sent(tmp_path: Path) -> None:
    with start_mock(MockOptions()) as mock:
        ended = run(tmp_path, mock.url, "--models", "vllm_api_general")
    assert ended.returncode == 2
    assert "the task has tools, which a text (completions) endpoint cannot be sent" in ended.stderr
