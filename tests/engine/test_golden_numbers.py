"""The golden streams once more: the exact number that each of them has, here and in every dialect."""

import numpy as np
import pytest
from minimal import DONE, Chat, document, event
from played import Played

from aisb._errors import UnknownName
from aisb._types import Failure, Request
from aisb_engine._http.assembly import ask
from aisb_engine._performance.dialects import DIALECTS, dialect, speak
from aisb_engine._performance.latency import each_request
from aisb_engine._performance.reading import read_columns
from aisb_engine._performance.spreads import Counted, pooled
from aisb_engine._record.latency import latency
from aisb_engine._record.log import LogWriter

MS = 1_000_000
ROLE = event("", role="assistant")
STOP = event(finish="stop")
BIG = event("x" * 1_000_000)
CHAR = event("你好🙂")
HALF = CHAR.index("好".encode()) + 1


def content(start, count, gap=20):
    return [(start + n * gap, event(f"t{n} ")) for n in range(count)]


def usage(tokens):
    return event(choices=False, usage=(5, tokens))


GOLDEN = {
    "plain": [(480, ROLE), *content(500, 10), (700, STOP), (700, usage(10)), (701, DONE)],
    "early role-only chunk": [(50, ROLE), *content(500, 10), (680, STOP + usage(10) + DONE)],
    "usage chunk 200 ms late": [*content(100, 10), (280, STOP), (480, usage(10)), (480, DONE)],
    "no usage": [*content(100, 3), (160, STOP)],
    "reasoning_content": [
        (100, event(reasoning_content="hm ")), (120, event(reasoning_content="so ")),
        (150, event("42", finish="stop")), (150, usage(3)),
    ],
    "reasoning": [
        (100, event(reasoning="hm ")), (120, event(reasoning="so ")),
        (150, event("42", finish="stop")), (150, usage(3)),
    ],
    "reasoning only, cut by length": [
        (100, event(reasoning_content="hm ")), (120, event(reasoning_content="so ")),
        (130, event(finish="length", usage=(5, 2))), (131, DONE),
    ],
    "4 tokens a chunk": [
        (100, event("a b c d ", token_ids=[1, 2, 3, 4])), (180, event("e f g h ", token_ids=[5, 6, 7, 8])),
        (260, event("i j k l ", token_ids=[9, 10, 11, 12], finish="stop")),
    ],
    "5 tokens in the first chunk": [
        (100, event("a b c d e ", token_ids=[1, 2, 3, 4, 5])), (120, event("f ", token_ids=[6])),
        (140, event("g ", token_ids=[7])), (140, STOP + usage(7)),
    ],
    "tool call in one chunk": [
        (100, event(tool_calls=[{"index": 0, "id": "c1", "function": {"name": "add", "arguments": "{}"}}])),
        (110, event(finish="tool_calls", usage=(5, 12))),
    ],
    "CRLF and keep-alive comments": [
        (50, b": ping\r\n\r\n"),
        *((at, data.replace(b"\n", b"\r\n")) for at, data in content(100, 2)),
        (130, b": ping\r\n\r\n"),
        (140, event("t2 ").replace(b"\n", b"\r\n")),
        (160, (STOP + usage(3)).replace(b"\n", b"\r\n")),
    ],
    "a UTF-8 character split across packets": [(100, event("a ")), (120, CHAR[:HALF]), (150, CHAR[HALF:]),
                                               (160, STOP + usage(2))],
    "two events in one packet": [(100, event("a ") + event("b ")), (120, event("c ") + STOP + usage(3) + DONE)],
    "an event of 1 MB": [(100, event("a ")), (120, BIG[:400_000]), (140, BIG[400_000:]), (160, STOP + usage(2))],
    "cut mid-stream": [*content(100, 3), (150, event("lost")[:30])],
    "N = 1": [(100, event("42")), (101, event(finish="stop", usage=(5, 1))), (103, DONE)],
    "not streamed": [(100, document()[:40]), (120, document()[40:])],
}  # fmt: skip


