"""Conversations over simulated services: run, compared with the reference calls, and safe from hostile calls."""

import asyncio
import json
import os
import sys
import tomllib
from collections import Counter
from importlib.resources import files
from pathlib import Path

import pytest
from forked import run_forked

from aisb import DataError, DataFile, DataFiles, Prediction, Sample, UsageError
from aisb_dataset_tools._conversation_rows import CATEGORIES, bfcl_multi_turn
from aisb_dataset_tools._conversations import MAX_STEPS, bfcl_services
from aisb_dataset_tools._grading import problem
from aisb_dataset_tools._literal_calls import written_calls
from aisb_testing import ScriptedService, whole_reply

SERVICE = """\
import os


class TicketAPI:
    def __init__(self):
        self.tickets, self._calls = [], 0

    def _load_scenario(self, scenario, long_context=False):
        self.tickets = scenario.get("tickets", [])

    def create_ticket(self, title, priority=1):
        self._calls += 1
        self.tickets.append([title, priority])
        return {"id": len(self.tickets)}

    def list_tickets(self):
        print("a line that is no reply")
        return self.tickets

    def close_ticket(self, number):
        return f"closed {self.tickets.pop(number - 1)[0]}"

    def wait(self):
        while True:
            pass

    def leave(self):
        os._exit(3)
"""
FUNCTIONS = ("create_ticket", "list_tickets", "close_ticket")


def described(name):
    parameters = {"type": "dict", "properties": {"title": {"type": "string"}}, "required": []}
    return {
        "name": name,
        "description": f"Does {name}.",
        "parameters": parameters,
        "response": {"type": "dict"},
    }


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """A folder with a package as bfcl-eval has it, but with a service and rows of our own."""
    root = tmp_path_factory.mktemp("package")
    sources = root / "bfcl_eval" / "eval_checker" / "multi_turn_eval" / "func_source_code"
    sources.mkdir(parents=True)
    (sources / "ticket_api.py").write_text(SERVICE)
    data = root / "bfcl_eval" / "data"
    (data / "possible_answer").mkdir(parents=True)
    (data / "multi_turn_func_doc").mkdir()
    (data / "multi_turn_func_doc" / "ticket_api.json").write_text(
        "".join(json.dumps(described(name)) + "\n" for name in FUNCTIONS)
    )
    for category in ("base", "miss_func"):
        row = {
            "id": f"multi_turn_{category}_0",
            "question": [
                [{"role": "user", "content": "Open a ticket 'lamp'."}],
                [] if category == "miss_func" else [{"role": "user", "content": "Close it."}],
            ],
            "initial_config": {"TicketAPI": {"tickets": []}},
            "involved_classes": ["TicketAPI"],
            **({"missed_function": {"1": ["close_ticket"]}} if category == "miss_func" else {}),
        }
        answer = {"id": row["id"], "ground_truth": [["create_ticket('lamp')"], ["close_ticket(number=1)"]]}
        (data / f"BFCL_v4_multi_turn_{category}.json").write_text(json.dumps(row) + "\n")
        (data / "possible_answer" / f"BFCL_v4_multi_turn_{category}.json").write_text(
            json.dumps(answer) + "\n"
        )
    return root


def rows_of(root):
    folder = root / "bfcl_eval" / "data"
    patterns = ("*multi_turn*.json", "possible_answer/*multi_turn*.json", "multi_turn_func_doc/*.json")
    found = DataFiles([DataFile(path) for pattern in patterns for path in sorted(folder.glob(pattern))])
    return list(bfcl_multi_turn(files=found))


async def play(root, row, replies, **options):
    """Give an episode these texts; return its last messages, its state, and what is wrong with it."""
    episode = bfcl_services(package=root, **options)(Sample("0", row), 0)
    messages = await episode.begin()
    try:
        for text in replies:
            messages = await episode.respond(Prediction("0", text=text))
            if messages is None:
                break
    finally:
        await episode.close()
    return messages, episode.state(), problem(episode.state(), len(row["answer"]))


def played(*arguments, **options):
    return asyncio.run(play(*arguments, **options))


