"""Translate an `ais_bench` command line to flags and tables of `aisb run`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aisb import UsageError
from aisb_compat_aisbench._convert import Converted, convert, keep_secrets
from aisb_compat_aisbench._datasets import TaskMapper, map_synthetic
from aisb_compat_aisbench._files import config_folders, data_sets, find_config, read_config
from aisb_compat_aisbench._known import known_datasets, known_judge, known_model
from aisb_compat_aisbench._models import RETRIES, TIMEOUTS

if TYPE_CHECKING:
    from aisb_engine import Plugins

REPORTER = "aisbench"
TRACE = "mooncake_trace_gen"
JUDGING = {
    "judge": ("eval", "judging is part of scoring in aisb: --mode eval"),
    "infer_judge": ("all", "judging is part of scoring in aisb: --mode all"),
}
DEFAULT_LOAD = {"concurrency": 1, "retries": RETRIES, "timeouts": TIMEOUTS}
"""The reference's defaults; models of its config files set them explicitly."""

TABLE_KEYS = ("summary", "backend", "abbr", "options", "params", "load", "system", "marks", "base")
"""The keys of a model's table that are not options of its backend."""


@dataclass(slots=True)
class ConfigNames:
    """The names that a command selects, and their config files, if any."""

    models: list[str] = field(default_factory=list)
    datasets: list[str] = field(default_factory=list)
    files: dict[tuple[str, str], Path] = field(default_factory=dict)


