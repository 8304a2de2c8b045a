"""`aisb grade` through its ends: files, pipes, what is printed where."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from forked import run_forked

from aisb_evaluator_code._sandbox import containment

LINES = [
    {"output": "The answer is 18.", "reference": "18"},
    {"output": "The answer is 17.", "reference": "18"},
    "no JSON",
    {"output": "I am sorry, I cannot help with that.", "reference": "18"},
]


def aisb(*words: str, cwd: Path, given: str = "") -> subprocess.CompletedProcess[str]:
    ended = run_forked(
        [sys.executable, "-m", "aisb_cli.main", *words],
        cwd=cwd, input=given, capture_output=True, text=True, check=False, timeout=120,
        env={name: value for name, value in os.environ.items() if not name.startswith("AISB_ALLOW")},
    )  # fmt: skip
    assert "Traceback" not in ended.stderr, ended.stderr
    return ended


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "outputs.jsonl"
    path.write_text("".join(f"{x if isinstance(x, str) else json.dumps(x)}\n" for x in LINES))
    return path


def test_a_file_is_graded_and_the_summary_goes_to_standard_error(file: Path) -> None:
    ended = aisb("grade", "demo_gsm8k", "outputs.jsonl", cwd=file.parent)
    assert ended.returncode == 0
    assert [json.loads(line)["outcome"] for line in ended.stdout.splitlines()] == [
        "correct",
        "wrong",
        "refused",
    ]
    assert ended.stderr.splitlines() == [
        "line 3 is left out: it is not JSON: invalid literal, expected 'null'",
        "demo_gsm8k accuracy 33.33, n 3, 95 % [6.1, 79.2]",
        "  correct 1, wrong 1, refused 1; bounds [33.3, 50.0]",
        "  33.3 % are neither correct nor wrong: see the bounds",
        "  1 of 4 lines could not be graded and are left out",
    ]


def test_a_pipe_is_read_and_a_file_written(file: Path) -> None:
    ended = aisb(
        "grade", "demo_gsm8k:zero-shot", "-", "-o", "graded.jsonl", cwd=file.parent, given=file.read_text()
    )
    assert (ended.returncode, ended.stdout) == (0, "")
    assert len((file.parent / "graded.jsonl").read_text().splitlines()) == 3


def test_other_rules_can_be_set(file: Path) -> None:
    rule = 'task.postprocess=[{use="first-line"}, {use="last-number"}]'
    ended = aisb("grade", "demo_gsm8k", "outputs.jsonl", "--set", rule, cwd=file.parent)
    assert json.loads(ended.stdout.splitlines()[0])["answer"] == "18"


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("", ["error: none.jsonl has no lines; each line is a JSON object, as in "]),
        (
            '{"prediction": "18"}\nno JSON\n',
            [
                "line 1 is left out: `output` is missing; it must be the text of the model",
                "line 2 is left out: it is not JSON",
                "demo_gsm8k: no line was graded",
                "error: none of the 2 lines of none.jsonl can be graded, for the reasons above; each line is ",
            ],
        ),
    ],
)
@pytest.mark.parametrize("pipe", [False, True])
def test_a_file_of_which_no_line_can_be_graded_is_an_error(
    tmp_path: Path, lines: str, said: list[str], *, pipe: bool
) -> None:
    (tmp_path / "none.jsonl").write_text(lines)
    words = ("-",) if pipe else ("none.jsonl",)
    ended = aisb("grade", "demo_gsm8k", *words, cwd=tmp_path, given=lines if pipe else None)
    assert (ended.returncode, ended.stdout) == (2, "")
    for line in said:
        assert line.replace("none.jsonl", "the input" if pipe else "none.jsonl") in ended.stderr


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("gsm8kk", "outputs.jsonl"), "error: no task named 'gsm8kk'; did you mean 'gsm8k'?"),
        (
            ("demo_gsm8k", "absent.jsonl"),
            "error: absent.jsonl cannot be read: No such file or directory; `-` reads a pipe",
        ),
        (
            ("demo_gsm8k", "outputs.jsonl", "-o", "outputs.jsonl"),
            "error: -o outputs.jsonl is the input file; name another one",
        ),
        (
            ("demo_gsm8k", "outputs.jsonl", "-o", "no/such.jsonl"),
            "error: -o no/such.jsonl cannot be written: No such file or directory",
        ),
        (("sharegpt", "outputs.jsonl"), "error: sharegpt has no evaluator, so its answers cannot be graded"),
    ],
)
def test_what_cannot_be_done_is_said(file: Path, words: tuple[str, ...], error: str) -> None:
    before = file.read_bytes()
    ended = aisb("grade", *words, cwd=file.parent)
    assert ended.returncode == 2
    assert ended.stderr.startswith(error)
    assert file.read_bytes() == before


PROGRAMS = {
    "def half(n):\n    return n / 2\n": None,
    "def half(n):\n    return n\n": "AssertionError: assert candidate(4) == 2",
    "def half(n):\n    return n /\n": "the program does not run: SyntaxError: invalid syntax (<program>, line 2)",
    "def half(n):\n    return bytearray(3 << 30)\n": (
        "MemoryError: (line 2 of the program): assert candidate(4) == 2"
    ),
    "import os\nos._exit(0)\n": "the program ended before the tests did",
}


@pytest.mark.skipif(not containment().namespaces, reason="no namespaces can be made here")
def test_each_line_of_a_program_that_failed_has_the_reason(tmp_path: Path) -> None:
    row = {
        "prompt": "",
        "entry_point": "half",
        "test": "def check(candidate):\n    assert candidate(4) == 2\n",
    }
    rows = [{**row, "canonical_solution": "", "reference": "", "output": program} for program in PROGRAMS]
    (tmp_path / "programs.jsonl").write_text("".join(json.dumps(one) + "\n" for one in rows))
    refused = aisb("grade", "humaneval", "programs.jsonl", cwd=tmp_path)
    assert refused.returncode == 2
    assert "--allow-code-execution" in refused.stderr
    ended = aisb("grade", "humaneval", "programs.jsonl", "--allow-code-execution", cwd=tmp_path)
    graded = [json.loads(line) for line in ended.stdout.splitlines()]
    assert [one["outcome"] for one in graded] == ["correct", *["wrong"] * 4]
    assert [one.get("problem") for one in graded] == list(PROGRAMS.values())
