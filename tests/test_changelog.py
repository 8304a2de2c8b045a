"""The fragments in changelog.d become the next section of CHANGELOG.md."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "changelog.d"
FRAGMENTS = sorted(path for path in FOLDER.iterdir() if path.name != "README.md")
KINDS = [
    kind["directory"]
    for kind in tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["towncrier"]["type"]
]


def problem_of(name: str, text: str) -> str | None:
    """Return what is wrong with a fragment; None where it is well formed."""
    if not re.fullmatch(rf"\+[a-z0-9-]+\.({'|'.join(KINDS)})\.md", name):
        return f"the name must be +short-name.KIND.md, with one of the kinds {', '.join(KINDS)}"
    if not text.strip():
        return "the file is empty"
    if text.lstrip().startswith(("-", "*", "#")):
        return "the text must be one entry, without a dash or a heading"
    if not text.rstrip().endswith((".", "`)", ".)")):
        return "the text must be whole sentences, and end with a full stop"
    return None


def test_every_fragment_is_well_formed() -> None:
    problems = {path.name: problem_of(path.name, path.read_text("utf-8")) for path in FRAGMENTS}
    assert {name: problem for name, problem in problems.items() if problem} == {}


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("+resume.fixed.md", "A run resumes.", None),
        ("resume.fixed.md", "A run resumes.", "the name must be"),
        ("+resume.bugfix.md", "A run resumes.", "the name must be"),
        ("+resume.fixed.txt", "A run resumes.", "the name must be"),
        ("+resume.fixed.md", " \n", "empty"),
        ("+resume.fixed.md", "- A run resumes.", "without a dash"),
        ("+resume.fixed.md", "A run resumes", "full stop"),
    ],
)
def test_a_fragment_in_another_form_is_refused_with_the_reason(
    name: str, text: str, problem: str | None
) -> None:
    found = problem_of(name, text)
    assert found is None if problem is None else found is not None and problem in found


def test_the_readme_of_the_folder_explains_each_kind() -> None:
    text = (FOLDER / "README.md").read_text("utf-8")
    assert re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE) == KINDS


def test_a_release_moves_the_fragments_into_the_changelog(tmp_path: Path) -> None:
    pytest.importorskip("towncrier", reason="pip install towncrier")
    for name in ("pyproject.toml", "CHANGELOG.md"):
        shutil.copy(ROOT / name, tmp_path)
    folder = tmp_path / "changelog.d"
    folder.mkdir()
    (folder / "+newer.added.md").write_text("`aisb run` has `--newer`.\n", "utf-8")
    (folder / "+older.fixed.md").write_text("`aisb run` no longer loses `--older`.\n", "utf-8")
    command = [
        sys.executable,
        "-m",
        "towncrier",
        "build",
        "--yes",
        "--version",
        "9.9.9",
        "--date",
        "2027-01-02",
    ]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr + ended.stdout
    text = (tmp_path / "CHANGELOG.md").read_text("utf-8")
    start = text.index("## 9.9.9 (2027-01-02)")
    entries = [line for line in text[start:].splitlines() if line][:5]
    assert entries == [
        "## 9.9.9 (2027-01-02)",
        "### Added",
        "- `aisb run` has `--newer`.",
        "### Fixed",
        "- `aisb run` no longer loses `--older`.",
    ]
    assert text.index("## 9.9.9") < text.index("## 0.2.0 ") < text.index("## 0.1.0 ")
    assert list(folder.iterdir()) == []
