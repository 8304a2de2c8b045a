"""Run folders are found again by timestamp, path or `latest`, and written by one command at a time."""

from __future__ import annotations

import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest

from aisb._errors import RunError
from aisb_engine._masking import mask_command, mask_url
from aisb_engine._record.manifest import identity_differences
from aisb_engine._record.runfolder import RunFolder, read_json, write_atomically

NOON = datetime(2026, 11, 21, 12, 0, 0)  # noqa: DTZ001 - folders carry local time


def made(work_dir: Path, *times: datetime) -> list[RunFolder]:
    folders = [RunFolder.create(work_dir, time) for time in times]
    for folder in folders:
        write_atomically(folder.config, b"")
    return folders


def test_a_second_run_in_one_second_gets_a_number_and_sorts_after_the_first(tmp_path: Path) -> None:
    folders = made(tmp_path, *[NOON] * 11)
    assert [folder.timestamp for folder in folders[:2]] == ["20261121_120000", "20261121_120000_2"]
    assert [run.timestamp for run in RunFolder.list(tmp_path)] == [folder.timestamp for folder in folders]
    assert RunFolder.find(tmp_path, "latest").timestamp == "20261121_120000_11"


def test_runs_before_the_latest_are_found_by_how_many_are_after_them(tmp_path: Path) -> None:
    first, second, third = made(tmp_path, *[NOON] * 3)
    assert RunFolder.find(tmp_path, "latest~0").path == third.path
    assert RunFolder.find(tmp_path, "latest~1").path == second.path
    assert RunFolder.find(tmp_path, "latest~2").path == first.path
    with pytest.raises(RunError, match=r"no run 'latest~3': .* has 3, so latest~2 is the oldest"):
        RunFolder.find(tmp_path, "latest~3")


def test_a_second_scoring_pass_in_one_second_gets_a_number_too(tmp_path: Path) -> None:
    (folder,) = made(tmp_path, NOON)
    names = []
    for _ in range(3):
        names.append(folder.new_pass(NOON))
        write_atomically(folder.results("m", "t", names[-1]), b"{}")
    assert names == ["20261121_120000", "20261121_120000_2", "20261121_120000_3"]


def test_a_run_is_found_by_timestamp_and_by_path(tmp_path: Path) -> None:
    (folder,) = made(tmp_path, NOON)
    assert RunFolder.find(tmp_path, "20261121_120000").path == folder.path
    assert RunFolder.find(Path("elsewhere"), str(folder.path)).path == folder.path


def test_an_unknown_timestamp_lists_the_five_latest(tmp_path: Path) -> None:
    made(tmp_path, *(NOON.replace(minute=minute) for minute in range(7)))
    with pytest.raises(RunError) as caught:
        RunFolder.find(tmp_path, "20200101_000000")
    stamps = ", ".join(f"20261121_120{minute}00" for minute in (6, 5, 4, 3, 2))
    assert str(caught.value) == f"no run '20200101_000000'; the latest in {tmp_path}: {stamps}"
    with pytest.raises(RunError, match=r"no run '20261121_120001'; did you mean '20261121_120[0-6]00'\?\n"):
        RunFolder.find(tmp_path, "20261121_120001")


def test_where_there_is_no_run_the_error_names_the_work_folder(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=f"there is no run in {tmp_path} yet; -w names another work folder"):
        RunFolder.find(tmp_path, "latest")


def test_a_work_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(
        RunError, match=r"the work folder .*file/x cannot be written: .*; name another with -w"
    ):
        RunFolder.create(tmp_path / "file" / "x", NOON)


def test_a_run_is_written_by_one_process_at_a_time_and_freed_when_it_dies(tmp_path: Path) -> None:
    (folder,) = made(tmp_path, NOON)
    code = (
        "import sys; from pathlib import Path; from aisb_engine._record.runfolder import RunFolder\n"
        "with RunFolder(Path(sys.argv[1])).lock(): print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(folder.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        with pytest.raises(RunError) as caught, folder.lock():
            pass
        assert f"is being written by process {holder.pid}; wait for it, or end it" in str(caught.value)
        holder.kill()
        holder.wait()
        with folder.lock():
            assert (folder.path / ".lock").read_text() != str(holder.pid)


def test_a_broken_file_of_a_run_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("{")
    with pytest.raises(RunError, match=r"x\.json is not JSON"):
        read_json(tmp_path / "x.json")
    with pytest.raises(RunError, match=r"y\.json cannot be read: No such file"):
        read_json(tmp_path / "y.json")
    with pytest.raises(RunError, match=r"cannot be written"):
        write_atomically(tmp_path / "x.json" / "z", b"")


def test_keys_and_passwords_are_masked_in_commands_and_urls() -> None:
    command = [
        "aisb",
        "--set",
        "model.headers.Authorization=Bearer s3",
        "--url",
        "https://me:pw@h/v1",
        "max_tokens=5",
    ]
    assert mask_command(command) == [
        "aisb",
        "--set",
        "model.headers.Authorization=***",
        "--url",
        "https://***@h/v1",
        "max_tokens=5",
    ]
    assert mask_url("http://h:1/a@b") == "http://h:1/a@b"


def test_a_difference_names_the_key_with_both_values() -> None:
    old, new = {"params.max_tokens": 5, "same": 1}, {"same": 1, "model.system": "x" * 90}
    assert identity_differences(old, new) == [
        f'model.system: was not set, is "{"x" * 56}…',
        "params.max_tokens: was 5, is not set",
    ]
