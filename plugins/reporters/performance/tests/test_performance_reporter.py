"""Whole reports against golden files: `AISB_UPDATE_GOLDEN=1 pytest …` writes them anew, to be read before a commit."""

import csv
import io
import json
import os
from array import array
from pathlib import Path

import numpy as np
import pytest

from aisb import Failure, Prediction, Timing, UnknownName, Usage
from aisb_engine import MeasuringOptions, open_finished_run
from aisb_engine._record.log import LogWriter
from aisb_reporter_performance import Performance, aisb_reporters

GOLDEN = Path(__file__).parent / "golden"
TIMESTAMP = "20261121_220301"
MS = 1_000_000
LOAD = {
    "requested": {"concurrency": 4, "request_rate": None, "max_tokens": 8},
    "planned": 120,
    "warmups": {"sent": 1, "answered": 1},
    "counters": {
        "before": {"vllm:spec_decode_num_drafts_total": 0, "vllm:spec_decode_num_draft_tokens_total": 0},
        "after": {
            "vllm:spec_decode_num_drafts_total": 200,
            "vllm:spec_decode_num_draft_tokens_total": 600,
            "vllm:spec_decode_num_accepted_tokens_total": 300,
            "vllm:prefix_cache_queries_total": 6000,
            "vllm:prefix_cache_hits_total": 120,
            'vllm:spec_decode_num_accepted_tokens_per_pos_total{position="0"}': 180,
            'vllm:spec_decode_num_accepted_tokens_per_pos_total{position="1"}': 100,
            'vllm:spec_decode_num_accepted_tokens_per_pos_total{position="2"}': 20,
        },
        "during": {
            "vllm:num_requests_running": {"samples": 8, "sum": 30, "maximum": 4},
            "vllm:num_requests_waiting": {"samples": 8, "sum": 2, "maximum": 1},
        },
    },
    "notes": [],
}


def reply(number, sent, tokens=8, **changes):
    """A streamed reply: a role-only chunk at 5 ms, the first token at 40 to 44 ms, one every 10 or 11 ms."""
    first, gap = 40 + number % 5, 10 + number % 2
    stamps = [sent + 5, *(sent + first + gap * n for n in range(tokens)), sent + first + gap * tokens + 2]
    timing = Timing(
        planned_ns=changes.pop("planned", None),
        sent_ns=sent * MS,
        headers_ns=(sent + 4) * MS,
        chunk_ns=array("q", [stamp * MS for stamp in stamps]),
        chunk_kinds=("role", *["content"] * tokens, "usage"),
        done_ns=(stamps[-1] + 1) * MS,
    )
    values = {"finish_reason": "length", "usage": Usage(50 + number % 7, tokens, 0), "timing": timing}
    return Prediction(str(number), **(values | changes))


def steady():
    free, replies = [1, 4, 7, 10], []
    for number in range(120):
        client = free.index(min(free))
        one = reply(number, free[client])
        replies.append(one)
        free[client] = one.timing.done_ns // MS + 1
    return replies


def broken():
    whole = Prediction(
        "0",
        usage=None,
        timing=Timing(
            sent_ns=MS,
            chunk_ns=array("q", [90 * MS]),
            chunk_kinds=("content",),
            done_ns=91 * MS,
            streamed=False,
        ),
    )
    failed = reply(2, 150, failure=Failure("status", "HTTP 503: busy, try later", 503), usage=None)
    return [whole, reply(1, 100, usage=None), failed]


CASES = {
    "headline": ({"replies": steady(), "load": LOAD}, {"objectives": {"ttft": 42.0, "tpot": 50.0}}),
    "doubtful": ({"replies": broken(), "load": LOAD}, {}),
    "steady": (
        {"replies": steady(), "load": LOAD},
        {"objectives": {"ttft": 42.0, "tpot": 50.0}, "tables": True},
    ),
    "wide": (
        {"replies": steady(), "load": LOAD},
        {"width": 200, "percentiles": [50.0, 99.9], "tables": True},
    ),
    "dialects": (
        {"replies": steady(), "load": LOAD},
        {"dialects": ["vllm", "aisbench", "aiperf", "guidellm", "sglang", "evalscope"]},
    ),
    "speculating": ({"replies": steady(), "load": LOAD}, {"spec_decode": True}),
    "broken": ({"replies": broken(), "load": None}, {"tables": True}),
}


@pytest.fixture
def make(tmp_path):
    def made(replies, load, **measuring):
        folder = tmp_path / TIMESTAMP
        (folder / "configs").mkdir(parents=True)
        log = folder / "log" / "sim" / "demo"
        with LogWriter(log / "worker-0") as writer:
            for one in replies:
                writer.append(one, final=True, extra={"max_tokens": 8} if load else None)
        if load:
            (log / "load.json").write_text(json.dumps(load))
        return open_finished_run(folder, measuring=MeasuringOptions(**measuring))

    return made


def golden(name, text):
    file = GOLDEN / name
    if os.environ.get("AISB_UPDATE_GOLDEN"):
        file.write_text(text, "utf-8")
    assert text == file.read_text("utf-8")


