"""`aisb runs`: real runs in a work folder, listed, chosen, shown and removed."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from forked import run_forked

from aisb_cli.main import cli

MADE = {  # name: (model, how its last command ended)
    "20261101_080000": ("sim", {"ended": "2026-11-01T08:00:09+00:00", "exit_code": 1}),
    "20261115_120000": ("other", {"ended": "2026-11-15T12:00:09+00:00", "exit_code": 130}),
    "20261120_090000": ("sim", {"ended": None, "exit_code": None}),
}


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one run that was really made."""
    home = tmp_path_factory.mktemp("home")
    words = ["run", "--models", "sim", "--datasets", "demo_gsm8k", "--num-prompts", "8"]
    run_forked([sys.executable, "-m", "aisb_cli.main", *words], cwd=home, check=True, capture_output=True)
    (run,) = (home / "outputs/default").iterdir()
    return run


@pytest.fixture
def work(real: Path, tmp_path: Path) -> Path:
    """A work folder with that run, and copies of it that began and ended otherwise."""
    work = tmp_path / "work"
    shutil.copytree(real, work / real.name)
    for name, (model, ending) in MADE.items():
        copied = Path(shutil.copytree(real, work / name))
        config = (copied / "configs" / f"{real.name}.toml").rename(copied / "configs" / f"{name}.toml")
        config.write_text(config.read_text().replace('model = "sim"', f'model = "{model}"'))
        manifest = json.loads((copied / "configs/manifest.json").read_text())
        manifest["sessions"][-1] |= ending
        (copied / "configs/manifest.json").write_text(json.dumps(manifest))
    return work


def runs(work: Path, *words: str, answer: str | None = None) -> Result:
    return CliRunner().invoke(cli, ["runs", *words, "-w", str(work)], input=answer)


def listed(work: Path, *words: str) -> list[dict[str, Any]]:
    done = runs(work, "list", "--json", *words)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_runs_are_listed_the_latest_first_with_how_they_ended(work: Path, real: Path) -> None:
    names = sorted([real.name, *MADE], reverse=True)
    table = listed(work)
    assert [one["run"] for one in table] == names
    states = {one["run"]: one["status"] for one in table}
    assert states == {
        real.name: "done",
        "20261101_080000": "failed",
        "20261115_120000": "stopped",
        "20261120_090000": "killed",
    }
    lines = runs(work, "list").stdout.splitlines()
    assert lines[0].split() == [names[0], states[names[0]], "sim", "on", "demo_gsm8k"]
    (score,) = next(one for one in table if one["run"] == names[0])["scores"]
    assert lines[1].strip() == f"demo_gsm8k: {score['value']:.2f}"


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["--model", "OTH"], ["20261115_120000"]),
        (["--task", "mmlu"], []),
        (["--status", "killed", "--status", "failed"], ["20261120_090000", "20261101_080000"]),
        (["--until", "2026-11-15"], ["20261101_080000"]),
        (["--since", "2026-11-15", "--until", "2026-11-20 09:01"], ["20261120_090000", "20261115_120000"]),
        (["--model", "other", "--status", "done"], []),
    ],
)
def test_runs_are_chosen_by_model_task_date_and_status(
    work: Path, words: list[str], found: list[str]
) -> None:
    assert [one["run"] for one in listed(work, *words)] == found


def test_only_the_latest_are_listed_where_there_are_many(work: Path) -> None:
    assert len(listed(work, "-n", "2")) == 2
    assert len(listed(work, "-n", "0")) == 4


def test_an_empty_list_says_where_it_looked(tmp_path: Path) -> None:
    done = runs(tmp_path, "list")
    assert (done.exit_code, done.stdout) == (0, "")
    assert done.stderr == (
        f"there is no run in {tmp_path} yet\n  start one: aisb run --models sim --datasets demo_gsm8k\n"
        "  -w names another folder with runs\n"
    )


def test_a_list_without_a_match_says_that_there_are_runs(work: Path) -> None:
    done = runs(work, "list", "--model", "nobody")
    assert (done.exit_code, done.stdout) == (0, "")
    assert done.stderr == f"no run in {work} matches these options; omit one to see more\n"


def test_removing_asks_for_yes_where_nobody_can_answer(work: Path) -> None:
    done = CliRunner().invoke(cli, ["runs", "rm", "20261120_090000", "-w", str(work)], input="")
    assert done.exit_code == 2
    assert "nothing was removed: there is no terminal to confirm it; --yes skips the question" in done.output
    assert (work / "20261120_090000").exists()


def test_a_run_that_is_being_written_is_running_and_is_not_removed(work: Path) -> None:
    with (work / "20261120_090000/.lock").open("a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        assert [one["status"] for one in listed(work, "--status", "running")] == ["running"]
        done = CliRunner().invoke(cli, ["runs", "rm", "20261120_090000", "-y", "-w", str(work)])
    assert str(done.exception) == (
        f"{work}/20261120_090000 is being written by process {os.getpid()}; "
        "wait for it, or end it, and try again"
    )
    assert (work / "20261120_090000").exists()


def test_one_run_is_shown_with_its_command_its_score_and_its_files(work: Path, real: Path) -> None:
    text = runs(work, "show", real.name).stdout
    assert text.splitlines()[0] == f"{work}/{real.name}: done, it ended with exit code 0"
    assert "  command: aisb run --models sim --datasets demo_gsm8k --num-prompts 8\n" in text
    assert "  demo_gsm8k: " in text
    shown = json.loads(runs(work, "show", real.name, "--json").stdout)
    assert shown["bytes"] > 1000
    assert shown["progress"] == {}


def test_the_path_of_a_run_is_all_that_path_prints(work: Path, real: Path) -> None:
    assert runs(work, "path", real.name).stdout == f"{work / real.name}\n"


def test_a_run_is_removed_after_asking(work: Path) -> None:
    kept = runs(work, "rm", "20261101_080000", answer="n\n")
    assert kept.stdout.endswith("remove it? [y/N]: n\nnothing was removed\n")
    assert (work / "20261101_080000").exists()
    gone = runs(work, "rm", "20261101_080000", answer="y\n")
    assert gone.stdout.endswith(f"removed {work}/20261101_080000\n")
    assert not (work / "20261101_080000").exists()


def test_nothing_outside_the_work_folder_is_removed(work: Path, real: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere" / real.name
    shutil.copytree(real, elsewhere)
    (work / "20200101_000000").symlink_to(elsewhere)
    for name in (str(elsewhere), f"../elsewhere/{real.name}", "20200101_000000"):
        done = CliRunner().invoke(cli, ["runs", "rm", name, "-y", "-w", str(work)])
        assert "is not in the work folder" in str(done.exception), name
        assert "name its work folder with -w, or remove the folder yourself" in str(done.exception)
    assert (elsewhere / "configs").is_dir()


def test_a_run_with_a_name_of_its_own_is_kept(work: Path, real: Path) -> None:
    (work / real.name).rename(work / "baseline")
    done = CliRunner().invoke(cli, ["runs", "rm", "baseline", "-y", "-w", str(work)])
    assert "has a name given by a user, such as a baseline to keep: it is not removed" in str(done.exception)
    assert (work / "baseline").is_dir()


def test_a_run_whose_configuration_is_broken_is_listed_with_the_reason(work: Path) -> None:
    (work / "20261101_080000/configs/20261101_080000.toml").write_text("[[")
    (one,) = listed(work, "--until", "2026-11-02")
    assert one["unreadable"].startswith(f"{work}/20261101_080000/configs/20261101_080000.toml cannot be read")
