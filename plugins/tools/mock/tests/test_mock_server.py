"""The mock server over real sockets: its answers, its streams, its faults, and how it ends."""

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from aisb._errors import DataError, ServiceError, UsageError
from aisb_mock import MockOptions, start_mock
from aisb_mock._answers import MockAnswers, read_questions_and_answers, wrong_answer
from aisb_mock._faults import FAULTS, Faults
from aisb_mock._options import OptionSpread
from aisb_mock._pace import FileAlarm, LoopAlarm

QUESTIONS = [
    f"Ann has {n} apples and buys {n + 3} more on day {n}. How many apples are there?" for n in range(400)
]
GOLD = {question: str(2 * n + 3) for n, question in enumerate(QUESTIONS)}
CLIENT = httpx.Client(limits=httpx.Limits(max_keepalive_connections=0))
"""Opens a connection for each request, as `httpx.post` does, but reads the certificates of the machine once."""
CHAT = "/v1/chat/completions"
TEXT = "/v1/completions"


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    file = tmp_path_factory.mktemp("answers") / "answers.jsonl"
    rows = ({"question": question, "answer": f"A sum.\n#### {gold}"} for question, gold in GOLD.items())
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(file)


@pytest.fixture(scope="module")
def mock(answers):
    with start_mock(MockOptions(answers=answers, accuracy=0.7, seed=3)) as running:
        yield running


def chat(mock, question, path=CHAT, **more):
    prompt = {"prompt": question} if path == TEXT else {"messages": [{"role": "user", "content": question}]}
    return CLIENT.post(mock.url + path, json=prompt | more, timeout=10)


def said(reply):
    choice = reply.json()["choices"][0]
    return choice["text"] if "text" in choice else choice["message"]["content"]


def events(reply):
    lines = [line.removeprefix("data: ") for line in reply.text.split("\n\n") if line]
    assert lines[-1] == "[DONE]"
    return [json.loads(line) for line in lines[:-1]]


def streamed_text(reply):
    choices = [event["choices"][0] for event in events(reply) if event["choices"]]
    return "".join(
        choice["text"] if "text" in choice else choice["delta"].get("content", "") for choice in choices
    )


def last_number(text):
    return re.findall(r"-?\d+(?:\.\d+)?", text)[-1]


def right_ones(mock, questions, **more):
    with httpx.Client() as client, ThreadPoolExecutor(8) as pool:

        def ask(question):
            body = {"messages": [{"role": "user", "content": question}]} | more
            return last_number(said(client.post(mock.url + CHAT, json=body))) == GOLD[question]

        return {
            question for question, right in zip(questions, pool.map(ask, questions), strict=True) if right
        }


def test_the_set_share_of_known_questions_is_answered_right_in_any_order(mock):
    right = right_ones(mock, QUESTIONS)
    assert 0.7 - 0.07 < len(right) / len(QUESTIONS) < 0.7 + 0.07  # three standard deviations of 400 draws
    assert right_ones(mock, QUESTIONS[::-1]) == right
    assert right_ones(mock, QUESTIONS[:50]) == right & set(QUESTIONS[:50])


def test_another_request_seed_gives_other_right_answers_at_the_same_share(mock):
    first, second = (right_ones(mock, QUESTIONS[:200], seed=seed) for seed in (1, 2))
    assert first != second
    assert all(0.6 < len(right) / 200 < 0.8 for right in (first, second))


@pytest.mark.parametrize(("accuracy", "share"), [(0, 0), (1, 1)])
def test_an_accuracy_of_none_or_all_is_exact(answers, accuracy, share):
    with start_mock(MockOptions(answers=answers, accuracy=accuracy)) as mock:
        assert len(right_ones(mock, QUESTIONS[:60])) == share * 60


def test_the_last_known_question_of_a_prompt_is_the_one_that_is_answered(answers):
    shots = "\n\n".join(f"Question: {question}\nAnswer: {GOLD[question]}" for question in QUESTIONS[:4])
    with start_mock(MockOptions(answers=answers, accuracy=1)) as mock:
        text = chat(mock, f"{shots}\n\nQuestion:{QUESTIONS[9]}\nLet's think step by step\nAnswer:", TEXT)
        assert last_number(said(text)) == GOLD[QUESTIONS[9]]
        messages = [{"role": "user", "content": question} for question in QUESTIONS[:3]]
        turns = CLIENT.post(mock.url + CHAT, json={"messages": messages})
        assert last_number(said(turns)) == GOLD[QUESTIONS[2]]
        requests = CLIENT.get(mock.url + "/record").json()["requests"]
        assert [request["question"] is not None for request in requests] == [True, True]


