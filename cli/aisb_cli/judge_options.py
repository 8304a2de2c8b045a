"""The table `[judge]` for the options of commands that score answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from aisb import UsageError


def judge_table(name: str | None, url: str | None, *, own: bool = False) -> dict[str, Any]:
    """Return the table `[judge]` for these flags.

    A resumed run reads its own configuration instead of `aisb.toml`, so a model defined only in the latter is
    copied from it. `own` tells that `aisb.toml` is read anyway.
    """
    from aisb_engine import read_user_file

    if name and "://" in name:
        raise UsageError(
            f"--judge {name}: this is an address, and --judge takes a model; write\n"
            f"  --judge vllm-chat --judge-url {name}"
        )
    table: dict[str, Any] = {}
    if name:
        file = Path("aisb.toml")
        models = {} if own or not file.is_file() else read_user_file(file).get("models", {})
        table = {"abbr": name, **models[name]} if name in models else {"base": name}
    if url:
        table["url"] = url
    return table
