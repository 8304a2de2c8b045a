"""Format foreign text for the terminal: one line, without control characters and keys."""

from __future__ import annotations

import os
import re
import unicodedata

MASK = "***"
_NAMED_SECRET = re.compile(r"KEY|TOKEN|SECRET|PASSW|CREDENTIAL", re.IGNORECASE)
_BEARER = re.compile(r"(\bBearer\s+)[\w.~+/=-]{8,}", re.IGNORECASE)
_SHORTEST = 8


def shown(text: str) -> str:
    """Return a text in one line, with masked keys and replaced control characters and lone surrogates."""
    for name, value in os.environ.items():
        if _NAMED_SECRET.search(name) and len(value) >= _SHORTEST:
            text = text.replace(value, MASK)
    line = " ".join(_BEARER.sub(rf"\g<1>{MASK}", text).split())
    return "".join("�" if unicodedata.category(one) in ("Cc", "Cf", "Cs", "Co") else one for one in line)
