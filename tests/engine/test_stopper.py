"""What stops a run, where it comes at a bad time."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import asyncio, os, signal
from aisb_engine._stopper import event_loop

class Loop(asyncio.SelectorEventLoop):
    def __init__(self):
        os.kill(os.getpid(), signal.SIGINT)
        super().__init__()

async def main():
    print("runs")

try:
    {run}
except KeyboardInterrupt:
    print("interrupted")
"""


def test_a_ctrl_c_while_the_event_loop_is_made_ends_without_words_about_the_loop() -> None:
    def said(run: str) -> tuple[str, str]:
        words = [sys.executable, "-c", PROGRAM.format(run=run)]
        ended = subprocess.run(words, capture_output=True, text=True, check=True)
        return ended.stdout, ended.stderr

    assert said("with event_loop(Loop) as runner: runner.run(main())") == ("interrupted\n", "")
    assert "Exception ignored in" in said("asyncio.Runner(loop_factory=Loop).run(main())")[1]
