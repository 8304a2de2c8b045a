"""Run a mock server: `python -m aisb_mock --port 0 --accuracy 0.8 --fault status-429:0.1`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from aisb import AisbError
from aisb_mock._options import MockOptions, flags
from aisb_mock._process import LISTENING


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line, made from the options."""
    made = argparse.ArgumentParser(prog="python -m aisb_mock", description=__doc__, allow_abbrev=False)
    for flag in flags():
        if flag.type is bool:
            made.add_argument(flag.name, dest=flag.field, action="store_true", help=flag.help)
        else:
            made.add_argument(
                flag.name,
                dest=flag.field,
                type=flag.type,
                action="append" if flag.repeats else "store",
                help=flag.help,
                default=argparse.SUPPRESS,
            )
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until ended, and return the exit code."""
    given: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in vars(parser().parse_args(arguments)).items()
    }
    try:
        options = MockOptions(**given)
        from aisb_mock._serving import serve

        serve(options, lambda url, _: print(LISTENING + url, flush=True))  # noqa: T201 - the one line of output
    except AisbError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201 - so a command reports
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
