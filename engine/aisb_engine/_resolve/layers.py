"""Merge the layers of one model or task as plain tables, from low to high precedence.

task file < variant < model file < aisb.toml < flags < --set
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aisb._deprecated import Renamed
from aisb._errors import ConfigError, UnknownName, did_you_mean
from aisb._options import bind, option_with, options
from aisb._plugins import Plugins
from aisb._roles import BatchSize, ReplyTokenizer
from aisb_engine._headers import check_header_options
from aisb_engine._resolve.catalog import Catalog, Selection, read_toml, read_user_file
from aisb_engine._resolve.moved import refuse_moved
from aisb_engine._resolve.names import safe_name
from aisb_engine._resolve.secrets import refuse_secrets
from aisb_engine._resolve.tables import Setting, overlay, put, validate
from aisb_engine._spec import Model, RunTable, Task

MODEL_KEYS = frozenset({"summary", "backend", "abbr", "options", "params", "load", "system", "marks", "base"})
TOKENIZER, TOKENIZER_ALIAS = "tokenizer", "tokenizer_path"
"""The option of every model that names its tokenizer, and its name in other tools."""
TASK_LIMITS = ("num_prompts", "rows")
"""Keys of `[load]` that a task's table may also set."""
SET_ROOTS = ("model", "task", "load", "params", "run", "models", "tasks", "judge", "launcher")


@dataclass(slots=True)
class RunInput:
    """The input of a command. `options`, `params`, `load`, `run` and `judge` are the values of flags.

    `tasks` are tables of tasks that flags define, by name; they override those of the file. `tables` are the
    tables of a calling program, merged over those of the file. `lengths` are the lengths of prompts and
    replies for datasets that generate them, in tokens.
    """

    models: Sequence[str] = ()
    datasets: Sequence[str] = ()
    file: Path | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    params: Mapping[str, Any] = field(default_factory=dict)
    load: Mapping[str, Any] = field(default_factory=dict)
    run: Mapping[str, Any] = field(default_factory=dict)
    judge: Mapping[str, Any] = field(default_factory=dict)
    tasks: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    sets: Sequence[str] = ()
    lengths: Mapping[str, int] = field(default_factory=dict)
    tables: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Layers:
    """The merged table of a model or task; generation parameters and load are kept separate by their origin.

    `user_params_place` is the place where a user wrote `user_params`, None if no user did. `set_places` has
    the `--set` of each of `set_params`. `ignored_url` is the address in `--url` if the model has its own
    service.
    """

    table: dict[str, Any]
    file_params: dict[str, Any] = field(default_factory=dict)
    user_params: dict[str, Any] = field(default_factory=dict)
    set_params: dict[str, Any] = field(default_factory=dict)
    unset_params: set[str] = field(default_factory=set)
    user_params_place: str | None = None
    set_places: dict[str, str] = field(default_factory=dict)
    load: dict[str, Any] = field(default_factory=dict)
    ignored_url: str | None = None


