"""Where the workers of each subtask run: in this process, or where a launcher places them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from aisb._backend import HttpBackend
from aisb._errors import ConfigError, UsageError
from aisb._plugins import Plugins
from aisb_engine._faults import ComponentError, calling
from aisb_engine._load.job import place_of
from aisb_engine._load.pieces import Piece
from aisb_engine._load.sending import Placement
from aisb_engine._progress import Display
from aisb_engine._spec import LOCAL, RunSpec


@dataclass(frozen=True, slots=True)
class Placing:
    """Decides it for the subtasks of one command."""

    spec: RunSpec
    plugins: Plugins
    pieces: Sequence[Piece]

    def set_apart(self, display: Display) -> None:
        """Leave local models to worker processes where several run at once, each with its own devices.

        Raises:
            ConfigError: the machine has not as many devices as they need, or other processes cannot make
                the backend.
        """
        for piece in self.pieces:
            piece.apart = piece.backend.local and (
                self._at_once > 1 or piece.workers > 1 or self.spec.run.launcher != LOCAL
            )
            if piece.backend.local:
                self._environments(piece, 0)
            if self.spec.run.launcher != LOCAL and not self.is_launched(piece):
                display.say(
                    f"{piece.subtask.model}: asked from this process: "
                    "the launcher places HTTP and local backends"
                )
            if self.is_launched(piece):
                place_of(self.plugins.find("backend", piece.model.backend))

    @property
    def _at_once(self) -> int:
        return min(self.spec.run.max_num_workers, len(self.pieces))

    def _environments(self, piece: Piece, slot: int) -> list[Mapping[str, str]]:
        """Return what gives each worker of a piece its own devices; `slot` is its place of those at once."""
        wide = max(each.workers for each in self.pieces if each.backend.local)
        total = self._at_once * wide
        try:
            with calling(self.plugins, "backend", piece.model.backend, "pin"):
                return [piece.backend.pin(slot * wide + number, total) for number in range(piece.workers)]
        except UsageError as error:
            raise ConfigError(f"models.{piece.model.name}", str(error)) from error

    def is_launched(self, piece: Piece) -> bool:
        """Say whether a launcher places a piece's workers; else this process is its one worker.

        One worker of a service runs elsewhere only if the user chose a launcher.
        """
        chosen = self.spec.run.launcher != LOCAL and isinstance(piece.backend, HttpBackend)
        return piece.workers > 1 or piece.apart or chosen

    def placement(self, piece: Piece, slot: int) -> Placement | None:
        """Return where a piece's workers run; None where this process is its one worker."""
        if not self.is_launched(piece):
            return None
        run = self.spec.run
        launcher = self.plugins.make("launcher", run.launcher, self.spec.launcher, where="launcher")
        component = self.plugins.find("backend", piece.model.backend)
        environments = self._environments(piece, slot) if piece.apart else [{}] * piece.workers
        named = partial(ComponentError.of, self.plugins, "launcher", run.launcher)
        return Placement(launcher, component, named, environments)
