"""Models that `aisb run` gets by address or path: `--url URL`, `--models NAME=URL`, `--models [NAME=]FOLDER`.

An OpenAI-compatible service is used through its chat API. Tasks that send a text or compare likelihoods use
its completions API, and so do all tasks if the service has no chat API or the model no chat template.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import click

from aisb import UsageError
from aisb_cli.model_folders import folder_table, is_folder, name_of_folder
from aisb_cli.services import CHAT_FILE, COMPLETIONS_FILE, Connection, Service, detect_service
from aisb_engine import Catalog, Plugins, Resolver, RunInput, mask_secrets, mask_url, safe_name, split_names

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
NEW_RUNS = ("all", "infer", "perf")
"""The modes that begin a run; the others read one."""


@dataclass(frozen=True, slots=True)
class NamedModel:
    """A model of the run: its name, the table that defines it, and its tasks."""

    name: str
    table: Mapping[str, Any]
    tasks: tuple[str, ...]


def check_name(name: str, flag: str) -> str:
    """Return a name for tables, files and folders, as `flag` has it.

    Raises:
        UsageError: it has other characters than letters, digits, `.`, `_` and `-`.
    """
    if not NAME.fullmatch(name):
        raise UsageError(
            f"{flag}: {name!r} is not a valid model name: use letters, digits, '.', '_' and '-', and begin "
            "with a letter or a digit"
        )
    return name


def split_addresses(models: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """Return the names in `--models`, and the address or folder of each that is given by its place.

    Raises:
        UsageError: a name is invalid, has no address, or is given twice; or there is no such folder.
    """
    names: list[str] = []
    addresses: dict[str, str] = {}
    for word in split_names(models):
        name, equals, url = word.partition("=")
        if not equals and "/" in word:
            name, url = name_of_folder(word), word
            addresses[name] = url
        elif equals:
            check_name(name, f"--models {name}={mask_url(url)}")
            if not url:
                raise UsageError(f"--models {word} has no address: write {name}=http://HOST:PORT")
            addresses[name] = url
        if name in names and name in addresses:
            raise UsageError(f"--models has the name {name} twice: give each model a name of its own: NAME=…")
        names.append(name)
    return names, addresses


def with_services(run_input: RunInput, plugins: Plugins, flags: Mapping[str, Any]) -> RunInput:
    """Return the input of a run, with a model for each service or folder that is given by its place.

    `flags` are those of `aisb run`. Each service is probed, and a line says what it is. A dry run requests no
    token, so it assumes that a chat API works.

    Raises:
        ServiceError: a service does not answer, or is of no known kind.
        UsageError: a service serves several models and none is chosen, the model file for a service is not
            installed, a name is invalid, or the run exists.
    """
    name = flags["name"]
    names, addresses = split_addresses(run_input.models)
    resolver = Resolver(plugins, Catalog(plugins), replace(run_input, models=names))
    run, url = resolver.run, run_input.options.get("url")
    chosen = names or list(
        dict.fromkeys([*run.models, *(one for pairs in run.combinations for one in pairs.models)])
    )
    if name is not None or addresses:
        _check(flags, chosen, addresses)
    if flags["reuse"] is not None or flags["mode"] not in NEW_RUNS or flags["search"]:
        return run_input
    detector = _ServiceDetector(resolver, flags["wait"] or run.wait, dry=flags["dry_run"])
    if not chosen:
        return (
            run_input
            if url is None
            else _paired(run_input, detector.models_of(str(url), name), detector.tasks)
        )
    if not addresses:
        return (
            run_input
            if name is None
            else _with_models(run_input, [NamedModel(chosen[0], {"abbr": name}, ())])
        )
    models: list[NamedModel] = []
    for one in names:
        if one not in addresses:
            models.append(NamedModel(one, {}, detector.tasks))
        elif is_folder(addresses[one]):
            models.append(NamedModel(one, folder_table(addresses[one], one), detector.tasks))
        elif one in _known(resolver):
            models.append(NamedModel(one, {"url": addresses[one]}, detector.tasks))
        else:
            models += detector.models_of(addresses[one], one)
    return _paired(run_input, models, detector.tasks)


def _check(flags: Mapping[str, Any], chosen: Sequence[str], addresses: Mapping[str, str]) -> None:
    """Refuse names and addresses of models that cannot be used.

    Raises:
        UsageError: the run exists, `--name` is invalid or not for one model, or an address is given twice.
    """
    name = flags["name"]
    places = "FOLDER" if all(map(is_folder, addresses.values())) else "NAME=URL"
    given = f"--models {places}" if addresses else "--name"
    if flags["reuse"] is not None or flags["mode"] not in NEW_RUNS:
        raise UsageError(f"{given} is for a new run: the models of this one keep their names")
    if addresses and flags["url"] is not None:
        raise UsageError("--url and --models NAME=URL are both given: write the address of each model once")
    if name is not None and check_name(name, "--name") and (addresses or len(chosen) > 1):
        raise UsageError(
            f"--name {name} is for one model without a name of its own, and --models has {', '.join(chosen)}"
        )


def _known(resolver: Resolver) -> set[str]:
    """Return the names of model files, of backends, and of models in the user's file."""
    entries = (entry.name for entry in resolver.catalog.entries("model"))
    return {*entries, *resolver.plugins.names("backend"), *resolver.user.get("models", {})}