# What aisb says: TTFB, TTFT, TTFC, E2EL, E2EL(close), TPOT, N, E2EL(planned: 10 ms before sending), and the means of
# ICL and ITL. What each dialect says: TTFT, E2EL, TPOT, mean ITL, N; nothing of a reply that failed. aiperf counts
# tokens itself: here with a tokenizer that counts words.
EXPECTED = {
    "plain": {
        "aisb": (480, 500, 500, 680, 701, 20, 10, 690, 20, 20),
        "vllm": (480, 700, 24.444, 20, 10),
        "aisbench": (480, 700, 24.444, 18.333, 10),
        "guidellm": (500, 680, 68, 20, 10),
        "sglang": (500, 701, 22.333, 20, 10),
        "evalscope": (480, 700, 24.444, 20, 10),
        "aiperf": (500, 680, None, 20, 10),
        "mlperf": (500, 680, 20, None, 10),
    },
    "early role-only chunk": {
        "aisb": (50, 500, 500, 680, 680, 20, 10, 690, 20, 20),
        "vllm": (50, 680, 70, 57.273, 10),
        "aisbench": (50, 680, 70, 52.5, 10),
        "guidellm": (500, 680, 68, 20, 10),
        "sglang": (500, 680, 20, 20, 10),
        "evalscope": (50, 680, 70, 57.273, 10),
        "aiperf": (500, 680, None, 20, 10),
        "mlperf": (500, 680, 20, None, 10),
    },
    "usage chunk 200 ms late": {
        "aisb": (100, 100, 100, 280, 480, 20, 10, 290, 20, 20),
        "vllm": (100, 280, 20, 18, 10),
        "aisbench": (100, 480, 42.222, 34.545, 10),
        "guidellm": (100, 280, 28, 20, 10),
        "sglang": (100, 480, 42.222, 20, 10),
        "evalscope": (100, 480, 42.222, 18, 10),
        "aiperf": (100, 280, None, 20, 10),
        "mlperf": (100, 280, 20, None, 10),
    },
    "no usage": {
        "aisb": (100, 100, 100, 140, 160, None, None, 150, 20, None),
        "vllm": (100, 160, None, 20, 1),
        "aisbench": (100, 160, 0, 20, 0),
        "guidellm": (100, 140, 46.667, 20, 3),
        "sglang": (100, 160, None, 20, None),
        "evalscope": (100, 160, None, 20, None),
        "aiperf": (100, 140, None, 20, 3),
        "mlperf": (100, 140, None, None, None),
    },
    "reasoning_content": {
        "aisb": (100, 100, 150, 150, 150, 25, 3, 160, 25, 25),
        "vllm": (100, 150, 25, 25, 3),
        "aisbench": (100, 150, 25, 16.667, 3),
        "guidellm": (100, 150, 50, 25, 3),
        "sglang": (150, 150, 0, None, 3),
        "evalscope": (100, 150, 25, 25, 3),
        "aiperf": (100, 150, None, 25, 3),
        "mlperf": (100, 150, 25, None, 3),
    },
    "reasoning": {
        "aisb": (100, 100, 150, 150, 150, 25, 3, 160, 25, 25),
        "vllm": (100, 150, 25, 25, 3),
        "aisbench": (100, 150, 25, 16.667, 3),
        "guidellm": (100, 150, 50, 25, 3),
        "sglang": (150, 150, 0, None, 3),
        "evalscope": (100, 150, 25, 25, 3),
        "aiperf": (100, 150, None, 25, 3),
        "mlperf": (100, 150, 25, None, 3),
    },
    "reasoning only, cut by length": {
        "aisb": (100, 100, None, 120, 131, 20, 2, 130, 20, 20),
        "vllm": (100, 130, 30, 15, 2),
        "aisbench": (100, 130, 30, 15, 2),
        "guidellm": (100, 120, 60, 20, 2),
        "sglang": (None, 131, None, None, 2),
        "evalscope": (100, 130, 30, 15, 2),
        "aiperf": (100, 120, None, 20, 2),
        "mlperf": (100, 120, 20, None, 2),
    },
    "4 tokens a chunk": {
        "aisb": (100, 100, 100, 260, 260, 20, 12, 270, 80, 20),
        "vllm": (100, 260, None, 80, 1),
        "aisbench": (100, 260, 0, 80, 0),
        "guidellm": (100, 260, 86.667, 80, 3),
        "sglang": (100, 260, None, 20, None),
        "evalscope": (100, 260, None, 80, None),
        "aiperf": (100, 260, None, 14.545, 12),
        "mlperf": (100, 260, 14.545, None, 12),
    },
    "5 tokens in the first chunk": {
        "aisb": (100, 100, 100, 140, 140, 20, 7, 150, 20, 20),
        "vllm": (100, 140, 6.667, 13.333, 7),
        "aisbench": (100, 140, 6.667, 10, 7),
        "guidellm": (100, 140, 20, 6.667, 7),
        "sglang": (100, 140, 6.667, 20, 7),
        "evalscope": (100, 140, 6.667, 13.333, 7),
        "aiperf": (100, 140, None, 6.667, 7),
        "mlperf": (100, 140, 6.667, None, 7),
    },
    "tool call in one chunk": {
        "aisb": (100, 100, 100, 100, 110, None, 12, 110, None, None),
        "vllm": (100, 110, 0.909, 10, 12),
        "aisbench": (100, 110, 0.909, 10, 12),
        "guidellm": (100, 100, 8.333, 0, 12),
        "sglang": (None, 110, None, None, 12),
        "evalscope": (100, 110, 0.909, 10, 12),
        "aiperf": (None, None, None, None, 0),
        "mlperf": (100, 100, 0, None, 12),
    },
    "CRLF and keep-alive comments": {
        "aisb": (50, 100, 100, 140, 160, 20, 3, 150, 20, 20),
        "vllm": (100, 160, 30, 20, 3),
        "aisbench": (100, 160, 30, 15, 3),
        "guidellm": (100, 140, 46.667, 20, 3),
        "sglang": (100, 160, 30, 20, 3),
        "evalscope": (100, 160, 30, 20, 3),
        "aiperf": (100, 140, None, 20, 3),
        "mlperf": (100, 140, 20, None, 3),
    },
    "a UTF-8 character split across packets": {
        "aisb": (100, 100, 100, 150, 160, 50, 2, 160, 50, 50),
        "vllm": (100, 160, 60, 30, 2),
        "aisbench": (100, 160, 60, 20, 2),
        "guidellm": (100, 150, 75, 50, 2),
        "sglang": (100, 160, 60, 50, 2),
        "evalscope": (100, 160, 60, 30, 2),
        "aiperf": (100, 150, None, 50, 2),
        "mlperf": (100, 150, 50, None, 2),
    },
    "two events in one packet": {
        "aisb": (100, 100, 100, 120, 120, 10, 3, 130, 10, 10),
        "vllm": (100, 120, 10, 6.667, 3),
        "aisbench": (100, 120, 10, 5, 3),
        "guidellm": (100, 120, 40, 10, 3),
        "sglang": (100, 120, 10, 10, 3),
        "evalscope": (100, 120, 10, 6.667, 3),
        "aiperf": (100, 120, None, 10, 3),
        "mlperf": (100, 120, 10, None, 3),
    },
    "an event of 1 MB": {
        "aisb": (100, 100, 100, 140, 160, 40, 2, 150, 40, 40),
        "vllm": (100, 160, 60, 30, 2),
        "aisbench": (100, 160, 60, 20, 2),
        "guidellm": (100, 140, 70, 40, 2),
        "sglang": (100, 160, 60, 40, 2),
        "evalscope": (100, 160, 60, 30, 2),
        "aiperf": (100, 140, None, 40, 2),
        "mlperf": (100, 140, 40, None, 2),
    },
    "cut mid-stream": {
        "aisb": (100, 100, 100, 140, None, None, None, 150, 20, None),
        "vllm": None,
        "aisbench": None,
        "guidellm": None,
        "sglang": None,
        "evalscope": None,
        "aiperf": None,
        "mlperf": None,
    },
    "N = 1": {
        "aisb": (100, 100, 100, 100, 103, None, 1, 110, None, None),
        "vllm": (100, 101, None, 1, 1),
        "aisbench": (100, 101, 0, 1, 1),
        "guidellm": (100, 100, 100, None, 1),
        "sglang": (100, 103, None, None, 1),
        "evalscope": (100, 101, None, 1, 1),
        "aiperf": (100, 100, None, None, 1),
        "mlperf": (100, 100, None, None, 1),
    },
    "not streamed": {
        "aisb": (None, None, None, 120, 120, None, 1, 130, None, None),
        "vllm": (None, 120, None, None, 1),
        "aisbench": (None, 120, None, None, 1),
        "guidellm": (None, 120, None, None, 1),
        "sglang": (None, 120, None, None, 1),
        "evalscope": (None, 120, None, None, 1),
        "aiperf": (None, 120, None, None, 1),
        "mlperf": (None, 120, None, None, 1),
    },
}


