"""Several performance runs in one table: which points form a curve, what is on the front, what is doubted."""

from __future__ import annotations

import csv
import json
from array import array
from pathlib import Path

import tomli_w

from aisb import Prediction, Timing, Usage
from aisb_engine import open_finished_run
from aisb_engine._record.log import LogWriter
from aisb_reporter_summary import Csv, Json, Markdown, Text, points_of

GOLDEN = Path(__file__).with_name("golden")
MS = 1_000_000


def load_run(
    work, number, *, options=None, dataset=None, params=None, ttft=40, tpot=10, every=10, model="sim"
):
    """A run of 120 streamed replies of 11 tokens each, of which one begins `every` ms."""
    folder = work / f"20261121_2203{number:02}"
    (folder / "configs").mkdir(parents=True)
    config = {
        "run": {"performance": True},
        "models": {model: {"name": model, "backend": "sim"}},
        "tasks": {"demo": {"name": "demo", "dataset": {"use": "synthetic", **(dataset or {})}}},
        "subtasks": [{"model": model, "task": "demo", "params": params or {}}],
    }
    (folder / "configs" / f"{folder.name}.toml").write_text(tomli_w.dumps(config))
    log = folder / "log" / model / "demo"
    with LogWriter(log / "worker-0") as writer:
        for n in range(120):
            sent = (1 + every * n) * MS
            first = sent + ttft * MS
            stamps = array("q", [first + token * tpot * MS for token in range(11)])
            timing = Timing(
                sent_ns=sent,
                headers_ns=sent + 10,
                chunk_ns=stamps,
                chunk_kinds=("content",) * 11,
                done_ns=stamps[-1] + 10,
            )
            writer.append(
                Prediction(str(n), text="x" * 11, usage=Usage(100, 11), finish_reason="stop", timing=timing),
                final=True,
            )
    (log / "load.json").write_text(json.dumps({"asked": options or {"concurrency": 4}, "planned": 120}))
    return open_finished_run(folder)


def three_loads(work):
    loads = [(1, 40, 40), (8, 60, 10), (16, 90, 20)]
    return [
        load_run(work, n, options={"concurrency": c}, ttft=ttft, every=every)
        for n, (c, ttft, every) in enumerate(loads)
    ]


def test_the_table_of_three_loads_is_this_text(tmp_path, capsys):
    (file,) = Text().report_several(three_loads(tmp_path), tmp_path)
    assert file == tmp_path / "points.txt"
    assert file.read_text() == capsys.readouterr().out == (GOLDEN / "several.txt").read_text()
    assert max(map(len, file.read_text().splitlines())) <= 80


def test_csv_json_and_markdown_have_the_same_points(tmp_path):
    runs = three_loads(tmp_path)
    (table,) = Csv().report_several(runs, tmp_path)
    rows = list(csv.DictReader(table.open()))
    assert [row["load.concurrency"] for row in rows] == ["1", "8", "16"]
    assert [row["pareto_front"] for row in rows] == ["1", "1", "0"]
    assert [float(row["ttft_p50_ms"]) for row in rows] == [40.0, 60.0, 90.0]
    (file,) = Json().report_several(runs, tmp_path)
    found = json.loads(file.read_text())
    assert found["schema"] == "aisb-points/1"
    assert found["settings"] == ["load.concurrency"]
    assert [point["run"] for point in found["points"]] == [run.timestamp for run in runs]
    assert [point["latency_ms"]["TPOT"]["p95"] for point in found["points"]] == [10.0, 10.0, 10.0]
    (marked,) = Markdown().report_several(runs, tmp_path)
    assert [line.split("|")[2].strip() for line in marked.read_text().splitlines()[2:5]] == [
        "concurrency 1", "concurrency 8", "concurrency 16",
    ]  # fmt: skip


def test_runs_that_differ_in_more_than_their_load_are_curves_of_their_own(tmp_path):
    runs = [
        load_run(tmp_path, n, options={"concurrency": c}, dataset={"input": length})
        for n, (c, length) in enumerate([(1, 512), (1, 4096), (4, 512), (4, 4096)])
    ]
    found = points_of(runs)
    assert found.settings == ("load.concurrency", "task.dataset.input")
    assert found.series == ("input 512", "input 4096")
    assert [point["level"] for point in found.curve("input 4096")] == [1, 4]


def test_how_many_prompts_a_run_makes_and_which_makes_no_other_curve(tmp_path):
    runs = [
        load_run(tmp_path, n, options={"concurrency": c}, dataset={"requests": 100 * c, "seed": n})
        for n, c in enumerate((1, 4))
    ]
    found = points_of(runs)
    assert (found.settings, found.series) == (("load.concurrency",), ("sim on demo",))


def test_runs_of_one_load_are_placed_by_the_first_number_in_which_they_differ(tmp_path):
    runs = [load_run(tmp_path, n, params={"max_tokens": size}) for n, size in enumerate([16, 64])]
    found = points_of(runs)
    assert found.series == ("sim on demo",)
    assert [(point["axis"], point["level"]) for point in found.points] == [
        ("params.max_tokens", 16), ("params.max_tokens", 64),
    ]  # fmt: skip


def test_closed_and_open_loops_are_curves_of_their_own(tmp_path):
    loads = [{"concurrency": 1}, {"concurrency": 4}, {"request_rate": 5.0}, {"request_rate": 10.0}]
    runs = [load_run(tmp_path, n, options=options) for n, options in enumerate(loads)]
    found = points_of(runs)
    assert found.series == ("closed loop", "open loop")
    assert [point["level"] for point in found.curve("open loop")] == [5.0, 10.0]
    assert {point["axis"] for point in found.curve("closed loop")} == {"load.concurrency"}


def test_models_are_curves_of_their_own(tmp_path):
    runs = [load_run(tmp_path, n, model=model) for n, model in enumerate(("a", "b"))]
    assert points_of(runs).series == ("a", "b")
