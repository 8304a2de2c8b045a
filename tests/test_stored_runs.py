"""Run folders that an earlier version wrote still open, by every command that reads one.

`tests/runs` holds two runs of version 0.1.0 and what they were made from: an accuracy run of a grouped task with
repeats and of a judged task, and a performance run with two workers. All paths in them are relative.
"""

import csv
import os
import shutil
import sys
from pathlib import Path

import pytest
from forked import run_forked

STORED = Path(__file__).parent / "runs"
ACCURACY, PERFORMANCE = "20261129_211322", "20261129_211323"


@pytest.fixture
def folder(tmp_path):
    """A copy of the stored runs, in a folder that the command can write to."""
    return Path(shutil.copytree(STORED, tmp_path / "runs"))


def aisb(folder, *words):
    """Run the command in a folder; return what it printed, or fail with what it said."""
    ended = run_forked(
        [sys.executable, "-m", "aisb_cli.main", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={**os.environ, "NO_COLOR": "1"},
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout + ended.stderr


def summary(folder):
    return (folder / "accuracy" / ACCURACY / "summary" / f"summary_{ACCURACY}.csv").read_text()


def test_scoring_a_stored_run_gives_the_numbers_it_had(folder):
    before = summary(folder)
    said = aisb(folder, "score", f"accuracy/{ACCURACY}")
    assert summary(folder) == before
    # Judges are asked in a form that an answer cannot break out of, which version 0.1.0 did not have.
    assert "5 questions, 0 of them answered in the log" in said


def test_a_stored_run_is_reported(folder):
    said = aisb(folder, "report", f"accuracy/{ACCURACY}", "--reporters", "text,json,html")
    assert "weighted_average" in said
    assert (folder / "accuracy" / ACCURACY / "summary" / f"summary_{ACCURACY}.html").is_file()


def test_a_stored_run_is_compared_with_a_run_of_today(folder):
    aisb(
        folder, "run", "-c", f"accuracy/{ACCURACY}/configs/{ACCURACY}.toml", "--data-dir", ".", "-w", "again"
    )
    said = aisb(folder, "compare", f"accuracy/{ACCURACY}", str(next((folder / "again").glob("2*"))))
    assert "sums" in said
    assert "essays" in said
    assert "the current code asks the judge in another form" in " ".join(said.split())


def test_a_stored_performance_run_is_shown_again(folder):
    table = folder / "performance" / PERFORMANCE / "performances/small/sums.csv"
    before = table.read_text()
    table.unlink()
    said = aisb(folder, "run", "--mode", "perf_viz", "--reuse", PERFORMANCE, "-w", "performance")
    assert table.read_text() == before
    assert [row[0] for row in csv.reader(before.splitlines())][1:3] == ["E2EL", "TTFT"]
    assert "certificate: " in said


def test_a_stored_run_resumes_with_nothing_left_to_ask(folder):
    words = ("run", "--reuse", ACCURACY, "-w", "accuracy", "--data-dir", ".")
    said = aisb(folder, *words)
    assert "Found 24 finished of 24, 0 failed" in said
    assert "66.67" in said


def test_a_stored_run_resumes_where_its_log_ends(folder):
    log = folder / "accuracy" / ACCURACY / "log/small/sums/worker-0"
    log.write_bytes(log.read_bytes()[:-100])  # the last record is torn
    before = summary(folder)
    said = aisb(folder, "run", "--reuse", ACCURACY, "-w", "accuracy", "--data-dir", ".")
    assert "Found 23 finished of 24, 0 failed" in said
    assert summary(folder) == before


def test_the_configuration_of_a_stored_run_runs_again(folder):
    config = f"accuracy/{ACCURACY}/configs/{ACCURACY}.toml"
    said = aisb(folder, "run", "-c", config, "--data-dir", ".", "-w", "again")
    assert "demo" not in said
    again = next((folder / "again").glob("2*/summary/*.csv"))
    assert again.read_text() == summary(folder)


def test_stored_runs_are_listed(folder):
    assert ACCURACY in aisb(folder, "runs", "list", "-w", "accuracy")
    assert PERFORMANCE in aisb(folder, "runs", "list", "-w", "performance")