class Resolver:
    """Merges the layers of the models and tasks that a command selects."""

    asked = Renamed("run_input")

    def __init__(self, plugins: Plugins, catalog: Catalog, run_input: RunInput) -> None:
        self.plugins = plugins
        self.catalog = catalog
        self.run_input = run_input
        self.user = overlay(read_user_file(run_input.file) if run_input.file else {}, run_input.tables)
        if run_input.tasks:
            self.user["tasks"] = {**self.user.get("tasks", {}), **run_input.tasks}
        self.where = str(run_input.file) if run_input.file else ""
        self.sets = [Setting.parse(text) for text in run_input.sets]
        run = overlay(self.user.get("run", {}), run_input.run)
        for setting in self.sets:
            _check_root(setting)
            if setting.path[0] == "run":
                put(run, setting.path[1:], setting.value, unset=setting.unset)
        self.run = validate(RunTable, run, "run")

    def model(self, text: str, *, selected: bool = True) -> Layers:
        """Merge the layers of one model: its file (or bare backend), aisb.toml, flags, `--set`.

        Flags, `[load]` and `model.` settings apply to the selected models.
        """
        own = self.user.get("models", {})
        user = dict(own.get(text, {}))
        name = str(user.pop("base", text))
        if self.run.resolved and text in own:
            file: dict[str, Any] = {}
            source = None
        elif "backend" in user and name == text and not self._is_file("model", text):
            file, source = {}, None
        elif not self._is_file("model", name) and name in self.plugins.names("backend"):
            file, source = {"backend": name}, None
        else:
            selection, entry = self.catalog.find("model", Selection(name), () if name != text else own)
            file = read_toml(entry.path) if entry else {}
            source = entry.path if entry else None
            text = selection.name if name == text else text
        backend = str(user.get("backend") or file.get("backend"))
        batch_option = self._batch_option(backend)
        layers = Layers(model_table(file, str(source or name), batch_option=batch_option))
        layers.file_params = layers.table.pop("params", {})
        layers.load = layers.table.pop("load", {})
        model = model_table(user, f"models.{text}", batch_option=batch_option)
        layers.user_params = model.pop("params", {})
        layers.user_params_place = f"[models.{text}.params] in {self.where}"
        load = self.user.get("load", {}) if selected else {}
        layers.load = overlay(layers.load, load, model.pop("load", {}))
        given = dict(self.run_input.options) if selected else {}
        if given.get("url") and self._has_own_service(backend):
            layers.ignored_url = given.pop("url")
        flags = {"options": given} if given else {}
        if name != text:
            layers.table.pop("abbr", None)
        layers.table = overlay(layers.table, model, flags)
        layers.table.setdefault("abbr", safe_name(text.replace("_", "-")))
        layers.table["name"] = user.get("name", text) if self.run.resolved else text
        layers.table["file"] = source
        for path, setting in self._settings("model", text):
            if selected or setting.path[0] == "models":
                self.set_model(layers, path, setting)
        return layers

    def task(self, text: str) -> Layers:
        """Merge the layers of one task: its file, the variant, aisb.toml, `--set`."""
        own = self.user.get("tasks", {})
        selection = Selection.parse(text)
        user = dict(own.get(selection.name, {}))
        base = str(user.get("base", selection.name))
        base_selection = Selection.parse(base)._replace(select=selection.select)
        base_selection = base_selection._replace(variant=selection.variant or base_selection.variant)
        resolved = self.run.resolved and selection.name in own
        known = (base_selection.name,) if resolved else own if base_selection.name == selection.name else ()
        found, entry = self.catalog.find("task", base_selection, known)
        if selection.name not in own:
            selection = found
            user = dict(own.get(found.name, {}))
        file = read_toml(entry.path) if entry else {}
        variants = overlay(file.pop("variants", {}), user.pop("variants", {}))
        if resolved:
            table: dict[str, Any] = {}
            file_params: dict[str, Any] = {}
        else:
            variant = self._variant(found, variants)
            file_params = overlay(file.pop("params", {}), variant.pop("params", {}))
            table = overlay(file, variant)
        layers = Layers(table, file_params=file_params, user_params=user.pop("params", {}))
        # In a resolved run these are the task's own parameters; for user-provided data, flags set them.
        if not resolved and selection.name not in self.run_input.tasks:
            layers.user_params_place = f"[tasks.{selection.name}.params] in {self.where}"
        layers.table = overlay(layers.table, user)
        name = Path(selection.name).stem if selection.name.endswith(".toml") else selection.name
        layers.table["name"] = name
        layers.table["file"] = entry.path if entry else None if resolved else self.run_input.file
        layers.table["base"] = str(found._replace(select={}))
        if found.variant:
            layers.table.setdefault("variant", found.variant)
        if found.select:
            layers.table = overlay(layers.table, {"dataset": {"select": found.select}})
        for path, setting in self._settings("task", name):
            if path[0] == "params":
                _set_param(layers, path[1:], setting)
            else:
                put(layers.table, path, setting.value, unset=setting.unset)
        layers.load = {key: layers.table.pop(key) for key in TASK_LIMITS if key in layers.table}
        return layers

    def show(self, text: str) -> Task:
        """Return one task with all layers applied."""
        return self.valid_task(self.task(text))

    def _variant(self, selection: Selection, variants: Mapping[str, Any]) -> dict[str, Any]:
        if selection.variant is None:
            return {}
        if selection.variant not in variants:
            raise UnknownName(f"variant of {selection.name}", selection.variant, variants)
        return dict(variants[selection.variant])

    def _batch_option(self, backend: str) -> str | None:
        """Return the backend's option for the number of samples to process at once, if it has one."""
        if backend not in self.plugins.names("backend"):
            return None
        option = option_with(self.plugins.find("backend", backend).factory, BatchSize)
        return option.name if option else None

    def _has_own_service(self, backend: str) -> bool:
        """Return whether a backend starts its own service: its option `url` is empty by default."""
        if backend not in self.plugins.names("backend"):
            return False
        declared = options(self.plugins.find("backend", backend).factory)
        return any(option.name == "url" and option.default == "" for option in declared)

    def _is_file(self, what: Any, name: str) -> bool:
        return name in self.catalog.aliases or self.catalog.has(what, name)

    def _settings(self, kind: str, name: str) -> Iterable[tuple[tuple[str, ...], Setting]]:
        """Yield the `--set` settings for this model or task, with the path below it."""
        for setting in self.sets:
            root, *rest = setting.path
            if root == kind:
                yield tuple(rest), setting
            elif root == f"{kind}s" and rest[0] == name:
                yield tuple(rest[1:]), setting

    def set_model(self, layers: Layers, path: tuple[str, ...], setting: Setting) -> None:
        """Apply one setting to a model's layers; `path` is relative to the model."""
        if path[0] == "params":
            _set_param(layers, path[1:], setting)
        elif path[0] == "load":
            put(layers.load, path[1:], setting.value, unset=setting.unset)
        else:
            path = path if path[0] in MODEL_KEYS else ("options", *path)
            if path[0] == "options" and path[1:] == (TOKENIZER_ALIAS,):
                path = ("options", TOKENIZER)
            put(layers.table, path, setting.value, unset=setting.unset)

    def valid_model(self, layers: Layers, where: str = "") -> Model:
        """Validate a model's layers, and its options against its backend."""
        where = where or f"models.{layers.table['name']}"
        refuse_secrets(layers.table, where)
        component = self.plugins.find("backend", validate(Model, layers.table, where).backend)
        model = validate(Model, _with_tokenizer(layers.table, component.factory), where)
        refuse_moved(model.options, component.factory, where)
        bind(component.factory, model.options, where=f"{where}.options")
        check_header_options(model.options, where)
        return model

    def valid_task(self, layers: Layers) -> Task:
        """Validate a task's layers."""
        forced = self.forced(layers)
        params = overlay(layers.file_params, layers.user_params, layers.set_params, forced)
        table = {**layers.table, "params": without(params, layers, self.sets)}
        where = f"tasks.{layers.table['name']}"
        return validate(Task, table, where)

    def forced(self, *layers: Layers) -> dict[str, Any]:
        """Return the generation parameters of flags and `--set`, which override a row's own."""
        forced = dict(self.run_input.params)
        for setting in self.sets:
            if setting.path[0] == "params" and not setting.unset:
                put(forced, setting.path[1:], setting.value)
        return overlay(forced, *(layer.set_params for layer in layers))


