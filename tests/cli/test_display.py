"""What a person sees while a run goes on: on a terminal of 80 columns, and in a log."""

import fcntl
import io
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest
from forked import own_terminal, run_forked
from rich.console import Console
from screen import read_to_end
from terminal import Terminal

from aisb_cli.counts import pace, totals
from aisb_cli.display import PlainDisplay, choose_display
from aisb_cli.live_display import LiveDisplay
from aisb_engine._progress import Progress

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
        "first_failure": "17: no bytes within 120 s",
    }
    return subtask(**{"phase": "sending", "started": 90.0} | counts | changes)


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
    header, row, total, *failed = text.splitlines()
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
    assert re.sub("[━╸╺ ]+", " ", row) == "demo_gsm8k · sim 50/200 5.0/s 30 s 54 48 2 sending"
    assert total == "50/200 finished, 2 failed; 54 sent, 48 received; 5.0/s, 30 s left"
    assert " ".join(failed) == (
        "demo_gsm8k · sim: failed: 2 timeout; the first is request 17: no bytes within 120 s; "
        f"log: {LOGS}/sim/demo_gsm8k.out"
    )


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
    hidden = int(re.search(r"and (\d+) more: (\d+) done", text)[1])
    assert text.count(" done ") == 40 - hidden
    assert "10 subtasks waiting" in " ".join(text.split())


def test_every_row_is_shown_when_the_display_stops():
    file = io.StringIO()
    display = LiveDisplay(Console(file=file, width=80, height=10, force_terminal=True), clock=lambda: 100.0)
    display.start([subtask(task=f"task-{number:02}", phase="done") for number in range(40)])
    display.stop()
    display.stop()
    last = file.getvalue().rpartition("\x1b[1A\x1b[2K")[2]
    assert all(f"task-{number:02} · sim" in last for number in range(40))


def test_what_was_finished_before_counts_neither_for_rate_nor_for_time_left():
    assert pace(asking(resumed=40), 100.0) == (1.0, 150.0)
    assert pace(subtask(total=10), 100.0) == (None, None)
    assert pace(asking(finished=0), 100.0) == (None, None)


def test_totals_and_time_left_count_what_waits():
    line = totals([asking(), subtask(total=100), subtask(total=50)], 100.0)
    assert line == ("50/350 finished, 2 failed; 54 sent, 48 received; 5.0/s, 1:00 left; 2 subtasks waiting")


def test_no_time_left_is_told_for_all_while_the_size_of_a_subtask_is_unknown():
    assert totals([asking(), subtask()], 100.0).endswith("5.0/s; 1 subtask waiting")


def test_totals_tell_retries_tokens_and_that_nothing_is_graded_yet():
    line = totals([asking(retried=3, output_tokens=5000, is_graded_later=True)], 100.0)
    assert line == (
        "50/200 finished, 2 failed; 54 sent, 48 received, 3 retried; 5.0/s, 500 output tokens/s, 30 s left; "
        "not graded yet"
    )


def test_a_load_that_ends_by_time_has_no_total_and_its_time_left():
    one, two = asking(lasts=60.0, total=55), subtask(lasts=60.0)
    assert totals([one], 100.0) == "50 finished, 2 failed; 54 sent, 48 received; 5.0/s, 50 s left"
    assert "110 s left" not in totals([one, two], 100.0)
    assert totals([one, two], 100.0).endswith("5.0/s, 1:50 left; 1 subtask waiting")
    row = drawn([one]).splitlines()[1]
    assert re.sub("[━╸╺ ]+", " ", row) == "demo_gsm8k · sim 50 5.0/s 50 s 54 48 2 sending"


def test_the_rows_of_the_end_tell_each_failure_once():
    file = io.StringIO()
    display = LiveDisplay(Console(file=file, width=80, height=24), clock=lambda: 100.0)
    ended = {"phase": "done", "finished": 200, "ended": 100.0}
    display.start([asking(**ended), asking(task="other", **ended | {"failed": 0, "failures": {}})])
    display.stop()
    assert file.getvalue().splitlines()[-4:] == [
        "demo_gsm8k · sim  200/200  2 failed  10 s  20.0/s  done",
        "other · sim       200/200            10 s  20.0/s  done",
        "400/400 finished, 2 failed",
        "failed: 2 timeout; the first is request 17 of demo_gsm8k: no bytes within 120 s",
    ]


def test_plain_lines_tell_beginning_totals_and_end():
    stream, now = io.StringIO(), [100.0]
    display = PlainDisplay(stream, interval=10.0, clock=lambda: now[0])
    one = subtask(total=200)
    display.say("probing sim")
    display.start([one])
    one.phase, one.started = "sending", 100.0
    display.update()
    one.sent, one.received, one.finished = 60, 50, 50
    now[0] = 110.0
    display.update()
    display.update()
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


def test_a_load_that_ends_by_time_is_told_with_its_time():
    stream = io.StringIO()
    display = PlainDisplay(stream, clock=lambda: 100.0)
    one = subtask(lasts=60.0)
    display.start([one])
    one.phase, one.started = "sending", 100.0
    display.update()
    display.stop()
    assert stream.getvalue() == f"demo_gsm8k · sim: requests for 1:00; log: {LOGS}/sim/demo_gsm8k.out\n"


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
from aisb_engine._progress import Progress
from aisb_cli.display import choose_display

