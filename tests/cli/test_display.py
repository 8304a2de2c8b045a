"""What a person sees while a run goes on: on a terminal of 80 columns, and in a log."""

import fcntl
import io
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest
from rich.console import Console

from aisb.progress import Progress
from aisb_cli.display import LiveDisplay, PlainDisplay, choose_display, pace, totals

LOGS = Path("outputs/default/20261121_220301/logs/infer")


def subtask(model="sim", task="demo_gsm8k", **counts):
    return Progress(model, task, LOGS / model / f"{task}.out", **counts)


def asking(**changes):
    """A subtask that began 10 s before the clock of these tests (100) and has finished 50 of 200 since."""
    counts = {
        "total": 200,
        "sent": 54,
        "received": 48,
        "finished": 50,
        "failed": 2,
        "failures": {"timeout": 2},
    }
    return subtask(**{"phase": "asking", "started": 90.0} | counts | changes)


def drawn(subtasks, width=80, height=24):
    def console():
        return Console(file=io.StringIO(), width=width, height=height)

    display = LiveDisplay(console(), clock=lambda: 100.0)
    display.start(subtasks)
    paper = console()
    paper.print(display.render())
    display.stop()
    return paper.file.getvalue()


def test_a_row_has_name_counts_rate_time_left_and_phase():
    text = drawn([asking()])
    header, row, total, reasons, log = text.splitlines()
    assert header.split() == [
        "task",
        "·",
        "model",
        "finished",
        "rate",
        "left",
        "sent",
        "recv",
        "fail",
        "phase",
    ]
    assert re.sub("[━╸╺ ]+", " ", row) == "demo_gsm8k · sim 50/200 5.0/s 30 s 54 48 2 asking "
    assert total == "50/200 finished, 2 failed; 54 sent, 48 received; 5.0/s, 30 s left"
    assert reasons == "failed: 2 timeout"
    assert log == f"log: {LOGS}/sim/demo_gsm8k.out"


@pytest.mark.parametrize("width", [80, 100, 160])
def test_rows_keep_to_the_width_and_hide_no_name(width):
    models = ("vllm-api-general-chat", "vllm-api-stream-chat")
    text = drawn([asking(model=model, task="gsm8k", total=14042) for model in models], width)
    assert max(len(line) for line in text.splitlines()) <= width
    for model in models:
        assert model in text
    assert text.count("50/14042") == 2
    assert "…" not in text


def test_more_subtasks_than_lines_leave_room_for_the_totals():
    subtasks = [subtask(task=f"task-{number:02}", phase="done") for number in range(40)]
    subtasks += [asking(task="now"), *(subtask(task=f"later-{number:02}") for number in range(10))]
    text = drawn(subtasks, height=20)
    assert len(text.splitlines()) <= 20
    assert "now · sim" in text
    assert "and 39 more: 39 done" in text
    assert "10 waiting" in text


def test_every_row_is_shown_when_the_display_stops():
    file = io.StringIO()
    display = LiveDisplay(Console(file=file, width=80, height=10, force_terminal=True), clock=lambda: 100.0)
    display.start([subtask(task=f"task-{number:02}", phase="done") for number in range(40)])
    display.stop()
    display.stop()
    last = file.getvalue().rpartition("task · model")[2]
    assert all(f"task-{number:02} · sim" in last for number in range(40))


def test_what_was_finished_before_counts_neither_for_rate_nor_for_time_left():
    assert pace(asking(resumed=40), 100.0) == (1.0, 150.0)
    assert pace(subtask(total=10), 100.0) == (None, None)
    assert pace(asking(finished=0), 100.0) == (None, None)


def test_no_time_left_is_told_for_all_while_some_have_not_begun():
    line = totals([asking(), subtask()], 100.0)
    assert line.endswith("5.0/s; 1 waiting")


