"""Resolve the judge model from the table `[judge]`.

`[judge]` is a table like that of a model. `base` names the model that it extends.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

from aisb._errors import ConfigError
from aisb_engine._resolve.layers import Layers, Resolver, model_table
from aisb_engine._resolve.params import refuse_unfit
from aisb_engine._resolve.tables import overlay, validate
from aisb_engine._spec import Judge, Load


def is_named(table: Mapping[str, Any]) -> bool:
    """Return whether a command names a judge, which is then meant for this run, unlike one in `aisb.toml`."""
    return "base" in table or "abbr" in table


def judge_of(resolver: Resolver, models: Sequence[Layers] = ()) -> Judge | None:
    """Merge the layers of the judge: the model that it extends, the table `[judge]`, flags, `--set`.

    If it extends a model of the run, it gets that model's flags and settings too: it is the same service.

    Raises:
        ConfigError: it has settings, but no model is named.
    """
    table: dict[str, Any] = dict(resolver.user.get("judge", {}))
    if "base" in resolver.run_input.judge and table.get("backend"):
        table = {}  # another judge replaces the one that the run had
    table = overlay(table, resolver.run_input.judge)
    settings = [setting for setting in resolver.sets if setting.path[0] == "judge"]
    for setting in settings:
        if setting.path[1] == "base":
            table["base"] = setting.value
    base, forced = table.pop("base", None), table.pop("forced", {})
    if base is None and "backend" not in table:
        if table or settings:
            raise ConfigError("judge.base", "must be set: the judge model, as in --judge NAME")
        return None
    below = Layers({"name": "judge", "abbr": "judge"})
    if base is not None:
        name = str(base)
        same = next((one for one in models if name in {one.table["name"], one.table["abbr"]}), None)
        below = deepcopy(same) if same else resolver.model(name, selected=False)
    judge_table = model_table(table, "judge")
    own = Layers({}, load=judge_table.pop("load", {}))
    params = judge_table.pop("params", {})
    for setting in settings:
        if setting.path[1] != "base":
            resolver.set_model(own, setting.path[1:], setting)
    below.table = overlay(below.table, judge_table, own.table)
    # The saved configuration separates what the model's file sets from what the user set for the judge.
    of_file, of_judge = (params, forced) if resolver.run.resolved else ({}, params)
    parts = {
        "model": resolver.valid_model(below, "judge"),
        "params": overlay(below.file_params, below.user_params, of_file),
        "forced": overlay(of_judge, own.set_params),
        "load": validate(Load, overlay(below.load, own.load), "judge.load"),
    }
    judge = validate(Judge, parts, "judge")
    refuse_unfit({**judge.params, **judge.forced}, "judge.")
    return judge