def test_questions_are_found_whatever_stands_around_them():
    known = MockAnswers(
        [("小明有三个苹果", "3"), ("2+2=?", "4"), ("How  many\nlegs has a cat?", "4"), ("No more", "x")]
    )
    assert known.last_question("问题：小明有三个苹果，请回答") == "小明有三个苹果"
    assert known.last_question("How many legs has a cat? And: 2+2=? thanks") == "2+2=?"
    assert known.last_question("2+2=? (4)\nQ:How many   legs has a cat?\nA:") == "How many legs has a cat?"
    assert known.last_question("How many legs has a dog?") is None
    assert MockAnswers([]).last_question("anything") is None


def test_a_wrong_answer_is_of_the_same_sort_and_never_the_right_one():
    from random import Random

    for seed in range(200):
        rng = Random(seed)
        assert int(wrong_answer("42", (), rng)) != 42
        assert int(wrong_answer("0", (), rng)) != 0
        assert re.fullmatch(r"-?\d+\.\d\d", wrong_answer("3.50", (), rng))
        assert float(wrong_answer("3.50", (), rng)) != 3.5
        assert wrong_answer("B", (), rng) in "ACD"
        assert wrong_answer("Paris", ("Paris", "Rome"), rng) != "Paris"


def test_the_demo_task_is_known_without_a_file():
    from aisb_mock._answers import demo_file

    if demo_file() is None:
        pytest.skip("aisb-dataset-math is not installed")
    known = list(read_questions_and_answers(demo_file()))
    with start_mock(MockOptions(accuracy=1)) as mock:
        assert all(last_number(said(chat(mock, question))) == answer for question, answer in known[:20])


@pytest.mark.parametrize("path", [CHAT, TEXT])
@pytest.mark.parametrize("per_chunk", [1, 4])
def test_a_streamed_reply_says_what_the_whole_one_says(answers, path, per_chunk):
    with start_mock(MockOptions(answers=answers, tokens_per_chunk=per_chunk)) as mock:
        for question in (QUESTIONS[5], "Is this one known?"):
            for more in ({}, {"seed": 7}, {"max_tokens": 9}, {"stop": [" a"]}):
                whole = chat(mock, question, path, **more)
                stream = chat(
                    mock, question, path, stream=True, stream_options={"include_usage": True}, **more
                )
                assert streamed_text(stream) == said(whole) != ""
                *_, finish, usage = events(stream)
                assert finish["choices"][0]["finish_reason"] == whole.json()["choices"][0]["finish_reason"]
                assert usage["choices"] == []
                assert usage["usage"] == whole.json()["usage"]


