"""The checks before a run: this machine and its installation, then a service, each finding with a remedy."""

from __future__ import annotations

from typing import Literal, NamedTuple

CheckState = Literal["ok", "note", "problem"]


class Finding(NamedTuple):
    """The result of one check. A note matters to some runs only; a problem must be fixed.

    `remedy` is what to do about either.
    """

    area: str
    name: str
    state: CheckState
    text: str
    remedy: str = ""
