"""What the pages hold, how large they are, and that nothing of a user's can break out of them."""

import base64
import json
import re
import subprocess
import sys
import zlib

import numpy as np
import pytest
from forked import run_forked
from plots_replies import failed, never_sent, reply

from aisb_engine import open_finished_run
from aisb_reporter_plots import Plots, aisb_reporters
from aisb_reporter_plots import _data as data

HOSTILE = """</script><script>alert(1)</script><img src=x onerror="alert(2)">'&amp;{{data}}{{plotly}}"""


def part(page, name):
    """Return what stands deflated in a page."""
    found = re.search(
        rf'<script type="application/octet-stream" id="{name}">([A-Za-z0-9+/=]*)</script>', page
    )
    return zlib.decompress(base64.b64decode(found[1]))


def read(packed):
    """Return a page's header and columns, read as its script does."""
    size = int.from_bytes(packed[:4], "little")
    head = json.loads(packed[4 : 4 + size])
    columns, at = {}, 4 + size
    for name, count in head["columns"]:
        columns[name] = np.frombuffer(packed, "<i4", count, at)
        at += 4 * count
    assert at == len(packed)
    return head, columns


def measured(run, model="sim", task="demo"):
    return run.performance[model, task]


def test_two_pages_a_subtask_stand_beside_the_other_files(make):
    make([reply(n, 1 + 10 * n) for n in range(5)])
    run = make([reply(n, 1 + 10 * n) for n in range(5)], task="other")
    names = [str(file.relative_to(run.folder / "performances")) for file in Plots().report(run)]
    assert names == [
        "sim/demo_plot.html",
        "sim/demo_rps_distribution_plot.html",
        "sim/other_plot.html",
        "sim/other_rps_distribution_plot.html",
    ]


def test_a_page_holds_the_librarys_bundle_and_asks_no_host(make):
    for file in Plots().report(make([reply(n, 1 + 10 * n) for n in range(5)])):
        page = file.read_text("utf-8")
        assert b"plotly.js v" in part(page, "plotly")[:200]
        assert "default-src 'none'" in page
        assert not re.findall(r"https?://|//[a-z]+\.[a-z]", page)


def test_columns_are_the_numbers_of_the_requests(make):
    run = make(
        [reply("a", 1), reply("b", 51, tokens=1), failed("c", 100, "HTTP 503: busy"), never_sent("d", 120)]
    )
    head, columns = read(data.pack_requests(measured(run)))
    assert head["tick"] == pytest.approx(1e-6)
    assert head["labels"] == ["a", "b", "c", "d"]
    assert columns["start"].cumsum().tolist() == [1000, 51000, 100000, 120000]
    assert columns["length"].tolist() == [111_000, 41_000, 30_000, data.NONE]
    assert columns["ttft"].tolist() == [40_000, 40_000, data.NONE, data.NONE]
    assert columns["e2el"].tolist() == [110_000, 40_000, data.NONE, data.NONE]
    assert columns["tpot_ns"].tolist() == [10_000_000, data.NONE, data.NONE, data.NONE]
    assert columns["late"].tolist() == [1000, 1000, 0, data.NONE]
    assert columns["output"].tolist() == [8, 1, data.NONE, data.NONE]
    assert head["reasons"] == [["status: HTTP 503: busy", 1], ["connect: connection refused", 1]]
    assert columns["reason"].tolist() == [0, 0, 1, 2]
    assert columns["tokens"].sum() == 9000


def test_the_verdict_is_that_of_the_tables_also_with_a_tokenizer(make, tmp_path):
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers

    letters = Tokenizer(models.WordLevel({"?": 0}, unk_token="?"))
    letters.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    letters.save(str(tmp_path / "tokenizer.json"))
    run = make([reply(n, 1 + 10 * n, text="word " * 8) for n in range(20)])

    def signals():
        page = next(iter(Plots().report(open_finished_run(run.folder)))).read_text("utf-8")
        return [words for _, words in read(part(page, "data"))[0]["signals"]]

    assert not any("tokenizer" in words for words in signals())
    asked = f"[run.reporter_options.performance]\ntokenizer = {json.dumps(str(tmp_path))}\n"
    (run.folder / "configs" / f"{run.folder.name}.toml").write_text(asked)
    assert any("the server's count and the tokenizer disagree" in words for words in signals())


def test_tokens_lie_where_their_chunks_came(make):
    head, columns = read(data.pack_requests(measured(make([reply("a", 1), reply("b", 31)]))))
    came = [(n + 0.5) * head["token_part"] * 1000 for n in columns["tokens"].nonzero()[0]]
    # Both have a token every 10 ms from 40 ms on, seen from the moment the first one was planned, at 0.
    assert came == pytest.approx([41 + 10 * n for n in range(11)], abs=head["token_part"] * 1000)
    assert columns["tokens"].max() == 2000


def test_chunks_are_shown_where_tokens_are_not_known(make):
    head, _ = read(data.pack_requests(measured(make([reply(n, 1 + 9 * n, usage=None) for n in range(4)]))))
    assert (head["token_unit"], head["token_note"]) == (
        "chunks",
        "token counts are unknown: these are chunks",
    )


