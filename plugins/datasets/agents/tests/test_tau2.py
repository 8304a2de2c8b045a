"""τ²-bench: a checkout's domain and a simulated user, graded by the published rule."""

import asyncio
import json
import os
import sys
from collections import Counter
from pathlib import Path

import pytest
from forked import run_forked

from aisb import DataError, Prediction, Sample, Score, UsageError
from aisb_dataset_agents._tau2 import PROGRAM, tau2_domain
from aisb_dataset_agents._tau2_reward import Tau2Reward, checked, is_call_of, verdicts
from aisb_dataset_agents._tau2_rows import checkout_at, tau2
from aisb_processes import LineProcess
from aisb_testing import ScriptedService, whole_reply

MODELS = """\
class Made:
    def __init__(self, **values):
        self.__dict__.update(values)


class Task:
    @classmethod
    def model_validate(cls, table):
        criteria = dict(table["evaluation_criteria"])
        actions = [Made(requestor=one.get("requestor", "assistant"), **{k: one[k] for k in ("name", "arguments")})
                   for one in criteria.get("actions", ())]
        wanted = Made(actions=actions, env_assertions=criteria.get("env_assertions"))
        return Made(initial_state=None, user_tools=None, user_scenario=table["user_scenario"], evaluation_criteria=wanted)


class ToolCall(Made):
    pass
"""
ENVIRONMENT = """\
import os

from tau2.data_model.tasks import Made


def tool(name):
    parameters = {"type": "object", "properties": {}}
    return Made(openai_schema={"type": "function", "function": {"name": name, "parameters": parameters}})


class Lamps:
    def __init__(self):
        self.lamps, self.user_tools, self.synced = {"hall": False, "attic": False}, Made(plugged=False), 0

    def set_state(self, initialization_data, initialization_actions, message_history):
        assert message_history == []

    def sync_tools(self):
        self.synced += 1

    def get_policy(self):
        return "Switch only what is asked for."

    def get_tools(self):
        return [tool("switch_on")]

    def get_user_tools(self, include=None):
        return [tool("plug_in")]

    def make_tool_call(self, tool_name, requestor, **arguments):
        print("a line that is no reply")
        if tool_name == "plug_in" and requestor == "user":
            self.user_tools.plugged = True
            return "plugged in"
        if tool_name == "switch_on" and requestor == "assistant":
            if arguments["lamp"] not in self.lamps:
                raise ValueError("no such lamp")
            self.lamps[arguments["lamp"]] = True
            return "on"
        raise ValueError(f"Tool '{tool_name}' not found.")

    def get_response(self, call):
        try:
            content, error = self.make_tool_call(call.name, call.requestor, **call.arguments), False
        except Exception as raised:
            content, error = f"Error: {raised}", True
        return Made(content=content, error=error)

    def get_db_hash(self):
        return str(self.lamps)

    def get_user_db_hash(self):
        return str(self.user_tools.plugged)

    def run_env_assertion(self, assertion, raise_assertion_error):
        return self.lamps[assertion["lamp"]]


def get_environment():
    assert "SECRET_KEY" not in os.environ
    return Lamps()
"""
AGENT = '''
AGENT_INSTRUCTION = """
You serve.
""".strip()

SYSTEM_PROMPT = """
<i>{agent_instruction}</i><p>{domain_policy}</p>
""".strip()
raise RuntimeError("this module is read, and not executed")
'''
USER = 'SYSTEM_PROMPT = """\n{global_user_sim_guidelines_with_persona}|{instructions}\n""".strip()\n'
SWITCH_ON = {"name": "switch_on", "arguments": {"lamp": "hall"}}
PLUG_IN = {"name": "plug_in", "arguments": {}, "requestor": "user"}
TASKS = [
    {
        "id": "hall",
        "user_scenario": "You want light in the hall.",
        "description": {"purpose": "one lamp"},
        "evaluation_criteria": {
            "actions": [PLUG_IN, SWITCH_ON],
            "env_assertions": [{"lamp": "hall"}],
            "communicate_info": ["1500 lumen"],
            "nl_assertions": ["The agent is polite."],
            "reward_basis": ["DB", "ENV_ASSERTION", "ACTION", "COMMUNICATE", "NL_ASSERTION"],
        },
    },
    {"id": "none", "user_scenario": "You want nothing.", "evaluation_criteria": {"actions": []}},
    {"id": "spare", "user_scenario": "", "evaluation_criteria": {}},
]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A checkout in the layout of tau2-bench, with a domain of our own."""
    root = tmp_path_factory.mktemp("tau2-bench")
    files = {
        "src/tau2/__init__.py": "raise RuntimeError('the package itself is not imported')\n",
        "src/tau2/data_model/tasks.py": MODELS,
        "src/tau2/data_model/message.py": "from tau2.data_model.tasks import ToolCall\n",
        "src/tau2/domains/lamps/environment.py": ENVIRONMENT,
        "src/tau2/agent/llm_agent.py": AGENT,
        "src/tau2/user/user_simulator.py": USER,
        "data/tau2/user_simulator/simulation_guidelines_tools.md": "Play a user.<PERSONA_GUIDELINES>",
        "data/tau2/domains/lamps/tasks.json": json.dumps(TASKS),
        "data/tau2/domains/lamps/split_tasks.json": json.dumps({"base": ["hall", "none"], "hall": ["hall"]}),
    }
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def test_the_tasks_of_a_split_are_the_rows(checkout):
    rows = list(tau2(domain="lamps", checkout=checkout))
    assert [(row["name"], row["purpose"]) for row in rows] == [("hall", "one lamp"), ("none", "")]
    assert len(list(tau2(domain="lamps", split="", checkout=checkout))) == 3


def test_what_is_missing_is_said(checkout, tmp_path, monkeypatch):
    monkeypatch.delenv("AISB_TAU2", raising=False)
    monkeypatch.delenv("AISB_ALLOW_CODE_EXECUTION", raising=False)
    with pytest.raises(UsageError, match=r"a checkout of tau2-bench is needed: git clone .*AISB_TAU2"):
        checkout_at(None)
    with pytest.raises(UsageError, match=r"is not a checkout of tau2-bench"):
        checkout_at(tmp_path)
    with pytest.raises(DataError, match="is 'lights' a domain of this checkout"):
        list(tau2(domain="lights", checkout=checkout))
    with pytest.raises(DataError, match="has no split 'test'; it has base, hall"):
        list(tau2(domain="lamps", split="test", checkout=checkout))
    with pytest.raises(UsageError, match=r"off by default\n  to allow it, add --allow-code-execution"):
        tau2_domain(ask=None, checkout=checkout)


def call(name, arguments):
    function = {"name": name, "arguments": json.dumps(arguments)}
    return {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "c", "type": "function", "function": function}],
    }


def text(words):
    return {"role": "assistant", "content": words}


def serves(request):
    """Play the agent `mock`, and the user and judge `user`."""
    messages, tools = (
        request.body["messages"],
        [one["function"]["name"] for one in request.body.get("tools", ())],
    )
    if request.body["model"] == "user" and "<expectations>" in messages[-1]["content"]:
        message = text('Yes.\n{"met": [true]}')
    elif request.body["model"] == "user":
        assert tools == ["plug_in"]
        wants = "light" in messages[0]["content"]
        answered = sum(one["role"] == "assistant" for one in messages)
        if not wants:
            message = text("Nothing, thanks. ###STOP###" if answered else "I want nothing.")
        elif messages[-1]["role"] == "tool":
            message = text("It is plugged in. ###STOP###")
        elif "Plug" in messages[-1]["content"]:
            message = call("plug_in", {})
        else:
            message = text("Light in the hall, please.")
    else:
        assert tools == ["switch_on"]
        assert messages[0]["content"] == "<i>You serve.</i><p>Switch only what is asked for.</p>"
        last = messages[-1]
        if last["role"] == "tool":
            message = text("It has 1,500 lumen. Plug it in, please.")
        elif "nothing" in last["content"]:
            message = text("Goodbye.")
        else:
            message = call("switch_on", {"lamp": "hall"})
    usage = {"prompt_tokens": 10, "completion_tokens": 2}
    return whole_reply({"choices": [{"message": message, "finish_reason": "stop"}], "usage": usage})


def run(service, checkout, folder, *more, code=0, **variables):
    command = [
        sys.executable, "-m", "aisb_cli.main", "run", "--models", "vllm-chat", "--url", service.url,
        "--datasets", "tau2_airline", "--set", "task.dataset.domain=lamps", "--set", "model.model=mock",
        "--set", "model.stream=false", "--judge", "vllm-chat", "--judge-url", service.url,
        "--set", "judge.options.model=user", "--set", "judge.options.stream=false", "--allow-code-execution",
        "-w", "runs", *more,
    ]  # fmt: skip
    environment = {**os.environ, "AISB_TAU2": str(checkout), "SECRET_KEY": "x", "NO_COLOR": "1", **variables}
    # libuv aborts where a worker starts processes in a fork of a running event loop.
    done = run_forked(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False,
        workers=False,
    )  # fmt: skip
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize("more", [(), ("--workers", "2", "--concurrency", "2")], ids=["one", "workers"])
def test_agent_and_user_act_in_the_domain_and_are_graded(checkout, tmp_path, more):
    with ScriptedService(serves, models=("mock", "user")) as service:
        run(service, checkout, tmp_path, "--set", "params.num_return_sequences=2", *more)
    (file,) = tmp_path.glob("runs/2*/results/vllm-chat/tau2_airline.json")
    results = json.loads(file.read_text())
    assert results["outcomes"]["correct"] == 4, results
    assert {name: results[name] for name in ("pass^1", "pass^2")} == {"pass^1": 100.0, "pass^2": 100.0}
    assert results["environment_requests"]["questions"] == 10
    assert results["judge"]["questions"] == 2
    (scores,) = tmp_path.glob("runs/2*/results/vllm-chat/tau2_airline_scores.jsonl")
    parts = [json.loads(line)["details"] for line in scores.read_text().splitlines()]
    assert {
        "DB": True,
        "ENV_ASSERTION": True,
        "ACTION": True,
        "COMMUNICATE": True,
        "NL_ASSERTION": True,
    } in parts


STATE = {
    "ended": "user_stop",
    "calls": [{"name": "switch_on", "arguments": {"lamp": "hall"}, "by": "assistant"}],
    "said": ["It costs $1,200 now."],
    "checks": {"agent_db": True, "user_db": True, "assertions": [True]},
}


@pytest.mark.parametrize(
    ("criteria", "checks", "part", "holds"),
    [
        ({"actions": []}, {}, "DB", True),
        ({"actions": []}, {"agent_db": False}, "DB", False),
        ({"actions": []}, {"user_db": False}, "DB", False),
        ({}, {"agent_db": False}, "DB", True),  # nothing to compare with
        ({}, {"assertions": [True, False]}, "ENV_ASSERTION", False),
        ({"actions": [SWITCH_ON]}, {}, "ACTION", True),
        ({"actions": [PLUG_IN]}, {}, "ACTION", False),
        ({"communicate_info": ["1200"]}, {}, "COMMUNICATE", True),
        ({"communicate_info": ["it COSTS"]}, {}, "COMMUNICATE", True),
        ({"communicate_info": ["1300"]}, {}, "COMMUNICATE", False),
    ],
)
def test_each_part_of_the_reward(criteria, checks, part, holds):
    assert checked({**STATE, "checks": {**STATE["checks"], **checks}}, criteria)[part] is holds


@pytest.mark.parametrize(
    ("given", "compared", "same"),
    [
        ({"lamp": "hall"}, None, True),
        ({"lamp": "attic"}, None, False),
        ({"lamp": "attic"}, [], True),
        ({}, None, True),  # the arguments of the call are compared, and it has none
        ({"lamp": "hall", "level": 3}, ["lamp"], True),
        ({"lamp": "hall", "level": 3}, None, False),
    ],
)
def test_a_call_is_compared_by_the_arguments_that_count(given, compared, same):
    action = {**SWITCH_ON, "compare_args": compared}
    assert is_call_of(action, {"name": "switch_on", "arguments": given}) is same


def graded(state, criteria, reply=None):
    async def ask(request):
        return reply

    sample = Sample(
        "0", {"task": {"evaluation_criteria": criteria}, "episode": {"state": state, "messages": []}}
    )
    return asyncio.run(Tau2Reward(ask=ask).score(None, sample))


def test_a_conversation_that_the_user_did_not_end_has_no_reward():
    score = graded({**STATE, "ended": "max_steps", "checks": {}}, {"actions": []})
    assert (score.outcome, score.details) == ("wrong", {"reason": "ended by max_steps"})


def test_a_judge_that_says_nothing_readable_is_an_error_and_not_the_agents():
    criteria = {"nl_assertions": ["a", "b"], "reward_basis": ["NL_ASSERTION"]}
    assert graded(STATE, criteria, Prediction("", text="perhaps")).outcome == "error"
    assert graded(STATE, criteria, Prediction("", text='{"met": [true]}')).outcome == "error"
    assert graded(STATE, criteria, Prediction("", text='{"met": [true, false]}')).outcome == "wrong"
    assert verdicts(Prediction("", text='```json\n{"met": [true, true]}\n```'), 2) == [True, True]


def test_pass_hat_k_is_the_share_of_draws_that_all_succeed():
    evaluator = Tau2Reward(ask=None)
    scores = [
        Score(float(value), sample_id=name)
        for name, values in {"a": "1110", "b": "0001"}.items()
        for value in values
    ]
    found = {metric.name: metric.value for metric in evaluator.extra_metrics(scores)}
    assert found == {"pass^1": 50.0, "pass^2": 25.0, "pass^3": 12.5, "pass^4": 0.0}
    failed = Score(0.0, "error", sample_id="b")
    assert [metric.name for metric in evaluator.extra_metrics([*scores[:7], failed])] == [
        "pass^1",
        "pass^2",
        "pass^3",
    ]
    assert evaluator.extra_metrics(scores[:1]) == []


REAL = os.environ.get("AISB_TAU2") and str(Path(os.environ["AISB_TAU2"]).resolve())


async def ended(process, row, *, acting):
    """Whether a task ends as it should after its reference actions, or after none."""
    found = await process.ask({"load": row["domain"], "task": row["task"]})
    assert "raised" not in found, found["raised"]
    criteria = row["task"]["evaluation_criteria"]
    for action in (criteria.get("actions") or ()) if acting else ():
        by = action.get("requestor") or "assistant"
        await process.ask({"call": action["name"], "arguments": action["arguments"], "by": by})
    parts = checked({"checks": await process.ask({"finish": True}), "said": [], "calls": []}, criteria)
    return all(parts[name] for name in ("DB", "ENV_ASSERTION") if name in criteria["reward_basis"])


async def with_process(rows, *, acting=(True,)):
    """The ends of tasks, one after another in one process."""
    python = os.environ.get("AISB_TAU2_PYTHON") or sys.executable
    process = LineProcess((python, "-I", str(PROGRAM), REAL), 300.0)
    await process.start()
    try:
        return [[await ended(process, row, acting=one) for row in rows] for one in acting]
    finally:
        await process.close()


def published(domain):
    if not REAL:
        pytest.skip("no checkout of tau2-bench in $AISB_TAU2")
    try:
        rows = list(tau2(domain=domain))
    except DataError as error:
        pytest.skip(str(error))
    assert rows
    return rows


@pytest.mark.data
@pytest.mark.parametrize("domain", ["retail", "telecom"])
def test_some_published_tasks_end_right_after_their_reference_actions_and_most_wrong_without(domain):
    changing = [row for row in published(domain) if row["task"]["evaluation_criteria"].get("actions")]
    rows = changing[:: len(changing) // 5][:5]
    right, idle = asyncio.run(with_process(rows, acting=(True, False)))
    assert right == [True] * 5
    assert idle.count(False) >= 3  # the actions of some tasks only read


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.parametrize("domain", ["airline", "retail", "telecom"])
def test_the_reference_actions_of_each_published_task_reach_its_end(domain):
    rows = published(domain)
    places = asyncio.Semaphore(2)

    async def one(row):
        async with places:
            ((end,),) = await with_process([row])
            return end

    async def every():
        # A group ends its own tasks after a failure; left to `asyncio.run`, a start that it cancels never ends.
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(row)) for row in rows]
        return [task.result() for task in tasks]

    assert Counter(asyncio.run(every())) == {True: len(rows)}
