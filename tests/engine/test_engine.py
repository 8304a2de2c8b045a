"""The engine sends as many at a time as the load says, tries again what may succeed, and logs every attempt."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from aisb import AttemptFailed, Backend, Chunk, Failure, Request, Usage
from aisb_engine._load.attempts import delay, is_retryable
from aisb_engine._load.direct import ask_directly
from aisb_engine._load.runner import SubtaskRunner
from aisb_engine._load.share import LoadShare
from aisb_engine._progress import Progress
from aisb_engine._record.log import LogWriter, read_file, read_folder
from aisb_engine._spec import Load


class Scripted(Backend):
    """Answers each request as a function says; counts how many are under way."""

    def __init__(self, answer: Callable[[Request, int], Chunk | Exception], pause: float = 0.0) -> None:
        self.answer = answer
        self.pause = pause
        self.tried: dict[str, int] = {}
        self.now = self.most = 0

    async def generate(self, request: Request) -> AsyncIterator[Chunk]:
        self.tried[request.id] = self.tried.get(request.id, 0) + 1
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await asyncio.sleep(self.pause)
            yield Chunk("content", "half ")
            answer = self.answer(request, self.tried[request.id])
            if isinstance(answer, Exception):
                raise answer
            yield answer
        finally:
            self.now -= 1


def failed(kind: str, status: int | None = None, retry_after: float | None = None) -> AttemptFailed:
    return AttemptFailed(Failure(kind, f"{kind} {status}", status, retry_after))  # type: ignore[arg-type]


async def drive(tmp_path: Path, backend: Backend, count: int, **load: object) -> tuple[Progress, list[str]]:
    progress = Progress("m", "t", tmp_path / "out", total=count)
    notes: list[str] = []
    ticks = iter(range(1_000_000))
    share = load_share(backend, **{"backoff": 0.0} | load)
    with LogWriter(tmp_path / "worker-0") as log:
        runner = SubtaskRunner(
            backend, share, lambda: next(ticks), progress, notes.append, asyncio.Event(), log
        )
        await runner.run(lambda: questions(count), start)
    return progress, notes


def load_share(backend: Backend, **load: object) -> LoadShare:
    wanted = Load(**load)  # type: ignore[arg-type]
    return LoadShare(wanted, wanted.clients(backend))


def questions(count: int) -> Iterator[tuple[int, Request]]:
    return ((0, Request(str(number), text="?")) for number in range(count))


async def start() -> int:
    return 0


async def test_as_many_are_in_flight_as_asked_and_no_more(tmp_path: Path) -> None:
    backend = Scripted(lambda request, tried: Chunk("content", "done"), pause=0.01)
    progress, _ = await drive(tmp_path, backend, 50, concurrency=7)
    assert backend.most == 7
    assert (progress.sent, progress.received, progress.finished, progress.failed) == (50, 50, 50, 0)
    assert len(read_folder(tmp_path).finished) == 50


async def test_each_attempt_begins_from_an_empty_buffer_and_is_logged(tmp_path: Path) -> None:
    backend = Scripted(lambda request, tried: Chunk("content", "done") if tried == 3 else failed("cut"))
    progress, notes = await drive(tmp_path, backend, 1)
    records = [record for record in read_file(tmp_path / "worker-0") if record]
    assert [(r.prediction.text, r.prediction.attempts, r.final) for r in records] == [
        ("half ", 1, False),
        ("half ", 2, False),
        ("half done", 3, True),
    ]
    assert (progress.sent, progress.retried, progress.failed) == (3, 2, 0)
    assert notes[0].startswith("request 0: attempt 1: cut None; again in ")


async def test_a_request_that_is_refused_is_not_sent_again(tmp_path: Path) -> None:
    backend = Scripted(lambda request, tried: failed("status", 400))
    progress, notes = await drive(tmp_path, backend, 2)
    assert backend.tried == {"0": 1, "1": 1}
    assert progress.failures == {"status": 2}
    assert progress.first_failure == "0: status 400"
    assert "request 0: failed after 1 attempt: status 400" in notes


async def test_retries_end_and_the_sample_is_counted_as_failed(tmp_path: Path) -> None:
    backend = Scripted(lambda request, tried: failed("status", 503))
    progress, notes = await drive(tmp_path, backend, 1, retries=2)
    assert backend.tried == {"0": 3}
    assert (progress.finished, progress.failed) == (1, 1)
    assert notes[-1] == "request 0: failed after 3 attempts: status 503"


async def test_an_exception_in_a_backend_is_that_requests_failure(tmp_path: Path) -> None:
    backend = Scripted(
        lambda request, tried: KeyError("oops") if request.id == "1" else Chunk("content", "done")
    )
    progress, _ = await drive(tmp_path, backend, 3, retries=0)
    assert (progress.received, progress.failed) == (2, 1)
    failure = read_folder(tmp_path).latest["1", 0, 0].failure
    assert failure == Failure("protocol", "KeyError: 'oops'")


async def test_chunks_are_stamped_by_the_engines_clock_or_the_backends_own() -> None:
    class Local(Backend):
        async def generate(self, request: Request) -> AsyncIterator[Chunk]:
            yield Chunk("reasoning", "", "why", tokens=2, stamp_ns=100)
            yield Chunk("content", "because", tokens=1)
            yield Chunk("finish", finish_reason="stop", usage=Usage(5, 3), tokens=0)

    ticks = iter(range(10, 100, 10))
    prediction = await ask_directly(Local(), Request("0", text="?"), clock=lambda: next(ticks))
    assert list(prediction.timing.chunk_ns) == [100, 20, 30]
    assert prediction.timing.chunk_kinds == ("reasoning", "content", "finish")
    assert list(prediction.timing.chunk_tokens) == [2, 1, 0]
    assert (prediction.text, prediction.reasoning, prediction.finish_reason) == ("because", "why", "stop")
    assert (prediction.timing.sent_ns, prediction.timing.done_ns) == (10, 40)


@pytest.mark.parametrize(
    ("failure", "again"),
    [
        (Failure("connect", ""), True),
        (Failure("cut", ""), True),
        (Failure("timeout", ""), True),
        (Failure("protocol", ""), True),
        (Failure("status", "", 408), True),
        (Failure("status", "", 429), True),
        (Failure("status", "", 500), True),
        (Failure("status", "", 503), True),
        (Failure("status", "", 400), False),
        (Failure("status", "", 401), False),
        (Failure("status", "", 404), False),
        (Failure("refused", ""), False),
    ],
)
def test_what_is_tried_again(failure: Failure, again: bool) -> None:
    assert is_retryable(failure) is again


def test_the_wait_doubles_with_jitter_and_the_services_own_word_stands_above_it() -> None:
    draw = random.Random(1)
    waits = [delay(attempt, Failure("cut", ""), 1.0, draw) for attempt in range(1, 10)]
    for attempt, wait in enumerate(waits):
        assert min(2**attempt, 60) * 0.5 <= wait <= min(2**attempt, 60)
    assert delay(1, Failure("status", "", 429, 2.5), 1.0, draw) == 2.5
    assert delay(1, Failure("status", "", 429, 10_000), 1.0, draw) == 60


async def test_a_stop_ends_what_is_in_flight_and_logs_nothing_of_it(tmp_path: Path) -> None:
    stopping = asyncio.Event()
    backend = Scripted(lambda request, tried: Chunk("content", "done"), pause=0.02)
    progress = Progress("m", "t", tmp_path / "out", total=100)
    with LogWriter(tmp_path / "worker-0") as log:
        share = load_share(backend, concurrency=5)
        runner = SubtaskRunner(backend, share, lambda: 0, progress, lambda line: None, stopping, log)
        driving = asyncio.create_task(runner.run(lambda: questions(100), start))
        while progress.finished < 10:  # noqa: ASYNC110 - counts have no event
            await asyncio.sleep(0.005)
        stopping.set()
        await driving
    found = read_folder(tmp_path)
    assert 10 <= len(found.latest) == progress.finished < 100
    assert backend.now == 0
    assert progress.in_flight == 0
