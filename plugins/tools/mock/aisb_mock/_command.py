"""`aisb mock`: a mock inference server, for trials without a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from aisb_mock._author import Author
    from aisb_mock._options import MockFlag, MockOptions


@click.group()
def mock() -> None:
    """Run a mock inference server, for trials without a model."""


class FromOptions(click.Command):
    """A command whose flags are the mock server's options, loaded on demand."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Return a flag for each option."""
        from aisb_mock._options import flags

        if not self.params:
            self.params = [
                click.Option(
                    [flag.name, flag.field],
                    type=flag.type,
                    is_flag=flag.type is bool,
                    multiple=flag.repeats,
                    default=flag.default,
                    show_default=flag.type is not bool and flag.default not in (None, ()),
                    help=sentence(flag),
                    hidden=flag.field == "parent_pipe",
                )
                for flag in flags()
            ]
        return super().get_params(ctx)


@mock.command("serve", cls=FromOptions)
def serve_command(**given: Any) -> None:
    """Answer like a model service on a local port, until Ctrl-C.

    Streamed and whole: OpenAI's APIs under /v1, TGI's and early vLLM's /generate, Triton's under /v2, and
    MindIE's /infer. GET /record returns received requests and sent replies with their times; POST /reset
    clears them; GET /metrics has counters under vLLM's names.

    \b
      aisb mock serve --port 8000 --ttft-ms 200 --fault status-500:0.01
    """  # noqa: D301 - \b is for click
    from aisb_mock._options import MockOptions
    from aisb_mock._serving import serve

    options = MockOptions(**given)
    serve(options, lambda url, author: click.echo(hints(url, options, author)))


def sentence(flag: MockFlag) -> str:
    """Return an option's help as a sentence, like those of the command."""
    return f"{flag.help[0].upper()}{flag.help[1:]}{' (repeatable)' if flag.repeats else ''}."


def hints(url: str, options: MockOptions, author: Author) -> str:
    """Return the text that is printed when the server listens: its address, and commands to use it."""
    known = len(author.answers.gold)
    more = f" --model-name {options.models[0]}" if len(options.models) > 1 else ""
    more += " --api-key-env NAME" if options.api_key else ""
    return "\n".join(
        (
            f"listening on {url}",
            f"  serves {', '.join(options.models)}; knows the answers of {known} questions",
            f"  ask it:    aisb run --url {url}{more} --datasets demo_gsm8k",
            f"  look back: curl {url}/record",
            "  end it:    Ctrl-C",
        )
    )
