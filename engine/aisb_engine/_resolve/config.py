"""Resolve a command to a run specification by merging layers, from low to high precedence.

    task file < variant < model file < aisb.toml < flags < --set

Layers are plain tables that are merged; the result is validated once, before anything is sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from aisb._errors import ConfigError, UsageError, did_you_mean
from aisb._options import bind
from aisb._plugins import Plugins
from aisb_engine._resolve.catalog import Catalog
from aisb_engine._resolve.judge import is_named, judge_of
from aisb_engine._resolve.judged import judged_tasks
from aisb_engine._resolve.layers import Layers, Resolver, RunInput, without
from aisb_engine._resolve.names import name_apart, split_names, unique
from aisb_engine._resolve.params import refuse_unfit
from aisb_engine._resolve.secrets import refuse_secrets
from aisb_engine._resolve.tables import overlay, put, validate
from aisb_engine._spec import Load, RunSpec, RunTable, Subtask

__all__ = ["RunInput", "resolve"]


def resolve(plugins: Plugins, run_input: RunInput) -> RunSpec:
    """Resolve the input of a command to a run specification.

    Raises:
        UsageError: nothing was selected, a name is unknown, or a key or value is invalid.
    """
    resolver = Resolver(plugins, Catalog(plugins), run_input)
    run, user = resolver.run, resolver.user
    model_names = unique(split_names(run_input.models) or _names_of(run, "models"))
    task_names = unique(split_names(run_input.datasets) or _names_of(run, "datasets"))
    models = [resolver.model(name) for name in model_names]
    tasks = [resolver.task(name) for name in task_names]
    pairs = _pairs(resolver, zip(model_names, models, strict=True), zip(task_names, tasks, strict=True))
    models = [layers for layers in models if any(layers is model for model, _ in pairs)] if tasks else models
    tasks = [layers for layers in tasks if any(layers is task for _, task in pairs)] if models else tasks
    name_apart([layers.table for layers in models], "abbr")
    name_apart([layers.table for layers in tasks], "name")
    ignored = _ignored_urls(models)
    judge = judge_of(resolver, models)
    _check_named(resolver, models, tasks)
    spec_models = {layers.table["abbr"]: resolver.valid_model(layers) for layers in models}
    spec_tasks = {layers.table["name"]: resolver.valid_task(layers) for layers in tasks}
    if is_named(run_input.judge):
        spec_tasks = judged_tasks(spec_tasks, resolver.catalog)
    subtasks = [_subtask(resolver, *pair) for pair in pairs]
    origins = {
        subtask.key: _origins(resolver, subtask, *pair) for subtask, pair in zip(subtasks, pairs, strict=True)
    }
    if run.resolved and not run_input.models and not run_input.datasets:
        before = {(s.get("model"), s.get("task")) for s in user.get("subtasks", ())}
        subtasks = [subtask for subtask in subtasks if (subtask.model, subtask.task) in before]
    for what, chosen in (("models", spec_models), ("datasets", spec_tasks)):
        if not chosen:
            service = "; --url URL takes a service" if what == "models" else ""
            raise UsageError(
                f"nothing to run: --{what} is not set (aisb run --search shows all names){service}"
            )
    if not run.resolved and "selection" not in run.model_fields_set:
        run = run.model_copy(update={"selection": "groups"})
    run = _without_combinations(run)
    run = run.model_copy(update={"models": list(spec_models), "datasets": list(spec_tasks)})
    return RunSpec(
        run=run,
        launcher=_launcher_options(resolver),
        models=spec_models,
        tasks=spec_tasks,
        subtasks=subtasks,
        judge=judge,
        origins=origins,
        doubts=ignored,
    )


def _ignored_urls(models: Sequence[Layers]) -> list[str]:
    """Return a line for each model that `--url` does not redirect, since it has its own service.

    Raises:
        UsageError: it redirects none of the models.
    """
    own = [layers for layers in models if layers.ignored_url]
    names = ", ".join(str(layers.table["name"]) for layers in own)
    if own and len(own) == len(models):
        raise UsageError(
            f"--url {own[0].ignored_url}: {names} starts its own service, and no other model is named\n"
            "  leave --models out to evaluate the service at this address"
        )
    return [f"{layers.table['name']} starts its own service: --url does not redirect it" for layers in own]


def _names_of(run: RunTable, key: Literal["models", "datasets"]) -> list[str]:
    """Return the names that a file selects: those in `[run]`, then those of its combinations."""
    return [*getattr(run, key), *(name for one in run.combinations for name in getattr(one, key))]


def _pairs(
    resolver: Resolver, models: Iterable[tuple[str, Layers]], tasks: Iterable[tuple[str, Layers]]
) -> list[tuple[Layers, Layers]]:
    """Return the pairs of models and tasks to run: all pairs, or those of the combinations.

    Raises:
        UsageError: no combination has the models or tasks that the command names.
    """
    run_input, combinations = resolver.run_input, resolver.run.combinations
    if run_input.models and run_input.datasets:
        combinations = []
    tasks = list(tasks)
    every = [(model, task) for model in models for task in tasks]
    pairs = [
        (model, task)
        for (model_name, model), (task_name, task) in every
        if not combinations
        or any(model_name in one.models and task_name in one.datasets for one in combinations)
    ]
    if every and not pairs:
        named = ", ".join([*split_names(run_input.models), *split_names(run_input.datasets)])
        raise UsageError(f"run.combinations of {resolver.where} has no pair with {named}")
    return pairs


def _without_combinations(run: RunTable) -> RunTable:
    """Return the table without its combinations, which the subtasks of a resolved run replace."""
    return RunTable.model_validate(run.model_dump(exclude_unset=True, exclude={"combinations"}))


def _launcher_options(resolver: Resolver) -> dict[str, Any]:
    """Return the table `[launcher]` with its settings, validated against the launcher's factory.

    If a flag selects another launcher than the file, the options in the file are ignored.
    """
    name = resolver.run.launcher
    of_file = resolver.user.get("run", {}).get("launcher", name) == name
    options = dict(resolver.user.get("launcher", {})) if of_file else {}
    for setting in resolver.sets:
        if setting.path[0] == "launcher":
            put(options, setting.path[1:], setting.value, unset=setting.unset)
    refuse_secrets({"options": options}, "launcher")
    bind(resolver.plugins.find("launcher", name).factory, options, where="launcher")
    return options


def _subtask(resolver: Resolver, model: Layers, task: Layers) -> Subtask:
    names = (model.table["abbr"], task.table["name"])
    before = _before(resolver.user, names) if resolver.run.resolved else {}
    params = overlay(
        task.file_params,
        model.file_params,
        resolver.user.get("params", {}),
        task.user_params,
        model.user_params,
        before.get("params", {}),
    )
    forced = overlay(before.get("forced", {}), resolver.forced(task, model))
    load = overlay(model.load, task.load, before.get("load", {}), resolver.run_input.load)
    for setting in resolver.sets:
        if setting.path[0] == "load":
            put(load, setting.path[1:], setting.value, unset=setting.unset)
    for layers in (task, model):
        params, forced = without(params, layers, resolver.sets), without(forced, layers, resolver.sets)
    table = {"model": names[0], "task": names[1], "params": params, "forced": forced}
    valid = validate(Subtask, {**table, "load": validate(Load, load, "load")}, f"{names[0]}/{names[1]}")
    refuse_unfit(valid.merged, f"{valid.key}: ")
    return valid


def _before(user: Mapping[str, Any], names: tuple[str, str]) -> Mapping[str, Any]:
    """Return what a resolved run sets for a subtask; for a new one, the limits that it takes over."""
    for table in user.get("subtasks", ()):
        if (table.get("model"), table.get("task")) == names:
            return dict(table)
    return run_limits(user, names[0])


def run_limits(user: Mapping[str, Any], model: str) -> dict[str, dict[str, Any]]:
    """Return the load and forced parameters that all subtasks of a resolved run share.

    If the run has subtasks of `model`, only these count. A model or task that is added to the run takes over
    these limits.
    """
    tables = list(user.get("subtasks", ()))
    tables = [table for table in tables if table.get("model") == model] or tables
    return {key: _shared([table.get(key, {}) for table in tables]) for key in ("forced", "load")}


def _shared(tables: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the items that all tables have in common."""
    first, *others = tables or [{}]
    return {
        key: value
        for key, value in first.items()
        if all(key in other and other[key] == value for other in others)
    }


