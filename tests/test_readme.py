"""The README's transcript is what the command prints, and its first block has the two commands."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

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
