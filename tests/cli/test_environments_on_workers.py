"""Episodes on several processes: the same results as on one, also after kills, and with another model to ask."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from forked import Forked, run_forked

from aisb_engine._record.log import read_file
from aisb_testing import ScriptedService, Step, whole_reply

PLUGIN = '''\
import os
from importlib.resources import files

from aisb import Ask, Episode, Evaluator, Message, Request, Score, hookimpl


class Counting(Episode):
    """The model says numbers until their sum is the goal. With a user, another model answers it."""

    def __init__(self, sample, repeat, ask=None):
        self.sample, self.repeat, self.ask, self.sum, self.process = sample, repeat, ask, 0, os.getpid()

    async def begin(self):
        return [Message("user", f"Count to {self.sample.fields['goal']}.")]

    async def respond(self, reply):
        if self.sample.fields["goal"] == 13 and not os.environ.get("MENDED"):
            raise OSError("the counter is broken")
        if "done" in reply.text:
            return None
        self.sum += int(reply.text)
        said = f"The sum is {self.sum}."
        if self.ask is not None:
            request = Request(self.sample.id, self.repeat, messages=(Message("user", said),))
            heard = await self.ask(request)
            if heard.failure is not None:
                raise RuntimeError(f"the user said nothing: {heard.failure.message}")
            said = heard.text
        return [Message("user", said)]

    def state(self):
        return {"sum": self.sum, "text": self.sample.fields["text"]}


def counting():
    return Counting


def counting_with_user(*, ask: Ask):
    return lambda sample, repeat: Counting(sample, repeat, ask)


class Reached(Evaluator):
    grades_none = True

    def score(self, answer, sample):
        right = sample.fields["episode"]["state"]["sum"] == sample.fields["goal"]
        return Score(float(right), "correct" if right else "wrong")


@hookimpl
def aisb_environments():
    return {"counting": "aisb_counts:counting", "counting-with-user": "aisb_counts:counting_with_user"}


@hookimpl
def aisb_evaluators():
    return {"count-reached": "aisb_counts:Reached"}


@hookimpl
def aisb_configs():
    return [files("aisb_counts")]
'''
TASK = """\
summary = "Count"
dataset.path = "./goals.jsonl"
prompt = { user = "" }
environment = { use = "counting", max_turns = 20 }
evaluate = [{ use = "count-reached" }]
"""
USAGE = {"prompt_tokens": 20, "completion_tokens": 7}


@pytest.fixture
def plugin(tmp_path):
    """A folder with a plugin, whose goals a test writes."""
    package, info = tmp_path / "p" / "aisb_counts", tmp_path / "p" / "aisb_counts-1.0.dist-info"
    (package / "tasks").mkdir(parents=True)
    info.mkdir()
    (package / "__init__.py").write_text(PLUGIN)
    (package / "tasks" / "counts.toml").write_text(TASK)
    (package / "tasks" / "counts_user.toml").write_text(TASK.replace('"counting"', '"counting-with-user"'))
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: aisb-counts\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[aisb]\ncounts = aisb_counts\n")

    def write(goals):
        rows = [{"goal": goal, "text": f"Zählen №{goal}"} for goal in goals]
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (package / "tasks" / "goals.jsonl").write_text(lines)

    write((3, 1, 5, 2, 4, 6))
    write.folder = tmp_path / "p"
    return write


def variables(plugin, installed=None, **more):
    folders = [str(plugin.folder), *([str(installed)] if installed else [])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(folders), "NO_COLOR": "1", "AISB_BLOCK": "", **more}


def reply(text, usage=USAGE):
    choice = {"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    return whole_reply({"choices": [choice], **({"usage": usage} if usage else {})})


def counts(request):
    """Play a model that says 1 until the conversation shows the goal; the model `user` repeats what it hears."""
    messages = request.body["messages"]
    if request.body["model"] == "user":
        return reply(f"I heard: {messages[-1]['content']}", {"prompt_tokens": 100, "completion_tokens": 10})
    goal = int(messages[0]["content"].split()[-1].rstrip("."))
    return reply("done" if len(messages) // 2 >= goal else "1")


def slowly(request):
    return [Step(0.15, b""), *counts(request)]


def words(service, *more, task="counts", work="runs"):
    return [
        sys.executable, "-m", "aisb_cli.main", "run", "--models", "vllm-chat", "--url", service.url,
        "--set", "model.model=mock", "--datasets", task, "--set", "model.stream=false",
        "--concurrency", "4", "-w", work, *more,
    ]  # fmt: skip


def user(service):
    return (
        "--judge", "vllm-chat", "--judge-url", service.url, "--set", "judge.options.model=user",
        "--set", "judge.options.stream=false",
    )  # fmt: skip


def finish(command, tmp_path, environment, code=0):
    done = run_forked(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def results(work: Path, task="counts"):
    (file,) = work.glob(f"2*/results/vllm-chat/{task}.json")
    found = json.loads(file.read_text())
    return {name: found[name] for name in ("metrics", "outcomes", "bounds", "predictions", "tokens")}


def episodes(work: Path, task="counts"):
    (file,) = work.glob(f"2*/log/vllm-chat/{task}/episodes.jsonl")
    return sorted(map(json.loads, file.read_text().splitlines()), key=lambda one: (one["id"], one["repeat"]))


def logged(work: Path):
    return [
        one.prediction for file in work.glob("2*/log/vllm-chat/*/worker-*") for one in read_file(file) if one
    ]


@pytest.mark.parametrize(
    "more",
    [("--workers", "2"), ("--workers", "2", "--launcher", "spawned", "--set", "launcher.elsewhere=true")],
    ids=["local", "elsewhere"],
)
def test_workers_give_the_results_that_one_process_gives(plugin, tmp_path, installed, more):
    environment = variables(plugin, installed)
    with ScriptedService(counts) as service:
        finish(words(service, "--set", "params.num_return_sequences=2", work="one"), tmp_path, environment)
        before = len(service.requests)
        said = finish(
            words(service, "--set", "params.num_return_sequences=2", *more, work="two"), tmp_path, environment
        )
        assert len(service.requests) == 2 * before
    assert "54/54 finished" in said
    assert results(tmp_path / "two") == results(tmp_path / "one")
    assert episodes(tmp_path / "two") == episodes(tmp_path / "one")
    (folder,) = (tmp_path / "two").glob("2*/log/vllm-chat/counts")
    assert len(list(folder.glob("worker-*"))) == 2
    assert {file.stat().st_size > 0 for file in folder.glob("worker-*")} == {True}


@pytest.mark.parametrize("more", [(), ("--workers", "2")], ids=["one", "two"])
def test_another_model_is_asked_logged_and_counted(plugin, tmp_path, more):
    with ScriptedService(counts, models=("mock", "user")) as service:
        command = words(service, *user(service), *more, task="counts_user")
        said = finish(command, tmp_path, variables(plugin))
        before = len(service.requests)
        finish([*command, "--reuse"], tmp_path, variables(plugin))
        assert len(service.requests) == before
    assert "I heard: The sum is 1." in episodes(tmp_path / "runs", "counts_user")[0]["messages"][2]["content"]
    assert results(tmp_path / "runs", "counts_user")["outcomes"]["correct"] == 6
    (file,) = (tmp_path / "runs").glob("2*/results/vllm-chat/counts_user.json")
    asked = json.loads(file.read_text())["environment_requests"]
    # The same words of several samples are one question: its answer is in the log.
    assert (asked["questions"], asked["tokens"]["input"]) == (6, {"sum": 600, "reported": 6})
    assert "its environment asked another model 6 questions, 600 tokens in, 60 out" in said


def test_what_an_environment_raises_on_a_worker_is_an_error_and_is_tried_again(plugin, tmp_path):
    plugin((2, 13, 1, 3))
    with ScriptedService(counts) as service:
        said = finish(words(service, "--workers", "2"), tmp_path, variables(plugin), code=1)
        assert "environment 'counting' of plugin counts (aisb-counts 1.0) failed in respond" in said
        assert "OSError: the counter is broken" in said
        assert results(tmp_path / "runs")["bounds"] == [75.0, 100.0]
        (log,) = (tmp_path / "runs").glob("2*/logs/plugins.log")
        assert "in respond\n" in log.read_text()
        before = len(service.requests)
        mended = variables(plugin, MENDED="1")
        finish([*words(service, "--workers", "2"), "--reuse"], tmp_path, mended)
        assert len(service.requests) == before + 13  # the first of its fourteen turns was answered
    assert results(tmp_path / "runs")["outcomes"]["correct"] == 4


def begin(command, tmp_path, environment):
    return Forked(
        command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def wait_for(process, work, answered):
    ends = time.monotonic() + 90
    while len(logged(work)) < answered:
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < ends
        time.sleep(0.02)


def test_a_killed_worker_loses_no_reply(plugin, tmp_path):
    with ScriptedService(slowly) as service:
        process = begin(words(service, "--workers", "2"), tmp_path, variables(plugin))
        wait_for(process, tmp_path / "runs", 10)
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        workers = [pid for pid in children if b"_load.worker" in Path(f"/proc/{pid}/cmdline").read_bytes()]
        os.kill(int(workers[0]), signal.SIGKILL)
        said, _ = process.communicate(timeout=120)
    assert process.returncode == 0, said
    assert "ended by signal 9" in said
    assert results(tmp_path / "runs")["outcomes"]["correct"] == 6
    assert "27/27 finished" in said
    asked = Counter(one.key for one in logged(tmp_path / "runs"))
    assert (len(asked), set(asked.values())) == (27, {1})
    assert len(service.requests) <= 27 + 4  # those in flight at the kill are sent again


def test_a_killed_run_goes_on_with_the_replies_in_its_log(plugin, tmp_path):
    with ScriptedService(slowly, models=("mock", "user")) as service:
        command = words(service, *user(service), "--workers", "2", task="counts_user")
        process = begin(command, tmp_path, variables(plugin))
        wait_for(process, tmp_path / "runs", 8)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate(timeout=60)
        said = finish([*command, "--reuse"], tmp_path, variables(plugin))
    assert "27/27 finished" in said
    assert results(tmp_path / "runs", "counts_user")["outcomes"]["correct"] == 6
    asked = Counter(one.key for one in logged(tmp_path / "runs"))
    assert (len(asked), set(asked.values())) == (27, {1})


def test_a_user_that_cannot_be_reached_stops_the_run(plugin, tmp_path):
    with ScriptedService(counts) as service:
        nobody = (
            "--judge",
            "vllm-chat",
            "--judge-url",
            "http://127.0.0.1:9",
            "--set",
            "judge.options.model=user",
        )
        command = words(service, *nobody, "--workers", "2", task="counts_user")
        said = finish(command, tmp_path, variables(plugin), code=3)
        assert "the judge vllm-chat: " in said
        assert "continue with: aisb run --reuse" in said


def test_an_environment_that_asks_needs_a_judge(plugin, tmp_path):
    with ScriptedService(counts) as service:
        for mode in ("all", "infer"):
            said = finish(
                words(service, "--mode", mode, task="counts_user"), tmp_path, variables(plugin), code=2
            )
            assert (
                "the environment of counts_user asks another model, such as one that plays the user" in said
            )
        assert not service.requests


def test_another_user_in_a_resumed_run_is_refused(plugin, tmp_path):
    with ScriptedService(counts, models=("mock", "user", "other")) as service:
        command = words(service, *user(service), task="counts_user")
        finish(command, tmp_path, variables(plugin))
        other = ["--set", "judge.options.model=other", "--reuse"]
        said = finish([*command, *other], tmp_path, variables(plugin), code=2)
    assert 'judge.model: was "user", is "other"' in said


def test_the_tokens_of_the_user_count_in_the_budget(plugin, tmp_path):
    """Each turn of the model takes 27 tokens, and each new question to the user 110."""
    plugin((3, 2))
    with ScriptedService(counts, models=("mock", "user")) as service:
        command = words(service, *user(service), "--concurrency", "1", task="counts_user")
        stopped = finish([*command, "--token-budget", "200"], tmp_path, variables(plugin), code=4)
        assert "tokens are used of 200 (--token-budget), 220 of them by the judge" in stopped
        before = len(service.requests)
        again = finish([*command, "--reuse"], tmp_path, variables(plugin), code=4)
        assert "of them by the judge" in again
        assert len(service.requests) == before
        finish([*command, "--reuse", "--token-budget", "100000"], tmp_path, variables(plugin))
    assert results(tmp_path / "runs", "counts_user")["outcomes"]["correct"] == 2
    assert sum(one.body["model"] == "mock" for one in service.requests) == 7
    assert sum(one.body["model"] == "user" for one in service.requests) == 3
