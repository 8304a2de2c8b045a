"""`aisb report`: a run that has ended is shown in whatever form, and nothing is asked."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from forked import run_forked


def aisb(*words, cwd: Path):
    command = [sys.executable, "-m", "aisb_cli.main", *map(str, words)]
    return run_forked(command, cwd=cwd, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """A work folder with a run of accuracy and two of load."""
    folder = tmp_path_factory.mktemp("work")
    sim = ("--models", "sim", "--datasets", "demo_gsm8k")
    assert aisb("run", *sim, "--num-prompts", 12, cwd=folder).returncode == 0
    for concurrency in (1, 4):
        load = ("--mode", "perf", "-w", "perf", "--num-prompts", 12, "--concurrency", concurrency)
        assert aisb("run", *load, *sim, "--set", "model.ttft_ms=5", cwd=folder).returncode == 0
    return folder


def test_a_run_becomes_one_page_that_the_last_line_names(work):
    ended = aisb("report", cwd=work)
    assert ended.returncode == 0, ended.stderr
    (page,) = work.glob("outputs/default/*/summary/*.html")
    assert ended.stderr == f"{page.relative_to(work)}\n"
    assert ended.stdout == ""
    assert page.read_text().startswith("<!doctype html>")


def test_reporters_are_named_with_commas_and_take_options(work):
    ended = aisb("report", "latest", "--reporters", "json,junit", "--set", "junit.least=99", cwd=work)
    assert ended.returncode == 0, ended.stderr
    (table,) = work.glob("outputs/default/*/summary/*.json")
    assert json.loads(table.read_text())["results"][0]["predictions"] == 12
    (xml,) = work.glob("outputs/default/*/summary/*.xml")
    (suite,) = ET.parse(xml).getroot()
    assert (suite.get("tests"), suite[0].get("name")) == ("1", "accuracy >= 99")


def test_several_runs_of_load_are_shown_together_in_a_folder_of_their_own(work):
    names = sorted(path.name for path in (work / "perf").iterdir() if path.name[:2] == "20")
    before = sorted((work / "perf" / names[0]).rglob("*"))
    ended = aisb("report", *names, names[0], "-w", "perf", cwd=work)
    assert ended.returncode == 0, ended.stderr
    (folder,) = (work / "perf" / "reports").iterdir()
    assert sorted(path.name for path in folder.iterdir()) == [
        f"points.{end}" for end in ("csv", "html", "json", "md", "txt")
    ]
    assert (folder / "points.txt").read_text() == ended.stdout
    assert ended.stdout.startswith("sim on demo_gsm8k\nconcurrency  requests/s")
    assert f"perf/reports/{folder.name}/points.html\n" in ended.stderr
    assert sorted((work / "perf" / names[0]).rglob("*")) == before
    assert aisb("report", *names, "-w", "perf", "-o", "mine", "--reporters", "csv", cwd=work).returncode == 0
    assert [path.name for path in (work / "mine").iterdir()] == ["points.csv"]


def test_a_performance_run_has_its_numbers_in_markdown(work):
    ended = aisb("report", "-w", "perf", "--reporters", "markdown", cwd=work)
    assert ended.returncode == 0, ended.stderr
    text = (work / ended.stderr.strip()).read_text()
    assert "| TTFT median (ms) | perf" in text
    assert "SUSPECT: " in text or "INVALID: " in text  # INVALID on a loaded machine


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("report", "nosuch"), "error: no run 'nosuch'; the latest in outputs/default: 2"),
        (("report", "--reporters", "htlm"), "no reporter named 'htlm'; did you mean 'html'?"),
        (
            ("report", "--set", "junit.least=3"),
            "error: --set junit.least=3: it must begin with one of the reporters (html), as in html.OPTION=VALUE",
        ),
        (
            ("report", "perf", "latest", "--reporters", "junit"),
            "error: the reporter 'junit' shows one run at a time; reporters for several runs: ",
        ),
        (
            ("report", "perf", "latest"),
            "is an accuracy run; only performance runs can be shown together\n  aisb compare RUN_A RUN_B compares",
        ),
        (
            ("report", "latest", "-o", "mine"),
            "error: --out is for a report of several runs; the report of one run is in its folder, in summary/",
        ),
        (
            ("report", "--set", "html.megabyte=3"),
            "run.reporter_options.html.megabyte: no such option; did you mean",
        ),
    ],
)
def test_what_cannot_be_shown_is_said_with_what_can(work, words, said):
    perf = next(path for path in (work / "perf").iterdir() if path.name[:2] == "20")
    ended = aisb(*(f"perf/{perf.name}" if word == "perf" else word for word in words), cwd=work)
    assert ended.returncode == 2
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr


def test_answers_without_verdicts_say_how_to_get_them(work, tmp_path):
    aisb("run", "--models", "sim", "--datasets", "demo_gsm8k", "--num-prompts", 3, cwd=tmp_path)
    (file,) = tmp_path.glob("outputs/default/*/results/*/*_scores.jsonl")
    file.unlink()
    ended = aisb("report", "--reporters", "junit", cwd=tmp_path)
    assert ended.returncode == 1
    assert ended.stderr.startswith(
        "reporter 'junit' of plugin reporter-summary (aisb-reporter-summary 0.2.0) failed in report: "
    )
    assert (
        "has no verdicts on single answers of sim on demo_gsm8k\n  score it again: aisb score 2"
        in ended.stderr
    )


def test_a_run_is_shown_as_its_flag_says_and_a_wrong_name_ends_it_before_it_begins(tmp_path):
    sim = ("run", "--models", "sim", "--datasets", "demo_gsm8k", "--num-prompts", 3)
    wrong = aisb(*sim, "--reporters", "text,htm", cwd=tmp_path)
    assert wrong.returncode == 2
    assert "no reporter named 'htm'; did you mean 'html'?" in wrong.stderr
    assert not (tmp_path / "outputs").exists()
    ended = aisb(*sim, "--reporters", "html,json", cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert sorted(path.suffix for path in tmp_path.glob("outputs/default/*/summary/*")) == [".html", ".json"]
