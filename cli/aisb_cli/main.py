"""The `aisb` command: its groups, and how errors end it."""

from __future__ import annotations

import atexit
import gc
import os
import sys
from typing import NoReturn

import click

from aisb_cli.command_group import Root
from aisb_cli.faults import CommandFault, is_interrupt
from aisb_cli.invocation import Invocation
from aisb_cli.terminal import clean_streams


@click.group(cls=Root, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "--block", multiple=True, is_eager=True, metavar="PLUGIN", help="Do not load this plugin (repeatable)."
)
@click.version_option(package_name="aisb", message="aisb %(version)s")
@click.pass_context
def cli(context: click.Context, block: tuple[str, ...]) -> None:
    """Evaluate language models, served or local: how right they are, and how fast.

    \b
    Try it here and now, without a model:
      aisb run --models sim --datasets demo_gsm8k
    A service with an OpenAI-compatible API:
      aisb run --models vllm_api_stream_chat --url URL --datasets gsm8k
    """  # noqa: D301 - \b is for click
    context.obj.block = block


def main(arguments: list[str] | None = None, *, command: click.Command = cli, name: str = "aisb") -> NoReturn:
    """Run the command; print an error in the user's words and exit with its code.

    Another `command` than `aisb` runs as that does, under its own name.
    """
    if sys.platform == "win32":
        click.echo("aisb needs Linux or macOS; on Windows, run it inside WSL", err=True)
        sys.exit(2)
    atexit.register(gc.freeze)  # else the interpreter goes through all objects once more before it ends
    # Pydantic would read the metadata of all that is installed, for plugins that would watch it validate.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    invocation = Invocation()
    plain = False if os.environ.get("NO_COLOR") else None  # None: colours where a terminal shows them
    from aisb import AisbError
    from aisb_engine import mask_secrets

    with clean_streams():
        try:
            code = command.main(
                args=arguments, prog_name=name, standalone_mode=False, color=plain, obj=invocation
            )
        except AisbError as error:
            lines = [f"error: {error}", *getattr(error, "__notes__", ())]
            click.echo(mask_secrets("\n".join(lines)), err=True)
            code = error.exit_code
        except click.exceptions.Abort:
            click.echo("interrupted", err=True)
            code = 130
        except click.ClickException as error:
            error.show()
            code = error.exit_code
        except BrokenPipeError:
            sys.stderr.close()
            code = 0
        except Exception as error:  # noqa: BLE001 - a defect, of a plugin or of aisb: named, without a traceback
            if is_interrupt(error):
                click.echo("interrupted", err=True)
                sys.exit(130)
            fault = error if isinstance(error, CommandFault) else CommandFault(error, invocation.called)
            click.echo(mask_secrets(f"error: {fault}"), err=True)
            code = fault.exit_code
    sys.exit(code if isinstance(code, int) else 0)


if __name__ == "__main__":
    main()
