"""Run the points of a sweep one after another, each as an ordinary performance run."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import click

from aisb import AisbError, CheckFailed, ServiceError, UsageError
from aisb_analysis._sweep.grid import as_sets
from aisb_analysis._sweep.record import Point, SweepRecord, changed_settings
from aisb_engine import (
    RunFolder,
    execute_run,
    open_finished_run,
    plan_run,
    read_toml,
    read_user_file,
    run_configuration,
)

if TYPE_CHECKING:
    from aisb import FinishedRun
    from aisb_engine import Display, Plugins, RunCommand, RunSpec

SECONDS = 60.0
"""The duration of a point without any limit, in seconds."""
LIMITS = ("num_prompts", "duration", "pressure_time", "use_timestamp")
"""The keys of a load that limit it."""
DEFAULT_MODEL, DEFAULT_TASK = "vllm-chat", "synthetic"
INTERRUPTED = 130


@dataclass(slots=True)
class SweepRunner:
    """Runs a sweep: `base` is the command that each point varies; `check` resolves the points."""

    record: SweepRecord
    base: RunCommand
    plugins: Plugins
    display: Callable[[], Display]
    commands: list[RunCommand] = field(default_factory=list)

    def check(self) -> list[RunSpec]:
        """Resolve every point before the first request.

        Raises:
            UsageError: a point cannot be run, or the settings of a finished point have changed.
        """
        specs = []
        for point in self.record.points:
            try:
                command, spec = self._resolve(point)
            except AisbError as error:
                error.add_note(f"  at the point {point}")
                raise
            self.commands.append(command)
            specs.append(spec)
            if point.run is not None:
                self._check_done(point, run_configuration(spec))
        return specs

    def _resolve(self, point: Point) -> tuple[RunCommand, RunSpec]:
        """Return the command and the resolved run of a point. Without a limit it lasts `SECONDS`.

        Each repeat has another seed: the same arrivals in each would hide a part of the variation.
        """
        run_input = replace(self.base.run_input, sets=[*self.base.run_input.sets, *as_sets(point.settings)])
        command = replace(self.base, run_input=run_input, mode="perf", work_dir=self.record.runs)
        spec, _ = plan_run(command, self.plugins)
        if point.repeat > 1:
            seed = spec.subtasks[0].load.seed + point.repeat - 1
            run_input = replace(run_input, sets=[*run_input.sets, f"load.seed={seed}"])
            command = replace(command, run_input=run_input)
            spec, _ = plan_run(command, self.plugins)
        if not any(getattr(pair.load, key) for pair in spec.subtasks for key in LIMITS):
            command = replace(
                command, run_input=replace(run_input, load={**run_input.load, "duration": SECONDS})
            )
            spec, _ = plan_run(command, self.plugins)
        return command, spec

    def run(self) -> int:
        """Run the remaining points, after `check`; return the exit code.

        0 if every run ended with 0, else the first other code. A point whose run was interrupted stays open.

        Raises:
            AisbError: the sweep cannot continue, for example because a service does not answer.
        """
        count = len(self.record.points)
        for number, (point, command) in enumerate(zip(self.record.points, self.commands, strict=True), 1):
            if point.run is not None:
                continue
            click.echo(f"[{number}/{count}] {point}", err=True)
            finished = self._run(point, command)
            if finished is None:
                return INTERRUPTED
            self.record.write()
            for line in _results(finished):
                click.echo(f"[{number}/{count}] {line}", err=True)
        return next((point.exit_code for point in self.record.points if point.exit_code), 0)

    def _run(self, point: Point, command: RunCommand) -> FinishedRun | None:
        """Run a point, record its run, and return that; None if it was interrupted."""
        try:
            # The table at the end shows all points, so headlines of single runs are redundant.
            with redirect_stdout(io.StringIO()):
                ended = execute_run(command, self.plugins, self.display())
        except CheckFailed as error:  # the run is complete, but its certificate fails --require-valid
            folder = RunFolder.list(self.record.runs)[-1]
            point.run, point.exit_code = folder.timestamp, error.exit_code
            return open_finished_run(folder.path, plugins=self.plugins)
        if ended.interrupted:
            return None
        if ended.stopped_code == ServiceError.exit_code:
            raise ServiceError(f"{ended.stopped_because}; this point must be measured again")
        point.run, point.exit_code = ended.folder.timestamp, ended.exit_code
        for note in ended.notes:
            click.echo(note, err=True)
        return ended.finished or open_finished_run(ended.folder.path, plugins=self.plugins)

    def _check_done(self, point: Point, now: Mapping[str, Any]) -> None:
        folder = RunFolder(self.record.runs / str(point.run))
        changed = list(changed_settings(read_toml(folder.config), now))
        if changed:
            more = f"\n  and {len(changed) - 3} more" if len(changed) > 3 else ""
            raise UsageError(
                f"{self.record.folder} cannot be resumed: its runs would not be comparable\n  "
                + "\n  ".join(changed[:3])
                + more
                + "\n  restore the settings, or start a new sweep without --reuse"
            )


def missing_task(command: RunCommand) -> list[str]:
    """Return the words that add synthetic prompts to a command without tasks; none if it has tasks."""
    run = _run_of_file(command)
    has_tasks = command.run_input.datasets or run.get("datasets") or run.get("combinations")
    return [] if has_tasks else ["--datasets", DEFAULT_TASK]


def with_default_model(command: RunCommand) -> RunCommand:
    """Return a command with the default model, if it names neither a model nor the address of a service."""
    run, run_input = _run_of_file(command), command.run_input
    if run_input.models or run.get("models") or run.get("combinations") or run_input.run.get("combinations"):
        return command
    return replace(command, run_input=replace(run_input, models=[DEFAULT_MODEL]))


def _run_of_file(command: RunCommand) -> Mapping[str, Any]:
    table: Mapping[str, Any] = (
        read_user_file(command.run_input.file).get("run", {}) if command.run_input.file else {}
    )
    return table


def _results(run: FinishedRun) -> list[str]:
    """Return a line for each model and task: rates, the 95th percentile of TTFT, the certificate."""
    lines = []
    for (model, task), result in run.performance.items():
        stage = result.stages[-1]
        ttft = stage.parameters["TTFT"]
        p95 = ttft.percentiles.get(95.0) if ttft else None
        numbers = [
            (stage.totals.request_rate, "{:.4g} requests/s"),
            (stage.totals.output_rate, "{:,.4g} output tokens/s"),
            (p95, "TTFT p95 {:.4g} ms"),
        ]
        known = [form.format(value) for value, form in numbers if value is not None]
        failed = result.stages[0].totals.failed
        failures = [f"{failed:,} failed"] if failed else []
        parts = [*known, *failures, result.certificate.verdict]
        lines.append(f"{task} · {model}: {', '.join(parts)}")
    return lines
