"""Compute the increase of a server's counters during a run, by the names that `Backend.counters` documents.

The numbers are unknown for a server without counters, or with other counters. They include all requests that
others sent to the server in the meantime.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from aisb import Counters, Gauge
from aisb_engine._record.loadfiles import GAUGES

AT_POSITION = re.compile(r"accepted_tokens_at_(\d+)")

OLD_NAMES = {
    "spec_decode_num_drafts": "drafts",
    "spec_decode_num_draft_tokens": "draft_tokens",
    "spec_decode_num_accepted_tokens": "accepted_tokens",
    "spec_decode_num_accepted_tokens_per_pos": "accepted_tokens_at_",
    "prefix_cache_queries": "prefix_cache_queries",
    "prefix_cache_hits": "prefix_cache_hits",
    "gpu_prefix_cache_queries": "prefix_cache_queries",
    "gpu_prefix_cache_hits": "prefix_cache_hits",
    "num_requests_running": "running",
    "num_requests_waiting": "waiting",
    "num_running_reqs": "running",
    "num_queue_reqs": "waiting",
}
"""Counters in runs of versions before 0.2: the server's names, behind a prefix and a colon."""


def counter_increases(table: Any) -> Counters | None:
    """Return the increase of a run's counters, from `{"before": {…}, "after": {…}, "during": {…}}`.

    None if there are none at both ends, since the counts before the run are then unknown. A counter that fell
    was reset by a restart of the server, so its increase is unknown.
    """
    if not isinstance(table, Mapping):
        return None
    before, after = _numbers(table.get("before")), _numbers(table.get("after"))
    if not before or not after:
        return None
    counted = set(after)
    before, after = before | _of_old_names(before), after | _of_old_names(after)
    delta = {
        name: value - before.get(name, 0.0)
        for name, value in after.items()
        if value >= before.get(name, 0.0) and name not in GAUGES and _old_name(name) not in GAUGES
    }
    drafts, drafted, accepted = (delta.get(n) for n in ("drafts", "draft_tokens", "accepted_tokens"))
    a_draft = _share(accepted, drafts)
    return Counters(
        {name: value for name, value in delta.items() if name in counted},
        drafts=drafts,
        drafted=drafted,
        accepted=accepted,
        acceptance_rate=_share(accepted, drafted),
        acceptance_length=None if a_draft is None else 1 + a_draft,
        acceptance_by_position=_by_position(delta, drafts),
        prefix_hit_rate=_share(delta.get("prefix_cache_hits"), delta.get("prefix_cache_queries")),
        running=_gauge(table.get("during"), "running"),
        waiting=_gauge(table.get("during"), "waiting"),
    )


def _numbers(table: Any) -> dict[str, float]:
    if not isinstance(table, Mapping):
        return {}
    return {
        str(name): float(value)
        for name, value in table.items()
        if isinstance(value, int | float) and value == value  # noqa: PLR0124 - NaN is not itself
    }


def _old_name(name: str) -> str:
    """Return today's name of a counter from a run before version 0.2; empty for any other."""
    bare, _, labels = name.partition("{")
    prefix, _, bare = bare.rpartition(":")
    known = OLD_NAMES.get(bare.removesuffix("_total"), "") if prefix else ""
    if not known.endswith("_"):
        return known
    position = re.search(r'\bposition="(\d+)"', labels)
    return f"{known}{position[1]}" if position else ""


def _of_old_names(counters: Mapping[str, float]) -> dict[str, float]:
    """Return the counters of a run before version 0.2 by today's names; existing ones win."""
    found: dict[str, float] = {}
    for name, value in counters.items():
        known = _old_name(name)
        if known and known not in counters:
            found[known] = found.get(known, 0.0) + value
    return found


def _share(part: float | None, total: float | None) -> float | None:
    return part / total if part is not None and total else None


def _by_position(delta: Mapping[str, float], drafts: float | None) -> tuple[float, ...]:
    if not drafts:
        return ()
    accepted = {int(at[1]): value for name, value in delta.items() if (at := AT_POSITION.fullmatch(name))}
    return tuple(accepted[position] / drafts for position in sorted(accepted))


def _gauge(during: Any, name: str) -> Gauge | None:
    gauges = during if isinstance(during, Mapping) else {}
    for key, recorded in gauges.items():
        numbers = _numbers(recorded)
        if name in (key, _old_name(key)) and numbers.get("samples") and {"sum", "maximum"} <= numbers.keys():
            return Gauge(int(numbers["samples"]), numbers["sum"] / numbers["samples"], numbers["maximum"])
    return None
