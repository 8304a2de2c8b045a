"""Read lengths of time as people write them: 600s, 10m, 1h."""

from __future__ import annotations

import re

from aisb import UsageError

_UNITS = {"s": 1.0, "h": 3600.0}


def read_seconds(flag: str, text: str) -> float:
    """Return a time in seconds; a bare number is minutes.

    Raises:
        UsageError: it is no time.
    """
    matched = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(s|m|min|h|)", text.strip())
    if not matched:
        raise UsageError(f"{flag} {text!r} is no time; write 600s, 10m or 1h")
    return float(matched[1]) * _UNITS.get(matched[2], 60.0)
