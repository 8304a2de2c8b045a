"""`aisb verify`: check that a capsule is unchanged, and that its numbers follow from its log."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from aisb_engine import command_options as shared

if TYPE_CHECKING:
    from aisb_analysis._verifying import Verified

MAX_SHOWN_DIFFERENCES = 40
"""The number of differences that the terminal lists; --json has all of them."""


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True), metavar="FILE")
@click.option("--sha256", metavar="HEX", help="The published hash of the file.")
@click.option("--trust", is_flag=True, help="Allow what its configuration allows, such as running programs.")
@shared.as_json
@click.pass_context
def verify(context: click.Context, file: Path, sha256: str | None, *, trust: bool, as_json: bool) -> int:
    """Check a capsule of `aisb pack`: its hashes, its log, and all numbers, which are recomputed.

    The exit code is 4 if anything differs; each differing number is printed with both values. Numbers that
    cannot be recomputed here are listed, too. Nothing is sent. Nothing in the file is run, except programs of
    a model if AISB_ALLOW_CODE_EXECUTION allows it.

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
        raise CheckFailed(f"{file}: {len(found.differing)} differences")
    return 0


def _lines(file: Path, found: Verified) -> Iterator[str]:
    yield f"{file}: run {found.run}, sha256 {found.sha256}"
    counts = ", ".join(f"{number:,} {what}" for what, number in found.checked.items()) or "no number"
    yield f"{found.files:,} files, {found.records:,} records of the log; recomputed: {counts}"
    yield from found.notes
    yield from (f"not recomputed: {line}" for line in found.unchecked)
    yield from (f"differs: {line}" for line in found.differing[:MAX_SHOWN_DIFFERENCES])
    if len(found.differing) > MAX_SHOWN_DIFFERENCES:
        yield f"and {len(found.differing) - MAX_SHOWN_DIFFERENCES} more: --json has all"
    if not found.differing:
        yield "no differences" if not found.unchecked else "no differences in the recomputed numbers"
