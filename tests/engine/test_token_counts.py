"""TPOT and ITL of a stream that makes a token every 20 ms, however its service counts tokens and cuts text."""

from __future__ import annotations

from typing import Any

import numpy as np
import orjson
import pytest
from played import Played

from aisb._types import Request
from aisb_backend_openai import OpenAIChat, OpenAICompletions
from aisb_backend_tgi import TGIStream
from aisb_engine._http.assembly import ask
from aisb_engine._performance.columns import LogColumns
from aisb_engine._performance.gaps import gap_distributions
from aisb_engine._performance.latency import Requests, each_request
from aisb_engine._performance.reading import read_columns
from aisb_engine._record.log import LogWriter

MS = 1_000_000
PIECES = ["\u6f22", "", "\u5b57", "", "\U0001f642", "a", "", "\u3042", "", "z"]
"""Ten tokens, of which some complete a character and others do not: Chinese, an emoji, Japanese."""


def sse(body: Any) -> bytes:
    return b"data: " + orjson.dumps(body) + b"\n\n"


def delta(
    text: str | None = None, *, finish: str | None = None, count: Any = "left out", **more: Any
) -> bytes:
    """One event of the chat API; `count` is its running count, None for a usage of null."""
    parts = {
        name: more.pop(name) for name in ("reasoning_content", "tool_calls", "function_call") if name in more
    }
    choice = {
        "index": 0,
        "delta": ({} if text is None else {"content": text}) | parts,
        "finish_reason": finish,
    }
    for name in ("logprobs", "token_ids"):
        if name in more:
            choice[name] = more.pop(name)
    body: dict[str, Any] = {"id": "x", "choices": [choice], **more}
    if count != "left out":
        body["usage"] = None if count is None else usage(count)
    return sse(body)


def usage(count: Any, **more: Any) -> dict[str, Any]:
    return {"prompt_tokens": 7, "completion_tokens": count, "total_tokens": 7 + (count or 0), **more}


def total(count: int, **more: Any) -> bytes:
    return sse({"id": "x", "choices": [], "usage": usage(count, **more)})


def every_20_ms(*events: bytes) -> list[tuple[int, bytes]]:
    return [(100 + 20 * place, event) for place, event in enumerate(events)]


def counted(*counts: Any, last: int | None = None) -> list[tuple[int, bytes]]:
    """A text every 20 ms with these running counts, and the count at the end."""
    stream = every_20_ms(*(delta(" x", count=count) for count in counts))
    return [*stream, (stream[-1][0], delta(finish="length")), (stream[-1][0], total(last or counts[-1]))]


def logprobs(count: int) -> dict[str, Any]:
    return {"content": [{"token": "x", "logprob": -1.0}] * count}


def arguments(text: str, **more: Any) -> bytes:
    return delta(tool_calls=[{"index": 0, "function": {"name": "f", "arguments": text}}], **more)