async def played(folder, name, count_tokens=None):
    cut = Failure("cut", "as the script says", 200) if name == "cut mid-stream" else None
    carrier = Played(
        [((1000 + stamp) * MS, data) for stamp, data in GOLDEN[name]],
        headers={"content-type": "application/json" if name == "not streamed" else "text/event-stream"},
        sent_ns=1000 * MS,
        headers_ns=1001 * MS,
        failure=cut,
    )
    request = Request("17", text="6 x 7?", params={"max_tokens": 16})
    prediction = await ask(Chat(), carrier, request, clock=lambda: 0, planned_ns=990 * MS)
    with LogWriter(folder / "worker-0") as log:
        log.append(prediction, final=True)
    return prediction, read_columns(folder, count_tokens=count_tokens)


def number(value):
    return None if np.isnan(value) else round(float(value), 3)


def average(spread):
    return None if spread is None else round(spread.average, 3)


def ours(columns):
    found = each_request(columns)
    icl = pooled(Counted(lambda: columns.gaps([0])), {"": frozenset({0})}, [])[""]
    several = found.one_each[0] == 0
    gaps = (lambda: columns.per_token([0])) if several else (lambda: columns.gaps([0]))
    itl = None if np.isnan(found.one_each[0]) else pooled(Counted(gaps), {"": frozenset({0})}, [])[""]
    names = ("ttfb", "ttft", "ttfc", "e2el", "e2el_close", "tpot", "output_tokens", "e2el_planned")
    return (*(number(getattr(found, name)[0]) for name in names), average(icl), average(itl))


