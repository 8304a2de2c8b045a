"""The headline of a performance run for lists of runs: the numbers of the reporter in fewer lines."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

HEADLINE_TIMES = ("TTFT", "TPOT", "ITL", "E2EL")
HEADLINE_WIDTH = 76
"""Lists indent these lines by four columns, which makes 80."""


def compact_lines(name: str, headline: Mapping[str, Any]) -> list[str]:
    """Return a headline in a few lines: verdict and rates, the load, and latencies at p50, p95 and p99."""
    rates = (
        f"{_number(headline['requests_per_second'])} requests/s, "
        f"{_number(headline['output_tokens_per_second'])} output tokens/s"
    )
    achieved = headline["achieved"]
    achieved_words = (
        f"{_number(achieved['requests_per_second'])} requests/s, "
        f"{_number(achieved['in_flight'])} in flight on average"
    )
    times = ", ".join(f"{time} {_percentiles(headline[f'{time.lower()}_ms'])}" for time in HEADLINE_TIMES)
    lines = (
        f"{name}: {headline['certificate']}, {rates}",
        f"  requested {requested_words(headline['requested'])}; achieved {achieved_words}",
        f"  p50/p95/p99 in ms: {times}",
    )
    return [part for line in lines for part in textwrap.wrap(line, HEADLINE_WIDTH, subsequent_indent="    ")]


def requested_words(load: Mapping[str, Any]) -> str:
    """Return the load that was requested, from the part `requested` of a headline."""
    rate = load["requests_per_second"]
    parts = [f"{rate:g} requests/s"] if rate else []
    if load["ramp_up"]:
        parts.append(f"the ramp {load['ramp_up']}")
    if load["use_timestamp"]:
        parts.append("the trace's own times")
    if load["in_flight"]:
        parts.append(f"at most {load['in_flight']} in flight")
    if seconds := load["duration_seconds"] or load["pressure_seconds"]:
        parts.append(f"for {seconds:g} s")
    return ", ".join(parts) or "no limit"


def _percentiles(times: Mapping[str, float | None]) -> str:
    return "/".join(map(_number, times.values()))


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}" if abs(value) < 10_000 else f"{value:.0f}"