STREAMS: dict[str, list[tuple[int, bytes]]] = {
    "5 tokens in the first chunk, then 1 each": counted(5, 6, 7, 8, 9, 10),
    "4 tokens in each chunk, 80 ms apart": [
        (100 + 80 * place, delta(" abcd", count=4 * place + 4)) for place in range(5)
    ] + [(420, total(20))],
    "a role with a count of 0 comes first": [(90, delta("", count=0)), *counted(1, 2, 3, 4, 5)],
    "events with and without text": [
        *every_20_ms(*(delta(text, count=place + 1) for place, text in enumerate(PIECES))), (280, total(10)),
    ],
    "a parser holds three tokens back": [
        *every_20_ms(*(
            delta("" if place in (4, 5, 6) else " x", count=place + 1) for place in range(10)
        )), (280, total(10)),
    ],
    "a parser holds the last tokens back until the end": [
        *every_20_ms(*(delta(" x" if place < 6 else "", count=place + 1) for place in range(9))),
        (280, delta(" xxxx", finish="stop", count=10)), (280, total(10)),
    ],
    "reasoning, then content, with counts": [
        *every_20_ms(*(
            delta(**({"reasoning_content": " r"} if place < 4 else {"text": " x"}), count=place + 3)
            for place in range(9)
        )), (260, total(11)),
    ],
    "a tool call with counts, its name held back": [
        *every_20_ms(*(delta("", count=place + 1) if place < 3 else arguments('{"', count=place + 1)
                       for place in range(9))), (260, delta(finish="tool_calls", count=9)), (260, total(9)),
    ],
    "a function call of the older form": [
        *every_20_ms(
            delta(function_call={"name": "f", "arguments": ""}),
            *(delta(function_call={"arguments": "1"}) for _ in range(9)),
        ), (280, delta(finish="function_call")), (280, total(10)),
    ],
    "the usage of Groq, with an end token": [
        *every_20_ms(*(delta(" x") for _ in range(9))),
        (280, delta(finish="stop", x_groq={"id": "r", "usage": usage(10)})),
    ],
    "half characters with log-probabilities": [
        *every_20_ms(*(delta(text, logprobs=logprobs(1)) for text in PIECES)), (280, total(10)),
    ],
    "half characters with token ids": [
        *every_20_ms(*(delta(text, token_ids=[9]) for text in PIECES)), (280, total(10)),
    ],
    "log-probabilities, and a text without one when the parser is done": [
        *every_20_ms(*(delta(" x", logprobs=logprobs(1)) for _ in range(6))), (200, delta("!")), (200, total(6)),
    ],
    "a count that jumps, and is wrong once": counted(5, 60, 7, 8, 9, 10),
    "a count that jumps, as several tokens come": [
        (100, delta(" x", count=1)), (120, delta(" x", count=2)), (200, delta(" xxxx", count=6)),
        (220, delta(" x", count=7)), (220, total(7)),
    ],
    "a count that goes back once": counted(5, 6, 4, 8, 9, 10),
    "a count that is null in between": counted(5, 6, None, 8, None, None, 11),
    "a count that is null at first": counted(None, None, 7, 8, 9, 10, 11, 12),
    "a count that is null at the end": counted(5, 6, 7, 8, 9, 10, None, None, last=12),
    "a usage of null between counts": [
        (100, delta(" x", count=1)), (120, delta(" x", count=2)), (140, delta(" x", usage=usage(None))),
        (160, delta(" x", count=4)), (160, total(4)),
    ],
    "an end token in the counts": [*counted(1, 2, 3), (160, delta("", finish="stop", count=4)), (160, total(4))],
    "an end token in the total": [
        *every_20_ms(delta(" x"), delta(" x"), delta("", finish="stop")), (140, total(3)),
    ],
    "an end token after a tool call": [
        *every_20_ms(*(arguments('{"') for _ in range(3)), delta(finish="tool_calls")), (160, total(4)),
    ],
    "an end token, and a service's own finish reason": [
        *every_20_ms(delta(" x"), delta(" x"), delta("", finish="end_turn")), (140, total(3)),
    ],
    "no end token in a reply that was cut": [
        *every_20_ms(delta(" x"), delta(" x"), delta(" x", finish="length")), (140, total(3)),
    ],
    "an end token beside log-probabilities": [
        *every_20_ms(*(delta(" x", logprobs=logprobs(1)) for _ in range(5)), delta("", finish="stop")),
        (200, total(6)),
    ],
    "reasoning that is counted and not streamed": [
        *every_20_ms(*(delta(" x") for _ in range(10))), (280, delta(finish="length")),
        (280, total(110, completion_tokens_details={"reasoning_tokens": 100})),
    ],
    "reasoning not streamed, and an end token": [
        *every_20_ms(*(delta(" x") for _ in range(10))), (300, delta("", finish="stop")),
        (300, total(111, completion_tokens_details={"reasoning_tokens": 100})),
    ],
    "reasoning not streamed, in a running count": [
        *counted(101, 102, 103, 104), (160, total(104, completion_tokens_details={"reasoning_tokens": 100})),
    ],
    "reasoning not streamed, beside log-probabilities": [
        *every_20_ms(*(delta(" x", logprobs=logprobs(1)) for _ in range(5))),
        (180, total(105, completion_tokens_details={"reasoning_tokens": 100})),
    ],
    "reasoning that is streamed as text": [
        *every_20_ms(*(delta(" x") for _ in range(10))), (280, delta(finish="length")),
        (280, total(10, completion_tokens_details={"reasoning_tokens": 6})),
    ],
    "the timings of llama.cpp": [
        *every_20_ms(*(
            delta(text, timings={"prompt_n": 3, "cache_n": 4, "predicted_n": n + 1, "predicted_ms": 20.5 * n})
            for n, text in enumerate(PIECES)
        )), (280, delta(finish="length")),
    ],
    "the token ids of llama.cpp": [
        *every_20_ms(*(delta(text, tokens=[9]) for text in PIECES)), (280, total(10)),
    ],
    "counts of each chunk alone, which is no running count": [
        *every_20_ms(*(delta(" x", count=1) for _ in range(10))), (280, total(10)),
    ],
    "one count, with the last text": [
        *every_20_ms(*(delta(" x") for _ in range(9))), (280, delta(" x", finish="stop", count=10)), (281, total(10)),
    ],
    "the same count in each event": counted(6, 6, 6, 6, 6, 6),
}  # fmt: skip


async def measured(folder: Any, backend: Any, stream: list[tuple[int, bytes]]) -> tuple[LogColumns, Requests]:
    stream = [*stream, (stream[-1][0], b"data: [DONE]\n\n")]
    carrier = Played([((1000 + at) * MS, data) for at, data in stream], sent_ns=1000 * MS)
    prediction = await ask(backend, carrier, Request("17", text="6 x 7?"), planned_ns=0)
    assert prediction.failure is None
    with LogWriter(folder / "worker-0") as log:
        log.append(prediction, final=True)
    columns = read_columns(folder)
    return columns, each_request(columns)