def translate(
    context: click.Context, flags: Mapping[str, Any], plugins: Plugins
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the equivalent tables and flags of `aisb run`.

    Raises:
        UsageError: a flag contradicts another, or a config file cannot be read or mapped.
    """
    flags = dict(flags)
    converted, names = _asked(flags, plugins)
    for note in converted.notes:
        click.echo(note, err=True)
    if tokenizer := _given_tokenizer(flags):
        converted.tokenizers = {"": tokenizer}
    tables = converted.tables()
    tables["load"] = dict(DEFAULT_LOAD)
    tables = _over(tables, _user_tables(flags))
    _put_mode(flags)
    _put_limits(flags, tables, names.datasets or converted.selected)
    _put_reporter(flags, tables)
    if converted.work_dir and not _is_given(context, "work_dir"):
        flags["work_dir"] = Path(converted.work_dir)
    flags["models"] = tuple(names.models)
    flags["datasets"] = tuple(names.datasets)
    flags["config_files"] = names.files
    for key, chosen in (("models", names.models), ("datasets", names.datasets)):
        if not chosen and not converted.combinations:
            tables["run"].pop(key, None)  # a resumed run has its own
    for key in ("config", "config_dir", "summarizer", "dump_extract_rate"):
        flags.pop(key)
    return tables, flags


def _asked(flags: Mapping[str, Any], plugins: Plugins) -> tuple[Converted, ConfigNames]:
    folders = config_folders(flags["config_dir"])
    if flags["config"] is not None:
        if flags["models"] or flags["datasets"]:
            raise UsageError(f"{flags['config']} sets models and data sets: omit --models and --datasets")
        path = _with_suffix(flags["config"])
        converted = convert(read_config(path, folders), plugins)
        _keep(converted, path)
        names = (
            ConfigNames()
            if converted.combinations
            else ConfigNames([*converted.models], [*converted.selected])
        )
        return converted, names
    from aisb_engine import split_names

    converted, names, mapper = Converted(), ConfigNames(), TaskMapper.of(plugins)
    for text in split_names(flags["models"]):
        names.models += _model(text.removesuffix(".py"), folders, converted, names)
    for text in split_names(flags["datasets"]):
        names.datasets += _dataset(text, folders, converted, names, mapper)
    return converted, names


def _given_tokenizer(flags: Mapping[str, Any]) -> str | None:
    """Return the tokenizer of `--set model.tokenizer=FOLDER`."""
    given = [text.partition("=") for text in flags["sets"]]
    found = [value for key, _, value in given if key in ("model.tokenizer", "model.tokenizer_path")]
    return found[-1] if found else None


def _with_suffix(path: Path) -> Path:
    return path if path.suffix == ".py" or not path.with_suffix(".py").is_file() else path.with_suffix(".py")


def _keep(converted: Converted, path: Path) -> None:
    for file in keep_secrets(converted, path):
        click.echo(f"the API key of {path} is now in {file} (0600)", err=True)


def _model(name: str, folders: Iterable[Path], converted: Converted, names: ConfigNames) -> list[str]:
    """Return the models of a name: of its config file, else a known one, else aisb's."""
    if path := find_config("models", name, [*folders]):
        names.files["--models", name] = path
        part = Converted()
        found = part.add_models(read_config(path, [*folders]).scope.get("models"), f"{path}: models")
        _keep(part, path)
        converted.models |= part.models
        converted.tokenizers |= part.tokenizers
        converted.notes += part.notes
        return found
    if (config := known_model(name)) is not None:
        part = Converted()
        (mapped,) = part.add_models([{**config, "path": ""}], name)
        converted.models[name] = part.models[mapped]
        return [name]
    return [name]


def _dataset(
    text: str, folders: Iterable[Path], converted: Converted, names: ConfigNames, mapper: TaskMapper
) -> list[str]:
    """Return the tasks of a name: `NAME`, `NAME.py`, or `NAME/VARIABLE` of a config file."""
    name, _, variable = text.partition("/")
    name = name.removesuffix(".py")
    path = find_config("datasets", name, [*folders])
    if path is None:
        return [_known_dataset(name, converted)] if not variable else [text]
    names.files["--datasets", name] = path
    ending = variable or "_datasets"
    members = data_sets(read_config(path, [*folders]), ending)
    if not members:
        raise UsageError(f"{path} has no list of data sets whose name ends with {ending}")
    return converted.add_tasks(members, mapper, str(path))


def _known_dataset(name: str, converted: Converted) -> str:
    """Return the task of a name without a config file, with the settings of AISBench's config."""
    known = known_datasets()
    if config := known["synthetic"].get(name):
        table: dict[str, Any] = {}
        map_synthetic(config, table, name)
        converted.tasks["synthetic"] = {"base": name, **table}
        return "synthetic"
    if name == TRACE:
        converted.tasks["mooncake_trace"] = {"base": name}
        return "mooncake_trace"
    if judge := known_judge(name):
        part = Converted()
        (mapped,) = part.add_models([judge], name)
        converted.judge = part.models[mapped]
    return name


def _user_tables(flags: Mapping[str, Any]) -> dict[str, Any]:
    """Return the user's own `aisb.toml`, which overrides names and config files."""
    from aisb_engine import read_user_file

    file = flags["config_file"] or Path("aisb.toml")
    if flags["config_file"] is None and (flags["config"] is not None or not file.is_file()):
        return {}
    tables = read_user_file(file)
    if models := tables.get("models"):
        tables["models"] = {name: _in_one_form(table) for name, table in models.items()}
    return tables


def _in_one_form(table: Mapping[str, Any]) -> dict[str, Any]:
    """Return a model's table in the normal form of this package, with each key in one place."""
    own: dict[str, Any] = {}
    for key, value in table.items():
        if key == "generation_kwargs":
            own = _over(own, {"params": value})
        elif key == "max_out_len":
            own = _over(own, {"params": {"max_tokens": value}})
        elif key == "batch_size" and isinstance(value, int):
            own = _over(own, {"load": {"concurrency": value}})
        elif key in TABLE_KEYS:
            own = _over(own, {key: value})
        else:
            own = _over(own, {"options": {key: value}})
    return own


def _put_mode(flags: dict[str, Any]) -> None:
    if found := JUDGING.get(flags["mode"]):
        click.echo(f"--mode {flags['mode']}: {found[1]}", err=True)
        flags["mode"] = found[0]


def _put_limits(flags: dict[str, Any], tables: dict[str, Any], tasks: Iterable[str]) -> None:
    """Apply `--num-prompts` as AISBench does: to each data set without a `test_range`."""
    count = flags["num_prompts"]
    if count is None:
        return
    flags["num_prompts"] = None
    own = tables.get("tasks", {})
    ranged = [name for name in tasks if "rows" in own.get(name, {})]
    for name in ranged:
        click.echo(f"{name}: its config file sets test_range, which overrides --num-prompts", err=True)
    if ranged:
        for name in tasks:
            if name not in ranged:
                tables.setdefault("tasks", {}).setdefault(name.partition(":")[0], {})["rows"] = f"0:{count}"
    else:
        flags["sets"] = (*flags["sets"], f"load.rows=0:{count}")


def _put_reporter(flags: dict[str, Any], tables: dict[str, Any]) -> None:
    """Select the reporter of this package instead of those of aisb, unless the command names others."""
    options = tables.setdefault("run", {}).setdefault("reporter_options", {}).setdefault(REPORTER, {})
    tables["run"]["files_apart"] = True
    if flags["dump_extract_rate"]:
        options["extract_rate"] = True
    if flags["spec_decode"]:
        options["spec_decode"] = True
    if flags["summarizer"] == "stable_stage":
        options["stage"] = "stable"
    elif flags["summarizer"]:
        click.echo(f"--summarizer {flags['summarizer']}: aisb derives tables from the results", err=True)
    if not flags["reporters"]:
        flags["reporters"] = (REPORTER,)


def _is_given(context: click.Context, name: str) -> bool:
    return context.get_parameter_source(name) is not click.core.ParameterSource.DEFAULT


def _over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Merge tables recursively; other values are replaced."""
    result = dict(below)
    for key, value in above.items():
        old = result.get(key)
        result[key] = _over(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return result