def test_a_stream_begins_with_the_role_and_ends_with_done(mock):
    reply = chat(mock, "hello", stream=True, max_tokens=3, ignore_eos=True)
    assert reply.headers["content-type"].startswith("text/event-stream")
    first, *tokens, finish = events(reply)
    assert first["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert len(tokens) == 3
    assert finish["choices"][0]["finish_reason"] == "length"
    assert all(event["id"] == first["id"] and event["object"] == "chat.completion.chunk" for event in tokens)


def test_ignore_eos_gives_exactly_max_tokens(mock):
    for question in (QUESTIONS[0], "unknown"):
        for stream in (False, True):
            reply = chat(
                mock,
                question,
                max_tokens=300,
                ignore_eos=True,
                stream=stream,
                stream_options={"include_usage": True},
            )
            last = events(reply)[-1] if stream else reply.json()
            assert last["usage"]["completion_tokens"] == 300
            text = streamed_text(reply) if stream else said(reply)
            assert len(text.split()) == 300


def test_usage_can_be_late_or_absent():
    for usage, told in (("now", True), ("late:80", True), ("absent", False)):
        with start_mock(MockOptions(usage=usage)) as mock:
            asked = chat(mock, "hi", stream=True, stream_options={"include_usage": True}, max_tokens=5)
            assert ("usage" in events(asked)[-1]) == told
            assert not any("usage" in event for event in events(chat(mock, "hi", stream=True, max_tokens=5)))
            assert ("usage" in chat(mock, "hi", max_tokens=5).json()) == told


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
def test_reasoning_comes_first_and_under_its_field(name):
    with start_mock(MockOptions(reasoning=name, reasoning_tokens=6)) as mock:
        stream = events(chat(mock, "hi", stream=True, max_tokens=10, ignore_eos=True))
        kinds = [key for event in stream for key in event["choices"][0]["delta"] if key != "role"]
        assert kinds == ["content"] + [name] * 6 + ["content"] * 5
        whole = chat(mock, "hi", max_tokens=4).json()
        assert whole["choices"][0]["message"]["content"] == ""
        assert len(whole["choices"][0]["message"][name].split()) == 4
        assert whole["choices"][0]["finish_reason"] == "length"
        assert whole["usage"]["completion_tokens_details"] == {"reasoning_tokens": 4}


def test_latency_is_waited_for_and_recorded():
    with start_mock(MockOptions(ttft_ms=60, tpot_ms=10, tokens_per_chunk=2)) as mock:
        chat(mock, "hi", stream=True, max_tokens=6, ignore_eos=True)
        chat(mock, "hi", max_tokens=6, ignore_eos=True)
        record = CLIENT.get(mock.url + "/record").json()
        stream, whole = record["requests"]
        assert stream["first_ns"] - stream["arrival_ns"] >= 60e6
        assert stream["last_ns"] - stream["arrival_ns"] >= 100e6
        assert (stream["chunks"], stream["output_tokens"]) == (3, 6)
        assert whole["first_ns"] - whole["arrival_ns"] >= 110e6
        assert record["lateness_ms"]["count"] == 4


def test_spreads_are_drawn_around_what_was_asked():
    from random import Random

    rng = Random(1)
    for text, low, high in (
        ("20", 20, 20),
        ("normal:20:2", 19, 21),
        ("lognormal:20:0.1", 19, 21),
        ("uniform:10:30", 18, 22),
    ):
        drawn = [OptionSpread.parse("ttft_ms", text).draw(rng) for _ in range(500)]
        assert low <= sum(drawn) / 500 <= high
        assert min(drawn) >= 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"accuracy": 1.5}, "accuracy = 1.5 is not a share; write a number from 0 to 1"),
        ({"ttft_ms": "normal:5"}, "ttft_ms = 'normal:5' is not understood; write a number of at least 0"),
        ({"tpot_ms": -1}, "tpot_ms = -1 is not understood"),
        ({"usage": "late"}, "usage = 'late' is not known; write now, late:MS, absent"),
        ({"reasoning": "thoughts"}, "reasoning = 'thoughts' is not known; write none"),
        ({"tokens_per_chunk": 0}, "tokens_per_chunk = 0 is too small; the least is 1"),
        ({"faults": ("status-428:0.1",)}, "no kind named 'status-428'; did you mean 'status-429'?"),
        ({"faults": ("cut:2",)}, "fault 'cut:2' is not understood; write cut:0.1"),
        ({"faults": ("cut@0",)}, "or cut@3 for the third one"),
        ({"faults": ("cut:0.6", "hang:0.6")}, "the rates of all faults add up to 1.2; the most is 1"),
        ({"models": ()}, "models is empty; name at least one"),
        ({"port": 70_000}, "port = 70000 is not a port"),
        ({"processes": 0}, "processes = 0 is too small"),
    ],
)
def test_an_option_that_cannot_be_used_is_named_with_what_would_be_right(options, words):
    with pytest.raises(UsageError, match=re.escape(words)):
        MockOptions(**options)


def test_a_broken_file_of_answers_is_named_with_its_line(tmp_path):
    file = tmp_path / "broken.jsonl"
    file.write_text('{"question": "a", "answer": "1"}\n\n{"question": "b"}\n')
    with pytest.raises(DataError, match=r"broken.jsonl:3: not an answer"):
        list(read_questions_and_answers(file))
    with pytest.raises(
        ServiceError, match=r"did not start: the file of answers .*missing.jsonl cannot be read: No such"
    ):
        start_mock(MockOptions(answers=str(tmp_path / "missing.jsonl")))


def test_a_port_that_is_taken_is_an_error_that_says_so(mock):
    port = int(mock.url.rpartition(":")[2])
    with pytest.raises(
        ServiceError, match=f"port {port} on 127.0.0.1 cannot be used: Address already in use; choose"
    ):
        start_mock(MockOptions(port=port))


