"""Map the data sets of a config file to tasks, with the settings that the file changes."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from aisb import AisbError, ConfigError, UnknownName
from aisb_compat_aisbench._abbrs import abbr_of, group_of
from aisb_compat_aisbench._fingerprint import fingerprint
from aisb_compat_aisbench._known import ORIGIN, known_abbrs, known_datasets
from aisb_compat_aisbench._models import toml_value
from aisb_compat_aisbench._prompts import map_prompt
from aisb_compat_aisbench._values import Symbol
from aisb_engine import Catalog, Resolver, RunInput, Selection, safe_name

DATA_ROOT = "ais_bench/datasets/"
RANGE = re.compile(r"\[(-?\d+)?:(-?\d+)?(:\d+)?\]")
FILES = (".jsonl", ".json", ".csv", ".tsv", ".parquet", ".txt")
IGNORED_DATASET_KEYS = {
    "name",
    "abbr",
    "type",
    "path",
    "reader_cfg",
    "infer_cfg",
    "eval_cfg",
    "judge_infer_cfg",
    ORIGIN,
}


@dataclass(slots=True)
class MappedTask:
    """A task in a file: its name, the changed settings, and its abbreviations.

    `judge` is the config of the judge model.
    """

    name: str
    table: dict[str, Any] = field(default_factory=dict)
    abbrs: str | dict[str, str] | None = None
    judge: Mapping[str, Any] | None = None
    notes: list[str] = field(default_factory=list)


class TaskMapper:
    """Maps data sets to installed tasks."""

    def __init__(self, resolver: Resolver) -> None:
        self.resolver = resolver

    @classmethod
    def of(cls, plugins: Any) -> TaskMapper:
        """Return a mapper for the tasks of these plugins."""
        return cls(Resolver(plugins, Catalog(plugins), RunInput()))

    def map_all(self, configs: Sequence[Any], where: str) -> list[MappedTask]:
        """Map a list of data sets; those of one config file with the same changes become one task.

        Raises:
            ConfigError: a data set has no task here, or a change cannot be mapped.
        """
        for place, config in enumerate(configs):
            if not isinstance(config, Mapping):
                raise ConfigError(f"{where}[{place}]", "must be a dict")
        found: list[MappedTask] = []
        for selection, members in groupby(enumerate(configs), lambda pair: self._selection(pair[1], where)):
            found += self._map_config(selection, list(members), where)
        return found

    def _selection(self, config: Mapping[str, Any], where: str) -> Selection:
        """Return the task of a data set, found by its config file's name, its class or its abbreviation."""
        origin = str(_origin(config).get("config") or "")
        kind = config.get("type")
        name = kind.name if isinstance(kind, Symbol) else str(kind or "").rpartition(".")[2]
        by_class = known_datasets()["types"].get(name)
        tried = [origin] if origin in known_datasets()["datasets"] else [by_class]
        error: AisbError | None = None
        for text in filter(None, tried):
            try:
                return self.resolver.catalog.find("task", Selection.parse(str(text)))[0]
            except UnknownName as unknown:
                error = error or unknown
        if error:
            lines = [line for line in str(error).splitlines() if not line.startswith("  known: ")]
            raise ConfigError(f"{where}: {origin}", "\n".join(lines))
        abbr = config.get("abbr")
        raise ConfigError(
            f"{where}: {abbr or origin}",
            f"no installed task reads {name or 'this data set'}; aisb tasks list shows all tasks, "
            "and docs/add-a-dataset.md explains how to write one",
        )

    def _map_config(
        self, selection: Selection, members: list[tuple[int, Mapping[str, Any]]], where: str
    ) -> Iterator[MappedTask]:
        changed: dict[str, tuple[dict[str, Any], list[Mapping[str, Any]], list[str]]] = {}
        for place, config in members:
            notes: list[str] = []
            table = self._changes(selection, config, f"{where}[{place}]", notes)
            _, same, said = changed.setdefault(repr(table), (table, [], []))
            same.append(config)
            said += [note for note in notes if note not in said]
        for table, same, notes in changed.values():
            yield self._task(selection, table, same, notes, alone=len(changed) == 1)

    def _task(
        self,
        selection: Selection,
        table: dict[str, Any],
        members: Sequence[Mapping[str, Any]],
        notes: list[str],
        *,
        alone: bool,
    ) -> MappedTask:
        known = set(known_abbrs(str(_origin(members[0]).get("config"))))
        there = [str(_origin(one).get("abbr") or one.get("abbr")) for one in members]
        groups = [group_of(selection.name, abbr) for abbr in there]
        whole = alone and (not known or known <= set(there))
        if all(groups) and not whole and not selection.select:
            field_name = self._group_field(selection)
            selection = selection._replace(select={field_name: [str(group) for group in groups]})
        abbrs = [str(one.get("abbr")) for one in members]
        renamed = {str(g): a for g, a, old in zip(groups, abbrs, there, strict=True) if g and a != old}
        usual = {abbr_of(selection.name, {"base": str(selection)}, None), *known}
        own = abbrs[0] if len(members) == 1 and not groups[0] and abbrs[0] not in usual else None
        name = self._name(selection, own, renamed, table)
        task = MappedTask(name, notes=notes)
        if table or name != str(selection):
            task.table = {"base": str(selection._replace(select={})), **table}
            if selection.select:
                task.table.setdefault("dataset", {})["select"] = dict(selection.select)
        task.abbrs = renamed or (own if own != name else None)
        judge = members[0].get("judge_infer_cfg")
        task.judge = judge.get("judge_model") if isinstance(judge, Mapping) else None
        return task

    def _name(
        self, selection: Selection, own: str | None, renamed: Mapping[str, str], table: Mapping[str, Any]
    ) -> str:
        """Return the task's name: that of the installed task if nothing is changed, else a new one."""
        if own:
            return safe_name(own)
        if renamed:
            group, abbr = next(iter(renamed.items()))
            return safe_name(abbr.removesuffix(group).rstrip("-_") or selection.name)
        return selection.name if table else str(selection)

    def _group_field(self, selection: Selection) -> str:
        group = self.resolver.show(selection.name).sample.group or ""
        return group.strip("{}")

    def _changes(
        self, selection: Selection, config: Mapping[str, Any], where: str, notes: list[str]
    ) -> dict[str, Any]:
        """Return the keys of a task's table that a data set's config changes."""
        table: dict[str, Any] = {}
        entry = known_datasets()["datasets"].get(str(_origin(config).get("config")), {})
        if rows := _rows(config.get("reader_cfg"), f"{where}.reader_cfg.test_range"):
            table["rows"] = rows
        if path := config.get("path"):
            self._move(selection, str(toml_value(path, f"{where}.path")), table)
        if isinstance(config.get("config"), Mapping):
            map_synthetic(config["config"], table, f"{where}.config")
        _map_trace(config, table, where, notes)
        inferencer = (config.get("infer_cfg") or {}).get("inferencer") or {}
        if longest := inferencer.get("max_out_len"):
            table.setdefault("params", {})["max_tokens"] = longest
        if (turns := inferencer.get("infer_mode")) in ("every_with_gt", "last"):
            table["prompt"] = {"conversation": turns, "replies": "{replies}"}
        elif turns not in (None, "every"):
            raise ConfigError(
                f"{where}.infer_cfg.inferencer.infer_mode", "must be 'every', 'every_with_gt' or 'last'"
            )
        prompt = config.get("infer_cfg") or {}
        if prompt and not _is_known(prompt, entry.get("prompts"), stub="type" not in config):
            map_prompt(prompt, config.get("reader_cfg") or {}, table, f"{where}.infer_cfg")
        grading = config.get("eval_cfg") or {}
        if grading and not _is_known(grading, entry.get("grading"), stub="type" not in config):
            _refuse_code(grading, f"{where}.eval_cfg")
            notes.append(f"{where}.eval_cfg: graded by aisb's rules of the task {selection.name}")
        for key in config:
            if key not in IGNORED_DATASET_KEYS and key != "config" and "type" not in config:
                raise ConfigError(f"{where}.{key}", "is not a known key of a data set")
        return table

    def _move(self, selection: Selection, path: str, table: dict[str, Any]) -> None:
        """Set the path of a task's data if it is not the default."""
        if path.startswith(DATA_ROOT) or "/" not in path:  # the name of a loader, such as json
            return
        if path.endswith(FILES):
            table.setdefault("dataset", {})["path"] = path
            return
        layouts = self.resolver.show(str(selection._replace(select={}))).dataset.layouts
        if layouts:
            moved = []
            for layout in layouts:
                plain_layout = layout.model_dump(mode="json", exclude_unset=True, exclude_none=True)
                places = layout.path if isinstance(layout.path, list) else [layout.path]
                there = [posixpath.join(path, one.partition("/")[2] or one) for one in places]
                plain_layout["path"] = there if isinstance(layout.path, list) else there[0]
                moved.append(plain_layout)
            table.setdefault("dataset", {})["layouts"] = moved


