"""`aisb export`: the tables of a run with numbers as numbers and unknown values as nulls, in three formats."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest
from forked import run_forked

ROOT = Path(__file__).parents[4]
ACCURACY, PERFORMANCE = "20261129_211322", "20261129_211323"
PAGE = ROOT / "docs" / "formats.md"


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A folder with an accuracy run (repeats, groups, a judge), a performance run, and one with failures."""
    folder = tmp_path_factory.mktemp("exported")
    for kind in ("accuracy", "performance"):
        shutil.copytree(ROOT / "tests" / "runs" / kind, folder / kind)
    told = aisb(
        folder, "run", "--models", "sim", "--datasets", "demo_gsm8k", "-w", "failing", "--num-prompts", "12",
        "--max-failures", "99", "--set", 'model.faults=["status-500:0.5"]', "--set", "load.backoff=0",
        "--set", "load.retries=0",
    )  # fmt: skip
    assert " failed" in told
    return folder


def aisb(folder, *words, code=0):
    environment = {key: value for key, value in os.environ.items() if not key.startswith("AISB_")}
    done = run_forked(
        [sys.executable, "-m", "aisb_cli.main", *map(str, words)],
        cwd=folder, capture_output=True, text=True, check=False, timeout=120, env=environment,
    )  # fmt: skip
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr if code == 0 else done.stderr


def exported(folder, *words):
    """Return the rows of a table as JSON lines."""
    return [
        json.loads(line)
        for line in aisb(folder, "export", *words, "--format", "jsonl", "-o", "-").splitlines()
    ]


def test_samples_have_a_row_for_each_answer_with_its_grade(runs):
    rows = exported(runs, f"accuracy/{ACCURACY}", "--task", "sums")
    assert len(rows) == 24  # twelve samples, twice each
    first = rows[0]
    assert first["run"] == ACCURACY
    assert (first["model"], first["task"], first["version"], first["id"], first["repeat"]) == (
        "small",
        "sums",
        "fe08c0",
        "north/0",
        0,
    )
    assert (first["prediction"], first["answer"], first["reference"]) == ("I get 99.", "99", "0")
    assert (first["outcome"], first["score"], first["evaluator"]) == ("wrong", 0.0, "numeric-match")
    assert (first["input_tokens"], first["output_tokens"], first["cached_tokens"]) == (8, 3, None)
    assert first["sent_ns"] == 8792993
    assert first["ttft_ms"] == 2.561977
    assert "prompt" not in first


def test_prompts_are_added_only_when_they_are_wanted(runs):
    row = exported(runs, f"accuracy/{ACCURACY}", "--task", "sums", "--prompts")[0]
    assert json.loads(row["prompt"]) == [{"role": "user", "content": "In the north, what is 0 plus 0?"}]


def test_a_failed_request_has_nulls_for_what_is_unknown(runs):
    rows = exported(runs, "latest", "-w", "failing")
    failed = [row for row in rows if row["failure"]]
    assert 0 < len(failed) < len(rows) == 12
    for row in failed:
        assert row["failure"].startswith("status: HTTP 500")
        assert (row["outcome"], row["score"]) == ("error", 0.0)
        assert row["output_tokens"] is row["ttft_ms"] is row["finish_reason"] is None


def test_requests_have_integer_stamps_and_times_in_milliseconds(runs):
    rows = exported(runs, f"performance/{PERFORMANCE}")
    assert len(rows) == 12
    sent = [row["sent_ns"] for row in rows]
    assert sent == sorted(sent)
    for row in rows:
        assert type(row["sent_ns"]) is int
        assert row["ttft_ms"] == pytest.approx((row["first_token_ns"] - row["sent_ns"]) / 1e6)
        assert row["ok"] is True
        assert (
            row["planned_ns"] is row["tpot_ms"] is row["failure"] is None
        )  # a closed loop; one piece of text


def test_requests_of_an_accuracy_run_are_exported_as_well(runs):
    rows = exported(runs, "latest", "-w", "failing", "--table", "requests")
    assert {row["ok"] for row in rows} == {True, False}


