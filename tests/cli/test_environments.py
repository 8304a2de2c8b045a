"""A model acts in an environment: turn after turn is asked and logged, once; failures are told apart."""

import json
import os
import sys

import pytest
from forked import run_forked

from aisb_testing import ScriptedService, Step, whole_reply

PLUGIN = '''\
import json
import os
from importlib.resources import files

from aisb import Episode, Evaluator, Message, Score, hookimpl

ADD = {"type": "function", "function": {"name": "add", "parameters": {"type": "object", "properties": {}}}}
HOLD = {"type": "function", "function": {"name": "hold", "parameters": {"type": "object", "properties": {}}}}


class Counter(Episode):
    """The model adds numbers until the sum is the goal."""

    def __init__(self, goal, repeat):
        self.goal, self.sum, self.repeat = goal, 0, repeat

    @property
    def tools(self):
        return (ADD, HOLD) if self.sum else (ADD,)

    async def begin(self):
        return [Message("user", f"Count to {self.goal}.")]

    async def respond(self, reply):
        if self.goal == 13 and not os.environ.get("MENDED"):
            raise OSError("the counter is broken")
        if not reply.tool_calls:
            return None
        for call in reply.tool_calls:
            arguments = json.loads(call["arguments"])
            self.sum += arguments["by"] if isinstance(arguments, dict) else 0
        return [Message("tool", str(self.sum), tool_call_id=call["id"]) for call in reply.tool_calls]

    def state(self):
        return {"sum": self.sum, "repeat": self.repeat}

    async def close(self):
        with open(os.environ["CLOSED"], "a") as file:
            file.write(f"{self.goal}\\n")


class Reached(Evaluator):
    grades_none = True

    def score(self, answer, sample):
        episode = sample.fields["episode"]
        is_right = episode["state"]["sum"] == sample.fields["goal"]
        return Score(float(is_right), "correct" if is_right else "wrong", details={"by": episode["ended_by"]})


@hookimpl
def aisb_environments():
    return {"counter": lambda: lambda sample, repeat: Counter(sample.fields["goal"], repeat)}


@hookimpl
def aisb_evaluators():
    return {"reached": Reached}


@hookimpl
def aisb_configs():
    return [files("aisb_counting")]
'''
TASK = """\
summary = "Count"
dataset.path = "./goals.jsonl"
prompt = { system = "You count.", user = "" }
required_params = ["tools"]
environment = { use = "counter", max_turns = 5 }
evaluate = [{ use = "reached" }]
"""