def test_a_run_of_a_day_is_counted_in_longer_ticks(make):
    day = 86_400_000
    head, columns = read(data.pack_requests(measured(make([reply("a", 1), reply("b", day)]))))
    assert head["tick"] == pytest.approx(41e-6)
    assert columns["start"].sum() * head["tick"] == pytest.approx(86_400, abs=1e-4)


def test_of_more_requests_than_a_page_holds_it_has_every_second(make):
    found = measured(make([reply(n, 1 + n) for n in range(60)]))
    for packed in (data.pack_requests(found, most=30), data.pack_rates(found, most=30)):
        head, columns = read(packed)
        assert (head["every"], len(columns["start"]), head["requests"]) == (2, 30, 60)


def test_many_reasons_are_listed_up_to_a_number_and_the_rest_are_counted(make):
    texts = [f"message {min(n, data.MAX_REASONS + 5) // 2}" + "x" * 400 for n in range(2 * data.MAX_REASONS)]
    texts += [f"seen once: {n}" for n in range(data.MAX_REASONS)]
    head, columns = read(
        data.pack_requests(measured(make([failed(n, 10 + n, text) for n, text in enumerate(texts)])))
    )
    assert len(head["reasons"]) == data.MAX_REASONS + 1
    assert head["reasons"][-1] == [
        "other reasons",
        len(texts) - sum(count for _, count in head["reasons"][:-1]),
    ]
    assert max(len(text) for text, _ in head["reasons"]) == data.MAX_REASON_LENGTH
    assert np.bincount(columns["reason"]).tolist() == [0, *(count for _, count in head["reasons"])]


def test_the_requested_rate_is_drawn_as_a_line_or_along_its_ramp(make):
    replies = [reply(n, 1 + 10 * n) for n in range(100)]
    found = measured(make(replies, load={"requested": {"request_rate": 100}, "planned": 100}))
    assert read(data.pack_rates(found))[0]["requested"] == [[0.0, 100.0], [1.0, 100.0]]
    found = measured(
        make(replies, task="ramp", load={"requested": {"ramp_up": "linear:10:100"}, "planned": 100}),
        task="ramp",
    )
    requested = read(data.pack_rates(found))[0]["requested"]
    assert (requested[0], requested[-1][1]) == ([0.0, 10.0], 100.0)
    # 100 requests at 10 growing to 100 a second take ∫ 100 dp / (10 + 90 p) = 100/90 · ln 10 seconds.
    assert requested[-1][0] == pytest.approx(100 / 90 * np.log(10), rel=1e-3)


def test_the_facts_name_the_requested_and_the_achieved_load(make):
    replies = [reply(n, 1 + 10 * n) for n in range(100)]
    facts = dict(read(data.pack_rates(measured(make(replies))))[0]["facts"])
    assert re.fullmatch(r"requested no pacing, achieved [\d.,]+/s", facts["rate"])
    assert re.fullmatch(r"requested at most 8, achieved [\d.]+, peak \d+", facts["concurrency"])


def test_hostile_names_cannot_end_a_script_or_become_markup(make):
    replies = [reply(HOSTILE, 1), failed("b", 9, HOSTILE)]
    run = make(replies, model="m<img src=x>&\"'", task="t{{data}}")
    for file in Plots().report(run):
        page = file.read_text("utf-8")
        assert page.count("</script>") == 4
        assert "<img" not in page
        assert "<title>m&lt;img src=x&gt;&amp;&quot;&#x27; on t{{data}}</title>" in page
        assert 'href="t%7B%7Bdata%7D%7D_' in page


def test_a_page_of_ten_thousand_requests_is_under_six_megabytes(make):
    draw = np.random.default_rng(0)
    times = np.sort(draw.integers(1, 600_000, 10_000))
    replies = [reply(f"id-{n}", int(at), tokens=int(draw.integers(1, 60))) for n, at in enumerate(times)]
    sizes = [file.stat().st_size for file in Plots().report(make(replies))]
    assert max(sizes) < 3_000_000


def test_declaring_itself_loads_neither_numpy_nor_plotly():
    code = (
        "import sys, aisb_reporter_plots; print({'numpy', 'plotly', 'pydantic', 'httpx'} & set(sys.modules))"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
        == "set()\n"
    )
    assert aisb_reporters() == {"plots": Plots}


def test_a_performance_run_writes_them_and_can_write_them_again(tmp_path):
    def aisb(*words):
        command = [sys.executable, "-m", "aisb_cli.main", "run", *words, "-w", tmp_path]
        ended = run_forked(command, capture_output=True, text=True, check=False)
        assert ended.returncode == 0, ended.stderr
        return sorted(tmp_path.glob("*/performances/*/*.html"))

    load = ["--num-prompts", "8", "--request-rate", "50", "--set", "model.ttft_ms=5"]
    files = aisb("--mode", "perf", "--models", "sim", "--datasets", "demo_gsm8k", *load)
    assert [file.name for file in files] == ["demo_gsm8k_plot.html", "demo_gsm8k_rps_distribution_plot.html"]
    first = [file.read_bytes() for file in files]
    for file in files:
        file.unlink()
    assert [file.read_bytes() for file in aisb("--mode", "perf_viz", "--reuse")] == first


def test_drawing_never_imports_plotly(make):
    Plots().report(make([reply(1, 1)]))
    assert "plotly" not in sys.modules
