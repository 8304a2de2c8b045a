"""What a run folder keeps: a refused command changes nothing, a joining task takes the run's limits."""

from __future__ import annotations

import base64
import csv
import json
import re
import resource
import signal
import sys
import tomllib
import zlib
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from command_line import Ended, end_of_command
from forked import run_forked
from running import start, wait_for_answers


def aisb(*words: str, cwd: Path) -> Ended:
    return end_of_command(*words, cwd=cwd, columns=200)


def only(work: Path, pattern: str) -> Path:
    (path,) = work.glob(f"outputs/default/*/{pattern}")
    return path


def kept_files(work: Path) -> dict[str, bytes]:
    """Return the files of a run that say what it asked."""
    paths = [*work.glob("outputs/default/*/configs/2*.toml"), *work.glob("outputs/default/*/log/*/*/*")]
    return {str(path): path.read_bytes() for path in paths}


def subtasks(work: Path) -> dict[str, Any]:
    config = tomllib.loads(only(work, "configs/2*.toml").read_text())
    return {f"{one['model']}/{one['task']}": one for one in config["subtasks"]}


def status(work: Path) -> str:
    (run,) = json.loads(aisb("runs", "list", "--json", cwd=work).out)
    return str(run["status"])


SUMS = """
version = 1
summary = "Sums"
[dataset]
use = "jsonl"
path = "./rows.jsonl"
[prompt]
user = "{q}"
[sample]
target = "{a}"
[params]
max_tokens = 400
"""


def write_sums(work: Path) -> None:
    rows = [json.dumps({"q": f"What is {n} + 1?", "a": str(n + 1)}) + "\n" for n in range(30)]
    (work / "rows.jsonl").write_text("".join(rows))
    (work / "sums.toml").write_text(SUMS)


def test_a_refused_command_changes_nothing_of_the_run(tmp_path: Path) -> None:
    aisb("run", "--models", "sim", "--datasets", "demo_gsm8k", "--num-prompts", "3", cwd=tmp_path)
    before = kept_files(tmp_path)
    # More rows and another concurrency would be accepted; the longest answer is not.
    refused = aisb(
        "run", "--reuse", "--max-out-len", "100", "--num-prompts", "6", "--concurrency", "2", cwd=tmp_path
    )  # fmt: skip
    assert refused.code == 2
    assert "params.max_tokens: was 512, is 100" in refused.err
    assert kept_files(tmp_path) == before
    assert status(tmp_path) == "done"
    again = aisb("run", "--reuse", cwd=tmp_path)
    assert again.code == 0, again.err
    assert "Found 3 finished of 3, 0 failed: resuming" in again.err


def test_when_one_task_of_many_is_refused_nothing_of_the_others_is_written(tmp_path: Path) -> None:
    write_sums(tmp_path)
    words = ("--datasets", "demo_gsm8k", "./sums.toml", "--num-prompts", "3")
    aisb("run", "--models", "sim", *words, cwd=tmp_path)
    before = kept_files(tmp_path)
    refused = aisb(
        "run", "--reuse", "--num-prompts", "6", "--set", "tasks.sums.params.max_tokens=9", cwd=tmp_path
    )
    assert refused.code == 2
    assert "the requests of sums · sim differ from those" in refused.err
    assert kept_files(tmp_path) == before


def test_what_may_change_is_kept_once_it_is_accepted(tmp_path: Path) -> None:
    aisb("run", "--models", "sim", "--datasets", "demo_gsm8k", "--num-prompts", "3", cwd=tmp_path)
    more = aisb("run", "--reuse", "--num-prompts", "5", "--concurrency", "2", cwd=tmp_path)
    assert more.code == 0, more.err
    assert subtasks(tmp_path)["sim/demo_gsm8k"]["load"] == {"num_prompts": 5, "concurrency": 2}


