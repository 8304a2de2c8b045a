"""`aisb plugins`: list the installed plugins, and show a component and its options."""

from __future__ import annotations

import json
import shutil
import textwrap
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aisb_cli import shared_options as shared
from aisb_cli.command_group import declared_commands
from aisb_cli.grouped_help import Listing
from aisb_cli.index import not_installed

if TYPE_CHECKING:
    from aisb_engine import Component, DeclaredCommand, Option, PluginInfo, Plugins

HEADERS = ("plugin\n  distribution", "state\nlevel", "offers")


@click.group(cls=Listing)
def plugins() -> None:
    """Show the installed plugins and what they offer."""


@plugins.command("list")
@shared.as_json
@click.option("--all", "with_others", is_flag=True, help="Also list plugins that are not installed.")
@click.option("--debug", is_flag=True, help="Show the traceback of each plugin that failed to load.")
@click.option("--backends", is_flag=True, help="Instead, show what each backend can do.")
@click.pass_context
def list_command(
    context: click.Context, *, as_json: bool, with_others: bool, debug: bool, backends: bool
) -> None:
    """List plugins: distribution, state, level, what each offers, and why one failed.

    The level (bronze, silver, gold) is what a plugin declares; aisb plugins quality NAME checks it.

    \b
      aisb plugins list --all
      aisb plugins list --backends
    """  # noqa: D301 - \b is for click
    if backends:
        _print_backends(context, as_json=as_json)
        return
    infos = _infos(context)
    others = not_installed() if with_others else []
    if as_json:
        missing = [
            {"distribution": one.distribution, "state": "not installed", "offers": one.names,
             "install": one.install}
            for one in others
        ]  # fmt: skip
        _print_json([_plugin_record(info, debug=debug) for info in infos] + missing)
        return
    from tabulate import tabulate

    first = [f"{info.name}\n  {info.distribution} {info.version}" for info in infos]
    used = _widest(line for cell in first for line in cell.split("\n")) + len("blocked")
    width = max(_columns() - used - 4, 24)
    table = [
        (cell, _state(info), _wrapped(_offers(info), width)) for cell, info in zip(first, infos, strict=True)
    ]
    click.echo(tabulate(table, headers=HEADERS, tablefmt="simple"))
    failed = [info for info in infos if info.state == "failed"]
    if failed:
        click.echo()
    for info in failed:
        click.echo(f"{info.name} did not load: {info.reason}")
        if debug and info.traceback:
            click.echo(textwrap.indent(info.traceback, "  "))
    if others:
        click.echo("\nNot installed; run the commands in a checkout of aisb:")
    for one in others:
        components = "; ".join(f"{kind}: {', '.join(names)}" for kind, names in one.names.items())
        text = f"{one.distribution}: {components or 'no components'}"
        click.echo(textwrap.fill(text, _columns(), subsequent_indent="  ", break_on_hyphens=False))
        click.echo(f"  {one.install}")


def _print_backends(context: click.Context, *, as_json: bool) -> None:
    from tabulate import tabulate

    from aisb_cli.backend_abilities import COLUMNS, all_abilities, table

    found = all_abilities(shared.load_plugins(context).components())
    if as_json:
        _print_json([one._asdict() for one in found])
        return
    heads = [name.replace(" ", "\n").replace("-", "-\n") for name in COLUMNS]
    click.echo(tabulate(table(found), headers=heads, tablefmt="simple") + "\n")
    for name, meaning in COLUMNS.items():
        click.echo(f"{name:9}  {meaning}")
    click.echo("\nFor default options. –: known only once a model is loaded, or not applicable.")


def _infos(context: click.Context) -> list[PluginInfo]:
    """Return all plugins by name; components and commands under the same name are one plugin."""
    infos = {(info.name, info.distribution): info for info in shared.load_plugins(context).infos}
    others = []
    for info in declared_commands(context).infos:
        existing = infos.get((info.name, info.distribution))
        if existing and existing.state == info.state == "loaded":
            infos[info.name, info.distribution] = replace(existing, offers={**existing.offers, **info.offers})
        elif not (existing and existing.state == info.state == "blocked"):
            others.append(info)
    return sorted([*infos.values(), *others], key=lambda info: (info.name, info.distribution))


@plugins.command("show")
@click.argument("name")
@shared.as_json
@click.pass_context
def show_command(context: click.Context, name: str, as_json: bool) -> None:
    """Show a component's options, or a command: NAME, or KIND:NAME if two kinds share a name.

    \b
      aisb plugins show vllm-chat
    """  # noqa: D301 - \b is for click
    from aisb_engine import factory_options as options
    from aisb_engine import factory_summary

    commands = _find_commands(context, name)
    plugins = shared.load_plugins(context)
    components = _find_components(context, plugins, name, commands)
    if as_json:
        _print_json([*map(_component_record, components), *map(_command_record, commands)])
        return
    for position, component in enumerate(components):
        if position:
            click.echo()
        first = factory_summary(component.factory)
        click.echo(f"{component.kind}:{component.name}" + (f" – {first}" if first else ""))
        click.echo(f"plugin {component.plugin}, from {component.distribution}\n")
        _print_options(options(component.factory))

    for position, one in enumerate(commands, start=len(components)):
        if position:
            click.echo()
        click.echo(f"command:{one.command.name} – {one.command.help}")
        click.echo(f"plugin {one.plugin}, from {one.distribution}\n")
        click.echo(f"aisb {one.command.name} --help explains its options.")
        if one.command.run_options:
            click.echo("It adds options to aisb run; aisb run --help-all explains them.")


