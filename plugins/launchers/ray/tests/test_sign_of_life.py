"""A worker that computes is alive, even if none of its threads can answer; one that was stopped is not."""

import os
import signal
import subprocess
import sys
import time

from aisb_launcher_ray._collector import cpu_time

HELD = "import re\nprint(flush=True)\nre.match('(a+)+$', 'a' * 40 + 'b')"
"""A program in which no other thread runs for hours."""


def test_the_cpu_time_of_a_process_shows_whether_it_computes():
    with subprocess.Popen([sys.executable, "-c", HELD], stdout=subprocess.PIPE) as busy:
        try:
            busy.stdout.readline()
            first = cpu_time(busy.pid)
            deadline = time.monotonic() + 30
            while cpu_time(busy.pid) <= first:
                assert time.monotonic() < deadline
                time.sleep(0.05)
            os.kill(busy.pid, signal.SIGSTOP)
            time.sleep(0.2)
            stopped = cpu_time(busy.pid)
            time.sleep(0.5)
            assert cpu_time(busy.pid) == stopped
        finally:
            busy.kill()


def test_a_process_that_has_ended_has_none():
    assert cpu_time(2**22 + 1) == 0