def test_options_survive_the_command_line():
    from aisb_mock.__main__ import parser

    options = MockOptions(
        seed=-4, ttft_ms="normal:5:1", models=("a", "b"), faults=("cut:0.1",), max_model_len=99
    )
    parsed = vars(parser().parse_args(options.arguments()))
    assert {name: tuple(value) if isinstance(value, list) else value for name, value in parsed.items()} == {
        "seed": -4, "ttft_ms": "normal:5:1", "models": ("a", "b"), "faults": ("cut:0.1",), "max_model_len": 99,
        "parent_pipe": False,
    }  # fmt: skip


def test_unknown_models_and_bad_requests_are_refused_in_the_words_of_a_service(mock):
    missing = chat(mock, "hi", model="gpt-9")
    assert (missing.status_code, missing.json()) == (
        404,
        {
            "error": {
                "message": "The model `gpt-9` does not exist.",
                "type": "NotFoundError",
                "param": None,
                "code": 404,
            }
        },
    )
    for body, words in (
        (b"{", "JSON decode error"),
        (b"[]", "the body must be a JSON object"),
        (b"{}", "messages: a list"),
        (b'{"messages": [{"role": "user", "content": "x"}], "n": 2}', "n and best_of must be 1"),
        (
            b'{"messages": [{"role": "user", "content": "x"}], "max_tokens": 0}',
            "max_tokens must be at least 1, got 0.",
        ),
        (b'{"messages": [{"role": "user", "content": "x"}], "logprobs": true}', "logprobs is not offered"),
        (b'{"messages": [{"role": "user", "content": 3}]}', "content must be a text or a list of parts"),
        (
            b'{"messages": [{"role": "user", "content": "x"}], "stop": [1]}',
            "stop must be a text or a list of texts",
        ),
    ):
        reply = CLIENT.post(mock.url + CHAT, content=body)
        assert reply.status_code == 400
        assert words in reply.json()["error"]["message"]
    assert CLIENT.get(mock.url + "/nothing").status_code == 404
    assert CLIENT.get(mock.url + CHAT).status_code == 405


def test_a_prompt_that_is_too_long_is_refused():
    with start_mock(MockOptions(max_model_len=50)) as mock:
        reply = chat(mock, "word " * 45, max_tokens=10)
        assert reply.status_code == 400
        assert reply.json()["error"]["message"].startswith(
            "This model's maximum context length is 50 tokens."
        )
        assert chat(mock, "word " * 40, ignore_eos=True).json()["usage"]["total_tokens"] == 50


def test_models_health_and_metrics_are_there():
    with start_mock(MockOptions(models=("first", "second"))) as mock:
        assert [card["id"] for card in CLIENT.get(mock.url + "/v1/models").json()["data"]] == [
            "first",
            "second",
        ]
        assert CLIENT.get(mock.url + "/health").status_code == 200
        chat(mock, "one two three", max_tokens=4, ignore_eos=True, model="second")
        metrics = CLIENT.get(mock.url + "/metrics").text.splitlines()
        for line in (
            'vllm:num_requests_running{model_name="first"} 0.0',
            'vllm:prompt_tokens_total{model_name="first"} 3.0',
            'vllm:generation_tokens_total{model_name="first"} 4.0',
            'vllm:request_success_total{model_name="first",finished_reason="length"} 1.0',
        ):
            assert line in metrics


def test_a_key_is_wanted_where_one_is_set():
    with start_mock(MockOptions(api_key="s3cret")) as mock:
        refused = chat(mock, "hi")
        assert (refused.status_code, refused.json()) == (401, {"error": "Unauthorized"})
        assert (
            CLIENT.get(mock.url + "/v1/models", headers={"Authorization": "Bearer wrong"}).status_code == 401
        )
        assert (
            CLIENT.get(mock.url + "/v1/models", headers={"Authorization": "Bearer s3cret"}).status_code == 200
        )
        assert CLIENT.get(mock.url + "/health").status_code == 200


DONE = b"data: [DONE]\n\n"
STATUSES = (400, 401, 403, 404, 429, 500, 503)