def _find_commands(context: click.Context, text: str) -> list[DeclaredCommand]:
    kind, _, name = text.rpartition(":")
    declared = declared_commands(context).all()
    return [one for one in declared if one.command.name == name and kind in ("", "command")]


def _find_components(
    context: click.Context, found: Plugins, text: str, commands: Iterable[DeclaredCommand]
) -> list[Component]:
    """Return the components with a name; raise UnknownName if there is neither one nor a command."""
    from aisb import UnknownName
    from aisb_engine import KINDS

    kind, colon, name = text.rpartition(":")
    if colon and kind not in (*KINDS, "command"):
        raise UnknownName("kind of component", kind, (*KINDS, "command"))
    components = found.components()
    if named := [c for c in components if c.name == name and kind in ("", c.kind)]:
        return named
    if commands:
        return []
    known = {c.name for c in components if kind in ("", c.kind)}
    if kind in ("", "command"):
        known |= {one.command.name for one in declared_commands(context).all()}
    notes = found.why_missing(name)
    for info in found.infos:
        if info.name == name and info.state == "loaded":
            notes.insert(0, f"{name} is a plugin; it offers {'; '.join(_offers(info)) or 'nothing'}")
    raise UnknownName(kind or "component", name, known, notes)


def _state(info: PluginInfo) -> str:
    """Return the state of a plugin, and below it the quality level that it declares, if any."""
    from aisb_engine import declared_quality

    level = declared_quality(info.distribution)
    return info.state if level is None else f"{info.state}\n{level}"


def _offers(info: PluginInfo) -> list[str]:
    """Return one line per kind: names of components; names of files, or their number if there are many."""
    lines = [f"{kind}: {', '.join(names)}" for kind, names in info.offers.items()]
    for what in ("tasks", "models"):
        names = _files(info, what)
        if names:
            some = ", ".join(names[:6])
            lines.append(f"{what}: {some}" + (f" and {len(names) - 6} more" if len(names) > 6 else ""))
    return lines


def _files(info: PluginInfo, what: str) -> list[str]:
    return sorted(path.stem for folder in info.configs for path in (folder / what).glob("*.toml"))


def _plugin_record(info: PluginInfo, *, debug: bool) -> dict[str, Any]:
    from aisb_engine import declared_quality

    record = {
        "name": info.name,
        "distribution": info.distribution,
        "version": info.version,
        "state": info.state,
        "quality": declared_quality(info.distribution),
        "reason": info.reason,
        "offers": {kind: list(names) for kind, names in info.offers.items()},
        "tasks": _files(info, "tasks"),
        "models": _files(info, "models"),
        "configs": [str(folder) for folder in info.configs],
    }
    return {**record, "traceback": info.traceback} if debug else record


def _command_record(one: DeclaredCommand) -> dict[str, Any]:
    return {
        "kind": "command",
        "name": one.command.name,
        "summary": one.command.help,
        "plugin": one.plugin,
        "distribution": one.distribution,
        "place": one.command.place,
        "run_options": one.command.run_options,
    }


def _component_record(component: Component) -> dict[str, Any]:
    from aisb_engine import factory_options as options
    from aisb_engine import factory_summary

    return {
        "kind": component.kind,
        "name": component.name,
        "summary": factory_summary(component.factory),
        "plugin": component.plugin,
        "distribution": component.distribution,
        "options": [
            {
                "name": option.name,
                "type": option.type,
                "required": option.required,
                "default": None if option.required else option.default,
                "help": option.help,
            }
            for option in options(component.factory)
        ],
    }


def _print_options(options: list[Option]) -> None:
    """Print each option with its help below, since types and defaults leave no room for it."""
    if not options:
        click.echo("It has no options.")
        return
    names = max(_widest(option.name for option in options), len("option"))
    kinds = max(_widest(option.type for option in options), len("type"))
    click.echo(f"{'option':{names}}  {'type':{kinds}}  default")
    for option in options:
        default = "(required)" if option.required else _default(option.default)
        click.echo(f"{option.name:{names}}  {option.type:{kinds}}  {default}")
        if option.help:
            click.echo(
                textwrap.fill(option.help, _columns(), initial_indent="    ", subsequent_indent="    ")
            )


def _columns() -> int:
    return shutil.get_terminal_size().columns


def _widest(lines: Iterable[str]) -> int:
    return max(map(len, lines), default=0)


def _default(value: object) -> str:
    """Return a default as it is written in a file; a dash if there is none."""
    return "–" if value is None else json.dumps(value, ensure_ascii=False, default=str)


def _wrapped(lines: Iterable[str], width: int) -> str:
    return "\n".join(
        textwrap.fill(line, width, break_on_hyphens=False, break_long_words=False, subsequent_indent="  ")
        for line in lines
    )


def _print_json(value: object) -> None:
    click.echo(json.dumps(value, indent=2, ensure_ascii=False, default=_plain))


def _plain(value: object) -> object:
    if isinstance(value, (set, frozenset, tuple)):
        return sorted(value) if isinstance(value, (set, frozenset)) else list(value)
    return str(value) if isinstance(value, Path) else repr(value)
