"""`aisb verify`: whether a capsule is whole, and its numbers are those that its log gives."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from aisb_analysis import _options as shared

if TYPE_CHECKING:
    from aisb_analysis._verifying import Verified

MAX_SHOWN_DIFFERENCES = 40
"""How many differences are named on the terminal; --json has all of them."""


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True), metavar="FILE")
@click.option("--sha256", metavar="HEX", help="The hash that was published beside the file.")
@click.option("--trust", is_flag=True, help="Allow what its own configuration allows, as running programs.")
@shared.as_json
@click.pass_context
def verify(context: click.Context, file: Path, sha256: str | None, *, trust: bool, as_json: bool) -> int:
    """Check a capsule that `aisb pack` made: hashes, log, and every number, which is computed again.

    The exit code is 4 where anything differs, and each number that does is named, with both values. What
    cannot be computed again here is named, too. Nothing is sent, and nothing in the file is run: programs
    that a model wrote only where AISB_ALLOW_CODE_EXECUTION allows it.

    \b
      aisb verify 20261121_220301.capsule --sha256 5f0c…
    """  # noqa: D301 - \b is for click
    from aisb import CheckFailed
    from aisb_analysis._verifying import verify_capsule as verified

    found = verified(file, context.obj.load_plugins(), trust=trust)
    if sha256 and sha256.lower() != found.sha256:
        found.differing.insert(0, f"the file has the hash {found.sha256}, and {sha256} was published")
    if as_json:
        click.echo(json.dumps(asdict(found), ensure_ascii=False, indent=2))
    else:
        for line in _lines(file, found):
            click.echo(line)
    if found.differing:
        raise CheckFailed(f"{file}: {len(found.differing)} things are not as they should be")
    return 0


def _lines(file: Path, found: Verified) -> Iterator[str]:
    yield f"{file}: run {found.run}, sha256 {found.sha256}"
    counts = ", ".join(f"{number:,} {what}" for what, number in found.checked.items()) or "no number"
    yield f"{found.files:,} files, {found.records:,} records of the log; computed again: {counts}"
    yield from found.notes
    yield from (f"not computed again: {line}" for line in found.unchecked)
    yield from (f"differs: {line}" for line in found.differing[:MAX_SHOWN_DIFFERENCES])
    if len(found.differing) > MAX_SHOWN_DIFFERENCES:
        yield f"and {len(found.differing) - MAX_SHOWN_DIFFERENCES} more: --json has all"
    if not found.differing:
        yield "everything is as it should be" if not found.unchecked else "all that was computed again agrees"
