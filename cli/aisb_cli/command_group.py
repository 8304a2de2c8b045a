"""Command groups with declared commands: help reads declarations, and only a called command is imported."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import click

from aisb import AisbError, PluginError, UnknownName
from aisb_cli.faults import CommandFault
from aisb_cli.grouped_help import UNLIMITED, Grouped
from aisb_cli.invocation import Invocation
from aisb_engine import DeclaredCommands, duplicate_command_error, error_words

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from aisb_engine import DeclaredCommand

OWN_DISTRIBUTION = "aisb"
"""The distribution whose commands are listed first, in the order of its declarations."""
DECLARED = "aisb_cli.declared"
PASSED_ON = (AisbError, click.ClickException, click.exceptions.Exit, click.Abort)
"""Exceptions that a command may end with; any other is a fault of the command."""
GROUP_ATTRIBUTES = (
    "name", "callback", "params", "help", "epilog", "short_help", "options_metavar", "hidden", "deprecated",
    "context_settings", "invoke_without_command", "no_args_is_help", "subcommand_metavar",
)  # fmt: skip
"""The attributes that a group copies from the group that it extends."""


def declared_commands(context: click.Context) -> DeclaredCommands:
    """Return the declared commands, read once per call of `aisb`; print the plugins that failed to load."""
    declared = context.meta.get(DECLARED)
    if not isinstance(declared, DeclaredCommands):
        declared = DeclaredCommands(context.find_root().params.get("block") or ())
        context.meta[DECLARED] = declared
        for info in declared.infos:
            if info.state == "failed":
                _note(context, f"plugin {info.name} did not load: {info.reason}")
    return declared


class Commands(click.Group):
    """A group whose commands are declared by plugins; a command is imported when it is called.

    `prefix` is the beginning of the declared names of its commands: `"runs "`, or nothing. `base` is a group
    with further commands.
    """

    def __init__(
        self, *args: Any, prefix: str = "", base: click.Group | None = None, **attributes: Any
    ) -> None:
        super().__init__(*args, **attributes)
        self.prefix = prefix
        self.base = base

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands: this project's own in declared order, then the others sorted."""
        names = self.base.list_commands(ctx) if self.base else []
        return list(dict.fromkeys((*names, *self._help_lines(ctx))))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command and return it; None if there is none with this name.

        Raises:
            PluginError: two plugins declare the name, or the command cannot be imported.
        """
        declared, name = declared_commands(ctx), self.prefix + cmd_name
        command = self.base.get_command(ctx, cmd_name) if self.base else None
        if found := declared.get(name):
            if command is not None:
                owner = declared.get(self.prefix.strip())
                raise duplicate_command_error(name, [one for one in (owner, found) if one])
            command = found.load()
        children = [one for one in declared.all() if one.command.name.startswith(f"{name} ")]
        if children:
            command = _with_commands(ctx, command, name, children)
        if name == "run" and command is not None:
            command = _with_options(ctx, command, declared.all())
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that the words name, and store its declaration for error messages.

        Raises:
            UnknownName: there is none; the message suggests the nearest, or what to install.
        """
        name, declared = self.prefix + args[0], declared_commands(ctx)
        if ctx.resilient_parsing:
            with suppress(Exception):  # completion must neither fail nor print
                return super().resolve_command(ctx, args)
            return None, None, args[1:]
        if not args[0].startswith("-") and args[0] not in self.list_commands(ctx):
            raise self._unknown(ctx, name)
        if isinstance(ctx.obj, Invocation):
            ctx.obj.called = declared.get(name) or ctx.obj.called
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the help line of each command, from its declaration if it has one."""
        lines = self._help_lines(ctx)
        names = self.list_commands(ctx)
        for name in names:
            if name not in lines and (command := self.get_command(ctx, name)) and not command.hidden:
                lines[name] = command.get_short_help_str(UNLIMITED)
        rows = [(name, lines[name]) for name in names if name in lines]
        if rows:
            with formatter.section("Commands"):
                formatter.write_dl(rows)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete names of commands without importing them, and options."""
        from click.shell_completion import CompletionItem

        lines = self._help_lines(ctx)
        names = [name for name in self.list_commands(ctx) if name.startswith(incomplete)]
        commands = [CompletionItem(name, help=lines.get(name)) for name in names]
        return [*commands, *click.Command.shell_complete(self, ctx, incomplete)]

    def _unknown(self, ctx: click.Context, name: str) -> UnknownName:
        from aisb_cli.index import explain_name

        infos = declared_commands(ctx).infos
        notes = [
            f"plugin {info.name} did not load: {info.reason}" for info in infos if info.state == "failed"
        ]
        notes += [f"plugin {info.name} is blocked" for info in infos if info.state == "blocked"]
        notes += [note] if (note := explain_name(name)) else []
        return UnknownName("command", name, [self.prefix + known for known in self.list_commands(ctx)], notes)

    def _help_lines(self, ctx: click.Context) -> dict[str, str]:
        """Return the help line of each declared command by its name in this group."""
        lines: dict[str, str] = {}
        declared = declared_commands(ctx).all()
        own = [one for one in declared if one.distribution == OWN_DISTRIBUTION]
        others = sorted(
            (one for one in declared if one.distribution != OWN_DISTRIBUTION),
            key=lambda one: one.command.name,
        )
        for one in (*own, *others):
            if one.command.name.startswith(self.prefix):
                name, _, child = one.command.name.removeprefix(self.prefix).partition(" ")
                lines.setdefault(name, f"The commands of {name}." if child else one.command.help)
        return lines


