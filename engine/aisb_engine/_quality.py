"""The quality level that a plugin declares: a keyword of its distribution, such as `aisb-quality-gold`."""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, distribution

QUALITY_LEVELS = ("bronze", "silver", "gold")
"""The levels of `aisb plugins quality`, from the lowest to the highest."""

_KEYWORDS = re.compile(r"^Keywords: *(.*)$", re.MULTILINE | re.IGNORECASE)
_DECLARED = re.compile(rf"aisb-quality-({'|'.join(QUALITY_LEVELS)})", re.IGNORECASE)


def declared_quality(name: str) -> str | None:
    """Return the quality level that an installed distribution declares; None if it declares none.

    It is the plugin's own statement. `aisb plugins quality NAME` checks it.
    """
    try:
        # `metadata` would parse the whole file, a long README included.
        head = (distribution(name).read_text("METADATA") or "").split("\n\n", 1)[0]
    except (PackageNotFoundError, OSError, ValueError):
        return None
    words = re.split(r"[,\s]+", " ".join(_KEYWORDS.findall(head)))
    found = [match[1].lower() for word in words if (match := _DECLARED.fullmatch(word))]
    return max(found, key=QUALITY_LEVELS.index, default=None)
