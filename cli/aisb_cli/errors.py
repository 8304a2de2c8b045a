"""Print every error of a command in one form: `error: MESSAGE`, wrapped at the width of the terminal."""

from __future__ import annotations

import os
import re
import sys
import textwrap

import click

_COMMAND = re.compile(r"\b(?:aisb|ais_bench|pip|git|iconv|export) \S")
"""A line with one of these commands is not wrapped, so that users can copy it whole."""

OTHER_TOOLS_OPTIONS = {
    "--api-base": "--url URL",
    "--base-url": "--url URL",
    "--batch-size": "--concurrency N",
    "--limit": "--num-prompts N",
    "--max-concurrency": "--concurrency N",
    "--max-tokens": "--max-out-len N",
    "--num-fewshot": "--set task.prompt.shots=N",
    "--num-samples": "--num-prompts N",
    "--output": "--work-dir DIR",
    "--output-dir": "--work-dir DIR",
    "--output-path": "--work-dir DIR",
    "--rate": "--request-rate R",
    "--tasks": "--datasets NAME…",
    "--temperature": "--set params.temperature=T",
    "--top-p": "--set params.top_p=P",
}
"""Options of other evaluation tools and load generators, each with its equivalent here."""


def print_error(message: str) -> None:
    """Print an error on the terminal, with secrets masked; further lines of the message are details."""
    from aisb_engine import mask_secrets

    click.echo(wrap(mask_secrets(f"error: {message}"), terminal_width()), err=True)


def print_click_error(error: click.ClickException) -> None:
    """Print an error in the arguments of a command, with the command that explains them."""
    message = error.format_message()
    context = getattr(error, "ctx", None)
    if isinstance(error, click.UsageError) and message.startswith("Usage: "):  # a group without a command
        click.echo(message, err=True)
        return
    if isinstance(error, click.NoSuchOption) and (equivalent := _equivalent(error)):
        message = f"no such option {error.option_name!r}; {equivalent}"
    # Click writes "No such option '--modls'. (Did you mean one of: '--mode', '--models'?)".
    message = re.sub(r"\. ?\(?Did you mean (?:one of: )?(.*?)\?\)?$", r"; did you mean \1?", message)
    message = f"{message[:1].lower()}{message[1:].removesuffix('.')}"
    print_error(f"{message}\n  see {context.command_path} --help" if context else message)


def _equivalent(error: click.NoSuchOption) -> str:
    """Return what to write instead of an option that other tools have, if the command takes that."""
    known = {flag for option in error.ctx.command.params for flag in option.opts} if error.ctx else set()
    instead = OTHER_TOOLS_OPTIONS.get(error.option_name, "")
    return f"write {instead} here" if instead.partition(" ")[0] in known else ""


def wrap(text: str, width: int | None) -> str:
    """Wrap each line of a message at `width` columns, and indent what continues it; None wraps nothing."""
    if width is None:
        return text
    return "\n".join(wrapped for line in text.split("\n") for wrapped in _wrapped(line, width))


def _wrapped(line: str, width: int) -> list[str]:
    if len(line) <= width or _COMMAND.search(line):
        return [line]
    indent = line[: len(line) - len(line.lstrip())]
    return textwrap.wrap(
        line.strip(),
        width,
        initial_indent=indent,
        subsequent_indent=f"{indent}  ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def terminal_width() -> int | None:
    """Return the width of the terminal that shows errors, in columns; None if they go elsewhere."""
    if not sys.stderr.isatty():
        return None
    try:
        return max(40, os.get_terminal_size(sys.stderr.fileno()).columns)
    except OSError:
        return None
