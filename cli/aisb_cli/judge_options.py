"""Options of commands that score answers: the judge model, and permissions for evaluators."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from aisb import UsageError
from aisb_cli.invocation import Invocation


def judge_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--judge` and `--judge-url` to a command."""
    for option in (
        click.option("--judge-url", metavar="URL", help="Address of the judge's service."),
        click.option("--judge", metavar="NAME", help="Judge model, for tasks that need one."),
    ):
        command = option(command)
    return command


def allow_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--allow-code-execution` and `--allow-uncontained` to a command."""
    for option in (
        _allowing("--allow-uncontained", "Run them even if no sandbox is available here."),
        _allowing("--allow-code-execution", "Run programs written by models, each in a sandbox."),
    ):
        command = option(command)
    return command


def _allowing(flag: str, words: str) -> Callable[[Any], Any]:
    """Return a flag that allows something to evaluators: they read the environment variable of its name."""

    def allow(context: click.Context, parameter: click.Parameter, value: Any) -> None:
        del parameter
        if value and not context.resilient_parsing:
            os.environ[f"AISB_{flag.strip('-').replace('-', '_').upper()}"] = "1"
            if isinstance(context.obj, Invocation):
                context.obj.allowed.append(flag)

    return click.option(flag, is_flag=True, expose_value=False, callback=allow, help=words)


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
