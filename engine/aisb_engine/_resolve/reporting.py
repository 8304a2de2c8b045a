"""The configuration to report on a finished run again: its own `[run]` table with other reporters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aisb import UsageError
from aisb.helpers import did_you_mean
from aisb_engine._record.runfolder import RunFolder
from aisb_engine._resolve.catalog import read_user_file
from aisb_engine._resolve.tables import Setting, put, validate
from aisb_engine._spec import RunTable


def reporter_table(folder: RunFolder | None, names: Sequence[str], sets: Sequence[str]) -> RunTable:
    """Return the run's `[run]` table with these reporters, and options `NAME.OPTION=VALUE` for them.

    Without a folder, only the options in `sets` are used.

    Raises:
        UsageError: an option does not begin with one of the reporters.
    """
    own = read_user_file(folder.config).get("run", {}) if folder and folder.config.exists() else {}
    options: dict[str, Any] = dict(own.get("reporter_options", {}))
    for text in sets:
        setting = Setting.parse(text)
        name = setting.path[0]
        if len(setting.path) < 2 or name not in names:
            raise UsageError(
                f"--set {text}: it must begin with one of the reporters ({', '.join(names)})"
                f"{did_you_mean(name, names)}, as in {names[0]}.OPTION=VALUE"
            )
        put(options, setting.path, setting.value, unset=setting.unset)
    table = {"reporters": list(names), "reporter_options": options, "tiers": own.get("tiers", {})}
    return validate(RunTable, table, "run")
