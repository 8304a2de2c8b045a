"""Workers of a closed loop share one queue: each request goes to one client, in order, as long as any is left."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from aisb import Request
from aisb_engine._load.handing_out import shared_requests
from aisb_engine._load.request_queue import HandedOut
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
        queues: list[HandedOut] = []

        def ask(number: int, want: list[int]) -> None:
            nonlocal questions
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
            queues.append(HandedOut(path, own, lambda message, n=number: ask(n, message["want"])))
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
