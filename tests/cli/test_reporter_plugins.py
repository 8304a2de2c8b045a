"""Reporters of an installed plugin: what they are given, which runs they show, and that their faults stay their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from forked import run_forked
from unpacked import install

PLUGIN = '''
"""Reporters as people write them: some fail."""

from dataclasses import dataclass, field
from typing import Annotated

from aisb import Percentiles, Reporter, RunError, hookimpl


class Raising(Reporter):
    """Raises."""

    def report(self, run):
        raise ValueError("no luck")


class Refusing(Reporter):
    """Says what to do."""

    def report(self, run):
        raise RunError("nothing to show\\n  do that first")


class Leaving(Reporter):
    """Ends the process."""

    def report(self, run):
        raise SystemExit(7)


class Forgetful(Reporter):
    """Returns nothing."""

    def report(self, run):
        pass


class Generating(Reporter):
    """Yields a file, then raises."""

    def report(self, run):
        yield run.folder / "first.txt"
        raise LookupError("no second file")


class Headline(Reporter):
    """Writes into the folder `summary` as it is."""

    default_for = frozenset({"accuracy", "performance"})

    def report(self, run):
        file = run.folder / "summary" / "headline.txt"
        names = [f"{result.model} {result.task}" for result in run.results]
        file.write_text("\\n".join(names if names else (" ".join(pair) for pair in run.performance)))
        return [file]


@dataclass(kw_only=True)
class Tail(Reporter):
    """Prints percentiles of TTFT."""

    shares: Annotated[list[float], "which percentiles", Percentiles] = field(default_factory=lambda: [50.0, 80.0])

    def report(self, run):
        for result in run.performance.values():
            print("tail", list(result.percentiles))
        return []


@hookimpl
def aisb_reporters():
    return {
        "raising": Raising, "refusing": Refusing, "leaving": Leaving, "forgetful": Forgetful,
        "generating": Generating, "headline": Headline, "tail": Tail, "lost": "aisb_showy.nowhere:Lost",
    }
'''
PROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[project]
name = "aisb-showy"
version = "0.1.0"
[project.entry-points.aisb]
showy = "aisb_showy"
[tool.hatch.build.targets.wheel]
packages = ["aisb_showy"]
"""
SHOWY = "plugin showy (aisb-showy 0.1.0)"
SIM = ("run", "--models", "sim", "--datasets", "demo_gsm8k", "--num-prompts", "4", "--set", "model.ttft_ms=5")


