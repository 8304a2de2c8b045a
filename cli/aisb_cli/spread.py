"""A command with options that take several values, as in `--datasets gsm8k mmlu`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

LAST_SPREAD = "aisb_cli.last_spread"


class SpreadOptions(click.Command):
    """A command whose `--models` and `--datasets` take several values."""

    spread = ("--models", "--datasets")

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Repeat the flag before each of its values, then parse as usual."""
        repeated: list[str] = []
        flag: str | None = None
        for word in args:
            if word.startswith("-"):
                flag = word if word in self.spread else None
            elif flag and repeated[-1] != flag:
                repeated.append(flag)
            repeated.append(word)
        ctx.meta[LAST_SPREAD] = flag
        return super().parse_args(ctx, repeated)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete further values of such a flag, unless the word begins an option."""
        flag = ctx.meta.get(LAST_SPREAD)
        if flag and not incomplete.startswith("-"):
            for parameter in self.get_params(ctx):
                if flag in parameter.opts:
                    return parameter.shell_complete(ctx, incomplete)
        return super().shell_complete(ctx, incomplete)
