"""`aisb completion`: let the Tab key complete commands, options, and names of models, tasks and runs."""

from __future__ import annotations

import os
from pathlib import Path

import click

SHELLS = ("bash", "zsh", "fish")
COLONS = """
# A colon separates a task from its variant (gsm8k:zero-shot), so it must not split a word.
COMP_WORDBREAKS=${COMP_WORDBREAKS//:}
"""
INSTALL_NOTES = {
    "bash": "new shells complete aisb (with the package bash-completion)",
    "zsh": "let ~/.zshrc have, before compinit:  fpath+=({folder})",
    "fish": "new shells complete aisb",
}


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
@click.option("--install", is_flag=True, help="Write the script to where the shell looks for it.")
def completion(shell: str, *, install: bool) -> None:
    """Print a script that completes commands, options, and names of models, tasks and runs.

    \b
    For this session:
      source <(aisb completion bash)
      aisb completion fish | source
    Permanently:
      aisb completion zsh --install
    """  # noqa: D301 - \b is for click
    script = _script(shell)
    if not install:
        click.echo(script, nl=False)
        return
    path = _place(shell)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(script, encoding="utf-8")
    click.echo(f"wrote {path}; {INSTALL_NOTES[shell].format(folder=path.parent)}")


def _script(shell: str) -> str:
    from click.shell_completion import get_completion_class

    from aisb_cli.main import cli

    completion = get_completion_class(shell)
    assert completion is not None  # noqa: S101 - click knows these three
    source = completion(cli, {}, "aisb", "_AISB_COMPLETE").source()
    # Lists of names (gsm8k,mmlu) and descriptions contain commas: split at the first one only.
    source = source.replace('string split ","', 'string split --max 1 ","')
    return f"{source.strip()}\n{COLONS if shell == 'bash' else ''}"


def _place(shell: str) -> Path:
    data = Path(os.environ.get("XDG_DATA_HOME") or "~/.local/share").expanduser()
    config = Path(os.environ.get("XDG_CONFIG_HOME") or "~/.config").expanduser()
    return {
        "bash": data / "bash-completion/completions/aisb",
        "zsh": data / "zsh/site-functions/_aisb",
        "fish": config / "fish/completions/aisb.fish",
    }[shell]
