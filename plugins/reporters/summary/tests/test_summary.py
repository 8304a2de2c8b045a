"""Whole summaries against golden files: `AISB_UPDATE_GOLDEN=1 pytest …` writes them anew, to be read before a commit."""

import csv
import io
import json
import os
from pathlib import Path

import pytest

from aisb_engine import open_finished_run
from aisb_reporter_summary import Csv, Markdown, Text, aisb_reporters

GOLDEN = Path(__file__).parent / "golden"
TIMESTAMP = "20261121_220301"


def metric(name, value, low=None, high=None, count=64, group=None):
    return {
        "name": name,
        "value": value,
        "low": low,
        "high": high,
        "unit": "%",
        "count": count,
        "group": group,
    }


def put(folder, model, task, metrics, outcomes, bounds=None, version="3f2a1b", **more):
    file = folder / "results" / model / f"{task}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    asked = sum(outcomes.values())
    file.write_text(
        json.dumps(
            {
                "model": model,
                "task": task,
                "variant": None,
                "version": version,
                "mode": "gen",
                "metrics": metrics,
            }
            | {"outcomes": outcomes, "bounds": bounds, "predictions": asked, "failed": 0, "merge": False}
            | more
        )
    )


def plan(folder, *pairs):
    (folder / "configs").mkdir(parents=True, exist_ok=True)
    subtasks = "".join(f'[[subtasks]]\nmodel = "{model}"\ntask = "{task}"\n' for model, task in pairs)
    (folder / "configs" / f"{folder.name}.toml").write_text(subtasks)


def demo(folder):
    accuracy = [metric("accuracy", 73.4375, 61.5177, 82.7046)]
    put(
        folder, "sim", "demo_gsm8k", accuracy, {"correct": 47, "wrong": 16, "unparsed": 1}, [73.4375, 74.6032]
    )


def two_models(folder):
    """Several metrics, a number that is not known, an unclear share, and a pair without a result."""
    one, two = "vllm-api-general-chat", "vllm-api-stream-chat"
    plan(folder, (two, "gsm8k"), (one, "gsm8k"), (two, "aime2024"), (one, "aime2024"))
    put(
        folder,
        two,
        "gsm8k",
        [metric("accuracy", 56.70, 54.0, 59.4, 1319)],
        {"correct": 748, "wrong": 500, "truncated": 60, "error": 11},
        [56.7, 59.9],
    )
    put(
        folder,
        one,
        "gsm8k",
        [metric("accuracy", 57.0887, 54.4, 59.7, 1319)],
        {"correct": 753, "wrong": 566},
        [57.0887, 57.0887],
    )
    put(
        folder,
        one,
        "aime2024",
        [
            metric("accuracy (4 runs average)", 10.0, 3.5, 25.6, 120),
            metric("pass@4", 23.3333, 11.8, 40.9, 30),
            metric("cons@4", None, count=30),
        ],
        {"correct": 12, "wrong": 107, "refused": 1},
        [10.0, 10.0840],
        version="0012e3",
    )


def grouped(folder, *, merge):
    metrics = [
        metric("accuracy", 60.0, 35.7, 80.2, 15, "anatomy"),
        metric("accuracy", 80.0, 49.0, 94.3, 10, "virology"),
        metric("accuracy", 68.0, 48.4, 82.8, 25),
        metric("naive_average", 70.0, count=25),
        metric("weighted_average", 68.0, 48.4, 82.8, 25),
    ]
    put(folder, "sim", "mmlu", metrics, {"correct": 17, "wrong": 8}, [68.0, 68.0], merge=merge)


RUNS = {
    "demo": demo,
    "two_models": two_models,
    "grouped": lambda folder: grouped(folder, merge=False),
    "merged": lambda folder: grouped(folder, merge=True),
    "empty": lambda folder: plan(folder, ("sim", "demo_gsm8k")),
}


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / TIMESTAMP
    path.mkdir()
    return path


@pytest.mark.parametrize("name", RUNS)
@pytest.mark.parametrize(
    ("reporter", "suffix"), [(Text(show=False), "txt"), (Csv(), "csv"), (Markdown(), "md")]
)
def test_a_summary_equals_its_golden_file(folder, name, reporter, suffix):
    RUNS[name](folder)
    (written,) = reporter.report(open_finished_run(folder))
    assert written == folder / "summary" / f"summary_{TIMESTAMP}.{suffix}"
    golden = GOLDEN / f"{name}.{suffix}"
    if os.environ.get("AISB_UPDATE_GOLDEN"):
        golden.write_bytes(written.read_bytes())
    assert written.read_text("utf-8") == golden.read_text("utf-8")


