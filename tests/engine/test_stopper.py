"""Signals that arrive while an event loop is closed, or while the handlers of signals are installed."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest

from aisb_engine._stopper import SignalStop, Stopper, event_loop


def test_ctrl_c_while_a_loop_is_closed_comes_after_it(capfd: pytest.CaptureFixture[str]) -> None:
    def send_while_closing() -> None:
        time.sleep(0.2)  # the loop waits for this thread when it is closed
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.2)

    async def leave_a_thread() -> None:
        asyncio.get_running_loop().run_in_executor(None, send_while_closing)

    loops = []

    def run() -> None:
        with event_loop() as runner:
            loops.append(runner.get_loop())
            runner.run(leave_a_thread())

    with pytest.raises(KeyboardInterrupt):
        run()
    assert loops[0].is_closed()
    assert capfd.readouterr().err == ""


def test_a_second_ctrl_c_ends_the_closing_of_a_loop() -> None:
    program = """
import asyncio, os, signal, sys, time
from aisb_engine._stopper import event_loop

def send_twice():
    for _ in range(2):
        time.sleep(0.2)
        os.kill(os.getpid(), signal.SIGINT)
    time.sleep(3600)

async def leave_a_thread():
    asyncio.get_running_loop().run_in_executor(None, send_twice)

try:
    with event_loop() as runner:
        runner.run(leave_a_thread())
except KeyboardInterrupt:
    os._exit(130)
"""
    assert subprocess.run([sys.executable, "-c", program], timeout=30, check=False).returncode == 130


def test_a_signal_while_handlers_are_installed_leaves_none_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    install = signal.signal
    before, before_sigterm = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)

    def install_and_send(number: int, handler: Any) -> Callable[..., Any] | int | None:
        replaced = install(number, handler)
        if number == signal.SIGINT and handler is not before:
            signal.raise_signal(signal.SIGINT)
        return replaced

    monkeypatch.setattr(signal, "signal", install_and_send)
    try:
        with pytest.raises(KeyboardInterrupt), SignalStop(Stopper()):
            pytest.fail("the block ran")
        assert signal.getsignal(signal.SIGINT) is before
    finally:
        install(signal.SIGTERM, before_sigterm)  # stays until the run ends, to ignore a second SIGTERM
