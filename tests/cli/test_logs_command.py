"""`aisb logs`: the lines of a run that ended, and those of one that goes on."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from forked import Forked, run_forked

from aisb_cli.main import cli


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A work folder with a run of two tasks, in which every fifth request or so is refused."""
    home = tmp_path_factory.mktemp("home")
    words = ["run", "--models", "sim", "--datasets", "demo_gsm8k", "demo_gsm8k_gen_0_shot_cot_str_perf"]
    words += ["--num-prompts", "20", "--set", 'model.faults=["status-400:0.2"]', "--max-failures", "40"]
    ended = run_forked(
        [sys.executable, "-m", "aisb_cli.main", *words],
        cwd=home,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    (home / "stderr.txt").write_text(ended.stderr)
    return home / "outputs/default"


def logs(work: Path, *words: str) -> Result:
    return CliRunner().invoke(cli, ["logs", *words, "-w", str(work)])


def test_the_lines_of_all_subtasks_stand_in_the_order_of_time(work: Path) -> None:
    lines = logs(work, "latest").stdout.splitlines()
    times = [line.split()[0] for line in lines]
    assert times == sorted(times)
    names = {re.match(r"\S+ (\S+ · \S+): ", line)[1] for line in lines}
    assert len(names) == 2


def test_every_failure_line_of_the_terminal_names_the_log_and_a_request_that_is_in_it(work: Path) -> None:
    told = (work.parent.parent / "stderr.txt").read_text()
    failed = re.findall(r"the first is request (\d+): .*?(?:\n  see |; log: )(\S+\.out)", told)
    assert len(failed) >= 2
    for request, path in failed:
        assert re.search(
            rf"^\S+ request {request}: failed after ", (work.parent.parent / path).read_text(), re.MULTILINE
        )
    counted = re.findall(r"^.*\bfail(?:ed|ing)\b.*$", told, re.MULTILINE)
    unnamed = [line for line in counted if "the first" not in line and not re.search(r"\d+ failed[;,]", line)]
    assert unnamed == []


def test_scoring_names_the_command_that_shows_why_requests_failed(work: Path) -> None:
    done = CliRunner().invoke(cli, ["score", "latest", "-w", str(work)])
    (run,) = work.iterdir()
    assert "warning: failed requests count as wrong: demo_gsm8k" in " ".join(done.stdout.split())
    assert f"show why: aisb logs {run.name}" in done.stderr


def test_debug_shows_each_line_behind_the_log_that_keeps_it(tmp_path: Path) -> None:
    words = ["run", "--models", "sim", "--datasets", "demo_gsm8k", "--num-prompts", "8", "--debug"]
    faults = ["--set", 'model.faults=["status-400@3"]', "-w", str(tmp_path)]
    done = CliRunner().invoke(cli, [*words, *faults])
    (request, path, words_of_it) = re.search(
        r"^(?=(logs/\S+\.out): )\1: request (\d+): (failed after 1 attempt: .*)$", done.stderr, re.MULTILINE
    ).group(2, 1, 3)
    (run,) = tmp_path.iterdir()
    assert f" request {request}: {words_of_it}\n" in (run / path).read_text()


def test_an_answer_that_cannot_be_graded_is_named_with_the_log_that_says_why(tmp_path: Path) -> None:
    words = ["run", "--models", "sim", "--datasets", "demo_gsm8k", "--num-prompts", "2", "-w", str(tmp_path)]
    done = CliRunner().invoke(cli, [*words, "--set", 'task.evaluate=[{use="instructions"}]'])
    said = " ".join(done.stdout.split())
    assert "the first error is request 0; log: logs/eval/sim/demo_gsm8k.out" in said
    (run,) = tmp_path.iterdir()
    again = f"aisb score {run.name} -w {tmp_path} --dump-eval-details"
    assert f"could not be graded; write them to results/ with: {again}" in said
    told = (run / "logs/eval/sim/demo_gsm8k.out").read_text()
    assert " request 0: not graded: raised: the row has no instructions in the field " in told


def test_one_task_alone_is_shown_without_its_name(work: Path) -> None:
    lines = logs(work, "latest", "--task", "demo_gsm8k").stdout.splitlines()
    assert lines
    assert not any(" · " in line for line in lines)
    assert any(re.fullmatch(r"\S+ request \d+: failed after 1 attempt: HTTP 400: .*", line) for line in lines)


def test_only_the_last_lines_are_shown(work: Path) -> None:
    everything = logs(work, "latest").stdout.splitlines()
    assert logs(work, "latest", "-n", "3").stdout.splitlines() == everything[-3:]


def test_a_task_that_the_run_does_not_have_is_an_error_that_names_those_it_has(work: Path) -> None:
    done = logs(work, "latest", "--task", "demo_gsm8")
    assert "no task in " in str(done.exception)
    assert "named 'demo_gsm8'; did you mean 'demo_gsm8k'?" in str(done.exception)


def test_following_a_run_shows_its_lines_until_it_ends(tmp_path: Path) -> None:
    words = ["run", "--models", "sim", "--datasets", "demo_gsm8k", "--num-prompts", "12"]
    words += ["--set", "model.ttft_ms=500", "--concurrency", "4"]
    command = [sys.executable, "-m", "aisb_cli.main"]
    running = Forked([*command, *words], cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    for line in running.stderr:
        if "requests; log:" in line:
            break
    following = run_forked(
        [*command, "logs", "latest", "-f"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    running.stderr.read()
    assert running.wait(30) == 0
    lines = following.stdout.splitlines()
    assert lines[0].split(" ", 1)[1].startswith("sending 12 requests")
    assert any(line.endswith("done: 12 finished, 0 of them failed") for line in lines)
    assert "scored 12 predictions" in lines[-1]  # it went on to the run's very end


def test_a_run_that_has_logged_nothing_says_so(tmp_path: Path) -> None:
    (tmp_path / "20261122_000000/configs").mkdir(parents=True)
    (tmp_path / "20261122_000000/configs/20261122_000000.toml").touch()
    done = logs(tmp_path, "latest")
    assert (done.exit_code, done.stdout) == (0, "")
    assert done.stderr == f"nothing has been logged in {tmp_path}/20261122_000000 yet\n"
