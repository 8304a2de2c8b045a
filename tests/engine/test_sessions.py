"""A turn of a session is sent when the turns it waits for have ended, and after its delay; never before."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from aisb import AttemptFailed, Backend, Chunk, Failure, Message, Request, Sample
from aisb._errors import ConfigError, DataError, UsageError
from aisb_engine._data.turns import session_turns
from aisb_engine._load.runner import SubtaskRunner
from aisb_engine._load.session_facts import prefix_cache_share
from aisb_engine._load.sessions import Sessions
from aisb_engine._load.share import LoadShare
from aisb_engine._performance.latency import each_request
from aisb_engine._performance.reading import read_columns
from aisb_engine._performance.sessions import checked_tier, parse_tier, session_numbers
from aisb_engine._progress import Progress
from aisb_engine._record.loadfiles import LoadFiles
from aisb_engine._record.log import LogWriter, read_folder
from aisb_engine._resolve.config import RunInput, resolve
from aisb_engine._spec import Load

MS = 1_000_000


class Recording(Backend):
    """Answers after a pause, and keeps the start and the end of each turn by (session, turn)."""

    def __init__(self, pause: float = 0.0, answer: Callable[[Request], str | Exception] = lambda _: "yes"):
        self.pause = pause
        self.answer = answer
        self.times: dict[tuple[str, int], tuple[int, int]] = {}
        self.asked: dict[tuple[str, int], Request] = {}
        self.order: dict[str, list[int]] = {}

    async def generate(self, request: Request) -> AsyncIterator[Chunk]:
        key, begun = (request.sample_id, request.turn), time.perf_counter_ns()
        self.asked[key] = request
        self.order.setdefault(request.sample_id, []).append(request.turn)
        if self.pause:
            await asyncio.sleep(self.pause)
        answer = self.answer(request)
        self.times[key] = (begun, time.perf_counter_ns())
        if isinstance(answer, Exception):
            raise answer
        yield Chunk("content", answer)


def turn(parent=None, *, after=(), delay=0.0, at=None, says="go on", **more):
    return {
        "parent": parent,
        "after": after,
        "delay": delay,
        "at": at,
        "messages": [{"role": "user", "content": says}],
        **more,
    }


class Run:
    """A runner of sessions with a real clock and log."""

    def __init__(self, folder: Path, backend: Backend, rows: dict[str, list[dict]], **load) -> None:
        uses_replies = load.pop("uses_replies", False)
        self.folder = folder
        self.began = time.perf_counter_ns()
        self.log = LogWriter(folder / "worker-0")
        self.progress = Progress("m", "t", folder / "out")
        self.progress.total = sum(map(len, rows.values()))
        self.samples = {name: Sample(name, {"turns": turns}) for name, turns in rows.items()}
        spec = Load(**load)
        self.runner = SubtaskRunner(
            backend,
            LoadShare(spec, spec.clients(backend)),
            self.clock,
            self.progress,
            lambda _line: None,
            asyncio.Event(),
            self.log,
        )
        self.runner.sessions = Sessions(
            self.samples,
            lambda sample: session_turns(sample.fields["turns"], "turns"),
            self.request,
            self.clock,
            uses_replies=uses_replies,
            uses_times=spec.use_timestamp,
        )

    def clock(self) -> int:
        return time.perf_counter_ns() - self.began

    def request(self, root, number, turn, messages) -> Request:
        return Request(root.sample_id, turn=number, messages=messages, facts={"session": root.sample_id})

    async def run(self, times: dict[str, float] | None = None):
        def roots():
            for name in self.samples:
                at = (times or {}).get(name)
                yield round((at or 0) * 1e9), Request(name, messages=(), at=at)

        async def start() -> int:
            return self.clock()

        await self.runner.run(roots, start)
        self.log.close()
        return read_folder(self.folder)


@pytest.mark.parametrize("sessions", [50, pytest.param(1000, marks=pytest.mark.slow)])
async def test_up_to_a_hundred_thousand_turns_keep_their_order_and_delays(tmp_path, sessions):
    turns, delay = 100, 0.0005
    rows = {
        f"{number}": [
            turn(place - 1 if place else None, delay=delay if place else 0) for place in range(turns)
        ]
        for number in range(sessions)
    }
    backend = Recording()
    log = await Run(tmp_path, backend, rows, concurrency=500).run()
    assert len(log.latest) == sessions * turns
    assert all(order == list(range(turns)) for order in backend.order.values())
    early = [
        key
        for key, (begun, _) in backend.times.items()
        if key[1] and begun < backend.times[key[0], key[1] - 1][1] + delay * 1e9
    ]
    assert not early


async def test_concurrency_counts_sessions_and_not_turns(tmp_path):
    rows = {f"{number}": [turn(), turn(0), turn(1)] for number in range(6)}
    backend = Recording(pause=0.005)
    await Run(tmp_path, backend, rows, concurrency=2).run()
    ends = {name: (backend.times[name, 0][0], backend.times[name, 2][1]) for name in rows}
    most = max(sum(begun <= at < ended for begun, ended in ends.values()) for at, _ in ends.values())
    assert most == 2


async def test_turns_that_wait_for_the_same_turn_run_in_parallel_and_are_joined(tmp_path):
    rows = {"s": [turn(), turn(0), turn(0), turn(1), turn(0, after=(2, 3))]}
    backend = Recording(pause=0.03)
    await Run(tmp_path, backend, rows, concurrency=1).run()
    times = [backend.times["s", number] for number in range(5)]
    assert times[1][0] < times[2][1], "the two agents overlap"
    assert times[2][0] < times[1][1]
    assert times[3][0] >= times[1][1]
    assert times[4][0] >= max(times[2][1], times[3][1])


async def test_a_failed_turn_leaves_out_those_that_depend_on_it_and_no_others(tmp_path):
    rows = {"s": [turn(), turn(0), turn(0), turn(1), turn(3), turn(0, after=(2,))], "t": [turn()]}

    def answer(request):
        broken = request.sample_id == "s" and request.turn == 1
        return AttemptFailed(Failure("status", "HTTP 400", 400)) if broken else "yes"

    run = Run(tmp_path, Recording(answer=answer), rows, concurrency=1, retries=0)
    log = await run.run()
    said = {key[2]: one.failure and one.failure.message for key, one in log.latest.items() if key[0] == "s"}
    skipped = "not sent: turn 1 of its session failed (HTTP 400)"
    assert said == {0: None, 1: "HTTP 400", 2: None, 3: skipped, 4: skipped, 5: None}
    assert log.latest["s", 0, 3].attempts == 0
    assert log.latest["t", 0, 0].failure is None
    assert (run.progress.finished, run.progress.failed) == (7, 3)


async def test_history_is_recorded_or_real(tmp_path):
    tool = {"role": "tool", "content": "3 files", "tool_call_id": "c1"}
    rows = {
        "s": [
            turn(says="list the files"),
            turn(
                0,
                messages=[{"role": "user", "content": "list the files"}, {"role": "assistant", "content": "as recorded"}, tool],
                added=lambda: (tool,),
            ),
            turn(1, says="a new context"),
        ]
    }  # fmt: skip
    for real in (False, True):
        backend = Recording(answer=lambda _request: "as answered")
        (tmp_path / str(real)).mkdir()
        await Run(tmp_path / str(real), backend, rows, concurrency=1, uses_replies=real).run()
        roles = [(one.role, one.content) for one in backend.asked["s", 1].messages]
        answer = "as answered" if real else "as recorded"
        result = ("user" if real else "tool", "3 files")
        assert roles == [("user", "list the files"), ("assistant", answer), result]
        assert [one.content for one in backend.asked["s", 2].messages] == ["a new context"]


async def test_with_a_traces_times_a_turn_is_sent_at_its_time_but_not_before_its_parent_has_ended(tmp_path):
    rows = {
        "a": [turn(at=0.0), turn(0, at=0.05, delay=9), turn(1, at=0.06, delay=9)],
        "b": [turn(at=0.02)],
    }
    backend = Recording(pause=0.03)
    log = await Run(tmp_path, backend, rows, use_timestamp=True).run({"a": 0.0, "b": 0.02})
    planned = {key[0] + str(key[2]): one.timing.planned_ns for key, one in log.latest.items()}
    begun = planned["a0"]
    assert {key: round((at - begun) / MS) for key, at in planned.items()} == {
        "a0": 0,
        "a1": 50,
        "a2": 60,
        "b0": 20,
    }
    assert backend.times["a", 2][0] >= backend.times["a", 1][1]


async def test_a_load_that_ends_by_time_waits_for_no_delay_beyond_it(tmp_path):
    rows = {"s": [turn(), turn(0, delay=60)]}
    begun = time.monotonic()
    log = await Run(tmp_path, Recording(), rows, concurrency=1, duration=0.2, num_prompts=1).run()
    assert time.monotonic() - begun < 5
    assert [key[2] for key in log.latest] == [0]


async def test_a_prompt_that_cannot_be_made_is_a_failure_of_its_turn(tmp_path):
    def broken():
        raise ValueError("no such block")

    rows = {"s": [turn(), turn(0) | {"messages": broken}, turn(1)]}
    log = await Run(tmp_path, Recording(), rows, concurrency=1).run()
    assert log.latest["s", 0, 1].failure.kind == "row"
    assert "no such block" in log.latest["s", 0, 1].failure.message
    assert log.latest["s", 0, 2].failure.message.startswith("not sent: turn 1 of its session failed")


@pytest.mark.parametrize(
    ("turns", "message"),
    [
        ("turns", "it is 'turns', not a list of turns"),
        ([], "not a list of turns"),
        (["go on"], "turn 0 is 'go on', not a table"),
        ([turn(), turn(1)], "turn 1 waits for turn 1, which must be the position of an earlier turn"),
        ([turn(), turn(0, after=(-1,))], "turn 1 waits for turn -1"),
        ([turn(delay=-1)], "delay of turn 0 is -1, not a number of seconds"),
        ([turn(at="noon")], "at of turn 0 is 'noon', not a number of seconds"),
        ([turn(max_tokens=0)], "max_tokens of turn 0 is 0, not a whole number of at least 1"),
        ([{"parent": None}], "turn 0 has no messages"),
        ([turn(added=[])], "turn 0 adds messages, but continues no other turn"),
    ],
)
def test_turns_that_are_wrong_say_what_would_be_right(turns, message):
    with pytest.raises(DataError, match=message):
        session_turns(turns, "task.prompt.turns of row 3")


@pytest.mark.parametrize(
    ("messages", "message"),
    [
        ("hello", "its messages are 'hello', not a list"),
        ([{"role": "boss", "content": ""}], "has a content and a role"),
    ],
)
def test_messages_that_are_wrong_say_what_would_be_right(messages, message):
    (found,) = session_turns([turn() | {"messages": messages}], "turns")
    with pytest.raises(DataError, match=message):
        found.messages()


def test_messages_may_be_values_of_core():
    (found,) = session_turns([turn() | {"messages": lambda: [Message("user", "hi")]}], "turns")
    assert found.messages() == (Message("user", "hi"),)


def test_the_share_of_a_prefix_cache_is_counted_in_the_unit_that_all_rows_state():
    tokens = Sample("0", {"shared_tokens": 30, "input_tokens_asked": 60})
    characters = Sample("1", {"shared_characters": 1, "input_characters": 4})
    assert prefix_cache_share([tokens, tokens]) == (0.5, "tokens")
    assert prefix_cache_share([characters]) == (0.25, "characters")
    assert prefix_cache_share([tokens, characters]) is None
    assert prefix_cache_share([]) is None


async def test_a_session_is_within_a_tier_if_each_of_its_turns_is(tmp_path):
    slow = {("a", 1)}

    class Slow(Recording):
        async def generate(self, request):
            await asyncio.sleep(0.08 if (request.sample_id, request.turn) in slow else 0.0)
            for _ in range(3):
                yield Chunk("content", "word", tokens=1)
                await asyncio.sleep(0.002)

    rows = {"a": [turn(), turn(0)], "b": [turn(), turn(0)], "c": [turn()]}
    run = Run(tmp_path, Slow(), rows, concurrency=1)
    await run.run()
    columns = read_columns(tmp_path)
    tiers = {"fast": checked_tier("fast", {"ttft": "60ms"}), "any": checked_tier("any", {"speed": 1}), "none": checked_tier("none", {"speed": 1e6})}  # fmt: skip
    load = LoadFiles(sessions={"history": "recorded", "cache_share": 0.5, "cache_unit": "tokens"})
    numbers = session_numbers(columns, each_request(columns), load, tiers)
    assert (numbers["sessions"], numbers["turns"], numbers["complete"], numbers["peak"]) == (3, 5, 3, 1)
    assert {one["name"]: one["sessions"] for one in numbers["tiers"]} == {"fast": 2, "any": 3, "none": 0}
    assert "tier fast (ttft ≤ 60 ms): 2 of 3 sessions served, 66.7 %" in numbers["lines"]
    assert "a prefix cache without a limit holds 50.0 % of the input (counted in tokens)" in numbers["lines"]


def test_a_tier_is_a_name_and_limits():
    assert parse_tier("fast: ttft = 2s, speed=30") == ("fast", {"ttft": 2000.0, "speed": 30.0})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ttft=2s", "is not NAME:LIMIT"),
        ("fast:", "is not NAME:LIMIT"),
        ("fast:speed=0", "speed is '0', not a number of output tokens per second, as in speed=30"),
        ("fast:spead=3", "the tier 'fast': no objective named 'spead'"),
        ("fast:ttft=slow", "the tier 'fast': the objective 'ttft=slow'"),
        ("fast:failures=1%", "the tier 'fast': the objective 'failures'"),
    ],
)
def test_a_tier_that_is_wrong_says_what_would_be_right(text, message):
    with pytest.raises(UsageError, match=message):
        parse_tier(text)


SESSION_TASK = {
    "summary": "sessions", "dataset": {"use": "jsonl", "path": "rows.jsonl"}, "prompt": {"turns": "{turns}"},
}  # fmt: skip


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"system": "be brief"}, "prompt.turns replaces the whole prompt, so prompt.system cannot be set"),
        ({"conversation": "last"}, "all turns of a session are sent; use 'every_with_gt'"),
        ({"turns": "two {turns}"}, "must be one field with the turns of a session"),
    ],
)
def test_a_task_of_sessions_states_nothing_else(plugins, tmp_path, more, message):
    from aisb_engine._data.datafiles import DataFolders
    from aisb_engine._data.prompts import Renderer

    table = SESSION_TASK | {"prompt": SESSION_TASK["prompt"] | more}

    def make():
        tables = {"mine": table}
        (task,) = resolve(plugins, RunInput(models=["sim"], datasets=["mine"], tasks=tables)).tasks.values()
        Renderer(task, plugins, DataFolders([tmp_path]))

    with pytest.raises(ConfigError, match=message):
        make()


def test_a_header_is_named_by_a_token():
    assert Load(session_header="X-Session-ID").session_header == "X-Session-ID"
    with pytest.raises(ValueError, match="session_header"):
        Load(session_header="X Session")