def base(package):
    return next(row for row in rows_of(package) if row["category"] == "base")


def test_the_reference_calls_are_right_and_other_ways_to_the_same_state_too(package):
    row = base(package)
    assert played(package, row, ["[create_ticket('lamp')]", "Done.", "[close_ticket(number=1)]", "Done."])[
        2
    ] == (0, "")
    further = [
        "[list_tickets(), create_ticket(priority=1, title='lamp')]",
        "Done.",
        "[close_ticket(1)]",
        "Done.",
    ]
    assert played(package, row, further)[2] == (0, "")


@pytest.mark.parametrize(
    ("replies", "wrong"),
    [
        (["Done.", "Done."], (1, "no function was called")),
        (["[create_ticket('desk')]", "Done.", "Done."], (1, "the state differs: TicketAPI: tickets")),
        (["[create_ticket('lamp')]", "Done.", "[close_ticket(2)]", "Done."], (2, "the state differs: TicketAPI: tickets")),
        (["[create_ticket('lamp')]", "Done."], (2, "the turn was not finished")),
        (["[list_tickets()]"] * (MAX_STEPS + 1), (1, "the state differs: TicketAPI: tickets")),
        (["[create_ticket('lamp')]", *["[list_tickets()]"] * MAX_STEPS], (1, f"more than {MAX_STEPS} steps in turn 1")),
        (["[wait()]"], (1, "the calls took longer than 1 s")),
    ],
)  # fmt: skip
def test_a_conversation_is_wrong_at_the_first_turn_that_differs(package, replies, wrong):
    assert played(package, base(package), replies, seconds=1.0)[2] == wrong


def test_the_aliases_name_the_categories():
    aliases = tomllib.loads((files("aisb_dataset_tools") / "aliases.toml").read_text("utf-8"))
    named = {alias for alias, selection in aliases.items() if selection.startswith("bfcl_multi_turn")}
    assert named == {"BFCL_gen_multi_turn", *(f"BFCL_gen_multi_turn_{one}" for one in CATEGORIES)}


def test_a_function_that_comes_later_is_told_of_in_its_turn(package):
    row = next(row for row in rows_of(package) if row["category"] == "miss_func")
    assert [one["name"] for one in row["functions"]] == ["create_ticket", "list_tickets"]
    messages, _, _ = played(package, row, ["[create_ticket('lamp')]", "Done."])
    assert '"name": "close_ticket"' in messages[0].content


@pytest.mark.parametrize(
    "text",
    [
        "[__import__('os').system('touch {file}')]",
        "[create_ticket(title=__import__('os').system('touch {file}'))]",
        "[create_ticket(title=open('{file}', 'w'))]",
        "[eval(\"open('{file}', 'w')\")]",
        "[exec(\"open('{file}', 'w')\")]",
        "[open('{file}', 'w')]",
        "[create_ticket.__globals__['os'].system('touch {file}')]",
        "[self.create_ticket('x')]",
        "[create_ticket(**{{'title': 'x'}})]",
        "[_load_scenario({{'tickets': [1]}})]",
        "[__init__()]",
        "[(lambda: open('{file}', 'w'))()]",
        "[create_ticket(title=f\"{{open('{file}', 'w')}}\")]",
        "[" * 3000 + "]" * 3000,
    ],
)
def test_a_hostile_call_does_nothing(package, tmp_path, text):
    file = tmp_path / "made"
    text = text if text.startswith("[[") else text.format(file=file)
    _, state, _ = played(package, base(package), [text, "Done."])
    assert not file.exists()
    assert state["turns"][0]["differences"] == {"TicketAPI": ["tickets"]}  # the reference made a ticket
    for result in state["turns"][0]["results"]:
        assert result.startswith("Error during execution: name ")


def test_a_process_that_ends_is_no_fault_of_the_model(package):
    with pytest.raises(RuntimeError, match="ended with exit code 3"):
        played(package, base(package), ["[leave()]"])