@pytest.mark.parametrize("name", CASES)
def test_a_whole_report_looks_like_this(name, make, capsys):
    content, options = CASES[name]
    measuring = {key: options[key] for key in ("percentiles", "objectives") if key in options}
    files = Performance(**({"width": 80} | options)).report(make(**content, **measuring))
    printed = capsys.readouterr().out
    golden(f"{name}.txt", printed)
    assert all(len(line) <= options.get("width", 80) for line in printed.splitlines())
    for file in files:
        if file.suffix != ".npz" and name in ("steady", "broken"):
            golden(f"{name}{file.name.removeprefix('demo')}", file.read_text("utf-8"))


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (
            {"request_rate": 30.0, "arrival": "poisson"},
            "requested 30 requests/s (poisson), achieved 31.04 requests/s",
        ),
        (
            {"ramp_up": "linear:1:50", "arrival": "constant"},
            "requested the ramp linear:1:50 (constant), achieved 31.04",
        ),
        ({"use_timestamp": True}, "requested the trace's own times, achieved 31.04"),
        (
            {"pressure_time": 60.0, "concurrency": 4},
            "requested clients step by step for 60 s, achieved 31.04",
        ),
        ({"concurrency": 4}, "requested no pacing, achieved 31.04"),
    ],
)
def test_what_was_asked_stands_beside_what_was_sent(make, capsys, asked, said):
    Performance(width=200, tables=True).report(make(steady(), {"requested": asked}))
    assert f"\nrate: {said}" in capsys.readouterr().out


def test_a_server_that_counts_no_drafts_is_said_to_count_none(make, capsys):
    Performance(width=80, spec_decode=True).report(make(steady(), LOAD | {"counters": {}}))
    printed = " ".join(capsys.readouterr().out.split())
    assert (
        "Speculative decoding: the server counted none during the run (searched for vllm:spec_decode_num_"
        in printed
    )


def test_the_files_stand_under_performances_by_model_and_task(make):
    run = make(steady(), LOAD)
    files = list(Performance(show=False).report(run))
    assert [str(file.relative_to(run.folder)) for file in files] == [
        f"performances/sim/demo{ending}"
        for ending in (".csv", ".json", "_headline.txt", "_requests.csv", "_details.json", "_details.npz")
    ]


def test_the_requests_file_has_a_row_a_request_in_the_order_of_sending(make):
    run = make(broken(), None)
    files = {file.name: file for file in Performance(show=False).report(run)}
    rows = list(csv.DictReader(io.StringIO(files["demo_requests.csv"].read_text())))
    assert list(rows[0]) == [
        "id",
        "repeat",
        "turn",
        "ok",
        "planned_ms",
        "sent_ms",
        "ttfb_ms",
        "ttft_ms",
        "ttfc_ms",
        "tpot_ms",
        "e2el_ms",
        "input_tokens",
        "output_tokens",
        "output_tokens_source",
        "chunks",
        "attempts",
        "failure",
    ]
    assert [(row["id"], row["ok"], row["ttft_ms"], row["output_tokens"]) for row in rows] == [
        ("0", "true", "", ""),
        ("1", "true", "41.000000", ""),
        ("2", "false", "42.000000", ""),
    ]
    assert rows[2]["failure"] == "status: HTTP 503: busy, try later"


def test_the_columns_file_can_be_computed_with(make):
    run = make(steady(), LOAD)
    *_, file = Performance(show=False).report(run)
    with np.load(file) as columns:
        ttft = (columns["first_token_ns"] - columns["sent_ns"]) / MS
        assert ttft.min() == 40
        assert columns["id"][:3].tolist() == ["0", "1", "2"]
        assert columns["output_tokens"].sum() == 960


def test_what_is_not_printed_is_still_written(make, capsys):
    assert len(list(Performance(show=False).report(make(steady(), LOAD)))) == 6
    assert capsys.readouterr().out == ""


def test_an_unknown_dialect_is_refused_before_anything_is_written(make):
    run = make(steady(), LOAD)
    with pytest.raises(UnknownName, match="no dialect named 'vlm'; did you mean 'vllm'"):
        Performance(dialects=["vlm"]).report(run)
    assert not (run.folder / "performances").exists()


def test_a_tokenizer_counts_what_the_service_does_not(make, tmp_path):
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace

    words = Tokenizer(WordLevel({"[UNK]": 0, "word": 1}, unk_token="[UNK]"))
    words.pre_tokenizer = Whitespace()
    words.save(str(tmp_path / "tokenizer.json"))
    run = make([reply(0, 0, usage=None, text="word " * 8)], None, tokenizer=str(tmp_path))
    options = {"dialects": ["aiperf"], "show": False}
    details = {file.name: file for file in Performance(**options).report(run)}["demo_details.json"]
    found = json.loads(details.read_text())
    assert found["stages"]["total"]["parameters"]["TPOT"]["average"] == 10
    assert found["dialects"]["aiperf"]["OutputTokens"]["average"] == 8
    assert found["notes"][0] == "output-token source: tokenizer 1"


def test_a_run_without_a_log_shows_nothing(tmp_path, capsys):
    (tmp_path / TIMESTAMP / "configs").mkdir(parents=True)
    assert list(Performance().report(open_finished_run(tmp_path / TIMESTAMP))) == []
    assert capsys.readouterr().out == ""


def test_the_plugin_offers_its_reporter():
    assert aisb_reporters() == {"performance": Performance}