def _origin(config: Mapping[str, Any]) -> Mapping[str, Any]:
    origin = config.get(ORIGIN)
    return origin if isinstance(origin, Mapping) else {}


def _is_known(table: Mapping[str, Any], fingerprints: str | None, *, stub: bool) -> bool:
    """Return whether a table is equal to that of AISBench's own config file."""
    if stub:
        return not any(_filled(value) for key, value in table.items() if key != "inferencer")
    return fingerprint(table) in (fingerprints or "").split()


def _filled(value: Any) -> bool:
    return (
        any(map(_filled, value.values())) if isinstance(value, Mapping) else value not in (None, "", [], ())
    )


def _refuse_code(table: Mapping[str, Any], where: str) -> None:
    for key in ("pred_postprocessor", "dataset_postprocessor"):
        step = table.get(key)
        kind = step.get("type") if isinstance(step, Mapping) else step
        if kind is not None and not isinstance(kind, (Symbol, str)):
            toml_value(kind, f"{where}.{key}")


def _rows(reader: Any, where: str) -> str | None:
    """Return the range of rows in `test_range`."""
    value = reader.get("test_range") if isinstance(reader, Mapping) else None
    if value is None or value == "":
        return None
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return f"0:{value}"
    text = value.replace(" ", "") if isinstance(value, str) else ""
    if not RANGE.fullmatch(text):
        raise ConfigError(where, f"{value!r} is not a range such as '[0:100]'")
    return text.strip("[]")


