"""A whole run: its subtasks, the table `[run]`, and the resolved configuration of everything in it."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BeforeValidator, Field

from aisb_engine._spec.load import Load
from aisb_engine._spec.model import Model
from aisb_engine._spec.table import Table
from aisb_engine._spec.task import Task


class Subtask(Table):
    """One model on one task: the generation parameters from files, those that were forced, and the load.

    A row's own `max_tokens` stands between `params` and `forced` (flags and `--set`).
    """

    model: str
    task: str
    params: dict[str, Any] = {}
    forced: dict[str, Any] = {}
    load: Load = Load()

    @property
    def key(self) -> str:
        """The name of the subtask, `model/task`."""
        return f"{self.model}/{self.task}"

    @property
    def merged(self) -> dict[str, Any]:
        """The parameters of a row that says nothing itself."""
        return {**self.params, **self.forced}

    @property
    def repeats(self) -> int:
        """How often each sample is asked: `num_return_sequences`, which is never sent."""
        return int(self.merged.get("num_return_sequences", 1))


class Judge(Table):
    """The model that judges answers, for tasks with an evaluator that asks one.

    What an evaluator asks for stands between `params` (from the model's file) and `forced` (the judge's own).
    """

    model: Model
    params: dict[str, Any] = {}
    forced: dict[str, Any] = {}
    load: Load = Load()


def _failure_limit(value: object) -> str:
    text = str(value)
    share = re.fullmatch(r"(\d+(?:\.\d+)?)%", text)
    if re.fullmatch(r"[1-9]\d*", text) or (share and 0 < float(share[1]) <= 100):
        return text
    raise ValueError("give a number of failed requests, such as 20, or a part of all, such as 5%")


FailureLimit: TypeAlias = Annotated[str, BeforeValidator(_failure_limit)]
"""A number of failed requests, or a part of all in percent."""

LOCAL = "local"
"""The launcher of worker processes on this machine, which the engine brings."""


class Combination(Table):
    """Models and tasks of which each pair is asked."""

    models: Annotated[list[str], Field(min_length=1)]
    datasets: Annotated[list[str], Field(min_length=1)]


class RunTable(Table):
    """What a run does as a whole. `resolved` marks a file in which every table stands alone.

    `performance` marks the configuration of a performance run, which can be shown again and not resumed.
    Where `reporters` is not set, those show the run that declare themselves as the default for its kind.
    `stop_after_failures` ends it early: after so many failed requests, or after a part of all (`"5%"`).
    `token_budget` ends it when its answers have used so many input and output tokens, over all commands.
    `selection` says what `load.num_prompts` counts: `groups` is rows of each group (in a performance run, of
    all groups by turns), `first` the first rows of the task, as in runs that older versions made.
    `wait` is how many seconds a service that is still loading is waited for.
    With `combinations` only their pairs are asked, unless a command names models and tasks itself.
    `work_dir` is where `aisb run` makes run folders unless `-w` names another place. With `files_apart`
    predictions and results lie in a folder `aisb` of the run, for a reporter that writes another tool's.
    """

    models: list[str] = []
    datasets: list[str] = []
    combinations: list[Combination] = []
    resolved: bool = False
    selection: Literal["groups", "first"] = "first"
    performance: bool = False
    merge_ds: bool = False
    dump_eval_details: bool = False
    predictions_json: bool = True
    max_num_workers: Annotated[int, Field(ge=1)] = 1
    max_failures: Annotated[int, Field(ge=0)] = 0
    wait: Annotated[float, Field(ge=0)] = 0.0
    stop_after_failures: FailureLimit | None = None
    token_budget: Annotated[int, Field(ge=1)] | None = None
    launcher: str = LOCAL
    work_dir: str | None = None
    files_apart: bool = False
    reporters: list[str] = []
    reporter_options: dict[str, dict[str, Any]] = {}
    require_valid: bool = False


class RunSpec(Table):
    """A run, resolved: every model, task and subtask with nothing left to look up.

    `origins` says where users set parameters: by subtask and name. `not_sent` are parameters of a subtask's
    task that its backend does not send, `doubts` lines on names that look misspelt. These are not saved.
    `launcher` has the options of the launcher that `run.launcher` names.
    """

    run: RunTable = RunTable()
    launcher: dict[str, Any] = {}
    models: dict[str, Model] = {}
    tasks: dict[str, Task] = {}
    subtasks: list[Subtask] = []
    judge: Judge | None = None
    origins: dict[str, dict[str, str]] = Field(default={}, exclude=True)
    not_sent: dict[str, list[str]] = Field(default={}, exclude=True)
    doubts: list[str] = Field(default=[], exclude=True)