def itl(columns: LogColumns, requests: Requests) -> Any:
    return gap_distributions(columns, requests, np.zeros(len(columns), bool), [50.0])["ITL total"]


@pytest.mark.parametrize("name", STREAMS)
async def test_a_token_takes_20_ms_in_tpot_and_in_itl(name: str, tmp_path: Any) -> None:
    columns, requests = await measured(tmp_path, OpenAIChat(url="http://x", model="m"), STREAMS[name])
    assert requests.tpot[0] == pytest.approx(20, rel=0.01)
    gaps = itl(columns, requests)
    assert (gaps.average, gaps.median) == (pytest.approx(20, rel=0.01), pytest.approx(20, rel=0.01))


@pytest.mark.parametrize(
    ("name", "ttft", "e2el", "tokens", "gaps"),
    [
        ("5 tokens in the first chunk, then 1 each", 100, 200, 10, 5),
        ("4 tokens in each chunk, 80 ms apart", 100, 420, 20, 16),
        ("events with and without text", 100, 280, 10, 9),
        ("half characters with token ids", 100, 280, 10, 9),
        ("reasoning that is counted and not streamed", 100, 280, 110, 9),
        ("an end token in the total", 100, 120, 3, 1),
        ("the timings of llama.cpp", 100, 280, 10, 9),
    ],
)
async def test_first_and_last_token_stay_at_texts_and_n_is_the_services(
    name: str, ttft: float, e2el: float, tokens: int, gaps: int, tmp_path: Any
) -> None:
    columns, requests = await measured(tmp_path, OpenAIChat(url="http://x", model="m"), STREAMS[name])
    assert (requests.ttft[0], requests.e2el[0], requests.output_tokens[0]) == (ttft, e2el, tokens)
    assert itl(columns, requests).n == gaps


async def test_the_completions_api_counts_in_the_same_ways(tmp_path: Any) -> None:
    for place, more in enumerate(({"usage": True}, {"logprobs": {"tokens": ["x"]}}, {"token_ids": [5]})):
        stream = [
            (100 + 20 * n, sse({
                "choices": [{"text": text, "finish_reason": None} | (more if "usage" not in more else {})],
                **({"usage": usage(n + 1)} if "usage" in more else {}),
            }))
            for n, text in enumerate(PIECES)
        ]  # fmt: skip
        end = sse({"choices": [{"text": "", "finish_reason": "stop"}], "usage": usage(11)})
        backend = OpenAICompletions(url="http://x", model="m")
        columns, requests = await measured(tmp_path / str(place), backend, [*stream, (300, end)])
        assert (requests.tpot[0], itl(columns, requests).average) == (20, 20)
        assert requests.output_tokens[0] == 11


@pytest.mark.parametrize("generated", [11, 10])  # with its end token, and without
async def test_tokens_of_tgi_count_with_and_without_a_text(generated: int, tmp_path: Any) -> None:
    stream = every_20_ms(*(sse({"token": {"id": 5, "text": text}}) for text in PIECES))
    end = {"finish_reason": "eos_token", "generated_tokens": generated, "input_length": 7}
    token = {"id": 2, "text": "</s>", "special": True}
    stream.append((300, sse({"token": token, "generated_text": "".join(PIECES), "details": end})))
    columns, requests = await measured(tmp_path, TGIStream(url="http://x"), stream)
    assert (requests.tpot[0], itl(columns, requests).average) == (20, 20)
    assert requests.output_tokens[0] == generated


async def test_no_time_between_tokens_is_known_when_all_came_at_one_moment(tmp_path: Any) -> None:
    stream = [(280, data) for _, data in STREAMS["5 tokens in the first chunk, then 1 each"]]
    columns, requests = await measured(tmp_path, OpenAIChat(url="http://x", model="m"), stream)
    assert np.isnan(requests.tpot[0])
    pools = gap_distributions(columns, requests, np.zeros(1, bool), [50.0])
    assert set(pools.values()) == {None}
    assert (requests.ttft[0], requests.e2el[0], requests.output_tokens[0]) == (280, 280, 10)


async def test_a_count_that_no_array_holds_costs_no_reply(tmp_path: Any) -> None:
    stream = counted(1, 2, 2**40, last=2**40 + 1)
    columns, requests = await measured(tmp_path, OpenAIChat(url="http://x", model="m"), stream)
    assert requests.output_tokens[0] == 2**40 + 1
    assert itl(columns, requests) is None


async def test_a_later_null_leaves_what_was_known(tmp_path: Any) -> None:
    stream = [*counted(1, 2, 3), (150, sse({"choices": [], "usage": {"completion_tokens": None}}))]
    _, requests = await measured(tmp_path, OpenAIChat(url="http://x", model="m"), stream)
    assert (requests.input_tokens[0], requests.output_tokens[0]) == (7, 3)
