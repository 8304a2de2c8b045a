"""The state of one call of `aisb`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from aisb_engine import DeclaredCommand, Display, Plugins, RunCommand


@dataclass
class Invocation:
    """The `aisb.CommandContext` of a command; `called` is the declared command once it is known.

    `allowed` are flags such as `--allow-code-execution`, which no run folder keeps.
    """

    block: tuple[str, ...] = ()
    settings: list[str] = field(default_factory=list)
    allowed: list[str] = field(default_factory=list)
    called: DeclaredCommand | None = None

    def load_plugins(self, block: Iterable[str] = (), *, quiet: bool = False) -> Plugins:
        """Load all plugins except these and those in `aisb --block`; print notes unless `quiet`."""
        from aisb_cli.index import explain_name
        from aisb_engine import Plugins

        plugins = Plugins.load([*self.block, *block], explain=explain_name)
        for note in () if quiet else plugins.notes:
            click.echo(note, err=True)
        return plugins

    def run_command(
        self, words: Sequence[str], plugins: Plugins | None = None, *, dry: bool = False
    ) -> RunCommand:
        """Return the command that `aisb run` with these words would execute.

        With `plugins`, services that are given by their address are probed; with `dry` without requesting a
        token.

        Raises:
            click.UsageError: the words are no command line of `aisb run`, or have an option for a single run
                alone, such as --dry-run.
        """
        from aisb_cli.run_flags import parse_run

        return parse_run(words, plugins, dry=dry)

    def display(self) -> Display:
        """Return the display of a run's progress: live rows on a terminal, otherwise plain lines."""
        from aisb_cli.display import choose_display

        return choose_display()
