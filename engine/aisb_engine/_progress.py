"""The progress of a run: counts for each subtask, which the engine updates and a display reads."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

Phase = Literal["waiting", "probing", "sending", "scoring", "done", "failed", "stopped"]
"""What a subtask is doing."""

COUNTED_FIELDS = ("sent", "received", "finished", "failed", "retried", "in_flight", "output_tokens")
"""The fields of `Progress` that workers report and the engine adds up."""


@dataclass(slots=True)
class Progress:
    """The counts of one subtask (one model on one task).

    `resumed` requests were finished by an earlier command. `finished` includes them, and the failed ones.
    `started` and `ended` are in seconds of `time.monotonic()`. `total` is known before the subtask begins,
    except for a load that ends by time, of which `lasts` is the time in seconds. `output_tokens` are those
    that the service reports. `is_graded_later` is true if answers are graded after all have come. `run` is
    the folder of the run if a display may grade answers while they arrive. `detail` is the current activity
    of a local model.
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
    output_tokens: int = 0
    lasts: float | None = None
    is_graded_later: bool = False
    run: Path | None = None
    phase: Phase = "waiting"
    started: float | None = None
    ended: float | None = None
    failures: dict[str, int] = field(default_factory=dict)
    first_failure: str = ""
    detail: str = ""


class Display(Protocol):
    """Shows the progress of a run. The run's thread calls it."""

    def start(self, subtasks: list[Progress]) -> None:
        """Begin to show these subtasks, whose counts keep changing."""

    def say(self, line: str) -> None:
        """Print one line that stays, above the moving part."""

    def log(self, line: str) -> None:
        """Receive a line of a subtask's log file; a display need not show it."""

    def stop(self) -> None:
        """Show the counts for the last time, and release the terminal."""


class Silent:
    """Shows nothing."""

    def start(self, subtasks: list[Progress]) -> None:
        """Do nothing."""

    def say(self, line: str) -> None:
        """Do nothing."""

    def log(self, line: str) -> None:
        """Do nothing."""

    def stop(self) -> None:
        """Do nothing."""
