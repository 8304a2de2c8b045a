"""The `aisb` command: it calls a command, prints its error, and exits with the right code."""

from __future__ import annotations

import atexit
import gc
import os
import sys
from typing import NoReturn

import click

from aisb import AisbError
from aisb_cli.command_group import Root
from aisb_cli.errors import print_click_error, print_error
from aisb_cli.faults import CommandFault, is_interrupt
from aisb_cli.interrupted import end_interrupted
from aisb_cli.invocation import Invocation
from aisb_cli.terminal import clean_streams


@click.group(cls=Root, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "--block", multiple=True, is_eager=True, metavar="PLUGIN", help="Do not load this plugin (repeatable)."
)
@click.version_option(package_name="aisb", message="aisb %(version)s")
@click.pass_context
def cli(context: click.Context, block: tuple[str, ...]) -> None:
    """Evaluate the accuracy and the speed of language models, served or local.

    \b
    Try it without a model:
      aisb run --models sim --datasets demo_gsm8k
    A service, by its address:
      aisb run --url URL --datasets gsm8k
    """  # noqa: D301 - \b is for click
    context.obj.block = block


def main(arguments: list[str] | None = None, *, command: click.Command = cli, name: str = "aisb") -> NoReturn:
    """Run the command, print its error, and exit with its code.

    Another program can pass its own `command` and `name`, to get the same handling of errors.
    """
    if sys.platform == "win32":
        print_error("aisb needs Linux or macOS; on Windows, run it inside WSL")
        sys.exit(2)
    atexit.register(gc.freeze)  # saves the interpreter's last collection, which visits all objects
    # Pydantic would search the metadata of all installed packages for plugins of its own.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    invocation = Invocation()
    color = False if os.environ.get("NO_COLOR") else None  # None: only on a terminal
    with clean_streams():
        try:
            code = command.main(
                args=arguments, prog_name=name, standalone_mode=False, color=color, obj=invocation
            )
        except AisbError as error:
            print_error("\n".join([str(error), *getattr(error, "__notes__", ())]))
            code = error.exit_code
        except click.exceptions.Abort as abort:
            code = end_interrupted(abort.__cause__)
        except click.ClickException as error:
            print_click_error(error)
            code = error.exit_code
        except BrokenPipeError:
            sys.stderr.close()
            code = 0
        except Exception as error:  # noqa: BLE001 - a defect of a plugin or of aisb; the traceback goes to a file
            if is_interrupt(error):
                sys.exit(end_interrupted(error))
            fault = error if isinstance(error, CommandFault) else CommandFault(error, invocation.called)
            print_error(str(fault))
            code = fault.exit_code
    sys.exit(code if isinstance(code, int) else 0)


if __name__ == "__main__":
    main()
