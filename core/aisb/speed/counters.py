"""What a server counted during a run: after minus before, under the names that vLLM gives its counters.

Best effort: a server without counters, or with others, leaves these numbers unknown. Anything else that was
asked of the server in the meantime is counted too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_POSITION = re.compile(r'[{,]position="(\d+)"')
SPECULATIVE = "vllm:spec_decode_num_"
PER_POSITION = SPECULATIVE + "accepted_tokens_per_pos"


@dataclass(frozen=True, slots=True)
class Counters:
    """What a server's own counters say about a run; None where it does not count it.

    `acceptance_rate` is accepted ÷ drafted tokens; `acceptance_length` the tokens a step yields, which is
    1 + accepted ÷ drafts; `acceptance_by_position` accepted ÷ drafts for each place in a draft.
    `prefix_hit_rate` is hits ÷ queries, both in tokens. `running` and `waiting` are (before, after).
    """

    gained: Mapping[str, float]
    acceptance_rate: float | None = None
    acceptance_length: float | None = None
    acceptance_by_position: tuple[float, ...] = ()
    prefix_hit_rate: float | None = None
    running: tuple[float, float] | None = None
    waiting: tuple[float, float] | None = None


def gained(table: Any) -> Counters | None:
    """Return what the counters of a run gained, from `{"before": {…}, "after": {…}}`; None without any.

    A counter that went down was reset by a restart of the server: what it gained is not known.
    """
    if not isinstance(table, Mapping):
        return None
    before, after = _numbers(table.get("before")), _numbers(table.get("after"))
    if not after:
        return None
    delta = {
        name: value - before.get(name, 0.0)
        for name, value in after.items()
        if value >= before.get(name, 0.0) and not _is_gauge(name)
    }
    drafts = _get(delta, SPECULATIVE + "drafts")
    drafted = _get(delta, SPECULATIVE + "draft_tokens")
    accepted = _get(delta, SPECULATIVE + "accepted_tokens")
    return Counters(
        delta,
        _share(accepted, drafted),
        None if (more := _share(accepted, drafts)) is None else 1 + more,
        _by_position(delta, drafts),
        _share(_get(delta, "vllm:prefix_cache_hits"), _get(delta, "vllm:prefix_cache_queries")),
        _both(before, after, "vllm:num_requests_running"),
        _both(before, after, "vllm:num_requests_waiting"),
    )


def _numbers(table: Any) -> dict[str, float]:
    if not isinstance(table, Mapping):
        return {}
    return {
        str(name): float(value)
        for name, value in table.items()
        if isinstance(value, int | float) and value == value  # noqa: PLR0124 - NaN is not itself
    }


def _is_gauge(name: str) -> bool:
    return name.startswith(("vllm:num_requests_running", "vllm:num_requests_waiting"))


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


def _both(before: Mapping[str, float], after: Mapping[str, float], name: str) -> tuple[float, float] | None:
    return (before[name], after[name]) if name in before and name in after else None
