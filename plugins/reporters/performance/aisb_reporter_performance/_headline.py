"""The headline: in at most twelve lines, whether a run is valid, how fast it was, and under which load."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from aisb import PerformanceResult, Stage
from aisb_reporter_performance._tables import UNKNOWN, short

LINES = 12
HEADLINE_WIDTH = 80
"""The headline is no wider than this, however wide the terminal is."""
HEADLINE_TIMES = ("TTFT", "TPOT", "ITL", "E2EL")
HEADLINE_PERCENTILES = (95.0, 99.0)
"""The default percentiles, in addition to the median."""
DEFAULT_PERCENTILES = (75.0, 90.0, 99.0)
"""The default percentiles of the tables."""
MOST_PERCENTILES = 3
"""How many percentiles fit in addition to the median."""


def headline(result: PerformanceResult) -> list[str]:
    """Return the lines: the certificate with its reasons first, then times, rates and loads.

    Times and rates are those of the stable stage where the run has one, else of all requests.
    """
    facts = [_scope(result), *_numbers(result), *_loads(result), *_sessions(result)]
    first = f"certificate: {result.certificate.verdict} · {result.model} on {result.task}"
    reasons = _reasons(result, LINES - 1 - len(facts))
    return [_cut(line) for line in (first, *reasons, *facts)]


def _reasons(result: PerformanceResult, most: int) -> list[str]:
    """Return why the certificate is not VALID, in at most so many lines; cut where they would be more."""
    lines = [f"  {signal.verdict}: {signal.reason}" for signal in result.certificate.signals]
    folded = [
        part
        for line in lines
        for part in textwrap.wrap(line, HEADLINE_WIDTH, subsequent_indent="    ", break_on_hyphens=False)
    ]
    if len(folded) <= most:
        return folded
    if len(lines) <= most:
        return lines
    return [*lines[: most - 1], f"  … {len(lines) - most + 1} more reasons: --tables"]


def _scope(result: PerformanceResult) -> str:
    """Return a line: the number of requests, and which of them the numbers cover."""
    totals = result.stages[0].totals
    seconds = None if totals.duration_ms is None else totals.duration_ms / 1000
    counts = f"{totals.requests} requests, {totals.failed} failed, in {short(seconds)} s"
    if result.requested.options.get("ramp_up"):
        return f"{counts}; the rate ramps, so the numbers are of all"
    if result.window is None:
        return f"{counts}; the numbers are of all of them"
    return f"{counts}; the numbers are of the stable stage, {short(result.window.seconds)} s"


def _numbers(result: PerformanceResult) -> Iterator[str]:
    """Yield the times as a table of milliseconds, with the rates on its right."""
    stage = result.stages[-1]
    percentiles = _percentiles(result)
    yield f"{'ms':<6}" + "".join(f"{f'p{percent:g}':>9}" for percent in (50, *percentiles))
    for name, (label, value) in zip(HEADLINE_TIMES, _rates(result, stage), strict=True):
        times = "".join(f"{short(value):>9}" for value in _times(stage, name, percentiles))
        yield f"{name:<6}{times}    {label:<18}{value}"


def _percentiles(result: PerformanceResult) -> tuple[float, ...]:
    """Return the percentiles that are shown with the median: the highest of those that were asked for."""
    if result.percentiles == DEFAULT_PERCENTILES:
        return HEADLINE_PERCENTILES
    return tuple(sorted({*result.percentiles} - {50})[-MOST_PERCENTILES:])


def _times(stage: Stage, name: str, percentiles: Sequence[float]) -> list[float | None]:
    distribution = stage.parameters[name]
    if distribution is None:
        return [None, *(None for _ in percentiles)]
    return [distribution.median, *(distribution.percentiles.get(percent) for percent in percentiles)]


def _rates(result: PerformanceResult, stage: Stage) -> Iterator[tuple[str, str]]:
    totals = stage.totals
    yield "requests/s", short(totals.request_rate)
    yield "output tokens/s", short(totals.output_rate)
    yield "all tokens/s", short(totals.total_rate)
    good = result.goodput
    if good is None:
        yield "input tokens/s", short(totals.input_rate)
    else:
        share = UNKNOWN if good.share is None else f"{100 * good.share:.1f} %"
        yield "good requests/s", f"{short(good.per_second)} ({share})"


def _loads(result: PerformanceResult) -> Iterator[str]:
    """Yield the load that was requested and the load that was achieved."""
    requested, achieved = result.requested, result.achieved
    limit = f"at most {requested.concurrency} in flight" if requested.concurrency else "no limit in flight"
    yield f"requested: {requested_rate(result)}, {limit}"
    yield (
        f"achieved:  {short(achieved.rate)} requests/s sent, {short(achieved.concurrency)} in flight "
        f"on average, {short(achieved.peak)} at the peak"
    )


def _sessions(result: PerformanceResult) -> Iterator[str]:
    """Yield the number of sessions, and how many were served within each tier."""
    found = result.sessions
    if found is None:
        return
    if found["history"] is not None:
        cached = found["cache_share"]
        share = "" if cached is None else f"; cacheable input {100 * cached:.1f} %"
        at_once = f"{short(found['average'])} at once on average"
        yield f"sessions:  {found['complete']} of {found['sessions']} complete, {at_once}{share}"
    if tiers := found["tiers"]:
        counts = [f"{one['name']} {one['sessions']} ({100 * one['share']:.1f} %)" for one in tiers]
        yield f"tiers:     {', '.join(counts)} of {found['sessions']} served"


def requested_rate(result: PerformanceResult) -> str:
    """Describe the requested pace of requests."""
    options, arrival = result.requested.options, result.requested.options.get("arrival")
    rate = f"{result.requested.rate:g} requests/s" if result.requested.rate else "no pacing"
    if options.get("use_timestamp"):
        rate = "the trace's own times"
    if ramp := options.get("ramp_up"):
        rate = f"the ramp {ramp}"
    if seconds := options.get("pressure_time"):
        rate = f"clients step by step for {seconds:g} s"
    if arrival:
        rate = f"{rate} ({arrival})"
    return f"{rate} for {options['duration']:g} s" if options.get("duration") else rate


def _cut(line: str) -> str:
    return line.rstrip() if len(line) <= HEADLINE_WIDTH else f"{line[: HEADLINE_WIDTH - 1]}…"
