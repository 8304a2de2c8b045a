"""Runs of the command against a service that knows the truth: what failed, what was sent twice, what it cost."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from forked import run_forked

from aisb_testing import DONE, ScriptedService, Step, chat_event, chat_stream, event_stream, sse, usage_of

ABORTED = event_stream(
    [(0.02, chat_event("the answer is 4")), (0.03, chat_event(finish_reason="abort")), (0.03, DONE)]
)
FAILED = {
    "abort": ABORTED,
    "event": event_stream(
        [
            (0.02, chat_event("the answer is 4")),
            (0.03, sse({"message": "boom", "status": 500}, "error")),
            (0.03, DONE),
        ]
    ),
    "beside": event_stream(
        [
            (0.02, chat_event("the answer is 4")),
            (0.03, {**chat_event(""), "error": {"code": 502, "message": "boom"}}),
            (0.03, DONE),
        ]
    ),
    "dropped": [Step(0.3, "reset")],
}


def aisb(work: Path, url: str, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable, "-m", "aisb_cli.main", "run", "--models", "vllm_api_stream_chat", "--url", url,
        "--datasets", "demo_gsm8k", *words,
    ]  # fmt: skip
    return run_forked(
        command, cwd=work, capture_output=True, text=True, check=False, timeout=90, env=os.environ | environment
    )  # fmt: skip


def rows(work: Path) -> list[dict[str, str]]:
    (file,) = work.glob("outputs/default/*/performances/*/*_requests.csv")
    with file.open(newline="") as lines:
        return list(csv.DictReader(lines))


@pytest.mark.parametrize(
    "words",
    [("--concurrency", "3"), ("--concurrency", "4", "--workers", "2"), ("--request-rate", "50")],
    ids=["closed loop", "two workers", "open loop"],
)
def test_what_a_service_failed_is_failed_and_nothing_is_sent_again(tmp_path: Path, words) -> None:
    forms = list(FAILED)

    def script(request):
        at = request.number % 8
        return FAILED[forms[at - 4]] if at >= 4 else chat_stream(3, first=0.03, gap=0.01)

    with ScriptedService(script) as service:
        ended = aisb(
            tmp_path, service.url, "--mode", "perf", "--num-prompts", "24", "--num-warmups", "0", *words
        )
    assert ended.returncode == 1, ended.stderr
    measured, truth = rows(tmp_path), service.truth()
    failed = [row for row in measured if row["ok"] == "false"]
    assert (len(measured), truth.received, len(failed)) == (24, 24, 12)
    assert {row["attempts"] for row in measured} == {"1"}
    kinds = sorted(row["failure"].partition(":")[0] for row in failed)
    assert kinds == ["cut"] * 6 + ["status"] * 6
    assert sum(int(row["output_tokens"]) for row in measured if row["ok"] == "true") == 36


def test_a_failed_stream_is_asked_again_in_an_accuracy_run_and_is_no_wrong_answer(tmp_path: Path) -> None:
    forms = list(FAILED.values())

    def script(request):
        return forms[request.number] if request.number < len(forms) else chat_stream(2, first=0.01, gap=0.01)

    with ScriptedService(script) as service:
        ended = aisb(tmp_path, service.url, "--num-prompts", "6", "--set", "load.backoff=0.01")
    assert ended.returncode == 0, ended.stderr
    assert service.truth().received == 6 + len(forms)
    (file,) = tmp_path.glob("outputs/default/*/predictions/*/*.jsonl")
    predictions = [json.loads(line) for line in file.read_text().splitlines()]
    assert {one["prediction"] for one in predictions} == {" t0 t1"}
    assert sum(one["attempts"] for one in predictions) == 6 + len(forms)


def test_a_request_in_the_race_of_a_close_is_sent_twice_and_says_so(tmp_path: Path) -> None:
    """The service closes each kept connection as soon as it reads a request on it."""

    def script(request):
        return chat_stream(2, first=0.02, gap=0.01) if request.place == 1 else [Step(0.0, "close")]

    with ScriptedService(script) as service:
        ended = aisb(
            tmp_path, service.url, "--mode", "perf", "--num-prompts", "9", "--num-warmups", "0", "--concurrency", "1"
        )  # fmt: skip
    measured = rows(tmp_path)
    twice = [row for row in measured if row["attempts"] == "2"]
    late = [row for row in measured if row["ok"] == "false"]  # on a machine that stood still for 10 ms
    assert service.truth().received == len(measured) + len(twice)
    assert len(twice) + 2 * len(late) >= 4 - len(late)
    if twice:
        (details,) = tmp_path.glob("outputs/default/*/performances/*/*_details.json")
        notes = json.loads(details.read_text())["notes"]
        assert any(note.startswith(f"requests that were sent more than once: {len(twice)}") for note in notes)
    assert not late or "cut: the connection was closed before the reply began" in late[0]["failure"]
    assert ended.returncode == bool(late), ended.stderr


@pytest.mark.parametrize("proxied", [False, True], ids=["native", "through a proxy"])
def test_a_service_that_keeps_its_connection_open_after_done_costs_nothing(tmp_path: Path, proxied) -> None:
    events = [(0.02, chat_event("4"), 1), (0.03, chat_event(finish_reason="stop"))]
    usage = (0.03, {"choices": [], "usage": usage_of(1)})
    silent = [*event_stream([*events, usage, (0.03, DONE)], ended=False), Step(20, "close")]
    with ScriptedService(lambda request: silent) as service:
        more = {"HTTP_PROXY": service.url, "NO_PROXY": ""} if proxied else {}
        url = "http://model.example:8000" if proxied else service.url
        ended = aisb(
            tmp_path, url, "--mode", "perf", "--num-prompts", "8", "--concurrency", "1",
            "--set", "load.timeouts.between_bytes=5", "--set", "model.check_model=false", "--model-name", "mock",
            **more,
        )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    measured = rows(tmp_path)
    assert [row["ok"] for row in measured] == ["true"] * 8
    assert max(float(row["e2el_ms"]) for row in measured) < 4500  # else 5 s, the timeout
    starts = [float(row["sent_ms"]) for row in measured]
    assert max(starts) - min(starts) < 20_000


def test_replies_without_a_token_are_said(tmp_path: Path) -> None:
    empty = event_stream(
        [(0.01, chat_event(role="assistant")), (0.02, chat_event(finish_reason="stop")), (0.02, DONE)]
    )
    nothing = event_stream([(0.02, {"choices": [], "usage": usage_of(10)}), (0.02, DONE)])

    def script(request):
        return (chat_stream(3, first=0.01, gap=0.01), empty, nothing)[request.number % 3]

    with ScriptedService(script) as service:
        ended = aisb(
            tmp_path, service.url, "--mode", "perf", "--num-prompts", "12", "--num-warmups", "0",
            "--tables",  # which prints every reason: a busy machine has more of them than the headline holds
        )  # fmt: skip
    measured = rows(tmp_path)
    failed = [row["failure"] for row in measured if row["ok"] == "false"]
    assert len(failed) == 4
    assert failed[0].startswith("protocol: the reply holds no answer")
    assert "4 of 8 replies that count as answered hold no token" in ended.stdout


def counting(place: int) -> list[Step]:
    """A reply of ten tokens, one every 20 ms after the first ones, whose service counts in one of three ways."""
    if place == 0:  # five tokens at once, and the count so far in each event
        events = [(0.1, {**chat_event(" a b c d e"), "usage": usage_of(5)}, 5)]
        events += [(0.1 + 0.02 * n, {**chat_event(" x"), "usage": usage_of(5 + n)}, 1) for n in range(1, 6)]
        last, finish = 0.2, "length"
    elif place == 1:  # every second token completes a character; each has its log-probability
        events, last, finish = [], 0.28, "length"
        for n in range(10):
            event = chat_event("\u6f22" if n % 2 else "")
            event["choices"][0]["logprobs"] = {"content": [{"token": "x", "logprob": -1.0}]}
            events.append((0.1 + 0.02 * n, event, 2 if n % 2 else 0))
    else:  # the last of the ten is an end token
        events = [(0.1 + 0.02 * n, chat_event(" x"), 1) for n in range(9)]
        last, finish = 0.28, "stop"
    end = {**chat_event("", finish_reason=finish), "usage": usage_of(10)}
    return event_stream([*events, (last, end), (last, DONE)])


def test_the_time_of_a_token_is_the_services_own_however_it_counts(tmp_path: Path) -> None:
    with ScriptedService(lambda request: counting(request.number % 3)) as service:
        words = ("--mode", "perf", "--num-prompts", "24", "--num-warmups", "0", "--concurrency", "3")
        ended = aisb(tmp_path, service.url, *words)
    assert ended.returncode == 0, ended.stderr
    measured, truth = rows(tmp_path), [one for one in service.requests if one.content]
    assert {row["output_tokens"] for row in measured} == {"10"}
    pairs = zip(
        sorted(float(row["tpot_ms"]) for row in measured), sorted(one.tpot_ms for one in truth), strict=True
    )
    apart = sorted(mine / theirs for mine, theirs in pairs)
    assert 0.98 < apart[len(apart) // 2] < 1.02
    (file,) = tmp_path.glob("outputs/default/*/performances/*/*_details.json")
    itl = json.loads(file.read_bytes())["stages"]["total"]["parameters"]["ITL"]
    assert itl["n"] == 8 * (5 + 8 + 8)
    assert itl["median"] == pytest.approx(sorted(one.tpot_ms for one in truth)[12], rel=0.03)


def test_a_request_counts_as_in_flight_until_it_fails(tmp_path: Path) -> None:
    """Else a client would seem idle while it waits for what a service drops."""
    kept = [Step(0.4, "reset")]
    with ScriptedService(lambda request: kept if request.place > 1 else chat_stream(3)) as service:
        aisb(
            tmp_path,
            service.url,
            "--mode",
            "perf",
            "--num-prompts",
            "6",
            "--concurrency",
            "1",
            "--num-warmups",
            "0",
        )
    (file,) = tmp_path.glob("outputs/default/*/performances/*/*_details.json")
    achieved = json.loads(file.read_text())["achieved"]
    assert achieved["concurrency"] > 0.9
