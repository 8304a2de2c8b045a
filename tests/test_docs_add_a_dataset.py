"""docs/add-a-dataset.md: its files make a task, and its commands print what the page says."""

import os
import re
import shlex
import sys
from pathlib import Path

import pytest
from forked import run_forked

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/add-a-dataset.md").read_text(encoding="utf-8")
FILES = dict(
    re.findall(
        r"^[^\n]*`(\S+\.(?:csv|toml|jsonl))`[^\n]*:\n\n```\w+\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE
    )
)
COMMANDS = re.findall(r"^```console\n\$ (.*?)\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


@pytest.fixture
def folder(tmp_path):
    for name, text in FILES.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def test_the_page_has_its_files_and_commands():
    assert set(FILES) == {"rivers.csv", "rivers.toml", "known.jsonl"}
    assert [shlex.split(command)[1] for command, _ in COMMANDS] == ["data", "tasks", "run", "run"]


@pytest.mark.parametrize(("command", "printed"), COMMANDS, ids=range(len(COMMANDS)))
def test_a_command_prints_what_the_page_says(folder, command, printed):
    environment = {k: v for k, v in os.environ.items() if not k.startswith("AISB_")} | {"COLUMNS": "80"}
    words, _, tail = command.partition(" | tail -")
    ended = run_forked(
        [sys.executable, "-m", "aisb_cli.main", *shlex.split(words)[1:]],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    lines = ended.stdout.splitlines(keepends=True)
    assert "".join(lines[-int(tail) :] if tail else lines) == printed


def test_a_changed_prompt_is_another_version():
    versions = [
        re.search(r"^rivers\S*.*? ([0-9a-f]{6}) ", printed, re.MULTILINE)[1] for _, printed in COMMANDS[2:]
    ]
    assert len(set(versions)) == 2
