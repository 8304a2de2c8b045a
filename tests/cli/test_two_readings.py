"""One log has two readings: how right answers were, and how fast they came, whatever the run was meant for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import orjson
import pytest
from click.testing import CliRunner

from aisb_cli.main import cli
from aisb_engine._record.log import read_folder
from aisb_engine._record.predictions import read_samples
from aisb_engine._record.runfolder import RunFolder

ROWS = [
    {"question": "2 + 2 = ?", "answer": "4"},
    {"question": "Capital of France?", "A": "Paris", "B": "Rome", "answer": "A"},
    {"question": "\u4e2d\u56fd\u7684\u9996\u90fd\u662f\u54ea\u91cc\uff1f", "answer": "\u5317\u4eac"},
    {"question": "Wie hei\u00dft die Hauptstadt von \u00d6sterreich?", "answer": "Wien"},
    {
        "question": "\u0645\u0627 \u0647\u064a \u0639\u0627\u0635\u0645\u0629 \u0645\u0635\u0631\u061f",
        "answer": "",
    },
]
OWN = ("--custom-dataset-path", "rows.jsonl")
GSM8K = ("--datasets", "demo_gsm8k", "--num-prompts", "12")
TASKS = {
    "numbers": GSM8K,
    "two repeats": (*GSM8K, "--set", "params.num_return_sequences=2", "--set", "params.temperature=0.5"),
    "rows of one's own, one without an answer": OWN,
    "a conversion": ("--datasets", "demo_gsm8k:zero-shot-text", "--num-prompts", "12"),
}


def aisb(work: Path, *words: str) -> str:
    ended = CliRunner().invoke(cli, [*words, "-w", str(work)], catch_exceptions=False)
    assert ended.exit_code == 0, ended.output
    return ended.output


def folder(work: Path) -> RunFolder:
    return RunFolder.list(work)[-1]


def log(work: Path) -> Any:
    (path,) = folder(work).path.glob("log/*/*")
    return path


def scores(work: Path) -> dict[tuple[str, int], tuple[Any, ...]]:
    """Return the verdict on each answer."""
    (path,) = folder(work).path.glob("results/*/*_scores.jsonl")
    rows = map(json.loads, path.read_text("utf-8").splitlines())
    return {(row["id"], row["repeat"]): (row["value"], row["outcome"], row["answer"]) for row in rows}


def numbers(work: Path) -> list[tuple[str, Any]]:
    (path,) = folder(work).path.glob("results/*/*.json")
    return [(metric["name"], metric["value"]) for metric in json.loads(path.read_bytes())["metrics"]]


@pytest.mark.parametrize("name", TASKS)
def test_answers_under_load_are_scored_as_those_of_a_plain_run(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("rows.jsonl").write_bytes(b"\n".join(map(orjson.dumps, ROWS)))
    words = ("run", "--models", "sim", *TASKS[name])
    plain, loaded, both = (tmp_path / kind for kind in ("plain", "loaded", "both"))
    aisb(plain, *words)
    aisb(loaded, *words, "--mode", "perf", "--set", "load.nonce=false")
    assert not [*folder(loaded).path.glob("results/*/*")]
    aisb(loaded, "score", "latest")
    shown = aisb(both, *words, "--request-rate", "500")
    assert scores(loaded) == scores(both) == scores(plain)
    assert numbers(loaded) == numbers(both) == numbers(plain)
    assert "accuracy" in shown
    assert "certificate: " in shown
    shown = aisb(plain, "run", "--mode", "perf_viz", "--reuse")
    assert "certificate: " in shown


def test_only_the_first_round_of_a_run_under_pressure_is_scored(tmp_path: Path) -> None:
    # Few rows, so that a busy machine also begins a second round; slow replies, so that a fast one asks few of them.
    words = (
        "run",
        "--models",
        "sim",
        "--datasets",
        "demo_gsm8k",
        "--num-prompts",
        "3",
        "--set",
        "model.ttft_ms=50",
    )
    aisb(tmp_path / "plain", *words)
    aisb(tmp_path / "pressed", *words, "--mode", "perf", "--pressure", "--pressure-time", "2",
         "--concurrency", "2", "--set", "load.nonce=false")  # fmt: skip
    assert len(read_folder(log(tmp_path / "pressed")).latest) > 6
    aisb(tmp_path / "pressed", "score", "latest")
    assert scores(tmp_path / "pressed") == scores(tmp_path / "plain")


def test_only_the_first_round_of_more_prompts_than_rows_is_scored(tmp_path: Path) -> None:
    words = ("run", "--models", "sim", "--datasets", "demo_gsm8k")
    aisb(tmp_path / "plain", *words)
    more = ("--mode", "perf", "--num-prompts", "100", "--set", "load.nonce=false")
    aisb(tmp_path / "more", *words, *more)
    aisb(tmp_path / "more", "score", "latest")
    assert len(read_folder(log(tmp_path / "more")).latest) == 100
    assert len(scores(tmp_path / "plain")) == 64
    assert scores(tmp_path / "more") == scores(tmp_path / "plain")
    aisb(tmp_path / "both", *words, "--num-prompts", "100", "--request-rate", "1000")
    assert len(read_folder(log(tmp_path / "both")).latest) == 64


def test_a_scored_performance_run_shows_both_in_its_summary_and_can_be_audited(tmp_path: Path) -> None:
    aisb(tmp_path, "run", "--models", "sim", *GSM8K, "--mode", "perf")
    shown = aisb(tmp_path, "score", "latest")
    assert [word in shown for word in ("accuracy", "TTFT median (ms)", "requests/s")] == [True] * 3
    assert "math-answer" in aisb(tmp_path, "audit", "latest")
    assert "accuracy" in aisb(tmp_path, "run", "--mode", "viz", "--reuse")


def test_a_performance_run_of_a_task_without_an_evaluator_keeps_no_samples(tmp_path: Path) -> None:
    words = ("--datasets", "synthetic", "--set", "task.dataset.input=8", "--num-prompts", "4")
    aisb(tmp_path, "run", "--models", "sim", "--mode", "perf", *words)
    assert not (log(tmp_path) / "samples.jsonl.gz").exists()
    ended = CliRunner().invoke(cli, ["score", "latest", "-w", str(tmp_path)])
    assert "synthetic has no evaluator: its predictions are kept, but not scored" in ended.output


def test_a_performance_run_that_kept_no_samples_says_why_it_cannot_be_scored(tmp_path: Path) -> None:
    aisb(tmp_path, "run", "--models", "sim", *GSM8K, "--mode", "perf")
    (log(tmp_path) / "samples.jsonl.gz").unlink()
    ended = CliRunner().invoke(cli, ["score", "latest", "-w", str(tmp_path)])
    assert "has no samples of demo_gsm8k · sim, like performance runs of earlier versions" in str(
        ended.exception
    )


def test_a_whole_run_at_a_rate_tries_nothing_again_and_asks_what_an_accuracy_run_asks(tmp_path: Path) -> None:
    words = ("run", "--models", "sim", *GSM8K, "--ramp-up", "linear:100:500")
    aisb(tmp_path, *words)
    config = folder(tmp_path).config.read_text("utf-8")
    assert "retries = 0" in config
    assert "performance = true" not in config
    load = json.loads((log(tmp_path) / "load.json").read_bytes())
    assert (load["nonce"], load["planned"], load["requested"]["retries"]) == (None, 12, 0)
    assert len(read_samples(folder(tmp_path), "sim", "demo_gsm8k").samples) == 12
    aisb(tmp_path / "kept", *words, "--set", "load.retries=2")
    assert "retries = 2" in folder(tmp_path / "kept").config.read_text("utf-8")
    aisb(tmp_path / "plain", *words[:-2])
    assert "retries = 0" not in folder(tmp_path / "plain").config.read_text("utf-8")


def test_attempts_beyond_the_first_are_said_beside_the_times(tmp_path: Path) -> None:
    from aisb_mock import MockOptions, start_mock

    with start_mock(MockOptions(faults=("status-503@2", "status-503@5"))) as mock:
        CliRunner().invoke(cli, [
            "run", "--models", "vllm_api_stream_chat", "--url", mock.url, *GSM8K, "--set", "load.backoff=0.01",
            "--set", "load.retries=20", "-w", str(tmp_path),
        ])  # fmt: skip
    aisb(tmp_path, "run", "--mode", "perf_viz", "--reuse")
    (details,) = folder(tmp_path).path.glob("performances/*/*_details.json")
    assert any("sent more than once: 2" in note for note in json.loads(details.read_bytes())["notes"])
