"""Each golden stream has exactly the numbers of golden/latencies.md, in aisb and in every dialect."""

from pathlib import Path

import numpy as np
import pytest
from minimal import DONE, Chat, document, event
from played import Played

from aisb._errors import UnknownName
from aisb._types import Failure, Request
from aisb_engine._http.assembly import ask
from aisb_engine._performance.dialects import DIALECTS, dialect, measure_by
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


GOLDEN_FILE = Path(__file__).parents[1] / "golden" / "latencies.md"


def golden_rows(section, *keys):
    """Return the rows of a table in the golden file: the cells by column, under the values of the key columns."""
    text = GOLDEN_FILE.read_text("utf-8").partition(f"## {section}\n")[2].partition("\n## ")[0]
    lines = [line.strip("|").split(" | ") for line in text.splitlines() if line.startswith("|")]
    head, _, *rows = [[cell.strip() for cell in line] for line in lines]
    tables = [dict(zip(head, row, strict=True)) for row in rows]
    return {
        tuple(row.pop(key) for key in keys): {
            name: None if cell == "–" else float(cell) for name, cell in row.items()
        }
        for row in tables
    }


OURS = golden_rows("aisb", "stream")
DIALECT_ROWS = golden_rows("Dialects", "stream", "tool")


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
    prediction = await ask(Chat(), carrier, request, planned_ns=990 * MS)
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
    return {
        "TTFB": number(found.ttfb[0]),
        "TTFT": number(found.ttft[0]),
        "TTFC": number(found.ttfc[0]),
        "E2EL": number(found.e2el[0]),
        "E2EL(close)": number(found.e2el_close[0]),
        "TPOT": number(found.tpot[0]),
        "N": number(found.output_tokens[0]),
        "E2EL(planned)": number(found.e2el_planned[0]),
        "ICL": average(icl),
        "ITL": average(itl),
    }


def theirs(columns, name):
    measured_by_rules = measure_by(columns, DIALECTS[name], [99])
    if not len(measured_by_rules.ttft):  # a failed reply
        return dict.fromkeys(("TTFT", "E2EL", "TPOT", "ITL", "N"))
    return {
        "TTFT": number(measured_by_rules.ttft[0]),
        "E2EL": number(measured_by_rules.e2el[0]),
        "TPOT": number(measured_by_rules.tpot[0]),
        "ITL": average(measured_by_rules.parameters["ITL"]),
        "N": number(measured_by_rules.tokens[0]),
    }


@pytest.mark.parametrize("name", GOLDEN)
async def test_a_golden_stream_has_exactly_these_numbers(name, tmp_path):
    _, columns = await played(tmp_path, name)
    assert ours(columns) == OURS[name,]


@pytest.mark.parametrize("name", GOLDEN)
async def test_a_golden_stream_has_exactly_these_numbers_in_each_dialect(name, tmp_path):
    _, columns = await played(tmp_path / "plain", name)
    _, counted = await played(tmp_path / "counted", name, lambda text: len(text.split()))
    for tool in DIALECTS:
        numbers = theirs(counted if tool == "aiperf" else columns, tool)
        assert (tool, numbers) == (tool, DIALECT_ROWS[name, tool])


@pytest.mark.parametrize("name", GOLDEN)
async def test_columns_and_the_request_in_hand_agree_on_its_latencies(name, tmp_path):
    prediction, columns = await played(tmp_path, name)
    found = each_request(columns)
    one = [getattr(found, each)[0] for each in ("ttfb", "ttft", "ttfc", "e2el")]
    assert [number(value) for value in one] == [
        value and round(value, 3) for value in latency(prediction.timing)
    ]


async def test_a_tokenizer_gives_n_and_tpot_if_the_service_reports_no_usage(tmp_path):
    _, columns = await played(tmp_path, "no usage", lambda text: len(text.split()))
    numbers = ours(columns)
    assert (numbers["TPOT"], numbers["N"]) == (20, 3)
    for tool in ("vllm", "evalscope"):
        assert theirs(columns, tool) == {"TTFT": 100, "E2EL": 160, "TPOT": 30, "ITL": 20, "N": 3}
    assert theirs(columns, "aisbench") == DIALECT_ROWS["no usage", "aisbench"]  # it has usage or nothing


def test_a_dialect_that_is_not_there_names_those_that_are():
    with pytest.raises(UnknownName, match="no dialect named 'vlm'; did you mean 'vllm'") as caught:
        dialect("vlm")
    assert "aiperf, aisbench, evalscope, guidellm, mlperf, sglang, vllm" in str(caught.value)
