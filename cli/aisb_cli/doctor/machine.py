"""Check this machine: Python, installed packages, plugins, data, and limits of a load."""

from __future__ import annotations

import functools
import importlib.metadata
import os
import platform
import re
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from aisb import PluginError
from aisb_cli.doctor import Finding
from aisb_engine import (
    COMPILED,
    ConnectionLimits,
    DataFolders,
    PluginInfo,
    Plugins,
    connection_limits,
    usable_cores,
)

FEW_FILES = 4096
LITTLE_DISK = 2_000_000_000
_NAME = re.compile(r"[\w.-]+")


def check_machine(plugins: Plugins, work_dir: Path, data_dir: Path | None = None) -> Iterator[Finding]:
    """Yield the findings, area by area. Sends nothing to another machine."""
    yield from _python()
    yield from _distributions(plugins)
    yield from shared_commands(_scripts())
    yield from _plugins(plugins)
    built = ("torch", "torchvision", "torchaudio")
    yield from torch_fits(_versions(built), {name: _requires(name) for name in built})
    yield from _data(plugins, data_dir)
    yield from _tokenizers()
    yield from limits(connection_limits(), usable_cores())
    yield from _disk(work_dir)
    yield from _proxies(os.environ)


def _python() -> Iterator[Finding]:
    text = f"{platform.python_version()} at {sys.executable}, {platform.platform()}"
    yield Finding("Python", "version", "ok", text)
    if not sys.flags.utf8_mode and sys.getfilesystemencoding().lower() not in ("utf-8", "utf8"):
        yield Finding(
            "Python", "encoding", "problem", f"it is {sys.getfilesystemencoding()}", "export PYTHONUTF8=1"
        )
    yield compiled_parts(there=COMPILED, wanted=os.environ.get("AISB_COMPILED") != "0")


def compiled_parts(*, there: bool, wanted: bool) -> Finding:
    """Return whether the compiled reader of replies is used."""
    if there:
        return Finding("Python", "compiled parts", "ok", "the reader of replies is compiled")
    text = "the reader of replies is not compiled: a load takes more CPU"
    if not wanted:
        return Finding("Python", "compiled parts", "note", text, "unset AISB_COMPILED")
    remedy = (
        "with a C compiler and Python's headers, in a checkout of aisb: pip install ./plugins/tools/speedups"
    )
    return Finding("Python", "compiled parts", "note", text, remedy)


def _distributions(plugins: Plugins) -> Iterator[Finding]:
    """Report the installed distributions of this project, and their missing requirements.

    Only runs that name a launcher need it, so its missing requirements are a note.
    """
    launchers = {
        info.distribution
        for info in plugins.infos
        if info.state == "loaded" and set(info.offers) == {"launcher"}
    }
    found = {
        name.lower().replace("_", "-"): dist
        for name, dist in _installed()
        if re.match(r"aisb($|[-_])", name.lower())
    }
    versions: dict[str, list[str]] = {}
    for name, dist in sorted(found.items()):
        versions.setdefault(_stated(dist, "Version"), []).append(name)
    for version, names in versions.items():
        yield Finding("distributions", version, "ok", ", ".join(names))
    for name, dist in sorted(found.items()):
        for line in dist.requires or ():
            requirement, _, marker = line.partition(";")
            match = _NAME.match(requirement.strip())
            if match and "extra" not in marker and not marker.strip() and not _version(match[0]):
                yield Finding(
                    "distributions",
                    name,
                    "note" if name in launchers else "problem",
                    f"it needs {requirement.strip()}, which is not installed",
                    f"pip install '{requirement.strip()}'",
                )


def _scripts() -> Iterator[tuple[str, str]]:
    """Yield each command that is installed, with its distribution."""
    for name, dist in _installed():
        yield from ((one.name, name) for one in dist.entry_points if one.group == "console_scripts")


@functools.cache
def _installed() -> list[tuple[str, importlib.metadata.Distribution]]:
    """Return the installed distributions with their names."""
    return [(name, dist) for dist in importlib.metadata.distributions() if (name := _stated(dist, "Name"))]


def _stated(dist: importlib.metadata.Distribution, key: str) -> str:
    """Return what the metadata state under a key. To parse them takes ten times as long."""
    head, _, _ = (dist.read_text("METADATA") or dist.read_text("PKG-INFO") or "").partition("\n\n")
    lines = (line for line in head.splitlines() if line.startswith(f"{key}:"))
    return next(lines, "").partition(":")[2].strip()