@pytest.mark.parametrize("status", STATUSES)
def test_a_fault_of_status_comes_with_its_error(status):
    with start_mock(MockOptions(faults=(f"status-{status}@1",), retry_after=0.2)) as mock:
        reply = chat(mock, "hi")
        assert reply.status_code == status
        assert reply.json()["error"]["code"] == status
        assert reply.headers.get("retry-after") == ("0.2" if status == 429 else None)
        assert chat(mock, "hi").status_code == 200


@pytest.mark.parametrize("stream", [False, True])
def test_each_fault_breaks_a_reply_in_its_own_way(stream):
    with start_mock(MockOptions(slow_ms=150, tokens=30)) as clean:
        text = said(chat(clean, "hi"))
    order = ("refuse", "cut", "garbage", "html", "error-event", "empty", "stall", "hang", "slow")
    others = {"early-end", "encoding", "large-event", *(f"status-{status}" for status in STATUSES)}
    assert {*order} | others == set(FAULTS)
    faults = tuple(f"{kind}@{number}" for number, kind in enumerate(order, start=1))
    with start_mock(MockOptions(faults=faults, slow_ms=150, tokens=30)) as mock:
        with pytest.raises(httpx.RemoteProtocolError, match="without sending a response"):
            chat(mock, "hi", stream=stream)
        with pytest.raises(httpx.RemoteProtocolError, match=r"peer closed connection|incomplete"):
            chat(mock, "hi", stream=stream)
        garbage = chat(mock, "hi", stream=stream)
        with pytest.raises(json.JSONDecodeError):
            events(garbage) if stream else garbage.json()
        html = chat(mock, "hi", stream=stream)
        assert (html.status_code, html.headers["content-type"]) == (200, "text/html")
        error = chat(mock, "hi", stream=stream)
        assert error.status_code == 200
        assert (events(error)[-1] if stream else error.json())["error"]["code"] == 500
        assert chat(mock, "hi", stream=stream).content == b""
        for _ in ("stall", "hang"):
            with pytest.raises(httpx.ReadTimeout):
                CLIENT.post(
                    mock.url + CHAT,
                    json={"messages": [{"role": "user", "content": "hi"}], "stream": stream},
                    timeout=httpx.Timeout(10, read=0.3),
                )
        slow = chat(mock, "hi", stream=stream)
        assert (streamed_text(slow) if stream else said(slow)) == text
        requests = CLIENT.get(mock.url + "/record").json()["requests"]
        assert [request["fault"] for request in requests] == list(order)
        ends = {request["fault"]: request["closed"] for request in requests}
        assert ends["refuse"] == ends["cut"] == "server"
        assert ends["stall"] == ends["hang"] == "client"
        assert ends["slow"] == "complete"
        slow_one = requests[-1]
        assert slow_one["first_ns"] - slow_one["arrival_ns"] >= 150e6


@pytest.mark.parametrize("stream", [False, True])
def test_a_reply_may_end_early_in_another_encoding_or_with_a_large_event(stream):
    faults = ("early-end@1", "encoding@2", "large-event@3")
    with start_mock(MockOptions(tokens=30)) as clean:
        text = said(chat(clean, "hi"))
    with start_mock(MockOptions(faults=faults, tokens=30)) as mock:
        early = chat(mock, "hi", stream=stream)
        if stream:
            assert "[DONE]" not in early.text
            assert text.startswith(streamed_text(httpx.Response(200, content=early.content + DONE)))
        else:
            with pytest.raises(json.JSONDecodeError):
                early.json()
        with pytest.raises(UnicodeDecodeError):
            chat(mock, "hi", stream=stream).content.decode("utf-8")
        large = chat(mock, "hi", stream=stream)
        assert (streamed_text(large) if stream else said(large)) == text
        assert len(large.content) > 5_000_000


def test_faults_by_rate_depend_on_the_attempt_and_not_on_the_order(answers):
    options = MockOptions(answers=answers, faults=("status-503:0.2", "cut:0.1"), accuracy=1)

    def attempts(questions):
        seen = {}
        with start_mock(options) as mock, httpx.Client() as client:
            for question in questions:
                for attempt in range(20):
                    with suppress(httpx.RemoteProtocolError):
                        body = {"messages": [{"role": "user", "content": question}]}
                        reply = client.post(mock.url + CHAT, json=body)
                        if reply.status_code == 200:
                            assert last_number(said(reply)) == GOLD[question]
                            seen[question] = attempt
                            break
        return seen

    questions = QUESTIONS[:60]
    first = attempts(questions)
    assert first == attempts(questions[::-1])
    assert len(first) == 60
    assert max(first.values()) >= 1
    chosen = [Faults.parse(options.faults).choose(0, str(n), 1, n) for n in range(2_000)]
    assert 0.26 < sum(fault is not None for fault in chosen) / 2_000 < 0.34
    assert 0.07 < chosen.count("cut") / 2_000 < 0.13


