"""A real model calls functions on a real server, and each call goes through the loop of an environment.

A small model calls functions only after it has seen calls, so each conversation begins with examples. Its words
can differ between builds of the server: the tests ask that it calls, and not that it is right.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.servers,
    pytest.mark.timeout(900),
    pytest.mark.parametrize("real", ["llamacpp-tools"], indirect=True),
]

PLUGIN = '''\
import json
from importlib.resources import files

from aisb import Episode, Evaluator, Message, Score, hookimpl

FOLDER = {"folder": {"type": "string"}}


def function(name, description, properties):
    parameters = {"type": "object", "properties": properties, "required": list(properties)}
    return {"type": "function", "function": {"name": name, "description": description, "parameters": parameters}}


def example(number, wish, name, arguments, answer):
    call = {"id": f"e{number}", "name": name, "arguments": json.dumps(arguments)}
    return [
        Message("user", wish),
        Message("assistant", "", tool_calls=(call,)),
        Message("tool", answer, tool_call_id=call["id"]),
        Message("assistant", "Done."),
    ]


EXAMPLES = [
    *example(0, "Show the files.", "ls", {}, "music, a"),
    *example(1, "Go to the folder music.", "cd", {"folder": "music"}, "You are in music."),
    *example(2, "List what is here.", "ls", {}, "one.wav"),
    *example(3, "Open the folder a.", "cd", {"folder": "a"}, "You are in a."),
]


class Walk(Episode):
    """The model is asked to go to one folder after another."""

    tools = (function("cd", "Change the folder", FOLDER), function("ls", "List the files", {}))

    def __init__(self, folders):
        self.left, self.calls = list(folders), []

    async def begin(self):
        return [*EXAMPLES, self.wish()]

    def wish(self):
        return Message("user", f"Go to the folder {self.left.pop(0)}.")

    async def respond(self, reply):
        answers = []
        for call in reply.tool_calls:
            arguments = json.loads(call["arguments"])
            self.calls.append([call["name"], arguments])
            answers.append(Message("tool", f"You are in {arguments.get('folder')}.", tool_call_id=call["id"]))
        if not self.left:
            return None
        return [*answers, self.wish()]

    def state(self):
        return {"calls": self.calls}


class Walked(Evaluator):
    grades_none = True

    def score(self, answer, sample):
        wanted = [["cd", {"folder": folder}] for folder in sample.fields["folders"]]
        calls = sample.fields["episode"]["state"]["calls"]
        return Score(float(calls == wanted), "correct" if calls == wanted else "wrong", details={"calls": calls})


@hookimpl
def aisb_environments():
    return {"walk": lambda: lambda sample, repeat: Walk(sample.fields["folders"])}


@hookimpl
def aisb_evaluators():
    return {"walked": Walked}


@hookimpl
def aisb_configs():
    return [files("aisb_walk")]
'''
TASK = """\
summary = "Walk"
dataset.path = "./walks.jsonl"
prompt = { user = "" }
params = { max_tokens = 48, temperature = 0 }
required_params = ["tools"]
environment = { use = "walk", max_turns = 5 }
evaluate = [{ use = "walked" }]
"""
WALKS = [["documents", "pictures"], ["backup", "letters"], ["videos", "work"]]


@pytest.fixture
def walking(aisb, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Run the command where the environment is installed."""
    package, info = tmp_path / "p/aisb_walk", tmp_path / "p/aisb_walk-1.0.dist-info"
    (package / "tasks").mkdir(parents=True)
    info.mkdir()
    (package / "__init__.py").write_text(PLUGIN)
    (package / "tasks/walk.toml").write_text(TASK)
    (package / "tasks/walks.jsonl").write_text("".join(json.dumps({"folders": one}) + "\n" for one in WALKS))
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: aisb-walk\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[aisb]\nwalk = aisb_walk\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "p"))
    return aisb


@pytest.mark.parametrize("stream", ["true", "false"])
def test_calls_of_a_real_model_act_in_an_environment_and_go_back_to_it(walking, stream):
    words = ("--models", "vllm-chat", "--datasets", "walk", "--set", f"model.stream={stream}")
    ran = walking(*words)
    assert ran.code == 0, ran.out + ran.err
    rows = ran.predictions("vllm-chat", "walk")
    assert [(row["id"], row["turn"], row["failure"]) for row in rows] == [
        (str(number), turn, None) for number in range(3) for turn in range(2)
    ]
    called = [row for row in rows if row["finish_reason"] == "tool_calls"]
    assert len(called) >= 3, [row["prediction"] for row in rows]
    (file,) = ran.work.glob("outputs/default/*/results/vllm-chat/walk_scores.jsonl")
    calls = [json.loads(line)["details"]["calls"] for line in file.read_text().splitlines()]
    assert sum(map(len, calls)) >= len(called)
    assert {name for episode in calls for name, _ in episode} <= {"cd", "ls"}
    assert any(arguments.get("folder") for episode in calls for _, arguments in episode)
    assert all(row["usage"]["output_tokens"] > 0 for row in rows)
    results = ran.read("results/vllm-chat/walk.json")
    assert (results["predictions"], results["outcomes"]["error"]) == (6, 0)
    again = walking(*words, "--reuse", "latest")
    assert again.code == 0, again.out + again.err
    assert ran.predictions("vllm-chat", "walk") == rows  # nothing was asked a second time
