"""A short fingerprint of a table in a config file, to detect changes from the known table."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from aisb_compat_aisbench._values import Opaque, Symbol


def fingerprint(table: Any) -> str:
    """Return six hexadecimal digits for a table. Of an imported class, only its name counts."""
    text = json.dumps(table, sort_keys=True, ensure_ascii=False, default=_plain)
    return hashlib.sha256(text.encode()).hexdigest()[:6]


def _plain(value: Any) -> str:
    if isinstance(value, Symbol):
        return value.name
    if isinstance(value, Opaque):
        return f"line {value.line}"
    return type(value).__name__