def test_results_are_those_that_the_run_published(runs):
    rows = exported(runs, f"accuracy/{ACCURACY}", "--table", "results")
    stored = json.loads((runs / f"accuracy/{ACCURACY}/results/small/sums.json").read_text())["metrics"]
    found = [
        (row["metric"], row["group"], row["value"], row["low"], row["high"], row["n"])
        for row in rows
        if row["task"] == "sums"
    ]
    assert found == [
        (one["name"], one.get("group"), one["value"], one["low"], one["high"], one["count"]) for one in stored
    ]
    rows = exported(runs, f"performance/{PERFORMANCE}", "--table", "results")
    numbers = {(row["stage"], row["metric"], row["statistic"]): (row["value"], row["unit"]) for row in rows}
    assert numbers["total", "TTFT", "median"] == (0.34606950000000003, "ms")
    assert numbers["total", "OutputTokens", "average"] == (3.0, "tokens")
    assert numbers["total", "requests", "total"] == (12.0, "requests")
    assert numbers["total", "output_rate", "total"][1] == "tokens/s"


def test_csv_has_the_same_values_and_escapes_formulas(runs):
    table = list(csv.DictReader(StringIO(aisb(runs, "export", f"accuracy/{ACCURACY}", "-o", "-"))))
    lines = exported(runs, f"accuracy/{ACCURACY}")
    assert [row["prediction"] for row in table] == [row["prediction"] for row in lines]
    assert [float(row["score"]) for row in table] == [row["score"] for row in lines]
    assert {row["reasoning"] for row in table} == {""}


def test_parquet_has_the_type_of_each_column_even_where_all_values_are_unknown(runs):
    parquet = pytest.importorskip("pyarrow.parquet")
    told = aisb(runs, "export", f"performance/{PERFORMANCE}", "--format", "parquet")
    file = runs / f"{PERFORMANCE}_requests.parquet"
    assert told.startswith(f"{file.name}: 12 rows, ")
    table = parquet.read_table(file)
    types = {field.name: str(field.type) for field in table.schema}
    assert (types["planned_ns"], types["lateness_ms"], types["ok"], types["failure"]) == (
        "int64",
        "double",
        "bool",
        "string",
    )
    assert table.to_pylist() == exported(runs, f"performance/{PERFORMANCE}")


def test_an_empty_table_has_its_columns(runs):
    told = aisb(
        runs, "export", f"performance/{PERFORMANCE}", "--table", "samples", "--model", "small", "-o", "-"
    )
    assert told.splitlines()[0].startswith("run,model,task,version,id,repeat,")


def test_an_existing_file_is_kept_without_force(runs, tmp_path):
    file = tmp_path / "kept.csv"
    file.write_text("mine")
    words = ("export", f"accuracy/{ACCURACY}", "-o", file)
    assert f"{file} exists already; --force replaces it, -o names another file" in aisb(runs, *words, code=2)
    assert file.read_text() == "mine"
    aisb(runs, *words, "--force")
    assert file.read_text().startswith("run,")
    assert [path.name for path in tmp_path.iterdir()] == ["kept.csv"]


def test_wrong_names_and_options_are_errors(runs):
    assert "no model in " in aisb(runs, "export", f"accuracy/{ACCURACY}", "--model", "smal", code=2)
    told = aisb(runs, "export", f"performance/{PERFORMANCE}", "--prompts", code=2)
    assert "--prompts is for the table samples, and this is requests: add --table samples" in told


def test_without_pyarrow_the_error_says_how_to_install_it(runs, tmp_path):
    (tmp_path / "pyarrow.py").write_text("raise ImportError('not installed')\n")
    ended = run_forked(
        [sys.executable, "-m", "aisb_cli.main", "export", f"accuracy/{ACCURACY}", "-o", "x.parquet"],
        cwd=runs, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )  # fmt: skip
    assert ended.returncode != 0
    assert "--format parquet needs pyarrow, which is not installed" in ended.stderr
    assert "pip install pyarrow" in ended.stderr
    assert not list(runs.glob("*x.parquet*"))


def test_the_recipe_of_the_page_prints_what_the_page_says(runs, tmp_path):
    pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    (code, expected) = re.search(
        r"```python\n(import pandas.*?)```\n\n```text\n(.*?)```", PAGE.read_text(), re.DOTALL
    ).groups()
    aisb(runs, "export", f"accuracy/{ACCURACY}", "--task", "sums", "-o", tmp_path / "samples.parquet")
    aisb(runs, "export", f"performance/{PERFORMANCE}", "-o", tmp_path / "requests.parquet")
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == expected
