"""`aisb quick`: it finds a service, measures a short ladder of loads, and says in words what it saw."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from forked import run_forked

from aisb import ServiceError
from aisb_cli.quick.answer import answer, thorough_command
from aisb_cli.quick.ladder import Rung
from aisb_cli.quick.questions import QUESTIONS, AnswerCheck
from aisb_cli.quick.services import Service, find_services, service_at
from aisb_engine import JudgedObjective, Plugins, parse_run_objectives
from aisb_mock import MockOptions, start_mock
from aisb_testing._fixtures import Answering

OBJECTIVES = parse_run_objectives("ttft_p95=2s,failures=1%")
SERVICE = Service("http://127.0.0.1:8000", "vllm_api_stream_chat", "vLLM", "m", ("m",))


def aisb(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    ended = run_forked(
        [sys.executable, "-m", "aisb_cli.main", "quick", *words],
        cwd=cwd, capture_output=True, text=True, check=False, timeout=240,
    )  # fmt: skip
    assert "Traceback" not in ended.stderr, ended.stderr
    return ended


def rung(users: int, *, ttft: float = 100.0, tpot: float = 10.0, rate: float = 1.0, **more: object) -> Rung:
    failed = float(more.get("failed", 0.0))  # type: ignore[arg-type]
    judged = (JudgedObjective(OBJECTIVES[0], ttft, 9), JudgedObjective(OBJECTIVES[1], failed, 9))
    one = Rung(
        users, 9, rate, 41 * rate, ttft, ttft, tpot, tpot, ttft + 40 * tpot, 300, 41, failed, 0, 0, "", judged
    )
    return replace(one, **more)  # type: ignore[arg-type]


ALL_RIGHT = AnswerCheck(3, 3)


def said(*rungs: Rung, check: AnswerCheck = ALL_RIGHT, stopped: str = "") -> dict[str, str]:
    lines = answer(SERVICE, rungs, check, OBJECTIVES, seconds=20, stopped=stopped)
    return dict(line.split(": ", 1) for line in lines)


def test_a_service_is_measured_and_described_in_words(tmp_path: Path) -> None:
    known = tmp_path / "known.jsonl"
    replies = ("It is 12.", "Paris.", "Tuesday.")
    rows = zip(QUESTIONS, replies, strict=True)
    known.write_text("".join(json.dumps({"question": q, "reply": r}) + "\n" for q, r in rows))
    with start_mock(MockOptions(ttft_ms=20, tpot_ms=1, slots=2, answers=str(known))) as mock:
        ended = aisb("--url", mock.url, "--seconds", "2", "--slo", "ttft_p95=60ms", "--json", cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout)
    assert found["service"]["kind"] == "aisb mock serve"
    assert found["rungs"][0]["users"] == 1  # how many more there are depends on how busy the machine is
    assert found["answers"]["right"] == 3
    assert found["lines"][:2] == [
        f"service: aisb mock serve at {mock.url} (model file vllm_api_stream_chat)", "model: mock",
    ]  # fmt: skip
    assert found["thorough"] == f"aisb capacity --url {mock.url} --slo ttft_p95=60ms --budget 30m"
    assert list((tmp_path / "outputs" / "quick").glob("*/*/configs"))


def test_a_service_is_found_among_the_ports_that_listen() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        closed = free.getsockname()[1]
    with start_mock(MockOptions(models=("a", "b"))) as mock:
        port = int(re.findall(r"\d+", mock.url)[-1])
        (found,) = asyncio.run(find_services(Plugins.load(), None, {}, (closed, port)))
    assert (found.kind, found.model, found.models) == ("aisb mock serve", "a", ("a", "b"))
    with pytest.raises(
        ServiceError, match=rf"no model service answers at the loopback ports {closed}: name one"
    ):
        asyncio.run(find_services(Plugins.load(), None, {}, (closed,)))


def test_a_queue_is_told_from_replies_that_slow_each_other_down() -> None:
    queues = said(rung(1, rate=2), rung(4, rate=8), rung(16, ttft=2500, rate=8))
    assert queues["what limits it"] == (
        "it queues: with 16 users the first token comes after 2.5 s, with one after 100 ms; it processes about 4 "
        "at once, and the others wait"
    )
    assert queues["users at once"] == "4 with ttft_p95 <= 2s, failures <= 1%; with 16, ttft_p95 is 2.5 s"
    assert (
        queues["throughput"]
        == "8 requests/s, 328 tokens/s in total, with 4 users; more users hardly raise it"
    )
    slows = said(rung(1), rung(64, tpot=30, rate=9))
    assert slows["what limits it"] == (
        "replies slow each other down: a token takes 10 ms with one user, and 30 ms with 64 users"
    )
    assert slows["users at once"].startswith("at least 64 with ")
    assert said(rung(1), rung(4, rate=4))["what limits it"] == "no limit found with up to 4 users"
    assert said(rung(1))["what limits it"].startswith("not known: there was time for one user only")


def test_a_slow_service_is_described_by_what_few_requests_can_tell() -> None:
    """One request is no percentile, and the time for more users follows from the time of a reply."""
    judged = (JudgedObjective(OBJECTIVES[0], 9710.0, 1), JudgedObjective(OBJECTIVES[1], 0.0, 1))
    slow = replace(rung(1, ttft=9710, rate=0.09), requests=1, e2el=11_300.0, judged=judged)
    found = said(slow)
    assert found["users at once"] == (
        "not even one with ttft_p95 <= 2s, failures <= 1%; with 1, ttft_p95 is 9.71 s (of 1 request); before a "
        "thorough run, choose objectives that one user meets (--slo)"
    )
    assert found["what limits it"].endswith("one user only; --seconds 100 gives more")
    assert found["measured"].startswith("1 request in 20 s")
    busy = said(replace(slow, distortion="the event loop lagged"))
    assert busy["one user"].endswith("; this machine was too busy, so the times may be too long")


def test_a_limiter_and_failures_are_named() -> None:
    limited = said(rung(1), rung(4, failed=0.6, throttled=0.4, retried=0.2, rate=5.0))
    assert limited["what limits it"].startswith(
        "a rate limiter: with 4 users, 60 % of the requests were refused (429), and 5 requests/s were admitted"
    )
    assert limited["users at once"].endswith("; with 4, 60 % of the requests fail")
    failing = said(rung(1), rung(4, failed=0.5, failure="status: HTTP 503: The queue is full."))
    assert failing["what limits it"] == (
        "failures: with 4 users, 50 % of the requests fail: status: HTTP 503: The queue is full."
    )
    busy = said(rung(1), rung(4, distortion="the event loop lagged"))
    gone = "4 users could not be measured: 127.0.0.1:8000 refused the connection"
    assert said(rung(1), stopped=gone)["what limits it"] == gone
    assert (
        "this machine could not generate the load of 4 users: the event loop lagged" in busy["what limits it"]
    )


def test_a_service_that_does_not_stream_or_never_answers_is_said() -> None:
    unknown = tuple(JudgedObjective(one, None, 9) for one in OBJECTIVES[:1])
    whole = said(replace(rung(1), ttft=None, tpot=None, judged=unknown))
    assert whole["one user"].endswith("the times to the first token and per token are unknown")
    dead = replace(rung(1, failed=1.0, failure="status: HTTP 500"), ttft=None, e2el=None, rate=0.0)
    assert said(dead)["one user"] == "no request succeeded: status: HTTP 500"


def test_answers_that_make_no_sense_are_said() -> None:
    wrong = said(rung(1), check=AnswerCheck(3, 0, "What is 7 + 5?", "!!!!"))
    assert wrong["answers"].startswith(
        "nonsense: asked \"What is 7 + 5?\", it said '!!!!'; check the model's chat"
    )
    assert said(rung(1))["answers"] == "sensible: 3 of 3 simple questions are right"
    assert "its reply was empty" in said(rung(1), check=AnswerCheck(2, 1, "q", ""))["answers"]
    assert said(rung(1), check=AnswerCheck(0, 0))["answers"].startswith("not judged: no reply")
    failed = said(rung(1), check=AnswerCheck(0, 0, failure="status: HTTP 500"))
    assert failed["answers"] == "not judged: a simple question failed: status: HTTP 500"


def test_the_thorough_command_names_what_was_chosen() -> None:
    other = Service("http://127.0.0.1:11434", "tgi_stream_api_general", "TGI", "b", ("a", "b"))
    assert thorough_command(other, OBJECTIVES, api_key_env="KEY") == (
        "aisb capacity --url http://127.0.0.1:11434 --models tgi_stream_api_general --model-name b "
        "--api-key-env KEY --slo ttft_p95=2s --slo failures=1% --budget 30m"
    )


def test_a_service_that_is_not_there_ends_with_exit_code_3(tmp_path: Path) -> None:
    ended = aisb("--url", "http://127.0.0.1:9", cwd=tmp_path)
    assert ended.returncode == 3
    assert "127.0.0.1:9" in ended.stderr


def test_a_service_without_a_chat_api_is_asked_through_the_other(
    answering: Callable[..., Answering],
) -> None:
    text = {"choices": [{"text": "It is 7.", "finish_reason": "stop"}]}
    service = answering(
        {
            "/v1/models": (200, {"data": [{"id": "org/Base-7B", "owned_by": "vllm"}]}),
            "/v1/chat/completions": (400, {"message": "the model has no chat template"}),
            "/v1/completions": (200, text),
        }
    )
    found = asyncio.run(service_at(service.url, Plugins.load(), None, {}))
    assert (found.asked_as, found.model) == ("vllm_api_general_stream", "org/Base-7B")
    with pytest.raises(ServiceError, match="is not a kind of service that aisb recognizes"):
        asyncio.run(service_at(answering({}).url, Plugins.load(), None, {}))