class Root(Commands):
    """The group `aisb`."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """Create the context of a call; `context.obj` is the object for commands."""
        return super().make_context(info_name, args, parent, **{"obj": Invocation(), **extra})


def _with_commands(
    ctx: click.Context, command: click.Command | None, name: str, children: Iterable[DeclaredCommand]
) -> click.Command:
    """Return a group extended by the commands that plugins add to it."""
    if command is None:
        return Commands(name.rpartition(" ")[2], prefix=f"{name} ", help=f"The commands of {name}.")
    if not isinstance(command, click.Group):
        for child in children:
            text = f"command {child.command.name!r} of plugin {child.plugin} is left out"
            _note(ctx, f"{text}: {name} has no commands")
        return command
    attributes = {key: getattr(command, key) for key in GROUP_ATTRIBUTES}
    return Commands(prefix=f"{name} ", base=command, **attributes)


def _with_options(
    ctx: click.Context, command: click.Command, declared: Iterable[DeclaredCommand]
) -> click.Command:
    """Return the command `run` extended by the options that plugins add to it."""
    adding = [one for one in declared if one.command.run_options]
    if not adding:
        return command
    command = copy.copy(command)
    command.params = list(command.params)
    headings = {}
    for one in adding:
        try:
            options = _options(one, command)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a plugin does, the other options stay
            why = error if isinstance(error, AisbError) else error_words(error)
            _note(ctx, f"the options of plugin {one.plugin} for aisb run are ignored: {why}")
            continue
        command.params += options
        headings[f"Plugin {one.plugin}"] = [option.name or "" for option in options]
    if isinstance(command, Grouped):
        command.headings = {**command.headings, **headings}
    return command


def _options(one: DeclaredCommand, command: click.Command) -> list[click.Parameter]:
    holder = click.Command("run")
    one.run_options()(holder)
    taken = {flag for option in command.params for flag in (*option.opts, *option.secondary_opts)}
    for option in holder.params:
        option.expose_value = False  # its callback adds a setting; `run` does not know the option
        option.callback = _named(option.callback, one) if option.callback else None
        if clash := taken.intersection((*option.opts, *option.secondary_opts)):
            raise PluginError(f"run has {min(clash)} already")
    return holder.params[::-1]


def _named(callback: Callable[..., Any], one: DeclaredCommand) -> Callable[..., Any]:
    """Wrap the callback of an option that a plugin adds to `run`, so that its exceptions name the plugin."""

    def call(context: click.Context, parameter: click.Parameter, value: Any) -> Any:
        try:
            return callback(context, parameter, value)
        except PASSED_ON:
            raise
        except Exception as error:
            raise CommandFault(error, one) from error

    return call


def _note(context: click.Context, text: str) -> None:
    if not context.resilient_parsing:
        click.echo(text, err=True)
