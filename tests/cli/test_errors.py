"""Every error has one form: `error: MESSAGE`, wrapped at the terminal's width."""

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios

import pytest
from forked import Forked, run_forked

from aisb import UnknownName
from aisb_cli.errors import OTHER_TOOLS_OPTIONS, wrap
from aisb_cli.run_command import run

RUN = [sys.executable, "-m", "aisb_cli.main"]


def test_a_wrong_option_is_an_error_like_any_other():
    done = run_forked([*RUN, "tasks", "list", "--jsn"], capture_output=True, text=True, check=False)
    first, second = done.stderr.splitlines()
    assert done.returncode == 2
    assert first.startswith("error: no such option")
    assert "--json" in first
    assert second == "  see aisb tasks list --help"


@pytest.mark.parametrize("width", [40, 72])
def test_an_error_is_wrapped_at_the_width_of_the_terminal(width):
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
    with Forked([*RUN, "tasks", "show", "no-such-task"], stderr=theirs, stdout=subprocess.PIPE):
        os.close(theirs)
        shown = b""
        while chunk := _read(ours):
            shown += chunk
    lines = shown.decode().splitlines()
    assert lines[0].startswith("error: no task named 'no-such-task'")
    assert len(lines) >= 2
    assert max(map(len, lines)) <= width


def _read(terminal):
    try:
        return os.read(terminal, 10_000)
    except OSError:  # the other end is closed
        return b""


def test_a_continued_line_is_indented_below_its_beginning():
    text = "no model named 'x'\n  known: alpha, beta, gamma, delta"
    assert wrap(text, 24) == "no model named 'x'\n  known: alpha, beta,\n    gamma, delta"


def test_a_line_with_a_command_stays_whole_so_that_it_can_be_copied():
    line = "  install it with: pip install aisb-backend-openai aisb-dataset-math"
    assert wrap(line, 40) == line


def test_an_error_that_goes_to_a_file_is_not_wrapped():
    assert wrap("word " * 100, None) == "word " * 100


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["rn"], "no command named 'rn'; did you mean 'run'?"),
        (["runs", "shw"], "no such command 'shw'; did you mean 'show'?"),
        (["score", "--jugde", "x"], "no such option '--jugde'; did you mean '--judge', '--judge-url'?"),
        (["score", "lates"], "no run 'lates'; did you mean 'latest'?"),
    ],
)
def test_a_misspelt_word_is_an_error_with_the_nearest_one(words, said, tmp_path):
    done = run_forked([*RUN, *words], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.splitlines()[0] == f"error: {said}"


@pytest.mark.parametrize("words", [[], ["runs"], ["tasks"], ["mock"]])
def test_a_group_without_a_command_shows_its_help_and_no_error(words):
    done = run_forked([*RUN, *words], capture_output=True, text=True, check=False)
    shown = done.stdout + done.stderr
    assert shown.startswith(" ".join(["Usage: aisb", *words]))
    assert "error:" not in shown
    assert "Commands:" in shown
    assert "see aisb" not in shown


@pytest.mark.parametrize(
    ("option", "instead"),
    [
        ("--limit", "--num-prompts N"),
        ("--base-url", "--url URL"),
        ("--temperature", "--set params.temperature=T"),
        ("--tasks", "--datasets NAME…"),
    ],
)
def test_an_option_of_another_tool_is_answered_with_the_one_of_this_tool(option, instead):
    done = run_forked([*RUN, "run", option, "3"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        f"error: no such option '{option}'; write {instead} here",
        "  see aisb run --help",
    ]


def test_only_options_that_exist_are_named_instead_of_those_of_other_tools():
    flags = {flag for option in run.params for flag in option.opts}
    assert {instead.partition(" ")[0] for instead in OTHER_TOOLS_OPTIONS.values()} <= flags
    assert not flags & set(OTHER_TOOLS_OPTIONS)


def test_an_address_as_judge_is_an_error_that_names_the_option_for_it(tmp_path):
    words = ["run", "--models", "sim", "--datasets", "demo_gsm8k", "--judge", "http://127.0.0.1:9"]
    done = run_forked([*RUN, *words], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 2
    assert "  --judge vllm-chat --judge-url http://127.0.0.1:9" in done.stderr.splitlines()


def test_of_many_known_names_the_five_nearest_are_listed():
    names = [f"task-{number:02}" for number in range(40)]
    assert str(UnknownName("task", "task-7", names)).splitlines()[1].endswith(", and 35 more")
    assert "task-37" in str(UnknownName("task", "task-7", names)).splitlines()[1]
    assert str(UnknownName("task", "x", names[:30])).count("task-") == 30
