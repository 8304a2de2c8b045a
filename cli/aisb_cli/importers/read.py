"""Try each importer in turn on a file or folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from aisb import AisbError, DataError, ImportedTask, Importer, PluginError
from aisb_cli.faults import one_line, traceback_note
from aisb_cli.importers.files import check_json

if TYPE_CHECKING:
    from aisb_engine import Component, Plugins


class Importers:
    """The installed importers. `faults` counts those that failed with an unexpected exception."""

    def __init__(self, plugins: Plugins, complain: Callable[[str], None]) -> None:
        self.faults = 0
        self._complain = complain
        self._importers = list(self._made(plugins))

    def read(self, path: Path) -> list[ImportedTask]:
        """Return the tasks in a file or folder of another tool, from the first importer that recognizes it.

        Raises:
            DataError: no importer recognizes it, or it is broken; the message says what can be read.
        """
        if not path.exists():
            raise DataError(f"{path}: there is no such file or folder")
        for component, importer in self._importers:
            if found := self._read(component, importer, path):
                return found
        if path.is_file():
            try:
                check_json(path)
            except DataError as error:
                raise DataError(f"{error}\n{self._known()}") from error
        raise DataError(f"{path} holds nothing that can be imported\n{self._known()}")

    def readable(self) -> list[tuple[str, str]]:
        """Return the name of each importer, and the files that it reads."""
        return [(component.name, importer.reads) for component, importer in self._importers]

    def _made(self, plugins: Plugins) -> Iterator[tuple[Component, Importer]]:
        for component in plugins.components():
            if component.kind == "importer":
                try:
                    yield component, plugins.make("importer", component.name, {})
                except PluginError as error:
                    self.faults += 1
                    self._complain(f"{error}; it is left out")

    def _read(self, component: Component, importer: Importer, path: Path) -> list[ImportedTask]:
        try:
            return [_checked(one) for one in importer.read(path) or ()]
        except AisbError:
            raise
        except (Exception, SystemExit) as error:  # noqa: BLE001 - what one does wrong, others may do right
            self.faults += 1
            self._complain(
                f"importer {component.name!r} of plugin {component.plugin} failed on {path} and is left out: "
                f"{one_line(error)}\n{traceback_note(error)}"
            )
            return []

    def _known(self) -> str:
        lines = (f"    {name}: {files}" for name, files in self.readable())
        return "\n".join(["  what can be read:", *lines])


def _checked(one: object) -> ImportedTask:
    if not isinstance(one, ImportedTask):
        raise TypeError(f"it returned {one!r:.80}; an importer returns values of ImportedTask")
    return one