def _check_named(resolver: Resolver, models: Iterable[Layers], tasks: Iterable[Layers]) -> None:
    """Refuse a `--set` for a model or task that is not selected."""
    chosen = {"models": [m.table["name"] for m in models], "tasks": [t.table["name"] for t in tasks]}
    judge = {**resolver.user.get("judge", {}), **resolver.run_input.judge}.get("base")
    chosen["models"] += [str(judge)] if judge and models else []
    for setting in resolver.sets:
        if names := chosen.get(setting.path[0]):
            name = setting.path[1]
            own = [t.table.get("base", "").split(":")[0] for t in tasks]
            if name not in names and name not in own:
                path = ".".join(setting.path)
                raise ConfigError(path, f"{name!r} is not selected{did_you_mean(name, names)}")


def _origins(resolver: Resolver, subtask: Subtask, model: Layers, task: Layers) -> dict[str, str]:
    """Return the place where a user set each generation parameter; those set only by the task are omitted.

    A resolved run does not distinguish its task's parameters from those of its model's file, so both are
    omitted.
    """
    places: list[tuple[Mapping[str, Any], str | None]] = []
    if resolver.run.resolved:
        forced = _before(resolver.user, (subtask.model, subtask.task)).get("forced", {})
        places.append((forced, f"`forced` in [[subtasks]] of {resolver.where}"))
    else:
        places += [
            (model.file_params, f"[params] of the model file {model.table['file']}"),
            (resolver.user.get("params", {}), f"[params] in {resolver.where}"),
            (task.user_params, task.user_params_place),
            (model.user_params, model.user_params_place),
        ]
    places.append((resolver.run_input.params, "a flag such as --max-out-len"))
    origins = {name: place for params, place in places if place for name in params}
    for setting in resolver.sets:
        if setting.path[0] == "params" and not setting.unset:
            origins[setting.path[1]] = f"--set {'.'.join(setting.path)}"
    origins |= task.set_places | model.set_places
    return {name: place for name, place in origins.items() if name in subtask.merged}