@pytest.fixture(scope="module")
def showy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which the plugin is installed."""
    project, target = tmp_path_factory.mktemp("showy"), tmp_path_factory.mktemp("installed")
    (project / "aisb_showy").mkdir()
    (project / "aisb_showy/__init__.py").write_text(PLUGIN)
    (project / "pyproject.toml").write_text(PROJECT)
    return install(target, project)


@pytest.fixture
def aisb(showy: Path, tmp_path: Path):
    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return run_forked(
            [sys.executable, "-m", "aisb_cli.main", *words],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(showy)},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    return run


def folder(work: Path) -> Path:
    (found,) = work.glob("outputs/default/2*")
    return found


def test_a_reporter_that_raises_is_named_and_later_ones_run(aisb, tmp_path: Path) -> None:
    ended = aisb(*SIM, "--max-failures", "9", "--reporters", "raising,headline,text")
    assert ended.returncode == 1
    log = folder(tmp_path).relative_to(tmp_path) / "logs/plugins.log"
    (line,) = [line for line in ended.stderr.splitlines() if "raising" in line]
    assert line.startswith(
        f"reporter 'raising' of {SHOWY} failed in report: ValueError: no luck (__init__.py, "
    )
    assert line.endswith(f"; traceback: {log}")
    assert "Traceback" not in ended.stderr
    logged = (tmp_path / log).read_text()
    assert "Traceback (most recent call last)" in logged
    assert 'raise ValueError("no luck")' in logged
    assert (folder(tmp_path) / "summary/headline.txt").read_text() == "sim demo_gsm8k"
    assert "accuracy" in ended.stdout
    manifest = json.loads((folder(tmp_path) / "configs/manifest.json").read_text())
    assert manifest["sessions"][-1]["exit_code"] == 1


def test_report_treats_faults_as_run_does(aisb, tmp_path: Path) -> None:
    assert aisb(*SIM, "--reporters", "headline").returncode == 0
    ended = aisb("report", "--reporters", "raising,generating,headline")
    assert ended.returncode == 1
    place = folder(tmp_path).relative_to(tmp_path)
    file, raising, generating = ended.stderr.splitlines()
    assert file == f"{place}/summary/headline.txt"
    assert raising.startswith(f"reporter 'raising' of {SHOWY} failed in report: ValueError: no luck ")
    assert generating.startswith(
        f"reporter 'generating' of {SHOWY} failed in report: LookupError: no second file "
    )
    assert raising.endswith(f"; traceback: {place}/logs/plugins.log")
    assert generating.endswith(f"; traceback: {place}/logs/plugins.log")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("refusing", "nothing to show\n  do that first\n"),
        ("leaving", "SystemExit: 7 (__init__.py, line "),
        ("forgetful", "TypeError: report() returned None; it must return the files that it wrote ("),
    ],
)
def test_every_way_to_fail_is_a_line(aisb, name: str, reason: str) -> None:
    assert aisb(*SIM, "--reporters", "headline").returncode == 0
    ended = aisb("report", "--reporters", name)
    assert ended.returncode == 1
    assert ended.stderr.startswith(f"reporter '{name}' of {SHOWY} failed in report: {reason}")


def test_the_summary_folder_is_there_also_in_a_performance_run(aisb, tmp_path: Path) -> None:
    ended = aisb(*SIM, "--mode", "perf", "--reporters", "headline,performance")
    assert ended.returncode == 0, ended.stderr
    assert (folder(tmp_path) / "summary/headline.txt").read_text() == "sim demo_gsm8k"
    assert "certificate: " in ended.stdout


def test_a_failed_reporter_is_named_beside_a_certificate_that_is_not_valid(aisb) -> None:
    ended = aisb(*SIM, "--mode", "perf", "--reporters", "raising", "--require-valid")
    assert ended.returncode == 4
    assert "error: demo_gsm8k · sim is SUSPECT" in ended.stderr
    assert f"reporter 'raising' of {SHOWY} failed in report: ValueError: no luck" in ended.stderr


@pytest.mark.parametrize(
    ("mode", "usual"), [("all", {".txt", ".csv", ".md"}), ("perf", {".csv", ".json", ".npz", ".html"})]
)
def test_reporters_that_declare_it_show_runs_by_default(
    aisb, tmp_path: Path, mode: str, usual: set[str]
) -> None:
    ended = aisb(*SIM, "--mode", mode)
    assert ended.returncode == 0, ended.stderr
    folders = ("summary", "performances/sim")
    files = {path for name in folders for path in folder(tmp_path).glob(f"{name}/*")}
    assert folder(tmp_path) / "summary/headline.txt" in files
    assert {path.suffix for path in files} == usual | {".txt"}


def test_a_run_is_measured_by_the_role_of_an_option_whatever_its_name(aisb) -> None:
    default = aisb(*SIM, "--mode", "perf", "--reporters", "tail")
    assert (default.returncode, default.stdout) == (0, "tail [50.0, 80.0]\n"), default.stderr
    chosen = aisb(
        "report", "--reporters", "tail,performance", "--set", "tail.shares=[33, 66]",
        "--set", "performance.tables=true",
    )  # fmt: skip
    assert chosen.returncode == 0, chosen.stderr
    assert chosen.stdout.startswith("tail [33.0, 66.0]\n")
    assert "P66" in chosen.stdout
    assert "P90" not in chosen.stdout
    wrong = aisb(*SIM, "--mode", "perf", "--set", 'run.reporters=["tail"]', "--set",
                 "run.reporter_options.tail.shares=[100]")  # fmt: skip
    again = aisb("report", "--reporters", "tail", "--set", "tail.shares=[100]")
    for ended in (wrong, again):
        assert ended.returncode == 2
        assert "run.reporter_options.tail: a percentile of 100: it must be between 0 and" in ended.stderr


def test_an_accuracy_run_with_text_alone_loads_no_performance_engine(tmp_path: Path) -> None:
    options = "percentiles = [50]\ntokenizer = '/no/such/folder'\n"  # for performance runs only
    (tmp_path / "aisb.toml").write_text(f"[run.reporter_options.performance]\n{options}")
    code = (
        "import sys; from aisb_cli.main import cli; "
        f"cli({[*SIM, '--reporters', 'text']!r}, standalone_mode=False); "
        "print([name for name in sys.modules if name == 'numpy' or '_performance.' in name])"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60
    )
    assert "accuracy" in ended.stdout
    assert ended.stdout.splitlines()[-1] == "[]"
