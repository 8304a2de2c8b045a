"""What a server counted during a run: after minus before, under the names that vLLM gives its counters.

Best effort: a server without counters, or with others, leaves these numbers unknown. Anything else that was
asked of the server in the meantime is counted too. SGLang's names stand in where it counts the same.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from aisb import Counters, Gauge
from aisb_engine._record.loadfiles import GAUGES

_POSITION = re.compile(r'[{,]position="(\d+)"')
SPECULATIVE = "vllm:spec_decode_num_"
PER_POSITION = SPECULATIVE + "accepted_tokens_per_pos"
PREFIX_CACHE = ("vllm:prefix_cache", "vllm:gpu_prefix_cache")
"""What vLLM calls its prefix cache, now and in its versions 0.6 to 0.8."""


def gained(table: Any) -> Counters | None:
    """Return what the counters of a run gained, from `{"before": {…}, "after": {…}, "during": {…}}`.

    None without any from both ends: a server that counted already would seem to have gained all of it.
    A counter that went down was reset by a restart of the server: what it gained is not known.
    """
    if not isinstance(table, Mapping):
        return None
    before, after = _numbers(table.get("before")), _numbers(table.get("after"))
    if not before or not after:
        return None
    moments = {name for names in GAUGES.values() for name in names}
    delta = {
        name: value - before.get(name, 0.0)
        for name, value in after.items()
        if value >= before.get(name, 0.0) and name not in moments
    }
    drafts = _get(delta, SPECULATIVE + "drafts")
    drafted = _get(delta, SPECULATIVE + "draft_tokens")
    accepted = _get(delta, SPECULATIVE + "accepted_tokens")
    a_draft = _share(accepted, drafts)
    rates = (_share(_get(delta, f"{name}_hits"), _get(delta, f"{name}_queries")) for name in PREFIX_CACHE)
    return Counters(
        delta,
        drafts=drafts,
        drafted=drafted,
        accepted=accepted,
        acceptance_rate=_share(accepted, drafted),
        acceptance_length=None if a_draft is None else 1 + a_draft,
        acceptance_by_position=_by_position(delta, drafts),
        prefix_hit_rate=next((rate for rate in rates if rate is not None), None),
        running=_gauge(table.get("during"), GAUGES["running"]),
        waiting=_gauge(table.get("during"), GAUGES["waiting"]),
    )


def _numbers(table: Any) -> dict[str, float]:
    if not isinstance(table, Mapping):
        return {}
    return {
        str(name): float(value)
        for name, value in table.items()
        if isinstance(value, int | float) and value == value  # noqa: PLR0124 - NaN is not itself
    }


def _get(delta: Mapping[str, float], name: str) -> float | None:
    """Return a counter, with or without the ending that OpenMetrics gives it."""
    found = delta.get(f"{name}_total", delta.get(name))
    if found is None:  # a counter with labels that were kept
        parts = [value for key, value in delta.items() if key.partition("{")[0] in (f"{name}_total", name)]
        found = sum(parts) if parts else None
    return found


def _share(part: float | None, whole: float | None) -> float | None:
    return part / whole if part is not None and whole else None


def _by_position(delta: Mapping[str, float], drafts: float | None) -> tuple[float, ...]:
    if not drafts:
        return ()
    found: dict[int, float] = {}
    for name, value in delta.items():
        position = _POSITION.search(name)
        if position and name.startswith(PER_POSITION):
            found[int(position[1])] = found.get(int(position[1]), 0.0) + value
    return tuple(found[position] / drafts for position in sorted(found))


def _gauge(during: Any, names: Sequence[str]) -> Gauge | None:
    for name in names:
        seen = _numbers(during.get(name)) if isinstance(during, Mapping) else {}
        if seen.get("looks") and {"sum", "most"} <= seen.keys():
            return Gauge(int(seen["looks"]), seen["sum"] / seen["looks"], seen["most"])
    return None
