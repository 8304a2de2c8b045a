"""`aisb audit` through its ends: a run whose rule for answers does not fit, and what is shown of it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from command_line import aisb


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one run, in which only boxed answers count."""
    folder = tmp_path_factory.mktemp("audit")
    rule = 'task.postprocess=[{use="boxed"}]'
    ended = aisb("run", "--models", "sim", "--datasets", "demo_gsm8k", "--set", rule, cwd=folder)
    assert ended.returncode == 0, ended.stderr
    return folder


def test_missed_answers_stand_first_within_80_columns(work: Path) -> None:
    ended = aisb("audit", "--limit", "2", cwd=work)
    assert (ended.returncode, ended.stderr) == (0, "")
    lines = ended.stdout.splitlines()
    assert lines[0] == "demo_gsm8k · sim: 64 outputs"
    missed = int(re.search(r"(\d+)  missed:     not correct, but another extractor", ended.stdout)[1])
    assert missed > 20
    assert re.search(r"^the task's own +\d+ +\d+ +\d+$", ended.stdout, re.MULTILINE)
    first = lines[next(i for i, line in enumerate(lines) if "missed, " in line) :]
    assert re.match(r"  extracted nothing; reference answer '.*'$", first[1])
    assert re.match(r"  others extracted '.*' by .*number", first[2])
    assert re.search(r"^and \d+ more$", ended.stdout, re.MULTILINE)
    assert max(len(line) for line in lines if not line.startswith(("all outputs", "outputs in doubt"))) <= 80


def test_the_file_has_every_output(work: Path) -> None:
    ended = aisb("audit", "latest", "--json", cwd=work)
    (told,) = json.loads(ended.stdout)
    lines = [json.loads(line) for line in (work / told["file"]).read_text().splitlines()]
    assert told["file"].endswith("/audit/sim/demo_gsm8k.jsonl")
    assert len(lines) == told["outputs"] == 64
    assert sum("missed" in line["flags"] for line in lines) == told["flags"]["missed"]
    assert [line["id"] for line in lines if line["flags"]] == [one["id"] for one in told["worst"]]


def test_outputs_whose_verdict_is_in_doubt_stand_first_with_both_readings(work: Path) -> None:
    told = aisb("run", "--models", "sim", "--datasets", "demo_gsm8k", "--set", 'task.postprocess=[{use="last-number"}]',
                "-w", "contested", cwd=work)  # fmt: skip
    assert told.returncode == 0, told.stderr
    ended = aisb(
        "audit", "-w", "contested", "--with", '{use="regex", pattern="([0-9]+)", which="first"}', cwd=work
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    page = (work / re.search(r"as a page: (\S+)", ended.stdout)[1]).read_text("utf-8")
    assert page.startswith("<!doctype html>")
    if contested := re.search(r"would change (\d+) verdicts", ended.stdout):
        assert f"{contested[1]} whose verdict another, equally marked answer" in page
        assert '<mark class="own">' in page
        assert '<mark class="other">' in page


def test_no_score_changes(work: Path) -> None:
    before = {path: path.read_bytes() for path in work.rglob("results/**/*.json")}
    assert aisb("audit", "--with", "last-line", cwd=work).returncode == 0
    assert {path: path.read_bytes() for path in work.rglob("results/**/*.json")} == before


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("20200101_000000",), "error: no run '20200101_000000'; the latest in outputs/default: "),
        (("latest", "--task", "gsm8k"), "no task"),
        (("latest", "--model", "simm"), "no model"),
        (
            ("latest", "--with", "last-lime"),
            "error: no postprocessor named 'last-lime'; did you mean 'last-line'?",
        ),
    ],
)
def test_what_cannot_be_audited_is_said(work: Path, words: tuple[str, ...], error: str) -> None:
    ended = aisb("audit", *words, cwd=work)
    assert ended.returncode == 2
    assert error in ended.stderr
