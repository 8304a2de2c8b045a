"""How far a run is: one mutable count per subtask, which the engine writes and a display reads."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

Phase = Literal["waiting", "probing", "asking", "scoring", "done", "failed", "stopped"]
"""What a subtask is doing."""

COUNTED_FIELDS = ("sent", "received", "finished", "failed", "retried", "in_flight")
"""The fields of `Progress` that workers report, and that are added up."""


@dataclass(slots=True)
class Progress:
    """The counts of one subtask (one model on one task).

    `resumed` were finished by an earlier command and are part of `finished`; so are those that failed.
    `started` and `ended` are seconds of `time.monotonic()`. `detail` is what a local model does right now.
    """

    model: str
    task: str
    log_file: Path
    total: int = 0
    resumed: int = 0
    sent: int = 0
    received: int = 0
    finished: int = 0
    failed: int = 0
    retried: int = 0
    in_flight: int = 0
    phase: Phase = "waiting"
    started: float | None = None
    ended: float | None = None
    failures: dict[str, int] = field(default_factory=dict)
    first_failure: str = ""
    detail: str = ""


class Display(Protocol):
    """What shows progress while a run goes on. Called from the run's own thread."""

    def start(self, subtasks: list[Progress]) -> None:
        """Begin to show these subtasks; their counts change while they are shown."""

    def say(self, line: str) -> None:
        """Print one line that stays, above what moves."""

    def log(self, line: str) -> None:
        """Take a line of a subtask's log, which is also in its file; shown only where that is wanted."""

    def stop(self) -> None:
        """Show the counts a last time and let go of the terminal."""


class Silent:
    """A display that shows nothing."""

    def start(self, subtasks: list[Progress]) -> None:
        """Do nothing."""

    def say(self, line: str) -> None:
        """Do nothing."""

    def log(self, line: str) -> None:
        """Do nothing."""

    def stop(self) -> None:
        """Do nothing."""