def test_plain_lines_tell_beginning_totals_and_end():
    stream, now = io.StringIO(), [100.0]
    display = PlainDisplay(stream, interval=10.0, clock=lambda: now[0])
    one = subtask(total=200)
    display.say("probing sim")
    display.start([one])
    one.phase, one.started = "asking", 100.0
    display.look()
    one.sent, one.received, one.finished = 60, 50, 50
    now[0] = 110.0
    display.look()
    display.look()
    one.sent, one.received, one.finished, one.failed = 201, 199, 200, 1
    one.phase, one.ended = "done", 120.0
    now[0] = 130.0
    display.stop()
    display.stop()
    assert stream.getvalue().splitlines() == [
        "probing sim",
        f"demo_gsm8k · sim: 200 requests; log: {LOGS}/sim/demo_gsm8k.out",
        "50/200 finished, 0 failed; 60 sent, 50 received; 5.0/s, 30 s left",
        f"demo_gsm8k · sim: done: 200/200 finished, 1 failed in 20 s (10.0/s); log: {LOGS}/sim/demo_gsm8k.out",
    ]


def test_a_subtask_that_begins_and_ends_between_two_looks_is_told():
    stream = io.StringIO()
    display = PlainDisplay(stream, clock=lambda: 100.0)
    one = subtask(total=64, resumed=64, finished=64)
    display.start([one])
    one.phase = "done"
    display.stop()
    assert stream.getvalue() == "demo_gsm8k · sim: done: 64/64 finished, 0 failed\n"


def test_a_log_gets_plain_lines_and_so_does_debug():
    assert isinstance(choose_display(), PlainDisplay)  # pytest has put a file in the place of stderr
    assert isinstance(choose_display(debug=True), PlainDisplay)


PROGRAM = """
import sys, time
from pathlib import Path
from aisb.progress import Progress
from aisb_cli.display import choose_display

one = Progress("sim", "demo_gsm8k", Path("logs/infer/sim/demo_gsm8k.out"), total=64)
display = choose_display()
display.say("probing [sim]")
display.start([one])
one.phase, one.started = "asking", time.monotonic()
for _ in range(64):
    one.sent += 1
    time.sleep(0.005)
    one.received += 1
    one.finished += 1
    if one.finished == 32:
        display.say("half way")
one.phase, one.ended = "done", time.monotonic()
display.stop()
print("result 100.00")
"""


def on_a_terminal(**environment):
    """Run the program with stderr on a terminal of 80 columns; return what it wrote there, and its stdout."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    inherited = {
        key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "COLUMNS", "LINES", "CI")
    }
    program = subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=theirs,
        env=inherited | {"TERM": "xterm-256color"} | environment,
    )
    os.close(theirs)
    seen = b""
    while True:
        try:
            block = os.read(ours, 65536)
        except OSError:  # the other end is closed
            break
        if not block:
            break
        seen += block
    os.close(ours)
    result = program.stdout.read().decode()
    assert program.wait() == 0
    return seen.decode(), result


def test_a_terminal_of_80_columns_gets_rows_that_move_and_stdout_only_results():
    seen, result = on_a_terminal()
    assert result == "result 100.00\n"
    assert "\x1b[?25h" in seen  # the cursor is given back
    assert "\x1b[1A" in seen  # lines are drawn over: it moves
    drawn_over = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", seen).replace("\r\n", "\n").replace("\r", "\n")
    lines = [line.rstrip() for line in drawn_over.split("\n")]
    assert max(map(len, lines)) <= 80
    assert lines[0] == "probing [sim]"
    assert any(line.endswith("half way") for line in lines)
    row, total, log = lines[-4:-1]
    assert row.split()[:3] == ["demo_gsm8k", "·", "sim"]
    assert row.endswith("64   64    0 done")
    assert total == "64/64 finished, 0 failed; 64 sent, 64 received"
    assert log == "log: logs/infer/sim/demo_gsm8k.out"


def test_no_color_is_honoured():
    coloured = r"\x1b\[[0-9;]*(3[0-8]|9[0-7])"
    assert re.search(coloured, on_a_terminal()[0])
    assert not re.search(coloured, on_a_terminal(NO_COLOR="1")[0])


def test_a_terminal_that_can_nothing_gets_plain_lines():
    seen, _ = on_a_terminal(TERM="dumb")
    assert "\x1b" not in seen
    assert "demo_gsm8k · sim: done: 64/64 finished, 0 failed" in seen
