"""Once in a run: its log is read, its graders are made, and its performance is measured."""

from __future__ import annotations

import os
import sys
from collections import Counter
from pathlib import Path

import pytest
from forked import run_forked

from aisb_mock import MockOptions, start_mock

COMMAND = """
import os, sys
notes = os.open(os.environ["NOTES"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
def note(event, arguments):
    reads = event == "open" and arguments[2] & os.O_ACCMODE == os.O_RDONLY
    if reads and "/log/" in str(arguments[0]):
        os.write(notes, f"{arguments[0]}\\n".encode())
sys.addaudithook(note)
from aisb_cli.main import main
main(sys.argv[1:])
"""
"""Runs `aisb`, and notes each file of a log that it opens for reading."""

PLUGIN = """
import os
from aisb import Evaluator, Score, hookimpl

def note(line):
    with open(os.environ["NOTES"], "a") as file:
        file.write(f"{line}\\n")

class Counted(Evaluator):
    def __init__(self):
        note("evaluator")

    def score(self, answer, sample):
        return Score(1.0)

def counted():
    note("postprocessor")
    return lambda text, sample: text

@hookimpl
def aisb_evaluators():
    return {"counted": Counted}

@hookimpl
def aisb_postprocessors():
    return {"counted": counted}
"""
GRADERS = ("--set", 'task.postprocess=[{use="counted"}]', "--set", 'task.evaluate=[{use="counted"}]')


@pytest.fixture(scope="module")
def mock():
    with start_mock(MockOptions(ttft_ms=1, tpot_ms=0, tokens=4)) as running:
        yield running


@pytest.fixture(scope="module")
def plugin(tmp_path_factory) -> Path:
    """A folder for PYTHONPATH in which a plugin is installed that notes what is made of it."""
    folder = tmp_path_factory.mktemp("plugin")
    (folder / "aisb_counted.py").write_text(PLUGIN)
    facts = folder / "aisb_counted-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: aisb-counted\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text("[aisb]\ncounted = aisb_counted\n")
    return folder


def aisb(folder: Path, *words: object, plugin: Path | None = None) -> Counter[str]:
    """Run a command; return how often it opened each file of the log, and made each component."""
    notes = folder / "notes"
    notes.unlink(missing_ok=True)
    env = {key: value for key, value in os.environ.items() if not key.startswith("AISB_")}
    (folder / "noting_aisb.py").write_text(COMMAND)
    ended = run_forked(
        [sys.executable, "-m", "noting_aisb", *map(str, words)],
        cwd=folder, capture_output=True, text=True, check=False, timeout=120,
        env={**env, "NOTES": str(notes), **({"PYTHONPATH": str(plugin)} if plugin else {})},
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    return Counter(Path(line).name for line in notes.read_text().splitlines())


def run(folder: Path, mock, *words: object, mode: str = "all", **more) -> Counter[str]:
    return aisb(
        folder, "run", "--mode", mode, "--models", "vllm_api_stream_chat", "--datasets", "demo_gsm8k", "--url", mock.url,
        "--num-prompts", "4", *words, **more,
    )  # fmt: skip


def test_a_run_reads_its_log_once_for_its_prediction_files_and_its_scores(tmp_path, mock):
    opened = run(tmp_path, mock)
    assert (opened["worker-0"], opened["samples.jsonl.gz"]) == (1, 1)
    (predictions,) = tmp_path.glob("outputs/default/*/predictions/*/demo_gsm8k.jsonl")
    assert len(predictions.read_text().splitlines()) == 4


def test_scoring_again_reads_the_log_once(tmp_path, mock):
    run(tmp_path, mock)
    opened = aisb(tmp_path, "score", "latest")
    assert (opened["worker-0"], opened["samples.jsonl.gz"]) == (1, 1)


def test_the_answers_that_are_handed_on_are_scored_as_those_that_are_read(tmp_path, mock):
    run(tmp_path, mock, "--dump-eval-details")
    (results,) = tmp_path.glob("outputs/default/*/results/*/demo_gsm8k.json")
    at_once = results.read_text().partition('"scored"')[0]
    aisb(tmp_path, "score", "latest", "--dump-eval-details")
    assert results.read_text().partition('"scored"')[0] == at_once


def test_graders_are_made_once_for_all_models_of_a_run(tmp_path, mock, plugin):
    (tmp_path / "aisb.toml").write_text('[models.other]\nbase = "vllm_api_stream_chat"\n')
    made = run(tmp_path, mock, "--models", "other", *GRADERS, plugin=plugin)
    assert (made["evaluator"], made["postprocessor"]) == (1, 1)
    assert len(list(tmp_path.glob("outputs/default/*/results/*/demo_gsm8k.json"))) == 2


def test_scoring_again_makes_graders_once(tmp_path, mock, plugin):
    run(tmp_path, mock, *GRADERS, plugin=plugin)
    made = aisb(tmp_path, "score", "latest", plugin=plugin)
    assert (made["evaluator"], made["postprocessor"]) == (1, 1)


def test_several_reporters_of_a_performance_run_are_handed_one_measurement(tmp_path, mock):
    one = run(tmp_path, mock, "--reporters", "performance", mode="perf")
    (tmp_path / "several").mkdir()
    several = run(tmp_path / "several", mock, "--reporters", "performance,json,html", mode="perf")
    assert one["worker-0"] == several["worker-0"] > 0