def test_a_task_that_joins_a_run_takes_its_limits_and_says_so(tmp_path: Path) -> None:
    write_sums(tmp_path)
    aisb(
        "run", "--models", "sim", "--datasets", "demo_gsm8k", "--num-prompts", "4", "--concurrency", "2",
        "--max-out-len", "200", cwd=tmp_path,
    )  # fmt: skip
    joined = aisb("run", "--reuse", "--datasets", "./sums.toml", cwd=tmp_path)
    assert joined.code == 0, joined.err
    (line,) = [line for line in joined.err.splitlines() if "joins the run" in line]
    assert line.startswith("sums · sim joins the run and takes its limits: ")
    assert {"num_prompts 4", "concurrency 2", "max_tokens 200"} == set(
        line.partition("limits: ")[2].split(", ")
    )
    assert "sums · sim: done: 4/4 finished" in joined.err
    new = subtasks(tmp_path)["sim/sums"]
    assert (new["load"], new["forced"]) == ({"num_prompts": 4, "concurrency": 2}, {"max_tokens": 200})


def test_a_flag_stands_above_the_limits_of_the_run_that_a_task_joins(tmp_path: Path) -> None:
    write_sums(tmp_path)
    aisb("run", "--models", "sim", "--datasets", "demo_gsm8k", "--num-prompts", "4", cwd=tmp_path)
    joined = aisb("run", "--reuse", "--datasets", "./sums.toml", "--num-prompts", "7", cwd=tmp_path)
    assert joined.code == 0, joined.err
    assert "sums · sim: done: 7/7 finished" in joined.err
    assert "joins the run" not in joined.err
    first = subtasks(tmp_path)["sim/demo_gsm8k"]
    assert first["load"] == {"num_prompts": 4}


SLOW = ("--set", "model.ttft_ms=100", "--concurrency", "2")
PRESSURE = (
    "run", "--mode", "perf", "--models", "sim", "--datasets", "demo_gsm8k", "--pressure", "--pressure-time", "60",
    "--concurrency", "2", "--set", "model.ttft_ms=20", "--set", "model.tpot_ms=0.1",
)  # fmt: skip


def test_a_pressure_run_that_was_killed_is_suspect_and_stays_killed(tmp_path: Path) -> None:
    run = start(*PRESSURE, cwd=tmp_path)
    wait_for_answers(run, tmp_path, 60_000)
    run.kill()
    run.communicate()
    assert status(tmp_path) == "killed"
    shown = aisb("run", "--mode", "perf_viz", "--reuse", "--require-valid", cwd=tmp_path)
    assert shown.code == 4
    assert "the run was interrupted" in shown.err
    assert status(tmp_path) == "killed"


def test_scoring_a_killed_run_leaves_it_killed_and_every_report_says_how_many_were_not_asked(
    tmp_path: Path,
) -> None:
    run = start("run", "--models", "sim", "--datasets", "demo_gsm8k", *SLOW, cwd=tmp_path)
    wait_for_answers(run, tmp_path, 5000)
    run.kill()
    run.communicate()
    reporters = "text,markdown,csv,junit,json,html"
    before = aisb("report", "latest", "--reporters", reporters, cwd=tmp_path)
    assert before.code == 0, before.err
    (line,) = json.loads(only(tmp_path, "summary/*.json").read_text())["warnings"]
    left = int(line.partition("no result; ")[2].partition(" ")[0])
    assert 0 < left < 64
    check_reports(tmp_path, left)
    scored = aisb("score", "latest", cwd=tmp_path)
    assert scored.code == 0, scored.err
    assert status(tmp_path) == "killed"
    assert aisb("report", "latest", "--reporters", reporters, cwd=tmp_path).code == 0
    check_reports(tmp_path, left)
    assert status(tmp_path) == "killed"


