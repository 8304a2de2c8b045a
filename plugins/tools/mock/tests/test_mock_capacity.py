"""A mock server that takes only so much: slots, a queue, a limiter, and replies that slow each other."""

from __future__ import annotations

import json
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from aisb import UsageError
from aisb_mock import MockOptions, start_mock

CLIENT = httpx.Client(limits=httpx.Limits(max_keepalive_connections=0))
"""Opens a connection for each request, as `httpx.post` does, but reads the certificates of the machine once."""
BODY = {"messages": [{"role": "user", "content": "Say."}], "stream": True}


def ask(url: str, count: int) -> list[tuple[int, float]]:
    """Ask at once, and return the status of each reply and the seconds until it ended, the first one first.

    The seconds count from the common start: a thread that the machine starts late would else look quick.
    """
    began = time.monotonic()

    def one(_: int) -> tuple[int, float]:
        status = CLIENT.post(url + "/v1/chat/completions", json=BODY, timeout=30).status_code
        return status, time.monotonic() - began

    with ThreadPoolExecutor(count) as pool:
        return sorted(pool.map(one, range(count)), key=lambda reply: reply[1])


def test_requests_beyond_the_slots_wait_for_one():
    with start_mock(MockOptions(ttft_ms=300, tokens=2, slots=2)) as mock:
        replies = ask(mock.url, 4)
    assert [status for status, _ in replies] == [200] * 4
    assert all(seconds >= 0.3 for _, seconds in replies)
    assert all(seconds >= 0.6 for _, seconds in replies[2:])


def test_requests_beyond_the_queue_are_refused():
    with start_mock(MockOptions(ttft_ms=500, tokens=2, slots=1, queue=1)) as mock:
        statuses = sorted(status for status, _ in ask(mock.url, 4))
    assert statuses == [200, 200, 503, 503]


def test_a_client_that_goes_while_it_waits_leaves_its_place():
    with start_mock(MockOptions(ttft_ms=400, tokens=2, slots=1)) as mock, ThreadPoolExecutor(2) as pool:
        first = pool.submit(ask, mock.url, 1)
        time.sleep(0.1)
        with pytest.raises(httpx.ReadTimeout):
            CLIENT.post(mock.url + "/v1/chat/completions", json=BODY, timeout=0.1)
        assert first.result()[0][0] == 200
        assert ask(mock.url, 1)[0][0] == 200


def test_requests_beyond_the_rate_limit_are_refused_with_the_time_to_wait():
    with start_mock(MockOptions(tokens=2, rate_limit=0.01, rate_burst=3, retry_after=7)) as mock:
        replies = [CLIENT.post(mock.url + "/v1/chat/completions", json=BODY) for _ in range(5)]
    assert [reply.status_code for reply in replies] == [200, 200, 200, 429, 429]
    assert replies[-1].headers["retry-after"] == "7"


def test_replies_in_the_making_slow_each_other():
    with start_mock(MockOptions(tpot_ms=1, tokens=20, batch_ms=5)) as mock:
        ((_, alone),) = ask(mock.url, 1)
        together = ask(mock.url, 4)
    assert together[-1][1] - alone > 0.1


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"slots": 0}, "slots = 0 is too small; the least is 1"),
        ({"queue": 1}, "queue = 1 needs slots"),
        ({"rate_limit": 0.0}, "rate_limit = 0 is not a rate"),
        ({"rate_burst": 0}, "rate_burst = 0 is too small"),
        (
            {"slots": 1, "processes": 2},
            "processes = 2: slots, batch_ms, rate_limit and corrupt_above need a single process",
        ),
        ({"corrupt_share": 1.5}, "corrupt_share = 1.5 is not a share"),
        ({"corrupt_above": -1}, "corrupt_above = -1 is too small"),
    ],
)
def test_a_limit_that_cannot_be_is_refused(options, says):
    with pytest.raises(UsageError, match=says):
        MockOptions(**options)


def test_a_share_of_the_answers_is_corrupted_while_many_requests_are_in_flight() -> None:
    question = {"messages": [{"role": "user", "content": "How many moons does the Earth have in its sky?"}]}

    def answers(url: str, count: int) -> set[str]:
        def one(_: int) -> str:
            reply = CLIENT.post(url + "/v1/chat/completions", json=question, timeout=30)
            return str(reply.json()["choices"][0]["message"]["content"])

        with ThreadPoolExecutor(count) as pool:
            return set(pool.map(one, range(count)))

    with tempfile.TemporaryDirectory() as folder:
        known = Path(folder) / "known.jsonl"
        known.write_text(json.dumps({"question": question["messages"][0]["content"], "reply": "It has 1."}))
        with start_mock(
            MockOptions(ttft_ms=300, answers=str(known), corrupt_share=1, corrupt_above=1)
        ) as mock:
            assert answers(mock.url, 1) == {"It has 1."}
            assert answers(mock.url, 4) <= {"It has 1.", "It has 8."}
            assert "It has 8." in answers(mock.url, 4)


def test_tool_calls_are_corrupted_too() -> None:
    tool = {
        "type": "function",
        "function": {"name": "f", "parameters": {"properties": {"x": {"type": "integer"}}}},
    }
    with start_mock(MockOptions(tool_calls="field", corrupt_share=1, corrupt_above=0)) as mock:
        reply = CLIENT.post(
            mock.url + "/v1/chat/completions", json={**BODY, "stream": False, "tools": [tool]}
        )
    (call,) = reply.json()["choices"][0]["message"]["tool_calls"]
    assert call["function"]["arguments"] == '{"x":1'
