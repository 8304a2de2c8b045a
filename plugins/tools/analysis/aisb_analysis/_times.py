"""Parse durations: 600s, 10m, 1h."""

from __future__ import annotations

import re

from aisb import UsageError

_UNITS = {"s": 1.0, "h": 3600.0}


def read_seconds(flag: str, text: str) -> float:
    """Return a duration in seconds; a number without a unit is minutes.

    Raises:
        UsageError: the text is not a duration.
    """
    matched = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(s|m|min|h|)", text.strip())
    if not matched:
        raise UsageError(f"{flag} {text!r} is not a duration; write 600s, 10m or 1h")
    return float(matched[1]) * _UNITS.get(matched[2], 60.0)