def test_what_is_missing_is_said(package, tmp_path):
    with pytest.raises(UsageError, match=r"has no folder bfcl_eval in it; .* pip install --no-deps --target"):
        bfcl_services(package=tmp_path)
    (tmp_path / "bfcl_eval").mkdir()
    with pytest.raises(UsageError, match="ModuleNotFoundError: No module named 'bfcl_eval"):
        played(tmp_path, base(package), [])
    with pytest.raises(DataError, match="the row has no 'turns'"):
        played(package, {}, [])
    lone = DataFiles([DataFile(package / "bfcl_eval" / "data" / "BFCL_v4_multi_turn_base.json")])
    with pytest.raises(DataError, match=r"there is no possible_answer/BFCL_v4_multi_turn_base.json"):
        list(bfcl_multi_turn(files=lone))


def test_literals_of_every_kind_are_read():
    (call,) = written_calls("f(1, -2.5, a='x', b=[1, {'k': (True, None)}])")
    assert call == ("f", [1, -2.5], {"a": "x", "b": [1, {"k": (True, None)}]})
    assert [call.name for call in written_calls("```[a(), b()]```")] == ["a", "b"]
    assert written_calls("I call [a()] now.") == []


@pytest.mark.parametrize("variant", ["", ":native"])
def test_a_served_model_holds_the_conversations(package, tmp_path, variant):
    def script(request):
        messages = request.body["messages"]
        last = messages[-1]["content"]
        call = None
        if "'role': 'tool'" in last:  # the results of calls
            pass
        elif "Open a ticket" in last:
            call = ("create_ticket", {"title": "lamp"})
        elif "Close it" in last or "close_ticket" in last or "More functions" in last:
            call = ("close_ticket", {"number": 1})
        message = {"role": "assistant", "content": "All done."}
        if call and variant:
            name, arguments = call
            assert name in {tool["function"]["name"] for tool in request.body["tools"]}
            function = {"name": name, "arguments": json.dumps(arguments)}
            message = {
                "role": "assistant",
                "tool_calls": [{"id": "c", "type": "function", "function": function}],
            }
        elif call:
            name, arguments = call
            message["content"] = f"[{name}({', '.join(f'{k}={v!r}' for k, v in arguments.items())})]"
        return whole_reply({"choices": [{"message": message, "finish_reason": "stop"}]})

    with ScriptedService(script) as service:
        words = (
            "run", "--models", "vllm-chat", "--url", service.url, "--datasets", f"bfcl_multi_turn{variant}",
            "--data-dir", str(package), "--set", "model.stream=false",
            "--set", f"task.environment.package={package}",
        )  # fmt: skip
        done = run_forked(
            [sys.executable, "-m", "aisb_cli.main", *words], cwd=tmp_path,
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    (file,) = tmp_path.glob("outputs/default/*/results/*/bfcl_multi_turn*.json")
    results = json.loads(file.read_text())
    assert (results["outcomes"]["correct"], results["naive_average"]) == (2, 100.0)
    assert len(service.requests) == 8


PUBLISHED = Path(os.environ.get("AISB_DATA", "/nowhere"))
needs_package = pytest.mark.skipif(
    not (PUBLISHED / "bfcl_eval" / "data" / "multi_turn_func_doc").is_dir(),
    reason="no bfcl_eval in $AISB_DATA: pip install --no-deps --target $AISB_DATA bfcl-eval",
)


@pytest.mark.data
@pytest.mark.slow
@needs_package
def test_the_published_reference_calls_are_right_and_those_of_another_row_are_not():
    rows = rows_of(PUBLISHED)
    others = [*rows[1:], rows[0]]
    places = asyncio.Semaphore(4)

    async def one(row, answer):
        async with places:
            replies = [
                text for calls in answer for text in (f"[{', '.join(calls)}]", "Done.") if text != "[]"
            ]
            return (await play(PUBLISHED, row, replies))[2]

    async def every():
        own = await asyncio.gather(*(one(row, row["answer"]) for row in rows))
        other = await asyncio.gather(
            *(one(row, each["answer"]) for row, each in zip(rows[::4], others[::4], strict=True))
        )
        return own, other

    own, other = asyncio.run(every())
    assert len(own) == 800
    assert Counter(own) == {(0, ""): 800}
    assert sum(not reason for _, reason in other) <= 2, Counter(other).most_common(5)