def test_the_terminal_gets_the_text_of_the_file(folder, capsys):
    demo(folder)
    (written,) = Text().report(open_finished_run(folder))
    assert capsys.readouterr().out == written.read_text("utf-8")


@pytest.mark.parametrize("name", RUNS)
def test_a_text_summary_fits_80_columns(folder, name):
    RUNS[name](folder)
    (written,) = Text(show=False).report(open_finished_run(folder))
    assert max(len(line) for line in written.read_text("utf-8").splitlines()) <= 80


def test_models_that_do_not_fit_beside_each_other_follow_below(folder):
    models = [f"a-model-with-a-rather-long-name-{number}" for number in range(7)]
    for model in models:
        put(folder, model, "demo_gsm8k", [metric("accuracy", 50.0)], {"correct": 1, "wrong": 1})
    (written,) = Text(show=False).report(open_finished_run(folder))
    text = written.read_text("utf-8")
    assert text.count("dataset ") == 4
    assert text.count("50.00") == 7
    assert max(len(line) for line in text.splitlines()) <= 80


def test_a_version_that_looks_like_a_number_stays_as_it_is(folder):
    put(folder, "sim", "demo_gsm8k", [metric("accuracy", 5.0)], {"correct": 1, "wrong": 19}, version="0012e3")
    run = open_finished_run(folder)
    for reporter in (Text(show=False), Csv(), Markdown()):
        assert "0012e3" in next(iter(reporter.report(run))).read_text("utf-8")


def test_two_versions_of_a_task_stand_in_two_rows(folder):
    put(folder, "a", "demo_gsm8k", [metric("accuracy", 50.0)], {"correct": 1, "wrong": 1}, version="111111")
    put(folder, "b", "demo_gsm8k", [metric("accuracy", 100.0)], {"correct": 2}, version="222222")
    (written,) = Csv().report(open_finished_run(folder))
    table = list(csv.DictReader(io.StringIO(written.read_text("utf-8"))))
    assert [(row["version"], row["a"], row["b"]) for row in table] == [
        ("111111", "50.00", ""),
        ("222222", "", "100.00"),
    ]


def test_two_percent_unclear_is_let_pass_and_more_is_not(folder):
    put(folder, "a", "demo_gsm8k", [metric("accuracy", 50.0)], {"correct": 49, "wrong": 49, "unparsed": 2})
    put(folder, "b", "demo_gsm8k", [metric("accuracy", 50.0)], {"correct": 49, "wrong": 48, "truncated": 3})
    (written,) = Text(show=False).report(open_finished_run(folder))
    warnings = [line for line in written.read_text("utf-8").splitlines() if line.startswith("warning")]
    assert len(warnings) == 1
    assert "demo_gsm8k · b: 3.0 % unclear (truncated 3)" in warnings[0]


def test_a_headline_that_another_extractor_could_move_is_doubted(folder):
    found = {"by": "boxed", "answers": 12, "read": 400, "up": 3, "down": 9, "move": 2.25, "ids": ["1"]}
    put(folder, "a", "demo_gsm8k", [metric("accuracy", 50.0)], {"correct": 1, "wrong": 1}, disputed=found)
    (written,) = Text(show=False).report(open_finished_run(folder))
    (warning,) = " ".join(written.read_text("utf-8").split()).split("warning: ")[1:]
    assert warning == (
        "demo_gsm8k · a: boxed reads 12 of 400 answers differently, which could change the score by 2.2 points: "
        f"check them with: aisb audit {folder.name} -w {folder.parent}"
    )


def test_what_an_interrupted_run_did_not_ask_is_told(folder):
    put(folder, "a", "demo_gsm8k", [metric("accuracy", 50.0)], {"correct": 1, "wrong": 1}, not_sent=62)
    (written,) = Text(show=False).report(open_finished_run(folder))
    *_, warning, command = written.read_text("utf-8").splitlines()
    assert warning == "warning: demo_gsm8k · a: 62 requests not sent yet: resume with:"
    assert command.strip() == f"aisb run --reuse {folder.name} -w {folder.parent}"


def test_a_pipe_in_a_name_does_not_break_the_markdown_table(folder):
    put(folder, "a|b", "demo_gsm8k", [metric("accuracy", 50.0)], {"correct": 1, "wrong": 1})
    (written,) = Markdown().report(open_finished_run(folder))
    header, rule = written.read_text("utf-8").splitlines()[:2]
    assert "a\\|b" in header
    assert header.replace("\\|", "").count("|") == rule.count("|")


def test_the_plugin_offers_its_reporters_by_name():
    assert set(aisb_reporters()) == {"text", "csv", "markdown", "json", "junit"}
