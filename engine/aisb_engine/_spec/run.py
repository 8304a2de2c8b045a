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
    """One model on one task: generation parameters from files, those from flags, and the load.

    A row's own `max_tokens` overrides `params`; `forced` (flags and `--set`) overrides both.
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
        """The parameters of a row that sets none itself."""
        return {**self.params, **self.forced}

    @property
    def repeats(self) -> int:
        """The number of requests per sample: `num_return_sequences`, which is never sent."""
        name = "num_return_sequences"
        return int(self.forced.get(name, self.params.get(name, 1)))


class Judge(Table):
    """The judge model, for tasks whose evaluators ask one.

    The parameters that an evaluator sets override `params` (from the model's file); `forced` overrides both.
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
    raise ValueError("give a number of failed requests, such as 20, or a share of all requests, such as 5%")


FailureLimit: TypeAlias = Annotated[str, BeforeValidator(_failure_limit)]
"""A number of failed requests, or a share of all requests in percent."""

LOCAL = "local"
"""The built-in launcher, which starts worker processes on this machine."""


class Combination(Table):
    """Models and tasks; each model is run on each task."""

    models: Annotated[list[str], Field(min_length=1)]
    datasets: Annotated[list[str], Field(min_length=1)]


class RunTable(Table):
    """Settings of the whole run. `resolved` marks a file in which every table is complete.

    `performance` marks a performance run, which can be reported again but not resumed. If `reporters` is
    empty, those run that declare themselves as the default for this kind of run. `stop_after_failures` ends
    the run after that number, or that share (`"5%"`), of failed requests. `token_budget` ends it when its
    answers have used this number of input and output tokens, over all commands. `selection` determines what
    `load.num_prompts` counts: with `groups` the rows of each group (in a performance run, of all groups in
    turn), with `first` the first rows of the task, as in runs of older versions. `wait` is the time in
    seconds to wait for a service that is still loading. With `combinations` only these pairs are run, unless
    a command names models and tasks itself. `work_dir` is the parent of run folders, unless `-w` is given.
    `tiers` are limits for the requests of a session, by the name of the tier: `ttft = "2s"`, `speed = 30`.
    With `files_apart`, predictions and results are in a subfolder `aisb`, for a reporter that writes the
    layout of another tool.
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
    tiers: dict[str, dict[str, Any]] = {}
    require_valid: bool = False


class RunSpec(Table):
    """A resolved run: all models, tasks and subtasks, with no name left to look up.

    `origins` has the place where users set each parameter, by subtask and name. `not_sent` are parameters of
    a subtask's task that its backend does not send, and `doubts` notes on names that look misspelt; these
    three are not saved. `launcher` has the options of the launcher that `run.launcher` names.
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
