"""Open loops launch at planned times whatever the answers do; conversations wait for theirs; pressure joins in."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from aisb import AttemptFailed, Backend, Chunk, Failure, Message, Request
from aisb._errors import RunError
from aisb_engine._data.conversations import next_turn
from aisb_engine._load.pacing import Pacer, Timer
from aisb_engine._load.runner import SubtaskRunner
from aisb_engine._load.share import LoadShare
from aisb_engine._progress import Progress
from aisb_engine._record.log import LogWriter, read_file, read_folder
from aisb_engine._spec import Load

MS = 1_000_000
OPEN = {"request_rate": 1000.0}


class Answering(Backend):
    """Answers as a function says, after a pause; keeps what it was asked."""

    def __init__(
        self, answer: Callable[[Request], str | Exception] = lambda request: "yes", pause: float = 0.0
    ):
        self.answer = answer
        self.pause = pause
        self.asked: list[Request] = []
        self.now = self.most = 0

    async def generate(self, request: Request) -> AsyncIterator[Chunk]:
        self.asked.append(request)
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await asyncio.sleep(self.pause)
            answer = self.answer(request)
            if isinstance(answer, Exception):
                raise answer
            yield Chunk("content", answer)
        finally:
            self.now -= 1


class Run:
    """A runner with a real clock and log."""

    def __init__(self, folder: Path, backend: Backend, **load) -> None:
        self.folder = folder
        self.began = time.perf_counter_ns()
        self.log = LogWriter(folder / "worker-0")
        self.notes: list[str] = []
        self.progress = Progress("m", "t", folder / "out")
        self.stopping = asyncio.Event()
        share = LoadShare(wanted := Load(**({"retries": 0} | load)), wanted.clients(backend))
        self.runner = SubtaskRunner(
            backend, share, self.clock, self.progress, self.notes.append, self.stopping, self.log
        )

    async def send(self, requests, *, origin: int = 0) -> None:
        """Send requests, each alone or with its planned time."""
        listed = [one if type(one) is tuple else (0, one) for one in requests]

        async def start() -> int:
            return origin

        await self.runner.run(lambda: iter(listed), start)

    def clock(self) -> int:
        return time.perf_counter_ns() - self.began

    def records(self):
        return [record.prediction for record in read_file(self.folder / "worker-0") if record]


def requests(count: int, **more) -> list[Request]:
    return [Request(str(number), messages=(Message("user", "?"),), **more) for number in range(count)]


async def test_requests_are_launched_in_time_although_none_is_answered_yet(tmp_path: Path) -> None:
    backend = Answering(pause=0.2)
    run = Run(tmp_path, backend, **OPEN)
    planned = [run.clock() + n * MS for n in range(50)]
    await run.send(zip(planned, requests(50), strict=True))
    found = run.records()
    assert backend.most == 50
    assert sorted(p.timing.planned_ns for p in found) == planned
    assert all(p.timing.sent_ns >= p.timing.planned_ns for p in found)
    assert run.progress.finished == 50
    assert run.progress.in_flight == 0


async def test_a_bound_holds_requests_back_and_their_lateness_shows(tmp_path: Path) -> None:
    backend = Answering(pause=0.02)
    run = Run(tmp_path, backend, **OPEN, concurrency=2)
    now = run.clock()
    await run.send((now, request) for request in requests(8))
    assert backend.most == 2
    late = sorted(p.timing.sent_ns - p.timing.planned_ns for p in run.records())
    assert late[-1] >= 3 * 20 * MS  # three rounds before it
    assert late[0] < late[-1]


async def test_a_stop_ends_an_open_loop_that_waits_for_its_next_time(tmp_path: Path) -> None:
    run = Run(tmp_path, Answering(), **OPEN)
    work = run.send(zip([0, 3600 * 1000 * MS], requests(2), strict=True))
    running = asyncio.create_task(work)
    while run.progress.finished < 1:  # noqa: ASYNC110 - counts have no event
        await asyncio.sleep(0.002)
    run.stopping.set()
    await asyncio.wait_for(running, 5)
    assert run.progress.finished == 1


async def test_a_log_that_cannot_be_written_ends_an_open_loop(tmp_path: Path) -> None:
    run = Run(tmp_path, Answering(), **OPEN)
    run.runner.log = Full()
    with pytest.raises(RunError) as caught:
        await run.send((0, request) for request in requests(3))
    assert "no room" in str(caught.value)


class Full:
    def append(self, prediction, *, final, extra=None) -> None:
        raise RunError("no room")


async def test_clients_join_step_by_step_and_begin_nothing_after_the_time(tmp_path: Path) -> None:
    backend = Answering(pause=0.005)
    run = Run(tmp_path, backend, concurrency=4, request_rate=10.0, pressure_time=1.0)
    now = run.clock()
    joins = [now + n * 100 * MS for n in range(4)]
    await run.send(requests(20), origin=now)
    found = run.records()
    assert backend.most == 4
    begun = sorted(p.timing.sent_ns for p in found)
    assert begun[-1] <= now + 1000 * MS + 50 * MS
    for number, at in enumerate(joins[1:], start=1):
        before = [p for p in found if p.timing.sent_ns < at - MS]
        assert all(p.timing.sent_ns >= now for p in before)
        most = max(
            (sum(q.timing.sent_ns <= p.timing.sent_ns < q.timing.done_ns for q in before) for p in before),
            default=0,
        )
        assert most <= number
    assert len(found) == run.progress.finished


async def test_a_next_turn_waits_for_its_answer_and_carries_it(tmp_path: Path) -> None:
    backend = Answering(lambda request: f"answer {request.turn}")
    run = Run(tmp_path, backend, concurrency=1)
    await run.send(requests(2, followups=("and?", "so?")))
    assert [r.key for r in backend.asked] == [(s, 0, t) for s in "01" for t in range(3)]
    said = [(m.role, m.content) for m in backend.asked[2].messages]
    assert said == [
        ("user", "?"), ("assistant", "answer 0"), ("user", "and?"), ("assistant", "answer 1"), ("user", "so?"),
    ]  # fmt: skip
    done = {p.key: p.timing for p in run.records()}
    for sample in "01":
        for turn in (1, 2):
            assert done[sample, 0, turn].sent_ns >= done[sample, 0, turn - 1].done_ns
    assert len(read_folder(tmp_path).finished) == 6


async def test_the_next_turn_of_an_open_loop_is_planned_when_the_answer_is_there(tmp_path: Path) -> None:
    run = Run(tmp_path, Answering(pause=0.01), **OPEN)
    await run.send([(run.clock(), requests(1, followups=("and?",))[0])])
    first, second = run.records()
    assert second.timing.planned_ns == first.timing.done_ns


async def test_turns_after_a_failed_one_are_counted_and_not_asked(tmp_path: Path) -> None:
    backend = Answering(lambda request: AttemptFailed(Failure("cut", "gone")) if request.turn == 1 else "yes")
    run = Run(tmp_path, backend, concurrency=1)
    await run.send(requests(1, followups=("a", "b", "c")))
    assert [r.turn for r in backend.asked] == [0, 1]
    failed = {p.turn: (p.failure.message, p.attempts) for p in run.records() if p.failure}
    words = "not sent: turn 1 of its conversation failed (gone)"
    assert failed == {1: ("gone", 1), 2: (words, 0), 3: (words, 0)}
    assert (run.progress.finished, run.progress.failed) == (4, 3)


def test_a_conversation_as_one_text_is_joined_by_line_ends() -> None:
    request = next_turn(Request("0", text="one", followups=("three", "five")), "two")
    assert (request.text, request.turn, request.followups) == ("one\ntwo\nthree", 1, ("five",))


async def test_a_record_keeps_the_lengths_that_were_asked(tmp_path: Path) -> None:
    from aisb_engine._performance.reading import read_columns

    run = Run(tmp_path, Answering())
    await run.send(requests(1, params={"max_tokens": 7}, facts={"input_tokens_asked": 99}))
    columns = read_columns(tmp_path)
    assert (columns["max_tokens"][0], columns["requested_input"][0]) == (7, 99)


async def test_a_pacer_never_wakes_before_its_time() -> None:
    pacer = Pacer(time.perf_counter_ns)
    begun = time.perf_counter_ns()
    for number in range(1, 40):
        at = begun + number * 700_000
        await pacer.until(at)
        assert time.perf_counter_ns() >= at
    await pacer.until(begun)  # which has passed
    pacer.close()


async def test_a_timer_says_how_often_it_rang_while_the_loop_was_held_up() -> None:
    rings: list[int] = []
    timer = Timer(rings.append)
    timer.set(5 * MS, 5 * MS)
    time.sleep(0.06)  # noqa: ASYNC251 - the loop is held up on purpose
    while not rings:  # noqa: ASYNC110 - the ring is what is waited for
        await asyncio.sleep(0.001)
    timer.close()
    assert rings[0] >= 10


async def test_a_request_made_ready_before_its_time_still_leaves_out_what_is_refused(
    tmp_path: Path, serve
) -> None:
    from minimal import DONE, Chat, event
    from scripted import chunked, sized

    refusal = sized(b'{"message": "unknown field stream_options"}', status=b"400 Bad Request")
    answer = chunked(event("42"), event(finish="stop"), DONE)
    server = await serve([[refusal], [refusal], answer])
    run = Run(tmp_path, Chat(url=server.url), **OPEN)
    now = run.clock()
    # Both were prepared before the first refusal came back.
    both = [Request(str(number), text="6 x 7?") for number in range(2)]
    await run.send([(now, both[0]), (now, both[1])])
    assert [p.text for p in run.records()] == ["42", "42"]
    assert sorted(b"stream_options" in body for body in server.bodies) == [False, False, True, True]


async def test_a_request_that_cannot_be_encoded_fails_alone(tmp_path: Path, serve) -> None:
    from minimal import DONE, Chat, event
    from scripted import chunked

    class Odd(Chat):
        def encode(self, request):
            if request.sample_id == "1":
                raise KeyError("oops")
            return super().encode(request)

    server = await serve([chunked(event("42"), event(finish="stop"), DONE)])
    run = Run(tmp_path, Odd(url=server.url), **OPEN)
    now = run.clock()
    await run.send((now, Request(str(number), text="?")) for number in range(3))
    failures = {p.sample_id: p.failure and p.failure.message for p in run.records()}
    assert failures == {"0": None, "1": "KeyError: 'oops'", "2": None}
