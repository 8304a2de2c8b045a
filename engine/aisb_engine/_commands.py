"""Find the commands that the installed plugins declare, without importing them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from importlib import import_module
from typing import Any, NamedTuple

from aisb import Command, PluginError
from aisb._discovery import (
    COMMANDS,
    COMMANDS_GROUP,
    Broken,
    PluginInfo,
    call_hooks,
    names_to_block,
    read_entries,
)
from aisb._errors import error_words
from aisb._options import short_repr
from aisb._plugins import is_place

_NAME = re.compile(r"[a-z][a-z0-9-]*( [a-z][a-z0-9-]*)?")


class DeclaredCommand(NamedTuple):
    """A command and its plugin."""

    command: Command
    plugin: str
    distribution: str

    def load(self) -> Any:
        """Import the click command.

        Raises:
            PluginError: it cannot be imported, or does not exist.
        """
        return self._at(self.command.place)

    def run_options(self) -> Any:
        """Import the decorator that adds options to `aisb run`; None if there is none.

        Raises:
            PluginError: it cannot be imported, or does not exist.
        """
        return self._at(self.command.run_options) if self.command.run_options else None

    def _at(self, place: str) -> Any:
        module, _, name = place.partition(":")
        try:
            found = getattr(import_module(module), name, None)
        except (Exception, SystemExit) as error:
            raise self._unusable(error_words(error)) from error
        if not callable(found):
            raise self._unusable(f"{place} is {'undefined' if found is None else short_repr(found)}")
        return found

    def _unusable(self, why: str) -> PluginError:
        return PluginError(f"command {self.command.name!r} of plugin {self.plugin} cannot be loaded: {why}")


class DeclaredCommands:
    """The commands of all plugins. `infos` has the plugins that declare commands, or why they failed."""

    def __init__(self, block: Iterable[str] = ()) -> None:
        self._commands: dict[str, list[DeclaredCommand]] = {}
        self.infos = read_entries(COMMANDS_GROUP, names_to_block(block), self._take)

    def names(self) -> list[str]:
        """Return the names in the order in which plugins declare them, plugins by name."""
        return list(self._commands)

    def all(self) -> list[DeclaredCommand]:
        """Return all commands; a name that two plugins declare occurs twice."""
        return [declared for same in self._commands.values() for declared in same]

    def get(self, name: str) -> DeclaredCommand | None:
        """Return the command with a name, or None.

        Raises:
            PluginError: more than one plugin declares it.
        """
        same = self._commands.get(name, [])
        if len(same) > 1:
            raise duplicate_command_error(name, same)
        return same[0] if same else None

    def _take(self, info: PluginInfo, module: object) -> PluginInfo:
        declared = []
        for hook, returned in call_hooks(info.name, module, (COMMANDS,)):
            if isinstance(returned, str | Command) or not isinstance(returned, Iterable):
                raise Broken(f"{hook}() returned {short_repr(returned)}; it returns a list of aisb.Command")
            declared += [_checked(hook, command) for command in returned]
        names = [command.name for command in declared]
        if twice := {name for name in names if names.count(name) > 1}:
            raise Broken(f"{COMMANDS}() declares {min(twice)!r} twice")
        for command in declared:
            same = self._commands.setdefault(command.name, [])
            same.append(DeclaredCommand(command, info.name, info.distribution))
        return replace(info, offers={"command": tuple(names)})


def duplicate_command_error(name: str, by: Iterable[DeclaredCommand]) -> PluginError:
    """Return the error for a command that several plugins declare; it tells what to block."""
    by = list(by)
    who = " and ".join(f"{one.plugin} ({one.distribution})" for one in by)
    return PluginError(
        f"command {name!r} is offered by {who}; block all but one, as in --block {by[-1].plugin}"
    )


def _checked(hook: str, command: object) -> Command:
    if not isinstance(command, Command):
        raise Broken(f"{hook}() has {short_repr(command)}; it returns a list of aisb.Command")
    if not _NAME.fullmatch(command.name):
        raise Broken(
            f"{hook}() offers the name {short_repr(command.name)}; a name is one or two words of lower-case "
            "letters, digits and '-'"
        )
    if not isinstance(command.help, str):
        raise Broken(
            f"{hook}() has {short_repr(command.help)} as the help of {command.name!r}; it is a line of text"
        )
    for place in (command.place, command.run_options):
        if place is not None and not is_place(place):
            raise Broken(
                f"{hook}() has {short_repr(place)} for {command.name!r}; write it as 'package.module:name'"
            )
    return command
