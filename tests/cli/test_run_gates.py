"""Gates of `aisb run` and `aisb report`: least scores and objectives, exit code 4, and a JUnit file."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from command_line import aisb

SIM = ("--models", "sim", "--datasets", "demo_gsm8k")


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run that passed its gates."""
    folder = tmp_path_factory.mktemp("gates")
    ended = aisb("run", *SIM, "--fail-under", "demo_*=50", "--slo", "failures=1% ttft_p95=10s", cwd=folder)
    assert ended.returncode == 0, ended.stderr
    lines = [line for line in ended.stdout.splitlines() if line.startswith("✓")]
    assert lines[0] == "✓ demo_gsm8k · sim: accuracy 79.69 >= 50, 95 % [68.3, 87.7]"
    assert lines[1] == "✓ demo_gsm8k · sim: failures 0 % <= 1 %, of 64 requests"
    assert lines[2].startswith("✓ demo_gsm8k · sim: ttft_p95 ")
    return folder


def test_a_score_or_objective_that_is_missed_ends_with_exit_code_4(work: Path) -> None:
    demands = ("--fail-under", "80", "--slo", "e2el_p50=1us", "--slo", "failures=0%")
    ended = aisb("report", "--reporters", "text", *demands, "--junit", "x.xml", cwd=work)
    assert ended.returncode == 4
    assert ended.stderr.endswith("error: 2 of 3 checks failed\n")
    score, time, failures = ended.stdout.splitlines()[-3:]
    assert score == ("✗ demo_gsm8k · sim: accuracy 79.69 < 80, 95 % [68.3, 87.7], which contains 80")
    assert time.startswith("✗ demo_gsm8k · sim: e2el_p50 ")
    assert time.endswith(" ms > 0.001 ms, of 64 requests")
    assert failures.startswith("✓")
    suite = ET.parse(work / "x.xml").getroot()[0]
    assert (suite.get("name"), suite.get("tests"), suite.get("failures")) == ("aisb report", "3", "2")
    assert [case.get("name") for case in suite][:2] == ["accuracy >= 80", "e2el_p50 <= 0.001 ms"]


def test_checks_of_several_runs_name_the_run_of_each(tmp_path: Path) -> None:
    load = ("--mode", "perf", "--num-prompts", "4", "--num-warmups", "0")
    for number in ("1", "2"):
        assert aisb("run", *SIM, *load, "--concurrency", number, cwd=tmp_path).returncode == 0
    runs = sorted(path.name for path in tmp_path.glob("outputs/default/2*"))
    demands = ("--reporters", "csv", "--slo", "e2el_p50=100s", "--junit", "x.xml")
    ended = aisb("report", *runs, *demands, cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    lines = ended.stdout.splitlines()[-2:]
    assert [line.split(" · ")[0] for line in lines] == [f"✓ {run}" for run in runs]
    assert all(line.endswith(" ms <= 100000 ms, of 4 requests") for line in lines)
    cases = ET.parse(tmp_path / "x.xml").getroot()[0]
    assert [case.get("name") for case in cases] == [f"{run} · e2el_p50 <= 100000 ms" for run in runs]


def test_requests_that_failed_miss_the_objectives_of_a_run(tmp_path: Path) -> None:
    load = ("--mode", "perf", "--num-prompts", "10", "--max-failures", "5", "--num-warmups", "0")
    broken = ("--set", "model.faults=['status-500@3', 'status-500@4']")
    ended = aisb("run", *SIM, *load, *broken, "--slo", "failures=10%,ttft_p90=1s", cwd=tmp_path)
    assert ended.returncode == 4, ended.stderr
    assert "✗ demo_gsm8k · sim: failures 20 % > 10 %, of 10 requests" in ended.stdout
    assert "✗ demo_gsm8k · sim: ttft_p90 > 1000 ms: too many of 10 requests failed" in ended.stdout


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (
            ("--fail-under", "demo_gsm9k=5"),
            "--fail-under demo_gsm9k: no task of the run has this name; did you mean",
        ),
        (("--fail-under", "demo_gsm8k=high"), "is not TASK=SCORE, as in gsm8k=75"),
        (("--fail-under", "demo_gsm8k=200"), "'demo_gsm8k=200' cannot be reached: a score is at most 100"),
        (("--fail-under", "101"), "'101' cannot be reached: a score is at most 100"),
        (("--slo", "ttft=300"), "name a percentile, as in ttft_p95=300ms"),
        (("--junit", "x.xml"), "writes what --fail-under and --slo check"),
        (("--mode", "infer", "--slo", "failures=1%"), "--mode infer computes none"),
        (("--mode", "perf", "--fail-under", "5"), "--mode perf has none"),
    ],
)
def test_a_demand_that_makes_no_sense_is_refused_before_anything_is_sent(
    tmp_path: Path, words: tuple[str, ...], error: str
) -> None:
    ended = aisb("run", *SIM, *words, cwd=tmp_path)
    assert ended.returncode == 2
    assert error in " ".join(ended.stderr.split())
    assert not (tmp_path / "outputs").exists()
