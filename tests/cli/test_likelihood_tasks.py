"""Tasks that compare how likely their options are, from the command to the table, against a real socket."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from aisb_mock import MockOptions, start_mock
from aisb_testing._fixtures import Answering

ROWS = [
    {
        "question": f"What is the colour of stone number {n}?",
        "options": ["red", "green", "ultramarine"],
        "label": n % 3,
    }
    for n in range(12)
]
TASK = """
[tasks.stones]
summary = "Colours"
mode = "logprob"
dataset = {{ use = "jsonl", path = "stones.jsonl" }}
sample = {{ choices = "{{options}}", target_index = "{{label}}" }}
prompt = {{ user = "Q: {{question}}\\nA:", style = "{style}" }}
logprob = {{ continuation = " {{choice}}", normalise = "tokens" }}
evaluate = [{{ use = "choice-match" }}]
"""


def aisb(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "aisb_cli.main", *words]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=60)


def lay(tmp_path: Path, style: str) -> None:
    (tmp_path / "aisb.toml").write_text(TASK.format(style=style))
    (tmp_path / "datasets").mkdir(exist_ok=True)
    (tmp_path / "datasets/stones.jsonl").write_text("\n".join(map(json.dumps, ROWS)))
    known = [{"question": row["question"], "answer": row["options"][row["label"]]} for row in ROWS]
    (tmp_path / "answers.jsonl").write_text("\n".join(map(json.dumps, known)))


@pytest.mark.parametrize("style", ["text", "chat"])
@pytest.mark.parametrize("scores", ["prompt_logprobs", "echo"])
def test_the_likeliest_option_is_the_answer(tmp_path: Path, style: str, scores: str) -> None:
    lay(tmp_path, style)
    with start_mock(MockOptions(accuracy=1.0, answers=str(tmp_path / "answers.jsonl"))) as mock:
        words = ["run", "--models", "vllm_api_general", "--datasets", "stones", "--url", mock.url]
        ended = aisb(*words, "--set", f"model.prompt_scores={scores}", cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    (path,) = tmp_path.glob("outputs/default/*/results/vllm-api-general/stones.json")
    results = json.loads(path.read_text())
    assert results["accuracy"] == 100
    assert results["mode"] == "logprob"
    (lines,) = tmp_path.glob("outputs/default/*/predictions/vllm-api-general/stones.jsonl")
    first = json.loads(lines.read_text().splitlines()[0])
    assert len(first["logprobs"]) == 3
    assert first["logprobs"][2]["length"] == len(" ultramarine")
    again = aisb("score", "--set", "task.logprob.normalise=none", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    resumed = aisb("run", "--reuse", cwd=tmp_path)
    assert resumed.returncode == 3, resumed.stderr  # nothing is asked again, but the service is looked for


def test_a_service_without_log_probabilities_is_said_before_anything_is_sent(tmp_path: Path) -> None:
    lay(tmp_path, "text")
    ended = aisb("run", "--models", "sim", "--datasets", "stones", cwd=tmp_path)
    assert ended.returncode == 2
    assert (
        "gives no log-probabilities of a prompt, which this task compares; use a completions backend"
        in ended.stderr
    )
    assert list((tmp_path / "outputs/default").iterdir()) == []


def test_a_server_that_ignores_the_request_for_them_is_found_out_before_the_first_row(
    tmp_path: Path, answering: Callable[..., Answering]
) -> None:
    lay(tmp_path, "text")
    reply = {"choices": [{"index": 0, "text": " so", "finish_reason": "length"}]}
    service = answering({"/v1/models": (200, {"data": [{"id": "m"}]}), "/v1/completions": (200, reply)})
    ended = aisb(
        "run", "--models", "vllm_api_general", "--datasets", "stones", "--url", service.url, cwd=tmp_path
    )
    assert ended.returncode == 3
    assert (
        "vllm-api-general: the service ignored the request for log-probabilities of the prompt; tasks that compare "
        "them need vLLM, or another service that has prompt_logprobs or echo with logprobs" in ended.stderr
    )
    assert [body["prompt"] for body in service.bodies] == ["Yes, no"]