def test_the_record_keeps_the_latest_and_can_be_reset():
    with start_mock(MockOptions(record_size=3)) as mock:
        for number in range(5):
            CLIENT.post(
                mock.url + TEXT,
                json={"prompt": "a b", "max_tokens": 2},
                headers={"X-Request-Id": f"r{number}"},
            )
        record = CLIENT.get(mock.url + "/record").json()
        assert [request["request_id"] for request in record["requests"]] == ["r2", "r3", "r4"]
        assert (record["received"], record["dropped"], record["prompt_tokens"]) == (5, 2, 10)
        assert all(
            r["arrival_ns"] <= r["first_ns"] <= r["last_ns"] <= time.monotonic_ns()
            for r in record["requests"]
        )
        CLIENT.post(mock.url + "/reset")
        assert CLIENT.get(mock.url + "/record").json()["received"] == 0


def test_several_processes_answer_alike_and_keep_one_record(answers):
    with start_mock(MockOptions(answers=answers, processes=3)) as mock:
        texts = {said(chat(mock, QUESTIONS[1])) for _ in range(24)}  # each on a connection of its own
        assert len(texts) == 1
        record = CLIENT.get(mock.url + "/record").json()
        assert record["received"] == len(record["requests"]) == 24
        metrics = CLIENT.get(mock.url + "/metrics").text
        assert f'vllm:prompt_tokens_total{{model_name="mock"}} {float(record["prompt_tokens"])}' in metrics
        CLIENT.post(mock.url + "/reset")
        assert CLIENT.get(mock.url + "/record").json()["received"] == 0


def test_pipelined_requests_are_answered_one_after_the_other(mock):
    body = b'{"prompt": "hi", "max_tokens": 3, "ignore_eos": true}'
    request = b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    with socket.create_connection(("127.0.0.1", int(mock.url.rpartition(":")[2]))) as client:
        client.sendall(request * 3)
        client.shutdown(socket.SHUT_WR)
        received = b"".join(iter(lambda: client.recv(65_536), b""))
    assert received.count(b"HTTP/1.1 200 OK") == 3
    assert received.count(b'"completion_tokens":3') == 3


def test_a_client_that_reads_slowly_gets_everything(mock):
    body = json.dumps({"prompt": "hi", "max_tokens": 40_000, "ignore_eos": True, "stream": True}).encode()
    head = (
        b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
        % len(body)
    )
    with socket.create_connection(("127.0.0.1", int(mock.url.rpartition(":")[2]))) as client:
        client.sendall(head + body)
        time.sleep(0.3)
        received = b"".join(iter(lambda: client.recv(65_536), b""))
    assert received.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")
    assert received.count(b'"finish_reason":null') == 40_000


