"""Workers of a closed loop share one queue: each request goes to one client, in order, as long as any is left."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from aisb import Request
from aisb_engine._load.handing_out import SharedRequests, shared_requests
from aisb_engine._load.request_queue import WorkerQueue
from aisb_engine._load.share import LoadShare
from aisb_engine._spec import Load

Client = Callable[[int, Request], Awaitable[None]]


def hand_out(
    path: Path, requests: int, share: LoadShare, client: Client, most: int = 10**9
) -> tuple[list[tuple[int, Request]], int]:
    """Let the clients of all workers take requests; return who began which, in order, and the questions."""
    taken: list[tuple[int, Request]] = []
    questions = 0

    async def work() -> None:
        nonlocal questions
        queues: list[WorkerQueue] = []

        def ask(number: int, want: list[int] | None) -> None:
            nonlocal questions
            if want is None:  # all clients wait
                return
            questions += 1
            given = [list(one) for one in shared.give(number, *want)]
            loop = asyncio.get_running_loop()
            loop.call_soon(lambda: queues[number].take(given, is_complete=shared.is_complete))

        async def send(number: int) -> None:
            while len(taken) < most and (request := await queues[number].next()) is not None:
                taken.append((number, request))
                await client(number, request)

        for number in range(share.processes):
            own = replace(share, number=number)
            queues.append(WorkerQueue(path, own, lambda message, n=number: ask(n, message.get("want"))))
        await asyncio.gather(*(queue.fill() for queue in queues))
        await asyncio.gather(*(send(n) for n in range(len(queues)) for _ in range(queues[n]._share.limit)))
        for queue in queues:
            queue.close()

    rows = ((0, Request(str(number), text=f"row {number}")) for number in range(requests))
    with shared_requests(path, rows, share.processes, is_endless=share.is_endless) as shared:
        asyncio.run(work())
    assert not path.exists()
    return taken, questions


def share_of(clients: int, workers: int, **load: float) -> LoadShare:
    return LoadShare(Load(concurrency=clients, **load), clients, processes=workers)


async def no_time(_number: int, _request: Request) -> None:
    await asyncio.sleep(0)


@pytest.mark.parametrize("workers", [1, 2, 3, 7])
@pytest.mark.parametrize("requests", [0, 1, 5, 100])
def test_each_request_is_taken_once(tmp_path: Path, requests: int, workers: int) -> None:
    taken, _ = hand_out(tmp_path / "q", requests, share_of(7, workers), no_time)
    assert sorted(int(request.sample_id) for _, request in taken) == list(range(requests))


def test_a_worker_that_is_slow_leaves_its_part_to_the_others(tmp_path: Path) -> None:
    async def client(number: int, _request: Request) -> None:
        await asyncio.sleep(0.2 if number == 0 else 0.002)

    taken, _ = hand_out(tmp_path / "q", 200, share_of(4, 2), client)
    assert sum(number == 0 for number, _ in taken) < 50


def test_requests_begin_in_their_order_whatever_they_take(tmp_path: Path) -> None:
    async def client(_number: int, request: Request) -> None:
        await asyncio.sleep(0.02 if int(request.sample_id) % 2 else 0.002)

    taken, _ = hand_out(tmp_path / "q", 120, share_of(4, 2), client)
    places = [int(request.sample_id) for _, request in taken]
    # A worker has a tenth of a second of work waiting, which others overtake.
    assert max(abs(place - number) for number, place in enumerate(places)) < 40


def test_few_questions_are_asked_where_requests_are_short(tmp_path: Path) -> None:
    async def client(_number: int, _request: Request) -> None:
        await asyncio.sleep(0.01)

    taken, questions = hand_out(tmp_path / "q", 20_000, share_of(200, 2), client)
    assert len(taken) == 20_000
    assert questions < 2_000


def test_few_requests_are_spread_over_all_workers(tmp_path: Path) -> None:
    taken, _ = hand_out(tmp_path / "q", 6, share_of(30, 3), no_time)
    assert [sum(number == worker for number, _ in taken) for worker in range(3)] == [2, 2, 2]


def test_a_pressure_run_goes_round_after_round_also_with_fewer_rows_than_clients(tmp_path: Path) -> None:
    share = share_of(5, 2, pressure_time=60)
    taken, _ = hand_out(tmp_path / "q", 3, share, no_time, most=32)
    seen = {(request.sample_id, request.repeat) for _, request in taken}
    assert len(seen) == len(taken)
    assert {number for number, _ in taken} == {0, 1}
    assert {sample for sample, _ in seen} == set("012")


def queue_of(
    path: Path, requests: int, workers: int, **request: Any
) -> AbstractContextManager[SharedRequests]:
    rows = ((0, Request(str(number), text=f"row {number}", **request)) for number in range(requests))
    return shared_requests(path, rows, workers, is_endless=False, takes_back=True)


def test_what_a_lost_worker_had_goes_to_one_that_waits(tmp_path: Path) -> None:
    with queue_of(tmp_path / "q", 4, 2) as shared:
        shared.answer(0, 2, 0)
        shared.answer(1, 2, 0)
        assert shared.answer(0, 3, 0) == []  # the queue is empty, and worker 1 has two in flight
        assert shared.rest(0, 2) == []
        assert shared.take_back(1, {("2", 0, 0)}) == (1, 0)
        ((worker, message),) = shared.serve_waiting()
        assert (worker, len(message["take"]), message["is_complete"]) == (0, 1, False)
        shared.answer(0, 4, 0)
        assert shared.rest(0, 3) == [(0, {"take": [], "is_complete": True})]


def test_workers_are_sent_home_when_nothing_is_in_flight_anywhere(tmp_path: Path) -> None:
    with queue_of(tmp_path / "q", 2, 2) as shared:
        shared.answer(0, 1, 0)
        shared.answer(1, 1, 0)
        assert shared.rest(0, 1) == []
        assert shared.rest(1, 0) == []  # said before it took what it was handed
        assert [worker for worker, _ in shared.rest(1, 1)] == [0, 1]
        assert shared.answer(1, 1, 0) == [(1, {"take": [], "is_complete": True})]


def test_a_worker_in_the_place_of_a_lost_one_is_waited_for_only_once_it_asks(tmp_path: Path) -> None:
    with queue_of(tmp_path / "q", 2, 1) as shared:
        shared.answer(0, 2, 0)
        shared.take_back(0, {("0", 0, 0)})
        ((_, message),) = shared.answer(0, 2, 0)
        assert [length for _, length, _ in message["take"]] == [1]


def test_a_conversation_with_some_turns_answered_is_not_begun_again(tmp_path: Path) -> None:
    with queue_of(tmp_path / "q", 2, 1, followups=("and then?",)) as shared:
        shared.answer(0, 2, 0)
        assert shared.take_back(0, {("0", 0, 0)}) == (2, 1)