def theirs(columns, name):
    spoken = speak(columns, DIALECTS[name], [99])
    if not len(spoken.ttft):
        return None
    each = (spoken.ttft, spoken.e2el, spoken.tpot)
    return (
        *(number(values[0]) for values in each),
        average(spoken.parameters["ITL"]),
        number(spoken.tokens[0]),
    )


@pytest.mark.parametrize("name", GOLDEN)
async def test_a_golden_stream_has_exactly_these_numbers(name, tmp_path):
    _, columns = await played(tmp_path, name)
    assert ours(columns) == EXPECTED[name]["aisb"]


@pytest.mark.parametrize("name", GOLDEN)
async def test_a_golden_stream_has_exactly_these_numbers_in_each_dialect(name, tmp_path):
    _, columns = await played(tmp_path / "plain", name)
    _, counted = await played(tmp_path / "counted", name, lambda text: len(text.split()))
    for tool in DIALECTS:
        told = theirs(counted if tool == "aiperf" else columns, tool)
        assert (tool, told) == (tool, EXPECTED[name][tool])


@pytest.mark.parametrize("name", GOLDEN)
async def test_columns_and_the_request_in_hand_agree_on_its_latencies(name, tmp_path):
    prediction, columns = await played(tmp_path, name)
    found = each_request(columns)
    one = [getattr(found, each)[0] for each in ("ttfb", "ttft", "ttfc", "e2el")]
    assert [number(value) for value in one] == [
        value and round(value, 3) for value in latency(prediction.timing)
    ]


async def test_a_tokenizer_tells_n_and_tpot_where_the_service_does_not(tmp_path):
    _, columns = await played(tmp_path, "no usage", lambda text: len(text.split()))
    assert ours(columns)[5:7] == (20, 3)
    assert theirs(columns, "vllm") == (100, 160, 30, 20, 3)
    assert theirs(columns, "evalscope") == (100, 160, 30, 20, 3)
    assert theirs(columns, "aisbench") == EXPECTED["no usage"]["aisbench"]  # it has usage or nothing


def test_a_dialect_that_is_not_there_names_those_that_are():
    with pytest.raises(UnknownName, match="no dialect named 'vlm'; did you mean 'vllm'") as caught:
        dialect("vlm")
    assert "aiperf, aisbench, evalscope, guidellm, mlperf, sglang, vllm" in str(caught.value)