def _paired(run_input: RunInput, models: Sequence[NamedModel], tasks: tuple[str, ...]) -> RunInput:
    """Return the input with these models, each on its own tasks.

    Raises:
        UsageError: a name that was made for the completions API of a service is the name of another model.
    """
    twice = [name for name, count in Counter(model.name for model in models).items() if count > 1]
    if twice:
        raise UsageError(
            f"--models: {twice[0]} is the name of two models: choose another name for one of them"
        )
    paired = _with_models(run_input, models)
    if all(model.tasks == tasks for model in models):
        return replace(paired, models=[model.name for model in models])
    pairs = [{"models": [model.name], "datasets": list(model.tasks)} for model in models]
    run = {**run_input.run, "models": [], "datasets": [], "combinations": pairs}
    return replace(paired, models=(), datasets=(), run=run)


def _with_models(run_input: RunInput, models: Iterable[NamedModel]) -> RunInput:
    """Return the input with the tables of these models over those of the file."""
    tables = dict(run_input.tables.get("models", {}))
    for model in models:
        if model.table:
            tables[model.name] = {**tables.get(model.name, {}), **model.table}
    return replace(run_input, tables={**run_input.tables, "models": tables})


class _ServiceDetector:
    """Detects what the services of a run are, and which of their APIs its tasks need."""

    def __init__(self, resolver: Resolver, wait: float, *, dry: bool) -> None:
        run_input = resolver.run_input
        options = {key: run_input.options.get(key) for key in ("model", "api_key_env")}
        self._connection = Connection(options, run_input.sets, wait)
        self._plugins = resolver.plugins
        self._resolver = resolver
        self._dry = dry
        combined = (one for pairs in resolver.run.combinations for one in pairs.datasets)
        self.tasks = tuple(
            dict.fromkeys(split_names(run_input.datasets) or [*resolver.run.datasets, *combined])
        )

    def models_of(self, url: str, name: str | None) -> list[NamedModel]:
        """Detect a service, and return its models: one for each of its APIs that the tasks need."""
        if not self.tasks:
            raise UsageError("nothing to run: --datasets is not set (aisb run --search shows all names)")
        tests_chat = not (self._dry or all(map(self._sends_text, self.tasks)))
        connection = self._connection_of(name)
        service, refusal = asyncio.run(detect_service(url, self._plugins, connection, tests_chat=tests_chat))
        texts = self.tasks if refusal else tuple(filter(self._sends_text, self.tasks))
        if service.asked_as != CHAT_FILE:
            texts = ()
        chats = tuple(task for task in self.tasks if task not in texts)
        is_named, name = name is not None, name or _served_name(service)
        table = {"url": url, **({"model": service.model} if service.model else {})}
        models = []
        if chats:
            models.append(NamedModel(name, {"base": service.asked_as, "abbr": name, **table}, chats))
        if texts:
            other = f"{name}-completions" if chats else name
            models.append(NamedModel(other, {"base": COMPLETIONS_FILE, "abbr": other, **table}, texts))
        _print_service(service, models, refusal, f"{name}: " if is_named else "")
        return models

    def _connection_of(self, name: str | None) -> Connection:
        """Return how to reach a service; `--set models.NAME.model` chooses the model of a named one."""
        start = f"models.{name}.model="
        chosen = [text.removeprefix(start) for text in self._connection.sets if text.startswith(start)]
        if not chosen:
            return self._connection
        return replace(self._connection, options={**self._connection.options, "model": chosen[-1]})

    def _sends_text(self, name: str) -> bool:
        """Return whether a task needs the completions API: for texts, token ids or likelihoods."""
        task = self._resolver.show(name)
        return task.mode == "logprob" or task.prompt.style == "text" or task.prompt.tokens is not None


def _served_name(service: Service) -> str:
    """Return the last part of the path of the model that a service serves."""
    return safe_name((service.model or service.asked_as).rstrip("/").rpartition("/")[2])


def _print_service(service: Service, models: Sequence[NamedModel], refusal: str, prefix: str) -> None:
    """Print in one line what a service is, and which API is used."""
    first, *others = models
    serves = f" and serves {service.model}" if service.model else ""
    line = f"{prefix}{mask_url(service.url)} is {service.kind}{serves}; using {first.table['base']}"
    for other in others:
        line += f", and {other.table['base']} for {', '.join(other.tasks)}"
    if refusal:
        line += f", since its chat API refuses requests ({refusal})"
    click.echo(mask_secrets(line), err=True)
