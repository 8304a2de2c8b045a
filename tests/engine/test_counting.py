"""What a service counts: asked around a load, and never in its way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping

import pytest

from aisb._backend import Backend
from aisb._types import Chunk, Request
from aisb_engine._load import counting
from aisb_engine._load.counting import ServiceCounters
from aisb_engine._performance.counters import counter_increases


class Service(Backend):
    """Counts how often it was asked, and answers as it is told."""

    def __init__(self, *answers: Mapping[str, float] | Exception | None) -> None:
        self.answers = list(answers)
        self.asked = 0

    async def generate(self, request: Request) -> AsyncIterator[Chunk]:
        yield Chunk("content", request.sample_id)

    async def counters(self) -> Mapping[str, float]:
        self.asked += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if answer is None:
            await asyncio.sleep(3600)
            return {}
        if isinstance(answer, Exception):
            raise answer
        return answer


async def around(service: Service, seconds: float = 0.0, samples: int = 0) -> tuple[dict, list[str]]:
    """Count around a load of some seconds, or of so many samples at the service."""
    notes: list[str] = []
    counted = ServiceCounters(service, notes.append)
    await counted.begin()
    await asyncio.sleep(seconds)
    while service.asked <= samples:  # noqa: ASYNC110 - the service is asked by a task of its own
        await asyncio.sleep(0.01)
    await counted.end()
    return counted.table, notes


async def test_gauges_are_looked_at_while_a_load_goes_on() -> None:
    def state(running: float, waiting: float) -> dict[str, float]:
        return {"running": running, "waiting": waiting, "parrot:n_total": 1}

    table, notes = await around(Service(state(0, 0), state(4, 0), state(8, 3)), samples=2)
    found = counter_increases(table)
    assert found is not None
    assert found.running is not None
    assert found.waiting is not None
    assert found.running.samples == found.waiting.samples >= 2
    assert found.running.maximum == 8
    assert 4 < found.running.average < 8
    assert found.waiting.maximum == 3
    assert found.increases == {"parrot:n_total": 0}
    assert not notes


async def test_a_service_without_gauges_is_asked_twice_only() -> None:
    service = Service({"parrot:prompt_tokens_total": 5.0})
    table, _ = await around(service, 2 * counting.MIN_INTERVAL)
    assert service.asked == 2
    assert table["during"] == {}


async def test_a_service_that_does_not_answer_is_waited_for_once() -> None:
    service = Service(None)
    table, notes = await around(service)
    assert service.asked == 1
    assert notes == [f"server counters could not be read: no answer within {counting.TIMEOUT_SECONDS:g} s"]
    assert counter_increases(table) is None


async def test_a_service_that_stops_answering_leaves_what_it_said() -> None:
    table, notes = await around(Service({"running": 1.0}, None), 2 * counting.MIN_INTERVAL)
    assert table["before"] == {"running": 1.0}
    assert table["after"] == {}
    assert notes == [f"server counters could not be read: no answer within {counting.TIMEOUT_SECONDS:g} s"]


@pytest.mark.parametrize("error", [ValueError("no number"), KeyError("x"), OSError(5, "broken")])
async def test_whatever_goes_wrong_is_a_note(error: Exception) -> None:
    table, notes = await around(Service(error))
    (note,) = notes
    assert note.startswith(f"server counters could not be read: {type(error).__name__}: {error}")
    assert table == {"before": {}, "after": {}, "during": {}}
