"""The inference stage of one command: its input, and its results for the later stages."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from aisb._backend import Backend
from aisb._plugins import Plugins
from aisb._types import Prediction, Request
from aisb_engine._budget import TokenBudget
from aisb_engine._faults import PluginFaults
from aisb_engine._load.loads import ends_by_time
from aisb_engine._load.prepared import PreparedSubtask
from aisb_engine._progress import Display, Progress
from aisb_engine._record.manifest import Manifest
from aisb_engine._record.predictions import LoggedAnswers
from aisb_engine._record.runfolder import RunFolder
from aisb_engine._spec import RunSpec, Subtask
from aisb_engine._stopper import Stopper

MIN_REQUESTS = 100
"""In a pressure run, a failure limit in percent refers to at least this many requests."""


class OtherModel(Protocol):
    """Sends requests of an environment to another model than that under test, and logs them."""

    async def ask(self, request: Request) -> Prediction:
        """Return the reply."""

    async def aclose(self) -> None:
        """Close the connections and the log."""


@dataclass(slots=True)
class InferenceStage:
    """The inference stage of one command: its input, its progress, and the answers.

    A program that starts a run may pass a `stopper`; without one, Ctrl-C stops the stage. `left_out` says by
    name why tasks are skipped: a plugin raised an exception before their rows were read.
    """

    spec: RunSpec
    folder: RunFolder
    plugins: Plugins
    manifest: Manifest
    display: Display
    data_dir: Path | None
    session: int
    faults: PluginFaults
    performance: bool = False
    timed: bool = False
    """Whether the run reports speed: every performance run does, and some others."""
    scored: bool = False
    stopper: Stopper | None = None
    on_start: Callable[[], None] = lambda: None
    """Called once when everything is ready, before anything is sent."""
    backends: dict[str, Backend] = field(default_factory=dict)
    subtasks: list[PreparedSubtask] = field(default_factory=list)
    progress: dict[str, Progress] = field(default_factory=dict)
    """The counts of each subtask by its key."""
    left_out: dict[str, str] = field(default_factory=dict)
    answers: dict[str, LoggedAnswers] = field(default_factory=dict)
    """If the run is `scored`: the answers in the log of each subtask, by its key, without time stamps."""
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    budget: TokenBudget | None = None
    other_model: Callable[[Subtask], OtherModel | None] = lambda _: None
    """Returns what sends the requests of a subtask's environment to another model; None if it has none."""
    other_models: list[OtherModel] = field(default_factory=list)
    interrupted: bool = False
    stopped_because: str = ""
    """Why the stage ended before everything was sent, and the exit code for that."""
    stopped_code: int = 0

    def stop(self, reason: str, exit_code: int) -> None:
        """End the stage before everything is sent; finished requests are kept."""
        if not self.stopped_because:
            self.stopped_because, self.stopped_code = reason, exit_code
        self.stopping.set()

    def check_failures(self) -> None:
        """Stop the stage once `run.stop_after_failures` requests have failed."""
        limit = self.spec.run.stop_after_failures
        if limit is None or self.stopping.is_set():
            return
        failed = sum(one.failed for one in self.progress.values())
        if failed >= self._failure_limit(limit):
            self.stop(f"{failed} requests failed (--stop-after-failures {limit})", 1)

    def _failure_limit(self, limit: str) -> float:
        """Return the number of failures that ends the stage; a percentage may be of finished requests."""
        if not limit.endswith("%"):
            return int(limit)
        total = 0
        for one in self.subtasks:
            progress, load = self.progress[one.subtask.key], one.subtask.load
            planned = progress.total or one.row_count * one.subtask.repeats
            total += max(progress.finished, MIN_REQUESTS) if ends_by_time(load) else planned
        return max(1.0, total * float(limit[:-1]) / 100)

    @property
    def requests(self) -> int:
        """The number of requests; in a scored run, including those that could not be made."""
        return sum(one.total for one in self.progress.values()) + self._broken

    @property
    def failed(self) -> int:
        """The number of failed requests; in a scored run, including those that could not be made."""
        return sum(one.failed for one in self.progress.values()) + self._broken

    @property
    def unanswered(self) -> int:
        """The number of requests without an answer."""
        return sum(one.total - one.finished + one.failed for one in self.progress.values())

    @property
    def _broken(self) -> int:
        if self.performance:
            return 0
        return sum(len(one.broken) * one.subtask.repeats for one in self.subtasks)
