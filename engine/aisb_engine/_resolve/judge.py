"""The model that judges: which one it is, and what is its own while it does.

`[judge]` is a table like a model's. `base` names the model that it is laid over.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

from aisb._errors import ConfigError
from aisb_engine._resolve.layers import Layers, Resolver, model_table
from aisb_engine._resolve.params import refuse_unfit
from aisb_engine._resolve.tables import overlay, validate
from aisb_engine._spec import Judge, Load


def judge_of(resolver: Resolver, models: Sequence[Layers] = ()) -> Judge | None:
    """Lay the layers of the judge: the model it is based on, the table `[judge]`, flags, `--set`.

    Based on a model that is asked too, it is that one with its flags and settings: the same service.

    Raises:
        ConfigError: it has settings, and nothing says which model it is.
    """
    table: dict[str, Any] = dict(resolver.user.get("judge", {}))
    if "base" in resolver.asked.judge and table.get("backend"):
        table = {}  # another judge takes the place of the one that the run had
    table = overlay(table, resolver.asked.judge)
    settings = [setting for setting in resolver.sets if setting.path[0] == "judge"]
    for setting in settings:
        if setting.path[1] == "base":
            table["base"] = setting.value
    base, forced = table.pop("base", None), table.pop("forced", {})
    if base is None and "backend" not in table:
        if table or settings:
            raise ConfigError("judge.base", "must be set: the model that judges, as in --judge NAME")
        return None
    below = Layers({"name": "judge", "abbr": "judge"})
    if base is not None:
        name = str(base)
        same = next((one for one in models if name in {one.table["name"], one.table["abbr"]}), None)
        below = deepcopy(same) if same else resolver.model(name, selected=False)
    mine = model_table(table, "judge")
    own = Layers({}, load=mine.pop("load", {}))
    params = mine.pop("params", {})
    for setting in settings:
        if setting.path[1] != "base":
            resolver.set_model(own, setting.path[1:], setting)
    below.table = overlay(below.table, mine, own.table)
    # A run's own configuration keeps apart what the model's file said and what was said of the judge.
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