one = Progress("sim", "demo_gsm8k", Path("logs/infer/sim/demo_gsm8k.out"), total=64)
display = choose_display()
display.say("probing [sim]")
display.start([one])
one.phase, one.started = "sending", time.monotonic()
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
    seen = read_to_end(ours)
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
    row = lines[-2]
    assert row.split()[:4] == ["demo_gsm8k", "·", "sim", "64/64"]
    assert row.endswith("/s  done")


def test_no_color_is_honoured():
    coloured = r"\x1b\[[0-9;]*(3[0-8]|9[0-7])"
    assert re.search(coloured, on_a_terminal()[0])
    assert not re.search(coloured, on_a_terminal(NO_COLOR="1")[0])


def test_a_terminal_that_can_nothing_gets_plain_lines():
    seen, _ = on_a_terminal(TERM="dumb")
    assert "\x1b" not in seen
    assert "demo_gsm8k · sim: done: 64/64 finished, 0 failed" in seen


def test_a_log_names_the_first_request_that_failed_and_its_log_file():
    stream = io.StringIO()
    display = PlainDisplay(stream, interval=10.0, clock=lambda: 100.0)
    one = asking(first_failure="17: HTTP 500: out of memory")
    display.start([one])
    display.update()
    display.update()
    one.phase, one.ended = "done", 100.0
    display.stop()
    place = f"the first is request 17: HTTP 500: out of memory; log: {LOGS}/sim/demo_gsm8k.out"
    assert [line for line in stream.getvalue().splitlines() if "fail" in line] == [
        f"demo_gsm8k · sim: failing: {place}",
        f"demo_gsm8k · sim: done: 50/200 finished, 2 failed in 10 s (5.0/s); {place}",
    ]


# ---- the keys of a terminal, of a whole run


SLOW = [
    "run",
    "--models",
    "sim",
    "--datasets",
    "demo_gsm8k",
    "--set",
    "model.ttft_ms=400",
    "--concurrency",
    "4",
]


@pytest.fixture
def terminal(tmp_path):
    started = Terminal(*SLOW, cwd=tmp_path)
    started.until("p: pause, q: stop")
    yield started
    started.close()


def test_q_stops_cleanly_and_says_how_to_go_on(terminal, tmp_path):
    assert not terminal.as_before()  # a key counts without Enter, and is not shown
    terminal.press("q")
    terminal.press("q")  # again changes nothing
    assert terminal.end() == 130
    assert terminal.as_before()
    shown = " ".join(terminal.seen.replace("\r", "").split())
    assert "stopping: what has finished is kept" in shown
    (folder,) = (tmp_path / "outputs/default").iterdir()
    assert f"resume with: aisb run --reuse {folder.name}" in shown
    words = [sys.executable, "-m", "aisb_cli.main", "run", "--reuse", folder.name, "--set", "model.ttft_ms=0"]
    resumed = run_forked(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert resumed.returncode == 0, resumed.stderr
    assert "64/64 finished, 0 failed" in resumed.stderr


def test_p_pauses_the_rows_and_p_again_lets_them_go_on(terminal):
    terminal.press("p")
    terminal.until("paused; p: continue, q: stop")
    terminal.more(0.3)
    assert terminal.more(1.2) == ""  # nothing is drawn over what someone reads
    terminal.press("p")
    assert "finished" in terminal.more(1.5)
    terminal.press("q")
    assert terminal.end() == 130


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_the_terminal_is_given_back_on_every_way_out(terminal, number):
    assert not terminal.as_before()
    terminal.process.send_signal(number)
    code = terminal.end()
    assert code == (-number if number == signal.SIGHUP else 130)
    assert terminal.as_before()


def test_in_the_background_the_terminal_is_left_alone(tmp_path):
    """A run in a process group that is not the terminal's, as after `&`: it must not be stopped by the terminal."""
    script = (
        "import subprocess, sys\n"
        "run = subprocess.Popen([sys.executable, '-m', 'aisb_cli.main', *sys.argv[1:]], process_group=0)\n"
        "print('code', run.wait())\n"
    )
    ours, theirs = pty.openpty()
    before = termios.tcgetattr(theirs)
    words = [
        "run",
        "--models",
        "sim",
        "--datasets",
        "demo_gsm8k",
        "--num-prompts",
        "8",
        "--set",
        "model.ttft_ms=300",
    ]
    process = subprocess.Popen(
        [sys.executable, "-c", script, *words, "--concurrency", "4"],
        cwd=tmp_path,
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=own_terminal,  # noqa: PLW1509 - no threads run here
        env=os.environ | {"TERM": "xterm-256color"},
        text=True,
    )
    os.write(ours, b"q\n")  # typed for the shell, not for the run
    while process.poll() is None:
        if select.select([ours], [], [], 0.1)[0]:
            os.read(ours, 65536)
    assert process.stdout.read().endswith("code 0\n")
    process.stdout.close()
    assert termios.tcgetattr(theirs)[:4] == before[:4]
    os.close(ours)
    os.close(theirs)
