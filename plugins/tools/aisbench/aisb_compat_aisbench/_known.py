"""The names and contents of AISBench's own config files."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from copy import deepcopy
from functools import cache
from importlib.resources import files
from typing import Any

from aisb_compat_aisbench._values import Symbol

ORIGIN = "aisb_config"
"""The key in a data set for its config file, and its abbreviation there."""
REASONING = "ais_bench.benchmark.utils.postprocess.model_postprocessors.extract_non_reasoning_content"


@cache
def known_datasets() -> Mapping[str, Any]:
    """Return the tables of data set configs, of classes, and of aisb's tasks."""
    return _read("configs.toml")


@cache
def known_models() -> Mapping[str, Any]:
    """Return the tables of model configs and of classes."""
    return _read("models.toml")


def _read(name: str) -> Mapping[str, Any]:
    return tomllib.loads((files("aisb_compat_aisbench") / name).read_text("utf-8"))


def known_model(name: str) -> dict[str, Any] | None:
    """Return the table of a model in its config file; None if there is no such file."""
    tables = known_models()
    entry = tables["models"].get(name)
    if entry is None:
        return None
    table = {**deepcopy(tables[entry["kind"]]), "type": entry["type"], "abbr": entry["abbr"], **entry["keys"]}
    if entry.get("reasoning"):
        table["pred_postprocessor"] = {"type": Symbol(REASONING)}
    return table


def known_judge(name: str) -> dict[str, Any] | None:
    """Return the table of the judge model of a config; None without a judge."""
    entry = known_datasets()["judged"].get(name)
    if entry is None:
        return None
    return {**(known_model(entry["model"]) or {}), "abbr": "judge", **entry.get("keys", {})}


def known_abbrs(name: str) -> list[str]:
    """Return the abbreviations of the data sets of a config, by its name; empty if unknown."""
    table = known_datasets()
    entry = table["datasets"].get(name, {})
    return list(
        dict.fromkeys(abbr for value in entry.get("variables", {}).values() for abbr in _listed(value))
    )


def stub(kind: str, name: str) -> dict[str, Any] | None:
    """Return the names in one of AISBench's configs, for a file that includes it; None if unknown.

    A data set has its abbreviation, and the parts that files change (`path`, `reader_cfg` …), empty.
    """
    if kind == "models":
        model = known_model(name)
        return None if model is None else {"models": [model]}
    if kind == "datasets" and (entry := known_datasets()["datasets"].get(name)):
        return {
            variable: [_dataset(name, abbr) for abbr in _listed(value)]
            for variable, value in entry["variables"].items()
        }
    return _Anything() if kind == "summarizers" else None


def _listed(value: str) -> Sequence[str]:
    if value.startswith("@"):
        abbrs: Sequence[str] = known_datasets()["abbrs"][value[1:]]
        return abbrs
    return [value]


def _dataset(name: str, abbr: str) -> dict[str, Any]:
    judge = known_judge(name)
    judged = {"judge_infer_cfg": {"judge_model": judge}} if judge else {}
    return {
        **judged,
        ORIGIN: {"config": name, "abbr": abbr},
        "abbr": abbr,
        "reader_cfg": {},
        "infer_cfg": {"prompt_template": {}, "retriever": {}, "inferencer": {}},
        "eval_cfg": {"evaluator": {}},
    }


class _Anything(dict[str, Any]):
    """The names of a summarizer's config, which has no effect: each is an empty list or table."""

    def __contains__(self, key: object) -> bool:
        return True

    def __missing__(self, key: str) -> Any:
        return [] if key.endswith("groups") else {}
