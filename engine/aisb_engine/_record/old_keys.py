"""Names that keys of a run's files had in earlier versions, so that old run folders open.

Everything that reads these files calls `update_keys`, and knows only the current names.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

OLD_KEYS: Mapping[str, Mapping[str, Mapping[str, str]]] = {
    "load": {
        "": {"asked": "requested"},
        "requested": {"cache_share_least": "min_cache_share"},
        "counters.during.*": {"looks": "samples", "most": "maximum"},
        "lost_workers.*": {"asked_again": "resent", "not_asked": "lost"},
    },
    "manifest": {
        "sessions.*": {"begun": "started_sending"},
        "tasks.*": {"not_asked": "skip_reason"},
    },
    "results": {
        "": {
            "asked": "predictions",
            "not_asked_yet": "not_sent",
            "unmade": "broken_samples",
            "environment_asked": "environment_requests",
        },
        "judge": {"asked_before": "answered_in_log"},
    },
    "details": {
        "": {"asked": "requested", "vitals": "client_health"},
        "requested": {"cache_share_least": "min_cache_share"},
        "counters": {"gained": "increases"},
        "counters.running": {"looks": "samples", "most": "maximum"},
        "counters.waiting": {"looks": "samples", "most": "maximum"},
    },
}
"""Old and current names of keys, by kind of file and by place in it. `*` stands for every entry."""

OLD_SIGNALS = {"held back": "buffered streams"}
"""Old and current names of a certificate's signals."""


def update_keys(path: Path, content: Any) -> Any:
    """Rename the keys that a run's JSON file has from an earlier version; return its content."""
    kind = _kind(path)
    for place, names in OLD_KEYS.get(kind, {}).items():
        for table in _tables(content, place.split(".") if place else []):
            for old, new in names.items():
                if old in table:
                    table.setdefault(new, table.pop(old))
    if kind == "details":
        for signal in _tables(content, ["certificate", "signals", "*"]):
            signal["name"] = OLD_SIGNALS.get(str(signal.get("name")), signal.get("name"))
    return content


def _kind(path: Path) -> str:
    if path.parts[-3:-2] == ("results",) or path.parts[-5:-3] == ("results", "passes"):
        return "results"
    if path.name.endswith("_details.json"):
        return "details"
    return path.stem if path.name in {"load.json", "manifest.json"} else ""


def _tables(value: Any, place: list[str]) -> Iterator[dict[str, Any]]:
    """Yield the tables at a place of a JSON value; none if it has another shape."""
    if not place:
        if isinstance(value, dict):
            yield value
        return
    first, *rest = place
    if first != "*":
        below = [value.get(first)] if isinstance(value, dict) else []
    else:
        below = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
    for one in below:
        yield from _tables(one, rest)