def model_table(table: Mapping[str, Any], where: str, *, batch_option: str | None = None) -> dict[str, Any]:
    """Normalize a model table: replace alternative names, and move options into `[options]`.

    `batch_size` sets the option `batch_option`; for a service, which has none, it sets the concurrency.
    """
    result: dict[str, Any] = {}
    for key, value in table.items():
        if key == "name" or (key == "api_key" and value == ""):  # templates of other tools have an empty key
            continue
        if key == "max_out_len":
            result = overlay(result, {"params": {"max_tokens": value}})
        elif key == "generation_kwargs":
            result = overlay(result, {"params": value})
        elif key == "batch_size" and batch_option:
            result = overlay(result, {"options": {batch_option: value}})
        elif key == "batch_size" and isinstance(value, int):
            result = overlay(result, {"load": {"concurrency": value}})
        elif key in MODEL_KEYS:
            result = overlay(result, {key: value})
        else:
            result = overlay(result, {"options": {key: value}})
    options = result.get("options")
    if isinstance(options, Mapping) and TOKENIZER_ALIAS in options:
        rest = {key: value for key, value in options.items() if key != TOKENIZER_ALIAS}
        result["options"] = {TOKENIZER: options[TOKENIZER_ALIAS], **rest}
    if not isinstance(result.get("options", {}), Mapping):
        raise ConfigError(f"{where}.options", "must be a table")
    return result


def _with_tokenizer(table: Mapping[str, Any], factory: Callable[..., Any]) -> dict[str, Any]:
    """Move the option `tokenizer` to the model, and also to a backend that takes a tokenizer.

    A local model that takes one counts its tokens itself.
    """
    given = dict(table.get("options", {}))
    if TOKENIZER not in given:
        return dict(table)
    value = given.pop(TOKENIZER)
    names = [option.name for option in options(factory)]
    role = option_with(factory, ReplyTokenizer)
    own = role.name if role else next((name for name in (TOKENIZER, TOKENIZER_ALIAS) if name in names), None)
    if own is not None:
        given[own] = value
        if getattr(factory, "local", False):
            return {**table, "options": given}
    return {**table, "options": given, TOKENIZER: str(value)}


def _check_root(setting: Setting) -> None:
    root, *rest = setting.path
    path = ".".join(setting.path)
    if root not in SET_ROOTS:
        near = did_you_mean(root, SET_ROOTS)
        raise ConfigError(
            path,
            "a path begins with model., task., load., params., run., judge., launcher., models.NAME. or "
            f"tasks.NAME.{near}",
        )
    if len(rest) < (2 if root in {"models", "tasks"} else 1):
        raise ConfigError(path, "is a whole table; name a key in it")


def _set_param(layers: Layers, path: Sequence[str], setting: Setting) -> None:
    if not path:
        raise ConfigError(".".join(setting.path), "is a whole table; name a key in it")
    if setting.unset:
        layers.unset_params.add(path[0])
    else:
        put(layers.set_params, path, setting.value)
        layers.set_places[path[0]] = f"--set {'.'.join(setting.path)}"


def without(params: Mapping[str, Any], layers: Layers, sets: Iterable[Setting]) -> dict[str, Any]:
    """Return parameters without those that `--set PATH=` removes."""
    unset = {s.path[1] for s in sets if s.unset and s.path[0] == "params" and len(s.path) > 1}
    return {key: value for key, value in params.items() if key not in unset | layers.unset_params}
