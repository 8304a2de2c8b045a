"""Where the workers of each subtask run: in this process, or where a launcher places them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from aisb._backend import HttpBackend
from aisb._errors import ConfigError, UsageError
from aisb._plugins import Plugins
from aisb._running import Launcher
from aisb_engine._faults import ComponentError, calling
from aisb_engine._load.job import place_of
from aisb_engine._load.launching import Placement
from aisb_engine._load.prepared import PreparedSubtask
from aisb_engine._progress import Display
from aisb_engine._spec import LOCAL, RunSpec


@dataclass(frozen=True, slots=True)
class Placing:
    """Decides where the subtasks of one command run."""

    spec: RunSpec
    plugins: Plugins
    subtasks: Sequence[PreparedSubtask]

    @property
    def at_once(self) -> int:
        """How many subtasks run at once."""
        return min(self.spec.run.max_num_workers, len(self.subtasks))

    def check(self, display: Display) -> None:
        """Refuse subtasks that cannot run where they should; report those that stay in this process.

        Raises:
            ConfigError: the machine has fewer devices than the local models need, or other processes cannot
                make the backend.
            UsageError: the launcher does not take its options.
        """
        launcher = self._launcher()
        for one in self.subtasks:
            if one.backend.local:
                self._environments(one, 0, launcher)
            if self.spec.run.launcher != LOCAL and not self.is_launched(one):
                display.say(
                    f"{one.subtask.model}: this process sends its requests: "
                    "a launcher runs only HTTP and local backends"
                )
            if self.is_launched(one):
                place_of(self.plugins.find("backend", one.model.backend))
                if one.task.environment is not None:
                    place_of(self.plugins.find("environment", one.task.environment.use))

    def loads_in_workers(self, one: PreparedSubtask) -> bool:
        """Return whether worker processes load a subtask's local model, instead of this process.

        They do when several models run at once, each with its own devices.
        """
        return one.backend.local and (self.at_once > 1 or one.workers > 1 or self.spec.run.launcher != LOCAL)

    def is_launched(self, one: PreparedSubtask) -> bool:
        """Return whether a launcher places a subtask's workers; if not, this process is the only worker.

        A single worker for a service runs elsewhere only if the user chose a launcher.
        """
        is_chosen = self.spec.run.launcher != LOCAL and isinstance(one.backend, HttpBackend)
        return one.workers > 1 or self.loads_in_workers(one) or is_chosen

    def placement(self, one: PreparedSubtask, slot: int) -> Placement | None:
        """Return where a subtask's workers run; None if this process is the only worker.

        `slot` is the subtask's place among those that run at once.
        """
        if not self.is_launched(one):
            return None
        launcher = self._launcher()
        component = self.plugins.find("backend", one.model.backend)
        environments = (
            self._environments(one, slot, launcher) if self.loads_in_workers(one) else [{}] * one.workers
        )
        error = partial(ComponentError.of, self.plugins, "launcher", self.spec.run.launcher)
        return Placement(launcher, component, error, environments)

    def _launcher(self) -> Launcher:
        launcher: Launcher = self.plugins.make(
            "launcher", self.spec.run.launcher, self.spec.launcher, where="launcher"
        )
        return launcher

    def _environments(self, one: PreparedSubtask, slot: int, launcher: Launcher) -> list[Mapping[str, str]]:
        """Return, for each worker of a subtask, the environment variables that select its devices."""
        if launcher.assigns_devices:
            return [{}] * one.workers
        widest = max(each.workers for each in self.subtasks if each.backend.local)
        total = self.at_once * widest
        try:
            with calling(self.plugins, "backend", one.model.backend, "pin"):
                return [one.backend.pin(slot * widest + number, total) for number in range(one.workers)]
        except UsageError as error:
            raise ConfigError(f"models.{one.model.name}", str(error)) from error
