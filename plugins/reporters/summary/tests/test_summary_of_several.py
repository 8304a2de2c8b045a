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
from aisb_reporter_summary._repeats import medians_of

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
    (log / "load.json").write_text(json.dumps({"requested": options or {"concurrency": 4}, "planned": 120}))
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
    assert found["schema"] == "aisb-points/2"
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


def repeated_loads(work):
    """Two loads, the first one three times."""
    loads = [(4, 40, 40), (4, 44, 41), (4, 60, 42), (8, 60, 20)]
    return [
        load_run(work, n, options={"concurrency": c}, ttft=ttft, every=every)
        for n, (c, ttft, every) in enumerate(loads)
    ]


def test_runs_of_one_load_are_one_line_with_medians_and_their_spread(tmp_path):
    (file,) = Text(show=False).report_several(repeated_loads(tmp_path), tmp_path)
    assert file.read_text() == (GOLDEN / "repeats.txt").read_text()
    assert max(map(len, file.read_text().splitlines())) <= 80


def test_runs_of_one_load_stay_rows_of_csv_and_points_of_json(tmp_path):
    runs = repeated_loads(tmp_path)
    (table,) = Csv().report_several(runs, tmp_path)
    rows = list(csv.DictReader(table.open()))
    assert [(row["load.concurrency"], row["repeat"]) for row in rows] == [
        ("4", "1"), ("4", "2"), ("4", "3"), ("8", "1"),
    ]  # fmt: skip
    assert [row["pareto_front"] for row in rows] == ["1", "1", "1", "1"]
    (file,) = Json().report_several(runs, tmp_path)
    found = json.loads(file.read_text())
    assert len(found["points"]) == 4
    repeated, single = found["medians"]
    assert repeated["runs"] == [run.timestamp for run in runs[:3]]
    assert repeated["requests"] == 360
    assert [repeated[key]["latency_ms"]["TTFT"]["p50"] for key in ("minimum", "maximum")] == [40.0, 60.0]
    assert repeated["latency_ms"]["TTFT"]["p50"] == 44.0
    assert (single["runs"], single["minimum"]) == ([runs[3].timestamp], None)
    (marked,) = Markdown().report_several(runs, tmp_path)
    lines = [[cell.strip() for cell in line.split("|")] for line in marked.read_text().splitlines()]
    assert lines[0][2:5] == ["load", "runs", "requests/s"]
    assert lines[2][2:4] == ["concurrency 4", "3"]
    assert lines[2][7] == "44 (45.5 %)"
    assert lines[3][3:5] == ["1", "50"]


def test_a_load_has_the_worst_certificate_of_its_runs(tmp_path):
    points = points_of(repeated_loads(tmp_path)).points
    doubted = {**points[1], "certificate": "INVALID", "reasons": ["it lagged"]}
    together, _ = medians_of([points[0], doubted, *points[2:]])
    assert together["certificate"] == "INVALID"
    assert together["reasons"][0] == f"run {points[1]['run']}: it lagged"


def test_a_number_that_some_runs_lack_is_that_of_the_others(tmp_path):
    points = points_of(repeated_loads(tmp_path)).points
    lacking = {**points[0], "goodput": 3.0, "latency_ms": {**points[0]["latency_ms"], "TPOT": None}}
    together, _ = medians_of([lacking, *points[1:]])
    assert together["goodput"] == together["maximum"]["goodput"] == 3.0
    assert together["latency_ms"]["TPOT"]["p50"] == 10.0


def test_runs_of_different_durations_are_points_of_their_own(tmp_path):
    runs = [
        load_run(tmp_path, n, options={"concurrency": 4, "duration": duration, "seed": n})
        for n, duration in enumerate((10.0, 10.0, 60.0))
    ]
    assert [len(point["runs"]) for point in points_of(runs).medians] == [2, 1]


def test_a_requested_rate_is_not_called_as_the_rate_that_was_reached(tmp_path):
    runs = [load_run(tmp_path, n, options={"request_rate": rate}) for n, rate in enumerate((5.0, 10.0))]
    (file,) = Text(show=False).report_several(runs, tmp_path)
    assert file.read_text().splitlines()[1].split("  ")[:2] == ["request rate", "requests/s"]
