"""Convert a parsed config file to the tables of an equivalent `aisb.toml`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aisb import ConfigError
from aisb_compat_aisbench._datasets import MappedTask, TaskMapper
from aisb_compat_aisbench._files import ConfigFile, data_sets
from aisb_compat_aisbench._models import MappedModel, map_model, toml_value

if TYPE_CHECKING:
    from aisb_engine import Plugins

MADE = ("synthetic", "mooncake_trace")
"""Tasks with generated prompts, whose lengths are counted by the model's tokenizer."""
TOP_KEYS = ("models", "datasets", "summarizer", "work_dir", "model_dataset_combinations", "infer", "eval")


@dataclass(slots=True)
class Converted:
    """The models and tasks of a config file by name, their combinations, and notes for the user.

    `secrets` are API keys in the file, by the model's name. They are in no table.
    """

    models: dict[str, dict[str, Any]] = field(default_factory=dict)
    tasks: dict[str, dict[str, Any]] = field(default_factory=dict)
    selected: list[str] = field(default_factory=list)
    combinations: list[dict[str, list[str]]] = field(default_factory=list)
    abbrs: dict[str, Any] = field(default_factory=dict)
    judge: dict[str, Any] = field(default_factory=dict)
    tokenizers: dict[str, str] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)
    work_dir: str | None = None
    notes: list[str] = field(default_factory=list)

    def tables(self) -> dict[str, Any]:
        """Return the tables of an `aisb.toml`."""
        run: dict[str, Any] = {"models": list(self.models), "datasets": list(self.selected)}
        if self.work_dir:
            run["work_dir"] = self.work_dir
        if self.combinations:
            run["combinations"] = self.combinations
        if self.abbrs:
            run["reporter_options"] = {"aisbench": {"abbrs": self.abbrs}}
        for table in self.tasks.values():
            if self.tokenizers and str(table.get("base")).startswith(MADE):
                table.setdefault("dataset", {}).setdefault("tokenizer", next(iter(self.tokenizers.values())))
        tables: dict[str, Any] = {"run": run, "models": self.models}
        if self.tasks:
            tables["tasks"] = self.tasks
        if self.judge:
            tables["judge"] = self.judge
        return tables

    def add_models(self, configs: Any, where: str) -> list[str]:
        """Map models; return their names."""
        return [self._add_model(map_model(config, place)) for config, place in _members(configs, where)]

    def _add_model(self, mapped: MappedModel) -> str:
        known = self.models.get(mapped.name)
        if known is not None and known != mapped.table:
            raise ConfigError(mapped.name, "two models of the file have this abbreviation, and differ")
        self.models[mapped.name] = mapped.table
        if mapped.secret:
            self.secrets[mapped.name] = mapped.secret
        if mapped.tokenizer:
            self.tokenizers[mapped.name] = mapped.tokenizer
        self._note(mapped.notes)
        return mapped.name

    def add_tasks(self, configs: Any, mapper: TaskMapper, where: str) -> list[str]:
        """Map data sets; return the names of their tasks."""
        found = mapper.map_all([config for config, _ in _members(configs, where)], where)
        return list(dict.fromkeys(self._add_task(task) for task in found))

    def _add_task(self, task: MappedTask) -> str:
        name, number = task.name, 2
        while name in self.selected and self.tasks.get(name, {}) != task.table:
            name, number = f"{task.name}-{number}", number + 1
        if name not in self.selected:
            self.selected.append(name)
        if task.table:
            self.tasks[name] = task.table
        if task.abbrs:
            self.abbrs[name] = task.abbrs
        if task.judge is not None and not self.judge:
            judge = map_model(task.judge, f"judge_model of {name}")
            self.judge = judge.table
            if judge.secret:
                self.secrets["judge"] = judge.secret
        self._note(task.notes)
        return name

    def _note(self, notes: list[str]) -> None:
        self.notes += [note for note in notes if note not in self.notes]


def convert(file: ConfigFile, plugins: Plugins) -> Converted:
    """Map a config file with models and data sets.

    Raises:
        ConfigError: it lacks one of them, or a part of it cannot be mapped.
    """
    scope, where = file.scope, str(file.path)
    converted, mapper = Converted(), TaskMapper.of(plugins)
    combined = scope.get("model_dataset_combinations")
    for key in ("models", "datasets"):
        if not scope.get(key) and not combined:
            raise ConfigError(where, f"it has no list `{key}`")
    if combined:
        for pair, place in _members(combined, f"{where}: model_dataset_combinations"):
            models = converted.add_models(pair.get("models"), f"{place}.models")
            tasks = converted.add_tasks(pair.get("datasets"), mapper, f"{place}.datasets")
            converted.combinations.append({"models": models, "datasets": tasks})
    else:
        converted.add_models(scope["models"], f"{where}: models")
        converted.add_tasks(scope["datasets"], mapper, f"{where}: datasets")
    if work_dir := scope.get("work_dir"):
        converted.work_dir = str(toml_value(work_dir, f"{where}: work_dir"))
    if (workers := _workers(scope.get("infer"))) != 1:
        converted.notes.append(
            f"{where}: infer: ignored; --max-num-workers {workers} runs as many subtasks at once"
        )
    return converted


def _workers(infer: Any) -> int:
    """Return the number of concurrent subtasks of a file; 1 by default."""
    runner = infer.get("runner") if isinstance(infer, Mapping) else None
    value = runner.get("max_num_workers") if isinstance(runner, Mapping) else None
    return value if isinstance(value, int) and value > 0 else 1


def add_file(converted: Converted, file: ConfigFile, mapper: TaskMapper) -> None:
    """Add the models or data sets of a file in a config folder."""
    where = str(file.path)
    if isinstance(file.scope.get("models"), list):
        converted.add_models(file.scope["models"], f"{where}: models")
    if members := data_sets(file):
        converted.add_tasks(members, mapper, where)


def key_file(config: Path, model: str) -> Path:
    """Return the path of the file for a model's API key, next to the config file."""
    return config.with_name(f"{config.stem}.{model}.key")


def keep_secrets(converted: Converted, config_file: Path) -> list[Path]:
    """Write API keys to files that only their owner can read, and refer to them in the tables.

    Raises:
        ConfigError: a file cannot be written, or contains another key.
    """
    written = []
    for name, secret in converted.secrets.items():
        path = key_file(config_file, name)
        _write_private(path, secret)
        table = converted.judge if name == "judge" else converted.models[name]
        table.setdefault("options", {})["api_key_file"] = str(path.resolve())
        written.append(path)
    return written


def _write_private(path: Path, secret: str) -> None:
    import os

    try:
        if path.is_file() and not path.is_symlink() and path.read_text("utf-8") == f"{secret}\n":
            path.chmod(0o600)
            return
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_NOFOLLOW", 0)
        with os.fdopen(os.open(path, flags, 0o600), "w", encoding="utf-8") as file:
            os.fchmod(file.fileno(), 0o600)
            file.write(f"{secret}\n")
    except OSError as error:
        raise ConfigError(
            str(path), f"the key of the config file cannot be stored: {error.strerror}; use --api-key-env"
        ) from error


def _members(configs: Any, where: str) -> list[tuple[Mapping[str, Any], str]]:
    if not isinstance(configs, (list, tuple)):
        raise ConfigError(where, "must be a list of dicts")
    for place, config in enumerate(configs):
        if not isinstance(config, Mapping):
            raise ConfigError(f"{where}[{place}]", "must be a dict")
    return [(config, f"{where}[{place}]") for place, config in enumerate(configs)]
