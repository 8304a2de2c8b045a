"""Facts on the sessions of a load for `load.json`: the origin of their history, and the cacheable share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from aisb._types import Sample

if TYPE_CHECKING:
    from aisb_engine._load.prepared import PreparedSubtask

SHARED = (
    ("tokens", "shared_tokens", "input_tokens_asked"),
    ("characters", "shared_characters", "input_characters"),
)
"""Fields of rows with sessions: the unit, the size of the part shared with earlier prompts, the size."""


class CacheShare(NamedTuple):
    """The share of the input that is a prefix of an earlier prompt, and the unit in which it was counted."""

    share: float
    unit: str


def prefix_cache_share(samples: Iterable[Sample]) -> CacheShare | None:
    """Return the share of the input that an unlimited prefix cache would serve; None if rows do not state it.

    It is counted in tokens if all rows state tokens, otherwise in characters.
    """
    fields = [sample.fields for sample in samples]
    for unit, shared, size in SHARED:
        if fields and all(shared in row and size in row for row in fields):
            total = sum(row[size] for row in fields)
            return CacheShare(sum(row[shared] for row in fields) / total, unit) if total else None
    return None


def left_out_line(rows: Iterable[object]) -> str | None:
    """Return a sentence on the parts of recorded messages that are not sent; None if all are sent.

    A row of a session states them as `left_out`: their number for each reason.
    """
    total: Counter[str] = Counter()
    for row in rows:
        if isinstance(row, Sample) and isinstance(found := row.fields.get("left_out"), Mapping):
            total.update(found)
    if not total:
        return None
    counts = (f"{n:,} part{'s' if n > 1 else ''} ({reason})" for reason, n in total.most_common())
    return f"left out of the recorded messages: {', '.join(counts)}"


def session_facts(one: PreparedSubtask) -> Mapping[str, Any] | None:
    """Return the facts for `load.json`; None if the task has no sessions."""
    if not one.has_sessions:
        return None
    found = prefix_cache_share(one.samples)
    return {
        "history": "real" if one.task.prompt.conversation == "every" else "recorded",
        "cache_share": None if found is None else found.share,
        "cache_unit": None if found is None else found.unit,
    }
