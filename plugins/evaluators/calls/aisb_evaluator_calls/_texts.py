"""Normalize string arguments for comparison."""

from __future__ import annotations

import re

_LOOSE = re.compile(r"[ ,./\-_*^]")


def normalize(text: str) -> str:
    """Return a text in lower case without blanks and `,./-_*^`, and with one kind of quotation mark."""
    return _LOOSE.sub("", text).lower().replace("'", '"')
