"""Ctrl-C and SIGTERM end a run at any moment, with what had finished kept and shown."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from running import start, wait_for_answers

from aisb_mock import MockOptions, start_mock

ACCURACY = ("run", "--models", "sim", "--datasets", "demo_gsm8k", "--concurrency", "2")
PERFORMANCE = (*ACCURACY, "--mode", "perf", "--pressure", "--pressure-time", "60")
SLOW = ("--set", "model.ttft_ms=100", "--set", "model.tpot_ms=0.1")


def workers(run: subprocess.Popen[str]) -> list[int]:
    """Return the worker processes of a command."""
    try:
        children = Path(f"/proc/{run.pid}/task/{run.pid}/children").read_text().split()
        found = [(int(pid), Path(f"/proc/{pid}/cmdline").read_bytes()) for pid in children]
    except (FileNotFoundError, ProcessLookupError):  # one ended meanwhile
        return []
    return [pid for pid, command in found if b"aisb_engine._load.worker" in command]


def last_session(work: Path) -> dict[str, object]:
    (manifest,) = work.glob("outputs/default/*/configs/manifest.json")
    session: dict[str, object] = json.loads(manifest.read_text())["sessions"][-1]
    return session


@pytest.mark.parametrize("count", ["1", "2"])
def test_sigterm_ends_an_accuracy_run_as_ctrl_c_does(tmp_path: Path, count: str) -> None:
    run = start(*ACCURACY, *SLOW, "--workers", count, cwd=tmp_path)
    wait_for_answers(run, tmp_path)
    for pid in (*workers(run), run.pid, run.pid):  # a cluster ends all processes of a job, some twice
        os.kill(pid, signal.SIGTERM)
    output, _ = run.communicate(timeout=60)
    assert run.returncode == 130, output
    assert "stopping: what has finished is kept" in output
    assert "resume with: aisb run --reuse" in output
    assert last_session(tmp_path)["exit_code"] == 130


def test_sigterm_ends_a_performance_run_with_its_report(tmp_path: Path) -> None:
    run = start(*PERFORMANCE, *SLOW, cwd=tmp_path)
    wait_for_answers(run, tmp_path)
    run.terminate()
    output, _ = run.communicate(timeout=60)
    assert run.returncode == 130, output
    assert "certificate: " in output
    assert "the run was interrupted" in output


def test_sigterm_ends_a_run_in_the_background_of_a_shell_which_ignores_ctrl_c(tmp_path: Path) -> None:
    words = " ".join([sys.executable, "-m", "aisb_cli.main", *ACCURACY, *SLOW])
    shell = subprocess.Popen(
        ["sh", "-c", f"{words} & echo $!; wait $!; echo ended $?"],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    assert shell.stdout is not None
    pid = int(shell.stdout.readline())
    wait_for_answers(shell, tmp_path)
    os.kill(pid, signal.SIGTERM)
    output, _ = shell.communicate(timeout=60)
    assert "ended 130" in output
    assert "resume with: aisb run --reuse" in output


@pytest.mark.slow
@pytest.mark.parametrize("after_ms", [0, 100, 300])
def test_ctrl_c_while_workers_start_stops_the_run(tmp_path: Path, after_ms: int) -> None:
    run = start(*ACCURACY, *SLOW, "--workers", "2", cwd=tmp_path)
    while not workers(run):
        time.sleep(0.001)
        assert run.poll() is None
    time.sleep(after_ms / 1000)
    run.send_signal(signal.SIGINT)
    output, _ = run.communicate(timeout=60)
    assert run.returncode == 130, output
    assert "stopping: what has finished is kept" in output
    assert "64/64" not in output
    assert "Traceback" not in output


TASK = """
version = 1
summary = "Sums"
[dataset]
use = "jsonl"
path = "sums/rows.jsonl"
[prompt]
user = "{q}"
[sample]
target = "{a}"
"""


def stopped(run: subprocess.Popen[str], work: Path, size: int = 10_000) -> str:
    """Stop a run by Ctrl-C when it has answers; return the last lines: how to go on with it."""
    wait_for_answers(run, work, size)
    run.send_signal(signal.SIGINT)
    output, _ = run.communicate(timeout=60)
    assert run.returncode == 130, output
    return output.partition("resume with: ")[2]


def go_on(printed: str, cwd: Path, **environment: str) -> str:
    """Run the printed command as it is printed."""
    program, *words = shlex.split(printed.splitlines()[0])
    assert program == "aisb"
    again = start(*words, cwd=cwd, **environment)
    output, _ = again.communicate(timeout=100)
    assert again.returncode == 0, output
    return output


def test_the_printed_continuation_works_as_printed(tmp_path: Path) -> None:
    (tmp_path / "my data/sums").mkdir(parents=True)
    rows = "".join(json.dumps({"q": f"What is {n} + 1?", "a": str(n + 1)}) + "\n" for n in range(40))
    (tmp_path / "my data/sums/rows.jsonl").write_text(rows)
    (tmp_path / "sums.toml").write_text(TASK)
    run = start(
        "run", "--models", "sim", "--datasets", "./sums.toml", "--concurrency", "2", *SLOW, "--mode", "infer",
        "--data-dir", "my data", "-w", "elsewhere", "--block", "reporter-plots", cwd=tmp_path,
    )  # fmt: skip
    while sum(path.stat().st_size for path in tmp_path.glob("elsewhere/*/log/*/*/worker-*")) < 3_000:
        time.sleep(0.01)
        assert run.poll() is None
    run.send_signal(signal.SIGINT)
    output, _ = run.communicate(timeout=60)
    printed = output.partition("resume with: ")[2]
    assert "--block reporter-plots --mode infer --data-dir 'my data'" in printed
    assert "40/40 finished" in go_on(printed, tmp_path)


OWN_MODEL = """
[models.mine]
base = "vllm_api_stream_chat"
[models.mine.options]
url = "{url}"
"""
OWN_ROWS = "".join(json.dumps({"question": f"{n} + 1?", "answer": str(n + 1)}) + "\n" for n in range(30))
CHAT = (
    "--models",
    "vllm_api_stream_chat",
    "--datasets",
    "demo_gsm8k",
    "--num-prompts",
    "30",
    "--url",
    "{url}",
)
CONTINUED = {
    "a key from the environment": (*CHAT, "--api-key-env", "MY_KEY"),
    "a file with models": ("--models", "mine", "--datasets", "demo_gsm8k", "--num-prompts", "30", "--config", "my models.toml"),
    "user-provided data": ("--models", "vllm_api_stream_chat", "--datasets", "./my sums.jsonl", "--url", "{url}"),
    "a judge": (*CHAT, "--set", 'task.evaluate=[{{use="judge"}}]', "--judge", "vllm-chat", "--judge-url", "{url}"),
}  # fmt: skip
"""What a run is given that its continuation needs too."""


@pytest.mark.parametrize("given", CONTINUED)
def test_the_printed_continuation_has_what_the_run_was_given(tmp_path: Path, given: str) -> None:
    key = {"MY_KEY": "sesame"} if given == "a key from the environment" else {}
    with start_mock(MockOptions(ttft_ms=100, tokens=4, api_key=key.get("MY_KEY"))) as mock:
        (tmp_path / "my models.toml").write_text(OWN_MODEL.format(url=mock.url))
        (tmp_path / "my sums.jsonl").write_text(OWN_ROWS)
        words = [word.format(url=mock.url) for word in CONTINUED[given]]
        run = start("run", *words, "--concurrency", "2", cwd=tmp_path, **key)
        printed = stopped(run, tmp_path, size=3_000)
        (tmp_path / "my models.toml").unlink()  # the run folder has what it said
        output = go_on(printed, tmp_path, **key)
    assert "30/30 finished, 0 failed" in output
    (folder,) = tmp_path.glob("outputs/default/*")
    (scores,) = folder.glob("results/*/*_scores.jsonl")
    graded = [json.loads(line) for line in scores.read_text().splitlines()]
    assert len({one["id"] for one in graded}) == len(graded) == 30
    assert (folder / "judge/vllm-chat").is_dir() == (given == "a judge")


@pytest.mark.slow
def test_the_printed_continuation_names_secrets_that_have_to_be_given_again(tmp_path: Path) -> None:
    with start_mock(MockOptions(ttft_ms=50)) as mock:
        words = ("run", "--models", "vllm_api_stream_chat", "--datasets", "demo_gsm8k", "--url", mock.url)
        header = 'model.headers={"X-Api-Key"="hidden-word"}'
        run = start(*words, "--concurrency", "2", "--set", header, cwd=tmp_path)
        printed = stopped(run, tmp_path)
        assert "hidden-word" not in printed
        assert "--set 'model.headers.X-Api-Key=…'" in printed
        assert "… stands for a secret, which the run folder does not keep: give it again" in printed
        assert "64/64 finished" in go_on(printed.replace("…", "hidden-word"), tmp_path)


def test_a_run_whose_secret_is_not_kept_is_scored_and_shown_without_it(tmp_path: Path) -> None:
    with start_mock(MockOptions()) as mock:
        words = ("--models", "vllm_api_stream_chat", "--datasets", "demo_gsm8k", "--url", mock.url)
        run = start("run", *words, "--set", "model.headers.X-Api-Key=hidden-word", cwd=tmp_path)
        assert run.wait(60) == 0
        run.communicate()
    for again in (["score", "latest"], ["run", "--mode", "viz", "--reuse"]):
        scored = start(*again, cwd=tmp_path)
        output, _ = scored.communicate(timeout=60)
        assert scored.returncode == 0, output
    refused = start("run", "--reuse", cwd=tmp_path)
    output, _ = refused.communicate(timeout=60)
    assert refused.returncode == 2
    assert "give it again, as in --set model.headers.X-Api-Key=…" in output


def test_ctrl_c_while_the_command_is_imported_prints_no_traceback(tmp_path: Path) -> None:
    """A module that is imported first sends the signal, so that it arrives at a known moment."""
    (tmp_path / "click.py").write_text("import os, signal\n\nos.kill(os.getpid(), signal.SIGINT)\n")
    ended = subprocess.run(
        [sys.executable, "-c", "from aisb_cli.start import main; main()", "--version"],
        env=os.environ | {"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", "interrupted\n")
