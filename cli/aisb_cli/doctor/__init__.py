"""What is looked at before a run: this machine and what is installed, then a service, each with a remedy."""

from __future__ import annotations

from typing import Literal, NamedTuple

CheckState = Literal["ok", "note", "problem"]


class Finding(NamedTuple):
    """One thing that was looked at. A note matters to some runs only; a problem has to be put right.

    `remedy` says what to do about either.
    """

    area: str
    name: str
    state: CheckState
    text: str
    remedy: str = ""