def shared_commands(scripts: Iterable[tuple[str, str]]) -> Iterator[Finding]:
    """Report a command of this project that another distribution installs too: the later one wins."""
    owners: dict[str, set[str]] = {}
    for command, distribution in scripts:
        owners.setdefault(command, set()).add(distribution.lower().replace("_", "-"))
    for command, names in sorted(owners.items()):
        commands = sorted(name for name in names if name.startswith("aisb-") or name == "aisb")
        others = sorted(names - set(commands))
        if commands and others:
            yield Finding(
                "distributions",
                command,
                "note",
                f"{', '.join(commands)} and {', '.join(others)} both install it; "
                "the one installed last is used",
                f"for that of aisb: pip install --force-reinstall --no-deps {commands[0]}; "
                f"better keep {others[0]} in a separate environment",
            )


def _plugins(plugins: Plugins) -> Iterator[Finding]:
    loaded = [info for info in plugins.infos if info.state == "loaded"]
    yield Finding("plugins", "loaded", "ok", f"{len(loaded)} of {len(plugins.infos)}")
    for info in plugins.infos:
        if info.state == "failed":
            yield Finding(
                "plugins", info.name, "problem", f"did not load: {info.reason}", _plugin_remedy(info)
            )
        elif info.state == "blocked":
            remedy = "to use it, remove it from --block and AISB_BLOCK"
            yield Finding("plugins", info.name, "note", "is blocked", remedy)
    seen: dict[tuple[str, str], list[str]] = {}
    for component in plugins.components():
        seen.setdefault((component.kind, component.name), []).append(component.plugin)
        try:
            _ = component.factory
        except PluginError as error:
            remedy = _replace_or_block(component.distribution, component.plugin)
            yield Finding("plugins", component.name, "problem", str(error), remedy)
    for (kind, name), owners in seen.items():
        if len(owners) > 1:
            yield Finding(
                "plugins",
                name,
                "problem",
                f"the {kind} {name} is offered by {' and '.join(owners)}",
                f"block all but one, as in --block {owners[-1]}",
            )


def _plugin_remedy(info: PluginInfo) -> str:
    missing = re.search(r"No module named '([\w.]+)'", info.reason or "")
    if missing:
        package = missing[1].partition(".")[0]
        return f"pip install {package} (or the package that provides it), or --block {info.name}"
    return _replace_or_block(info.distribution, info.name)


def _replace_or_block(distribution: str, plugin: str) -> str:
    return f"pip install --upgrade {distribution}, or leave it out: --block {plugin}"


def torch_fits(versions: Mapping[str, str], requires: Mapping[str, Iterable[str]]) -> Iterator[Finding]:
    """Return whether torch and the packages built for one version of it are compatible.

    The metadata of each package names the version of torch for which it was built.
    """
    torch = versions.get("torch")
    if torch is None:
        yield Finding("torch", "torch", "ok", "not installed; only local models need it")
        return
    yield Finding("torch", "torch", "ok", torch)
    for name, version in versions.items():
        if name == "torch":
            continue
        lines = requires.get(name, ())
        exact = next((m[1] for line in lines if (m := re.match(r"torch\s*\(?\s*==\s*([\w.]+)", line))), None)
        if exact and exact != torch.partition("+")[0]:
            yield Finding(
                "torch",
                name,
                "problem",
                f"{name} {version} was built for torch {exact}, and torch is {torch}",
                f"pip install torch=={exact} {name}=={version.partition('+')[0]}",
            )
        elif _build(torch) != _build(version):
            yield Finding(
                "torch",
                name,
                "problem",
                f"{name} {version} and torch {torch} were built for different accelerators",
                "install both from one index, in one pip command",
            )
        else:
            yield Finding("torch", name, "ok", f"{version}, which fits")


