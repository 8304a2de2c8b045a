"""The names of a run's models and tasks: unique, and safe as file names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any


def split_names(texts: Iterable[str]) -> list[str]:
    """Split names at commas and spaces; the path of a file stays whole."""
    return [name for text in texts for name in ([text] if _is_file(text) else text.replace(",", " ").split())]


def _is_file(text: str) -> bool:
    """Return whether a text with a separator is the path of a file."""
    with suppress(OSError, RuntimeError):  # too long for a path, or `~name` of an unknown user
        return ("," in text or " " in text) and Path(text).expanduser().is_file()
    return False


def unique(names: Iterable[str]) -> list[str]:
    """Return each name once, in the order of first occurrence."""
    return list(dict.fromkeys(names))


def safe_name(name: str) -> str:
    """Return a name that stays inside its folder: no separators, no leading dots, no control characters."""
    safe = "".join(c if c.isalnum() or c in "-_.+=@" else "-" for c in name)
    return safe.strip("-.") or "unnamed"


def name_apart(tables: Sequence[dict[str, Any]], key: str) -> None:
    """Make names safe and unique: if two are equal, add the variant (or selection) to both, then a number."""
    for table in tables:
        table[key] = safe_name(str(table[key]))
    count = Counter(table[key] for table in tables)
    for table in tables:
        if count[table[key]] > 1:
            select = table.get("dataset", {}).get("select", {})
            parts = [table.get("variant"), *("+".join(values) for values in select.values())]
            table[key] = safe_name("-".join([table[key], *(str(p) for p in parts if p)]))
    counts: Counter[str] = Counter()
    for table in tables:
        name = table[key]
        counts[name] += 1
        if counts[name] > 1:
            table[key] = f"{name}-{counts[name]}"