def test_the_child_ends_when_its_parent_is_killed():
    code = (
        "import time; from aisb_mock import MockOptions, start_mock\n"
        "mock = start_mock(MockOptions(processes=2)); print(mock.pid, mock.url, flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    pid, url = parent.stdout.readline().split()
    assert CLIENT.get(url + "/health").status_code == 200
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    until = time.monotonic() + 10
    while alive(int(pid)) and time.monotonic() < until:
        time.sleep(0.02)
    assert not alive(int(pid))
    until = time.monotonic() + 10
    while time.monotonic() < until:
        try:
            CLIENT.get(url + "/health")
        except httpx.TransportError:
            return
    pytest.fail("a process of the server still answers")


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")  # killed and not yet waited for by init counts as ended
    return not (stat.exists() and stat.read_text().rsplit(")", 1)[1].split()[0] == "Z")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_quietly(number):
    command = [sys.executable, "-m", "aisb_mock", "--port", "0", "--processes", "2"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
        assert re.fullmatch(r"listening on http://127\.0\.0\.1:\d+\n", server.stdout.readline())
        server.send_signal(number)
        out, errors = server.communicate(timeout=10)
    assert (server.returncode, out, errors) == (0, "", "")


def test_stopping_ends_the_child_even_with_requests_on_their_way():
    with start_mock(MockOptions(faults=("hang@1",))) as mock, pytest.raises(httpx.ReadTimeout):
        CLIENT.post(mock.url + TEXT, json={"prompt": "x"}, timeout=httpx.Timeout(5, read=0.2))
    assert not mock.running
    mock.stop()


def test_declaring_the_options_loads_nothing_heavy():
    code = (
        "import sys, aisb_mock\n"
        "print([name for name in ('pydantic', 'httpx', 'numpy', 'asyncio', 'orjson') if name in sys.modules])"
    )
    assert (
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout.strip()
        == "[]"
    )


def test_it_runs_on_the_stock_event_loop_where_uvloop_is_absent():
    code = (
        "import sys; sys.modules['uvloop'] = None\n"
        "from aisb_mock.__main__ import main; sys.exit(main(['--tpot-ms', '2']))"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as server:
        url = server.stdout.readline().strip().removeprefix("listening on ")
        body = {"prompt": "hi", "stream": True, "max_tokens": 20, "ignore_eos": True}
        assert len(streamed_text(CLIENT.post(url + TEXT, json=body)).split()) == 20
        server.terminate()
    assert server.returncode == 0


@pytest.mark.parametrize(
    "kind",
    [
        LoopAlarm,
        pytest.param(
            FileAlarm, marks=pytest.mark.skipif(sys.platform != "linux", reason="timerfd is Linux's")
        ),
    ],
)
async def test_an_alarm_rings_once_and_not_before_it_is_due(kind):
    rung = asyncio.Queue()
    alarm = kind(asyncio.get_running_loop(), lambda: rung.put_nowait(time.monotonic_ns()))
    due = time.monotonic_ns() + 30_000_000
    alarm.set(time.monotonic_ns() + 3_600_000_000_000)
    alarm.set(due)
    assert await rung.get() >= due - 2_000_000  # a loop's own timers may round down to their tick
    await asyncio.sleep(0.02)
    assert rung.empty()
    alarm.set(time.monotonic_ns() - 1)
    await rung.get()
    alarm.close()


@pytest.mark.parametrize("path", [CHAT, TEXT, "/generate_stream", "/v2/models/mock/generate_stream"])
def test_a_request_that_comes_again_gets_the_same_reply_under_its_own_id(path):
    with start_mock(MockOptions(ttft_ms=5, tpot_ms=1, tokens=7)) as mock, httpx.Client() as client:
        prompt = {CHAT: {"messages": [{"role": "user", "content": "Say."}]}, TEXT: {"prompt": "Say."}}
        body = prompt.get(path) or {"inputs": "Say.", "text_input": "Say."}
        body = body | {"stream": True, "stream_options": {"include_usage": True}}
        replies = [client.post(mock.url + path, json=body).text for _ in range(4)]
        record = client.get(mock.url + "/record").json()["requests"]
        metrics = client.get(mock.url + "/metrics").text
    ids = [entry["id"] for entry in record]
    assert len(set(ids)) == 4
    if path in (CHAT, TEXT):
        assert all(name in reply for name, reply in zip(ids, replies, strict=True))
    bare = [
        re.sub(r'"created":\d+', "", reply.replace(name, ""))
        for name, reply in zip(ids, replies, strict=True)
    ]
    assert bare == [bare[0]] * 4
    own = {"id", "number", "arrival_ns", "first_ns", "last_ns", "late_ns"}
    shared = [{key: value for key, value in entry.items() if key not in own} for entry in record]
    assert shared == [shared[0]] * 4
    assert shared[0]["output_tokens"] == 7
    for entry in record:
        assert entry["first_ns"] - entry["arrival_ns"] >= 5_000_000
        assert entry["last_ns"] - entry["arrival_ns"] >= 11_000_000
    assert 'vllm:generation_tokens_total{model_name="mock"} 28.0' in metrics


def test_a_fault_meets_the_request_that_it_is_for_also_where_all_are_the_same():
    with start_mock(MockOptions(tokens=6, faults=("status-500@3",))) as mock:
        body = {"messages": [{"role": "user", "content": "Say."}], "stream": True}
        statuses = [CLIENT.post(mock.url + CHAT, json=body).status_code for _ in range(4)]
    assert statuses == [200, 200, 500, 200]