OFFSET = "fixed_schedule_{}_offset"
"""The keys that select a part of a trace: `auto`, and `start` and `end` in milliseconds."""


def _map_trace(config: Mapping[str, Any], table: dict[str, Any], where: str, notes: list[str]) -> None:
    """Map the keys of traces: the replayed part, and a seed.

    Times are relative to the beginning of the part; with `auto`, to its first request.
    """
    start = _milliseconds(config, OFFSET.format("start"), where, none=0)
    end = _milliseconds(config, OFFSET.format("end"), where, none=-1)
    dataset: dict[str, Any] = {}
    if start is not None:
        dataset["start"] = start
        if not config.get(OFFSET.format("auto")):
            dataset["origin"] = start
    if end is not None:
        dataset["end"] = end
    if dataset:
        table.setdefault("dataset", {}).update(dataset)
    if isinstance(seed := config.get("random_seed"), int):
        table.setdefault("dataset", {})["seed"] = seed
    if config.get("generated_prompts_path"):
        notes.append(f"{where}.generated_prompts_path: ignored: generated prompts are not stored in a file")


def _milliseconds(config: Mapping[str, Any], key: str, where: str, *, none: int) -> float | None:
    """Return milliseconds of a config as seconds; None for the value that means no limit."""
    value = config.get(key)
    if value is None or value == none:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        raise ConfigError(f"{where}.{key}", "must be milliseconds of the trace")
    return float(value) / 1000


LENGTH_KEYS = {"MinValue": "min", "MaxValue": "max", "Mean": "mean", "Var": "var", "Alpha": "alpha"}


def map_synthetic(config: Mapping[str, Any], table: dict[str, Any], where: str) -> None:
    """Map the table of synthetic prompts: `Type`, `RequestCount`, and lengths."""
    kind = str(config.get("Type", "")).lower()
    dataset = table.setdefault("dataset", {})
    if "RequestCount" in config:
        dataset["requests"] = toml_value(config["RequestCount"], f"{where}.RequestCount")
    if kind == "string":
        parts = config.get("StringConfig") or {}
        for there, here in (("Input", "input"), ("Output", "output")):
            if isinstance(parts.get(there), Mapping):
                dataset[here] = _lengths(parts[there], f"{where}.StringConfig.{there}")
    elif kind == "tokenid":
        parts = config.get("TokenIdConfig") or {}
        if "RequestSize" in parts:
            dataset["input"] = toml_value(parts["RequestSize"], f"{where}.TokenIdConfig.RequestSize")
        if prefix := _prefix(parts, f"{where}.TokenIdConfig.PrefixLen"):
            dataset["prefix"] = prefix
    else:
        raise ConfigError(f"{where}.Type", "must be 'string' or 'tokenid'")


def _prefix(parts: Mapping[str, Any], where: str) -> int:
    """Return the number of tokens that all prompts share; AISBench also has a share of the length."""
    value = parts.get("PrefixLen") or 0
    size = parts.get("RequestSize") or 0
    if isinstance(value, float) and 0 <= value <= 1 and isinstance(size, int):
        return int(size * value)
    if not isinstance(value, int) or value < 0:
        raise ConfigError(where, "must be a number of tokens, or a share of RequestSize between 0 and 1")
    return value


def _lengths(config: Mapping[str, Any], where: str) -> dict[str, Any]:
    params = config.get("Params") or {}
    for key in params:
        if key not in LENGTH_KEYS:
            raise ConfigError(f"{where}.Params.{key}", f"is not known; known: {', '.join(LENGTH_KEYS)}")
    return {"method": config.get("Method"), **{LENGTH_KEYS[key]: value for key, value in params.items()}}
