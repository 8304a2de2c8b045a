"""Faults of plugins: recorded values that a command counts and names, in place of an end in a traceback."""

from __future__ import annotations

import traceback
from contextlib import suppress
from datetime import UTC, datetime
from typing import NamedTuple

from aisb._errors import AisbError
from aisb_engine._record.runfolder import RunFolder


class PluginFault(NamedTuple):
    """One thing of a plugin that failed; `line` is what the user reads."""

    what: str
    plugin: str
    line: str


class PluginFaults:
    """The faults of one command on one run. Their tracebacks are in `logs/plugins.log` of the run folder."""

    def __init__(self, folder: RunFolder) -> None:
        self.log_file = folder.path / "logs" / "plugins.log"
        self.faults: list[PluginFault] = []

    def record(self, what: str, plugin: str, error: BaseException) -> str:
        """Keep a fault and its traceback; return one line for the user."""
        subject = f"{what} of plugin {plugin} failed"
        if isinstance(error, AisbError):  # its message says what to do
            line = f"{subject}: {error}"
        else:
            message = " ".join(str(error).split())
            reason = f"{type(error).__name__}: {message}" if message else type(error).__name__
            line = f"{subject}: {reason}; its traceback is in {self.log_file}"
        with suppress(OSError):  # a full disk must not hide the fault
            self.log_file.parent.mkdir(parents=True, exist_ok=True)
            with self.log_file.open("a", encoding="utf-8", errors="backslashreplace") as log:
                now = datetime.now(UTC).isoformat(timespec="milliseconds")
                log.write(f"{now} {subject}\n{''.join(traceback.format_exception(error))}\n")
        self.faults.append(PluginFault(what, plugin, line))
        return line
