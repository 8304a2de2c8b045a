"""What stands on a terminal when a run has ended: it fits the screen, tells nothing twice, and breaks no word."""

import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios

import pytest
from forked import Forked
from screen import read_to_end, screen_lines

from aisb_mock import MockOptions, start_mock

TASKS = ("first", "second", "third", "fourth")


def on_a_terminal(words, cwd, columns, rows):
    """Run a command on a terminal of its own; return the lines that it leaves there, and its exit code."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    inherited = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES", "CI", "NO_COLOR")}
    process = Forked(
        [sys.executable, "-m", "aisb_cli.main", *words],
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
        env=inherited | {"TERM": "xterm-256color"},
    )
    os.close(theirs)
    seen = read_to_end(ours)
    lines = screen_lines(seen.decode(), columns)
    while lines and not lines[-1]:
        lines.pop()
    return lines, process.wait()


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    folder = tmp_path_factory.mktemp("work")
    replies = []
    for task in TASKS:
        rows = [{"question": f"The {task} sum, {n} + 1?", "answer": str(n + 1)} for n in range(8)]
        (folder / f"{task}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        replies += [{"question": row["question"], "reply": f"It is {row['answer']}."} for row in rows]
    (folder / "known.jsonl").write_text("".join(json.dumps(reply) + "\n" for reply in replies))
    return folder


@pytest.fixture(scope="module")
def url(work):
    faults = tuple(f"status-500@{number}" for number in (3, 12, 13, 25))
    with start_mock(MockOptions(answers=str(work / "known.jsonl"), faults=faults)) as mock:
        yield mock.url


def command(url, *more):
    named = (
        "--models",
        "vllm_api_stream_chat",
        "--url",
        url,
        "--set",
        "load.retries=0",
        "--concurrency",
        "1",
    )
    return ["run", *named, *more]


@pytest.fixture(scope="module")
def of_four(work, url):
    words = command(url, "--datasets", *(f"{task}.jsonl" for task in TASKS))
    return on_a_terminal(words, work, 80, 24)


def test_a_run_of_four_subtasks_with_failures_fits_the_screen_and_the_table_is_last(of_four):
    lines, code = of_four
    assert code == 1
    start = next(at for at, line in enumerate(lines) if re.match(r"first · vllm-api-stream-chat +8/8", line))
    shown = lines[start:]
    assert len(shown) <= 23  # one line is for the prompt of the shell
    assert max(map(len, shown)) <= 80
    assert [line.split()[3] for line in shown[:4]] == ["8/8"] * 4
    assert shown[4] == "32/32 finished, 4 failed"
    head = next(at for at, line in enumerate(shown) if line.startswith("dataset "))
    assert all(line.startswith(task) for line, task in zip(shown[head + 2 : head + 6], TASKS, strict=True))
    assert shown[head - 3].startswith("4 failed; everything is in outputs/default/")
    assert shown[head - 2].startswith("  show why: aisb logs ")
    assert shown[head - 1].startswith("  send them again: aisb run --reuse ")


def test_a_failure_is_told_in_its_row_and_once_with_what_shows_it(of_four):
    text = "\n".join(of_four[0])
    assert text.count("the first is request") == 1
    assert text.count("HTTP 500") == 1
    assert text.count("aisb run --reuse") == 1
    assert text.count("aisb logs") == 1


def words_of(lines):
    return [word for line in lines for word in line.split()]


def test_no_word_is_broken_on_a_narrow_terminal(work, url):
    words = command(url, "--datasets", *(f"{task}.jsonl" for task in TASKS[:2]))
    lines, code = on_a_terminal(words, work, 60, 12)
    assert code == 0  # the faults are over
    assert max(map(len, lines)) <= 60
    whole = set(words_of(lines))
    assert {
        "first",
        "second",
        "vllm-api-stream-chat",
        "numeric-match",
        "16/16",
        "finished,",
        "bounds",
    } <= whole


def test_a_performance_run_fits_the_screen_and_its_numbers_are_last(work, url):
    words = command(url, "--mode", "perf", "--datasets", "first.jsonl", "--num-prompts", "8")
    lines, _ = on_a_terminal(words, work, 80, 24)
    assert len(lines) <= 23
    assert max(map(len, lines)) <= 80
    ending = next(at for at, line in enumerate(lines) if "everything is in" in line)
    assert lines[ending + 1].startswith("  show the result again: aisb run --mode perf_viz --reuse ")
    assert lines[ending + 2].startswith("certificate: ")
    assert lines[-1].startswith("achieved: ")
