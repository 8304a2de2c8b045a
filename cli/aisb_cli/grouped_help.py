"""Help that fits on a screen: options under headings; the common ones explained, the others named."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import click


class Grouped(click.Command):
    """A command with many options: `--help` is short, `--help-all` explains all of them.

    `headings` has names of parameters by heading; `usual` are those that the short help explains; hidden ones
    are under `others` in the long help.
    """

    headings: Mapping[str, Sequence[str]] = {}
    usual: Collection[str] = ()
    others = "Not needed here"

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options under their headings."""
        everything = bool(ctx.meta.get(EVERYTHING))
        left = {parameter.name: parameter for parameter in self.get_params(ctx)}
        groups = {
            heading: [left.pop(name) for name in names if name in left]
            for heading, names in self.headings.items()
        }
        more: list[tuple[str, str]] = []
        for heading, parameters in groups.items():
            parameters_shown = [one for one in parameters if everything or one.name in self.usual]
            if parameters_shown:
                with formatter.section(heading):
                    formatter.write_dl(
                        [record for one in parameters_shown if (record := one.get_help_record(ctx))]
                    )
            if named := [_flag(one) for one in parameters if one not in parameters_shown]:
                more.append((heading, ", ".join(named)))
        if not everything:
            with formatter.section(f"More ({ctx.command_path} --help-all explains every option)"):
                formatter.write_dl(more)
            return
        hidden = [parameter for parameter in left.values() if getattr(parameter, "hidden", False)]
        rest = [record for one in left.values() if (record := one.get_help_record(ctx))]
        with formatter.section("Other"):
            formatter.write_dl(rest)
        if hidden:
            with formatter.section(self.others):
                formatter.write_dl([(_flag(one), getattr(one, "help", None) or "") for one in hidden])


UNLIMITED = 1000
"""More characters than any sentence of help has, so that click cuts none off."""


class Listing(click.Group):
    """A group whose help shows the whole first sentence of each command, where click would cut it off.

    For a command of a distribution that is not installed, its error says what to install.
    """

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that the words name.

        Raises:
            UnknownName: there is none, and a distribution that is not installed has it.
        """
        if args and not ctx.resilient_parsing and args[0] not in self.list_commands(ctx):
            from aisb import UnknownName
            from aisb_cli.index import explain_command

            name = f"{self.name} {args[0]}"
            if note := explain_command(name):
                known = [f"{self.name} {one}" for one in self.list_commands(ctx)]
                raise UnknownName("command", name, known, [note])
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write each command with its sentence, over several lines if it is long."""
        commands = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        shown = [
            (name, one.get_short_help_str(UNLIMITED)) for name, one in commands if one and not one.hidden
        ]
        if shown:
            with formatter.section("Commands"):
                formatter.write_dl(shown)


EVERYTHING = "aisb_cli.help_all"


def _flag(parameter: click.Parameter) -> str:
    return max(parameter.opts, key=len)


def _show_everything(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    del parameter
    if value and not context.resilient_parsing:
        context.meta[EVERYTHING] = True
        click.echo(context.get_help(), color=context.color)
        context.exit()


help_all = click.option(
    "--help-all",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_everything,
    help="Explain every option, and exit.",
)
