"""A command on a terminal of its own: what it writes there, and the keys that a person presses."""

import fcntl
import os
import pty
import select
import struct
import sys
import termios
import time

from forked import Forked, own_terminal


class Terminal:
    """A command that has a terminal of 80 columns for itself, as in a shell or over ssh."""

    def __init__(self, *words, cwd):
        self.ours, self.theirs = pty.openpty()
        fcntl.ioctl(self.theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.before = termios.tcgetattr(self.theirs)
        inherited = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES", "CI")}
        self.process = Forked(
            [sys.executable, "-m", "aisb_cli.main", *words],
            cwd=cwd,
            stdin=self.theirs,
            stdout=self.theirs,
            stderr=self.theirs,
            start_new_session=True,
            preexec_fn=own_terminal,
            env=inherited | {"TERM": "xterm-256color"},
        )
        self.seen = ""

    def press(self, key):
        os.write(self.ours, key.encode())

    def more(self, seconds):
        """Return what is written within so many seconds."""
        new = b""
        ends = time.monotonic() + seconds
        while (left := ends - time.monotonic()) > 0:
            if select.select([self.ours], [], [], left)[0]:
                new += os.read(self.ours, 65536)
        self.seen += new.decode(errors="replace")
        return new.decode(errors="replace")

    def until(self, words, seconds=30):
        ends = time.monotonic() + seconds
        while words not in self.seen:
            assert time.monotonic() < ends, f"never: {words}\n{self.seen}"
            self.more(0.1)

    def end(self):
        """Wait for the command, read what is left, and return its exit code."""
        code = None
        ends = time.monotonic() + 40
        while code is None and time.monotonic() < ends:
            self.more(0.1)
            code = self.process.poll()
        self.more(0.2)
        return code

    def as_before(self):
        return termios.tcgetattr(self.theirs)[:4] == self.before[:4]

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.ours)
        os.close(self.theirs)