@pytest.fixture
def aisb(tmp_path):
    """Run a command with a plugin that has an environment; the rows are given as goals."""
    package, info = tmp_path / "p" / "aisb_counting", tmp_path / "p" / "aisb_counting-1.0.dist-info"
    (package / "tasks").mkdir(parents=True)
    info.mkdir()
    (package / "__init__.py").write_text(PLUGIN)
    (package / "tasks" / "count.toml").write_text(TASK)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: aisb-counting\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[aisb]\ncounting = aisb_counting\n")

    def run(*words, goals=(3,), **variables):
        rows = "".join(json.dumps({"goal": goal}) + "\n" for goal in goals)
        (package / "tasks" / "goals.jsonl").write_text(rows)
        paths = {"PYTHONPATH": str(tmp_path / "p"), "CLOSED": str(tmp_path / "closed"), "NO_COLOR": "1"}
        return run_forked(
            [sys.executable, "-m", "aisb_cli.main", *words], env={**os.environ, **paths, **variables},
            cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

    return run


def call(name, arguments, text=""):
    """Return the steps of a reply with one call."""
    calls = [{"id": "c1", "type": "function", "function": {"name": name, "arguments": arguments}}]
    message = {"role": "assistant", "content": text, "tool_calls": calls}
    return reply(message, "tool_calls")


def reply(message, finish="stop"):
    usage = {"prompt_tokens": 20, "completion_tokens": 7, "prompt_tokens_details": {"cached_tokens": 5}}
    return whole_reply({"choices": [{"message": message, "finish_reason": finish}], "usage": usage})


def adds_one(request):
    """Play a model that adds 1 until the sum in the conversation is the goal."""
    messages = request.body["messages"]
    goal = int(messages[1]["content"].split()[-1].rstrip("."))
    done = sum(message["role"] == "tool" for message in messages)
    if done == goal:
        return reply({"role": "assistant", "content": "<think>Enough.</think>Done."})
    return call("add", '{"by": 1}')


def asked(service, *more):
    return ("run", "--models", "vllm-chat", "--url", service.url, "--datasets", "count",
            "--set", "model.stream=false", "-w", "runs", *more)  # fmt: skip


def results(tmp_path):
    (file,) = tmp_path.glob("runs/*/results/vllm-chat/count.json")
    return json.loads(file.read_text())


def test_every_turn_is_a_logged_request_and_the_final_state_is_graded(aisb, tmp_path):
    with ScriptedService(adds_one) as service:
        done = aisb(*asked(service), goals=(3, 1))
    assert done.returncode == 0, done.stdout + done.stderr
    assert results(tmp_path)["outcomes"]["correct"] == 2
    (file,) = tmp_path.glob("runs/*/predictions/vllm-chat/count.jsonl")
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    assert [(row["id"], row["turn"]) for row in rows] == [
        *(("0", turn) for turn in range(4)),
        ("1", 0),
        ("1", 1),
    ]
    assert {row["usage"]["cached_tokens"] for row in rows} == {5}
    last = next(one.body for one in service.requests if len(one.body["messages"]) == 8)
    assert [one["role"] for one in last["messages"][:4]] == ["system", "user", "assistant", "tool"]
    assert last["messages"][2]["tool_calls"][0]["function"] == {"name": "add", "arguments": '{"by": 1}'}
    assert last["messages"][3] == {"role": "tool", "content": "1", "tool_call_id": "c1"}
    assert [tool["function"]["name"] for tool in last["tools"]] == ["add", "hold"]
    first = next(one.body for one in service.requests if len(one.body["messages"]) == 2)
    assert [tool["function"]["name"] for tool in first["tools"]] == ["add"]
    assert sorted((tmp_path / "closed").read_text().split()) == ["1", "3"]


def test_an_episode_that_reaches_the_bound_is_graded_as_it_stands(aisb, tmp_path):
    with ScriptedService(adds_one) as service:
        aisb(*asked(service), goals=(5, 50))
    assert len(service.requests) == 10
    assert results(tmp_path)["outcomes"] == {
        "correct": 1, "wrong": 1, "truncated": 0, "unparsed": 0, "refused": 0, "error": 0,
    }  # fmt: skip
    (file,) = tmp_path.glob("runs/*/results/vllm-chat/count_scores.jsonl")
    assert [json.loads(line)["details"]["by"] for line in file.read_text().splitlines()] == ["max_turns"] * 2


def test_what_the_environment_raises_is_an_error_and_is_tried_again_without_asking_again(aisb, tmp_path):
    with ScriptedService(adds_one) as service:
        done = aisb(*asked(service), goals=(2, 13))
        assert done.returncode == 1
        assert "environment 'counter' of plugin counting" in done.stderr
        assert "OSError: the counter is broken" in done.stderr
        assert results(tmp_path)["outcomes"]["error"] == 1
        assert results(tmp_path)["bounds"] == [50.0, 100.0]
        before = len(service.requests)
        again = aisb(*asked(service, "--reuse"), goals=(2, 13), MENDED="1")
        assert again.returncode == 0, again.stderr
        later = service.requests[before:]
    assert results(tmp_path)["outcomes"] == {
        "correct": 1, "wrong": 1, "truncated": 0, "unparsed": 0, "refused": 0, "error": 0,
    }  # fmt: skip
    # Turn 0 of the broken episode was answered; its four further turns are asked.
    assert [len(one.body["messages"]) for one in later] == [4, 6, 8, 10]


def test_a_failed_request_is_an_error_and_a_resumed_run_asks_from_that_turn_on(aisb, tmp_path):
    is_down = True

    def script(request):
        if is_down and len(request.body["messages"]) == 6:
            return [Step(0.0, b"HTTP/1.1 400 X\r\nContent-Length: 2\r\n\r\n{}")]
        return adds_one(request)

    with ScriptedService(script) as service:
        done = aisb(*asked(service), goals=(3,))
        assert done.returncode == 1, done.stdout + done.stderr
        assert results(tmp_path)["outcomes"]["error"] == 1
        is_down = False
        before = len(service.requests)
        again = aisb(*asked(service, "--reuse"), goals=(3,))
        assert again.returncode == 0, again.stdout + again.stderr
        assert [len(one.body["messages"]) for one in service.requests[before:]] == [6, 8]
        assert results(tmp_path)["outcomes"]["correct"] == 1
        third = aisb(*asked(service, "--reuse"), goals=(3,))
        assert "Found 4 finished of 4, 0 failed: resuming" in third.stderr
        assert len(service.requests) == before + 2


def test_scoring_again_needs_neither_the_model_nor_the_environment(aisb, tmp_path):
    with ScriptedService(adds_one) as service:
        aisb(*asked(service), goals=(3,))
    done = aisb("score", "latest", "-w", "runs")
    assert "100.00" in done.stdout, done.stderr
    assert aisb("pack", "latest", "-w", "runs", "-o", "run.capsule").returncode == 0
    verified = aisb("verify", "run.capsule")
    assert verified.returncode == 0, verified.stdout + verified.stderr


def test_arguments_that_are_no_json_go_back_to_the_service_as_an_object(aisb):
    def script(request):
        if len(request.body["messages"]) == 2:
            return call("add", "3")
        return reply({"role": "assistant", "content": "?"})

    with ScriptedService(script) as service:
        aisb(*asked(service), goals=(3,))
    (earlier,) = service.requests[-1].body["messages"][2]["tool_calls"]
    assert json.loads(earlier["function"]["arguments"]) == {"arguments": "3"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ("--workers", "2", "--concurrency", "2"),
            "environment 'counter' of plugin counting is not a function or class at the",
        ),
        (("--set", "task.prompt.followups=['x']"), "prompt.followups cannot be set"),
        (("--set", "task.environment.use=conter"), "did you mean 'counter'?"),
        (("--set", "task.environment.size=3"), "task.environment.size"),
        (("--models", "vllm-completions"), "needs a chat endpoint"),
    ],
)
def test_what_an_environment_cannot_do_is_said_before_the_first_request(aisb, words, said):
    with ScriptedService(adds_one) as service:
        base = asked(service)
        if "--models" in words:
            base = ("run", "--url", service.url, "--datasets", "count")
        done = aisb(*base, *words, goals=(3, 1))
        assert not service.requests
    assert done.returncode == 2, done.stdout + done.stderr
    assert said in done.stderr
