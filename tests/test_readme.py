"""The README's transcript is what the command prints, and its first block has the two commands."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

README = Path(__file__).parents[1] / "README.md"


def test_the_transcript_is_what_the_command_prints(tmp_path: Path) -> None:
    block = re.search(r"```console\n\$ aisb (.*)\n((?:.*\n)*?)```", README.read_text(encoding="utf-8"))
    assert block
    ended = subprocess.run(
        [sys.executable, "-m", "aisb_cli.main", *block[1].split()],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "COLUMNS": "80"},
    )
    shown = [line for line in block[2].splitlines() if line in ended.stdout.splitlines()]
    assert [line for line in ended.stdout.splitlines() if line] == [line for line in shown if line]
    assert re.search(r"^0 failed; everything is in outputs/default/\d{8}_\d{6}$", ended.stderr, re.MULTILINE)


def test_both_readmes_show_a_headline_as_it_is_printed() -> None:
    golden = README.parent / "plugins/reporters/performance/tests/golden/steady_headline.txt"
    lines = golden.read_text(encoding="utf-8").splitlines()
    for page in (README, README.with_name("README.zh.md")):
        block = re.search(r"```\n(certificate: (?:.*\n)*?)```", page.read_text(encoding="utf-8"))
        assert block
        shown = block[1].splitlines()
        assert [line.split()[0] for line in shown[2:]] == [line.split()[0] for line in lines[2:]]
        assert shown[2] == lines[2]
        assert max(map(len, shown)) <= 80


def test_the_readme_opens_with_the_two_commands() -> None:
    block = README.read_text(encoding="utf-8").split("```")[1].split("\n")
    assert block[1].startswith("make demo")
    assert block[2].startswith("make test")


def test_every_page_that_is_linked_is_there() -> None:
    for page in (README, *sorted((README.parent / "docs").rglob("*.md"))):
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            made = target.removeprefix("../").startswith(
                "reference/"
            )  # with the site, whose strict build follows its links
            assert made or (page.parent / target).exists(), f"{page.name} links {target}"


def first_minutes(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(README.parent / "tools/first_minutes.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=500)


@pytest.mark.parametrize("page", ["first-run.md", "first-run.zh.md"])
def test_the_seconds_in_the_docs_are_of_the_commands_of_the_readme(page: str) -> None:
    text = (README.parent / "docs" / page).read_text(encoding="utf-8")
    block = re.search(r"```console\n\$ python tools/first_minutes.py .*\n((?:.*\n)*?)```", text)
    assert block
    shown = re.findall(r"^ +\d+\.\d s  (.*)$", block[1], re.MULTILINE)
    spec = importlib.util.spec_from_file_location("first_minutes", README.parent / "tools/first_minutes.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    steps = module.commands(README.read_text(encoding="utf-8"))
    assert [module.shortened(step) for step in steps] == shown


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--model", "there is no such folder; name the folder of a chat model"),
        ("--environment", "no bin/aisb; name one with aisb installed"),
    ],
)
def test_the_first_minutes_refuse_a_folder_that_is_not_there(option: str, message: str) -> None:
    done = first_minutes(option, "no-such-folder")
    assert done.returncode == 2
    assert f"{option} no-such-folder: {message}" in done.stderr


@pytest.mark.slow
def test_every_command_of_the_first_minutes_succeeds() -> None:
    done = first_minutes("--environment", sys.prefix)
    assert done.returncode == 0, done.stdout
    assert len(re.findall(r"^ +\d+\.\d s  aisb ", done.stdout, re.MULTILINE)) == 5
    assert "not run: the commands for a local model" in done.stdout
