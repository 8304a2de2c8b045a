"""The `aisb` command: its groups, and how errors end it."""

from __future__ import annotations

import atexit
import gc
import os
import sys
from importlib import import_module
from typing import Any

import click

COMMANDS = {
    "run": "run_command:run",
    "score": "score_command:score",
    "report": "report_command:report",
    "grade": "grade_command:grade",
    "audit": "audit_command:audit",
    "compare": "compare_command:compare",
    "import": "import_command:import_",
    "runs": "runs_command:runs",
    "logs": "logs_command:logs",
    "view": "view_command:view",
    "tasks": "tasks_command:tasks",
    "data": "data_command:data",
    "plugins": "plugins_command:plugins",
    "config": "config_command:config",
    "doctor": "doctor_command:doctor",
    "completion": "completion_command:completion",
    "mock": "mock_command:mock",
}
"""Where each command stands, in the order of the help text: only the one that is called is imported."""


class Commands(click.Group):
    """A group that imports a command when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command; None where there is none of this name."""
        del ctx
        module, _, name = COMMANDS.get(cmd_name, "").partition(":")
        if not module:
            return None
        command: click.Command = getattr(import_module(f"aisb_cli.{module}"), name)
        return command


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("--block", multiple=True, metavar="PLUGIN", help="Do not load this plugin (repeatable).")
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
    context.ensure_object(dict)["block"] = block


def main(arguments: list[str] | None = None) -> Any:
    """Run the command; print an error in the user's words and exit with its code."""
    if sys.platform == "win32":
        click.echo("aisb needs Linux or macOS; on Windows, run it inside WSL", err=True)
        sys.exit(2)
    from aisb._errors import AisbError

    atexit.register(gc.freeze)  # else the interpreter goes through all objects once more before it ends
    # Pydantic would read the metadata of all that is installed, for plugins that would watch it validate.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    plain = False if os.environ.get("NO_COLOR") else None  # None: colours where a terminal shows them
    try:
        code = cli.main(args=arguments, prog_name="aisb", standalone_mode=False, color=plain)
    except AisbError as error:
        click.echo("\n".join([f"error: {error}", *getattr(error, "__notes__", ())]), err=True)
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
    sys.exit(code if isinstance(code, int) else 0)


if __name__ == "__main__":
    main()