def check_reports(work: Path, left: int) -> None:
    """Hold every kind of report to say how many requests were not sent."""
    for ending in (".txt", ".md", ".json"):
        text = " ".join(only(work, f"summary/*{ending}").read_text().split())
        assert f"{left} requests not sent yet" in text, ending
    head, row, *_ = csv.reader(only(work, "summary/*.csv").read_text().splitlines())
    assert dict(zip(head, row, strict=True))["sim not sent"] == str(left)
    (case,) = ET.parse(only(work, "summary/*.xml")).iterfind(".//skipped/..")
    assert (case.get("name"), case[0].get("message")) == ("not sent", f"{left} requests were not sent")
    page = only(work, "summary/*.html").read_text()
    embedded = re.search(r'id="head"[^>]*>([^<]*)<', page)
    assert embedded is not None
    head_data = zlib.decompress(base64.b64decode(embedded[1]))
    assert f"{left} requests not sent yet" in head_data.decode()


@pytest.mark.slow
def test_a_run_that_ended_with_a_task_not_asked_is_partial_until_it_was(tmp_path: Path) -> None:
    write_sums(tmp_path)
    words = ("--models", "sim", "--datasets", "demo_gsm8k", "./sums.toml", *SLOW)
    run = start("run", *words, cwd=tmp_path)
    wait_for_answers(run, tmp_path, 5000)
    run.send_signal(signal.SIGINT)
    run.communicate()
    assert status(tmp_path) == "stopped"
    assert aisb("score", "latest", cwd=tmp_path).code != 70
    assert status(tmp_path) == "stopped"
    part = aisb("run", "--reuse", "--datasets", "demo_gsm8k", "--set", "model.ttft_ms=0", cwd=tmp_path)
    assert part.code == 0, part.err
    assert status(tmp_path) == "partial"
    assert "not sent: 30 requests" in aisb("runs", "show", "latest", cwd=tmp_path).out
    whole = aisb("run", "--reuse", "--set", "model.ttft_ms=0", cwd=tmp_path)
    assert whole.code == 0, whole.err
    assert status(tmp_path) == "done"


def test_a_run_that_ended_at_an_unexpected_exception_has_crashed(tmp_path: Path) -> None:
    aisb("run", "--models", "sim", "--datasets", "demo_gsm8k", "--num-prompts", "3", cwd=tmp_path)
    (tmp_path / "crashing_aisb.py").write_text(
        "from aisb_engine._load import inference\nfrom aisb_cli.main import main\n"
        "inference._opened_to_append = lambda path: 1 / 0\nmain()\n"
    )
    crashed = run_forked(
        [sys.executable, "-m", "crashing_aisb", "run", "--reuse", "--num-prompts", "5"],
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert crashed.returncode == 70, crashed.stderr
    assert "ZeroDivisionError" in crashed.stderr
    assert status(tmp_path) == "crashed"
    sessions = json.loads(only(tmp_path, "configs/manifest.json").read_text())["sessions"]
    assert [one["exit_code"] for one in sessions] == [0, 70]
    aisb("score", "latest", cwd=tmp_path)
    assert status(tmp_path) == "crashed"


def test_a_run_whose_configuration_cannot_be_written_leaves_no_folder(tmp_path: Path) -> None:
    words = ("run", "--models", "sim", "--datasets", "demo_gsm8k", "--num-prompts", "2")
    ended = run_forked(
        [sys.executable, "-m", "aisb_cli.main", *words],
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60, limits={resource.RLIMIT_FSIZE: 300},
    )  # fmt: skip
    assert ended.returncode == 5, ended.stderr
    assert "cannot be written: File too large" in ended.stderr
    assert list((tmp_path / "outputs/default").iterdir()) == []


def test_latest_passes_over_a_folder_that_a_killed_command_left_without_a_configuration(
    tmp_path: Path,
) -> None:
    (tmp_path / "outputs/default/20990101_000000/configs").mkdir(parents=True)
    none = aisb("runs", "path", "latest", cwd=tmp_path)
    assert (none.code, "there is no run in" in none.err) == (2, True)
    aisb("run", "--models", "sim", "--datasets", "demo_gsm8k", "--num-prompts", "2", cwd=tmp_path)
    assert "20990101" not in aisb("runs", "path", "latest", cwd=tmp_path).out
