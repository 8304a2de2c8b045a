"""Tasks that compare how likely their options are, from the command to the table, against a real socket."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from forked import run_forked

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
    return run_forked(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=60)


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


@pytest.mark.parametrize("style", ["text", "chat"])
def test_a_chat_service_compares_options_as_the_assistants_turn(tmp_path: Path, style: str) -> None:
    lay(tmp_path, style)
    with start_mock(MockOptions(accuracy=1.0, answers=str(tmp_path / "answers.jsonl"))) as mock:
        words = ("run", "--models", "vllm_api_general_chat", "--datasets", "stones", "--url", mock.url)
        ended = aisb(*words, cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    (path,) = tmp_path.glob("outputs/default/*/results/vllm-api-general-chat/stones.json")
    assert json.loads(path.read_text())["accuracy"] == 100


def test_a_service_without_log_probabilities_is_said_before_anything_is_sent(tmp_path: Path) -> None:
    lay(tmp_path, "text")
    ended = aisb("run", "--models", "sim", "--datasets", "stones", cwd=tmp_path)
    assert ended.returncode == 2
    first, able = ended.stderr.splitlines()
    assert (
        first
        == "error: the model sim returns no log-probabilities, by which the task stones compares options"
    )
    assert able.startswith("  models that do: ")
    assert {"vllm_api_general", "vllm_api_general_chat"} < set(able.partition(": ")[2].split(", "))
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


class Merging(BaseHTTPRequestHandler):
    """Completions that echo log-probabilities; where `merges`, ": no" at the end is one token."""

    merges = True

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self._answer({"object": "list", "data": [{"id": "m", "object": "model"}]})

    def do_POST(self) -> None:
        prompt = json.loads(self.rfile.read(int(self.headers["content-length"])))["prompt"]
        merged = r": no$|" if self.merges else ""
        tokens = re.findall(merged + r"\s?\w+|\s|.", prompt, re.DOTALL)
        known = {": no": -3.0, ":": -2.0, " yes": -1.5, " no": -1.0}
        values = [None, *(known.get(token, -0.5) for token in tokens[1:])]
        found = {"tokens": tokens, "token_logprobs": values, "top_logprobs": [{} for _ in tokens]}
        usage = {"prompt_tokens": len(tokens), "completion_tokens": 0}
        choice = {"index": 0, "text": prompt, "finish_reason": "length", "logprobs": found}
        self._answer({"choices": [choice], "usage": usage})

    def _answer(self, table: dict[str, object]) -> None:
        body = json.dumps(table).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.mark.parametrize("merges", [True, False])
def test_an_option_whose_token_holds_a_part_of_the_prompt_is_compared_as_the_others(
    tmp_path: Path, merges: bool
) -> None:
    (tmp_path / "own.csv").write_text("question,A,B,answer\nIs it?,yes,no,B\nWill it?,yes,no,A\n")
    handler = type("Handler", (Merging,), {"merges": merges})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        ended = aisb(
            "run", "--models", "vllm_api_general", "--url", url, "--model-name", "m", "--custom-dataset-path",
            "own.csv", "--custom-dataset-infer-method", "ppl", "--set", "model.prompt_scores=echo",
            "--set", "task.logprob.continuation= {choice}", cwd=tmp_path,
        )  # fmt: skip
        server.shutdown()
    assert ended.returncode == 0, ended.stderr
    (path,) = tmp_path.glob("outputs/default/*/results/vllm-api-general/own_scores.jsonl")
    assert [json.loads(line)["answer"] for line in path.read_text().splitlines()] == ["B", "B"]
    (path,) = tmp_path.glob("outputs/default/*/predictions/vllm-api-general/own.jsonl")
    first = json.loads(path.read_text().splitlines()[0])["logprobs"]
    assert [one["merged"] for one in first] == ([0, 1] if merges else [0, 0])
