"""A task with pictures through the whole command: what is sent, kept, compared, and said of what is wrong."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from command_line import run_on_rows

from aisb_testing import make_png
from aisb_testing._fixtures import Answering

TASK = """
[tasks.pictures]
summary = "Pictures"
dataset.path = "./rows.jsonl"
sample.target = "{answer}"
prompt.user = "{question}"
prompt.media = [{ kind = "{type}", file = "{path}", at = "<image>" }]
evaluate = [{ use = "exact-match" }]
"""


@pytest.fixture
def asked(answering: Callable[..., Answering]) -> tuple[str, list[Any]]:
    """Return a chat service that answers `red`, and the bodies that it was sent."""
    message = {"role": "assistant", "content": "red"}
    reply = {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
    service = answering(
        {
            "/v1/models": (200, {"data": [{"id": "eyes"}]}),
            "/v1/chat/completions": (200, reply),
        }
    )
    return service.url, service.bodies


def run(work: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a folder that has the task and its rows."""
    rows = [
        {"question": "Which colour is <image>?", "type": "image", "path": "dot.png", "answer": "red"},
        {"question": "Which colour is this?", "type": "image", "path": "https://x/y.png", "answer": "blue"},
        {"question": "Which colour is the sky?", "type": "image", "path": "", "answer": "red"},
    ]
    return run_on_rows(work, TASK, rows, "--datasets", "pictures", *words)


def test_pictures_are_sent_kept_by_name_and_compared_when_a_run_goes_on(
    tmp_path: Path, asked: tuple[str, list[Any]]
) -> None:
    url, bodies = asked
    words = ["--models", "vllm_api_general_chat", "--url", url]
    picture = tmp_path / "dot.png"
    picture.write_bytes(make_png())
    ended = run(tmp_path, *words)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    address = f"data:image/png;base64,{base64.b64encode(make_png()).decode()}"
    contents = [body["messages"][0]["content"] for body in bodies]
    assert sorted(contents, key=str) == [
        "Which colour is the sky?",
        [
            {"type": "image_url", "image_url": {"url": "https://x/y.png"}},
            {"type": "text", "text": "Which colour is this?"},
        ],
        [
            {"type": "text", "text": "Which colour is "},
            {"type": "image_url", "image_url": {"url": address}},
            {"type": "text", "text": "?"},
        ],
    ]
    (file,) = tmp_path.glob("outputs/default/*/predictions/*/pictures.jsonl")
    first = json.loads(file.read_text().splitlines()[0])
    assert first["origin_prompt"][0]["content"][1] == {"type": "image", "image": picture.as_uri()}

    picture.write_bytes(make_png(90, 90))
    again = run(tmp_path, *words, "--reuse", "latest")
    assert again.returncode == 2
    assert "data.media_sha256: was " in again.stderr


def test_a_missing_picture_is_told_before_anything_is_sent(
    tmp_path: Path, asked: tuple[str, list[Any]]
) -> None:
    url, bodies = asked
    ended = run(tmp_path, "--models", "vllm_api_general_chat", "--url", url)
    assert (ended.returncode, bodies) == (2, [])
    assert "task.prompt.media.0: there is no file 'dot.png'; searched:" in ended.stderr
    assert "at sample 0" in ended.stderr


def test_a_text_endpoint_is_told_to_be_none_for_pictures(
    tmp_path: Path, asked: tuple[str, list[Any]]
) -> None:
    url, bodies = asked
    (tmp_path / "dot.png").write_bytes(make_png())
    ended = run(tmp_path, "--models", "vllm_api_general", "--url", url)
    assert (ended.returncode, bodies) == (2, [])
    assert "the task has image parts, which a text (completions) endpoint cannot be sent" in ended.stderr