def _data(plugins: Plugins, data_dir: Path | None) -> Iterator[Finding]:
    from aisb import AisbError
    from aisb_cli.data_sets.inventory import locate
    from aisb_engine import Catalog, Resolver, RunInput

    folders = DataFolders.default(data_dir)
    folder = os.environ.get("AISB_DATA")
    if folder and not Path(folder).expanduser().is_dir():
        yield Finding(
            "data",
            "AISB_DATA",
            "problem",
            f"is {folder}, which is not a folder",
            "set it to the folder of your data",
        )
    catalog = Catalog(plugins)
    resolver = Resolver(plugins, catalog, RunInput())
    states: dict[str, list[str]] = {}
    for entry in catalog.entries("task"):
        try:
            status = locate(resolver.show(entry.name), entry.name, plugins, folders, {})
        except AisbError as error:
            remedy = "correct its file, or its table in aisb.toml"
            yield Finding("data", entry.name, "problem", str(error).splitlines()[0], remedy)
            continue
        states.setdefault(status.state, []).append(entry.name)
    missing = states.pop("missing", [])
    there = sorted(name for names in states.values() for name in names)
    yield Finding("data", "there", "ok", f"of {len(there)} tasks: {_some(there)}")
    if missing:
        yield Finding(
            "data",
            "missing",
            "note",
            f"of {len(missing)} tasks: {_some(missing)}",
            "aisb data list shows where aisb searches; aisb data pull NAME downloads it",
        )


def _tokenizers() -> Iterator[Finding]:
    versions = _versions(("tokenizers", "transformers"))
    if versions:
        libraries = ", ".join(f"{name} {version}" for name, version in versions.items())
        yield Finding("tokenizers", "library", "ok", libraries)
    else:
        yield Finding(
            "tokenizers",
            "library",
            "note",
            "none: prompts of an exact length, and counts that a service does not give, need one",
            "pip install 'aisb-engine[tokenizers]', then model.tokenizer = the model's folder",
        )


def limits(limits_here: ConnectionLimits, processors: int) -> Iterator[Finding]:
    """Report the limits of this machine: open files, ports and processors."""
    if limits_here.files is None or limits_here.connections is None:
        yield Finding("limits", "open files", "ok", "no limit")
    else:
        text = f"{limits_here.files:,}, so at most {limits_here.connections:,} requests in flight a process"
        if limits_here.files < FEW_FILES:
            yield Finding("limits", "open files", "problem", text, "ulimit -Hn 65536, or more --workers")
        else:
            yield Finding("limits", "open files", "ok", text)
    if limits_here.ports is not None:
        yield Finding("limits", "local ports", "ok", f"{limits_here.ports:,}, so at most as many connections")
    text = f"{processors} for this process"
    if processors < 2:
        yield Finding(
            "limits",
            "processors",
            "note",
            text,
            "for high loads, give the client at least two cores of its own",
        )
    else:
        yield Finding("limits", "processors", "ok", text)


def _disk(work_dir: Path) -> Iterator[Finding]:
    place = next(path for path in (work_dir, *work_dir.absolute().parents) if path.exists())
    free = shutil.disk_usage(place).free
    text = f"{free / 1e9:.1f} GB free for {work_dir}"
    if not os.access(place, os.W_OK):
        yield Finding(
            "disk", "work folder", "problem", f"{place} cannot be written", "name another with -w, --work-dir"
        )
    elif free < LITTLE_DISK:
        remedy = "make room (aisb runs rm), or name another with -w"
        yield Finding("disk", "work folder", "problem", text, remedy)
    else:
        yield Finding("disk", "work folder", "ok", text)


def _proxies(environment: Mapping[str, str]) -> Iterator[Finding]:
    names = [name for name in environment if name.lower() in ("http_proxy", "https_proxy", "all_proxy")]
    if names:
        yield Finding(
            "network",
            "proxy",
            "note",
            f"{', '.join(sorted(names))} set: requests to other machines go through the proxy, "
            "which adds to their times",
            "unset them, or name the service in NO_PROXY, for a performance run",
        )


def _versions(names: Iterable[str]) -> dict[str, str]:
    return {name: version for name in names if (version := _version(name))}


@functools.cache
def _all_versions() -> dict[str, str]:
    """Return the versions of all installed distributions by their names in normal form."""
    found: dict[str, str] = {}
    for name, dist in _installed():  # in the order of the search path: the first one is imported
        found.setdefault(_normal(name), _stated(dist, "Version"))
    return found


def _version(name: str) -> str | None:
    return _all_versions().get(_normal(name))


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _requires(name: str) -> list[str]:
    try:
        return importlib.metadata.requires(name) or []
    except importlib.metadata.PackageNotFoundError:
        return []


def _build(version: str) -> str:
    return version.partition("+")[2]


def _some(names: list[str]) -> str:
    return ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
