"""Format a measured performance for a terminal: the headline, and on request all tables."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from aisb import DialectResult, PerformanceResult, Stage
from aisb_reporter_performance._headline import headline, requested_rate
from aisb_reporter_performance._tables import (
    COMMON,
    FURTHER_PARAMETERS,
    PARAMETERS,
    UNITS,
    UNKNOWN,
    exact,
    grid,
    headers,
    short,
    values,
)

BROKEN = {
    "Performance Parameters": "Performance\nParameters",
    "OutputTokenThroughput": "OutputToken\nThroughput\n(token/s)",
    "PrefillTokenThroughput": "PrefillToken\nThroughput\n(token/s)",
    "TTFT(planned)": "TTFT(plan-\nned) (ms)",
    "E2EL(planned)": "E2EL(plan-\nned) (ms)",
    "E2EL(close)": "E2EL(close)\n(ms)",
}
"""Long names, broken into lines for a narrow terminal."""


def result_text(
    result: PerformanceResult,
    dialects: Sequence[DialectResult] = (),
    width: int = 80,
    *,
    tables: bool = False,
    spec_decode: bool = False,
) -> str:
    """Return the text for one subtask: the headline, and the requested tables.

    With `tables`, everything that is known follows, in at most `width` columns where that can be.
    """
    blocks = ["\n".join(headline(result))]
    if tables:
        blocks += [_parameters(result, width), _common(result)]
    if spec_decode:
        blocks.append(_speculation(result, width))
    if tables:
        blocks.append("\n".join(_folded(_load(result), width)))
        blocks.append("\n".join(_certificate(result, width)))
    if dialects:
        blocks.append(_dialects(result, dialects, width))
    return "\n\n".join(blocks) + "\n\n"


def _parameters(result: PerformanceResult, width: int) -> str:
    shown = [(name, stage) for name in PARAMETERS for stage in result.stages]
    further = [
        (name, stage) for name in FURTHER_PARAMETERS for stage in result.stages if stage.parameters[name]
    ]
    wide = grid(
        [headers(result.percentiles), *(_wide(result, *row) for row in (*shown, *further))], left=2, gap=2
    )
    if _widest(wide) <= width:
        return wide + _too_few(result)
    head = [BROKEN.get(header, header) for header in headers(result.percentiles)]
    return grid([head, *(_narrow(result, *row) for row in (*shown, *further))], left=2) + _too_few(result)


def _wide(result: PerformanceResult, name: str, stage: Stage) -> list[str]:
    distribution = stage.parameters[name]
    cells = [exact(value, UNITS[name]) or UNKNOWN for value in values(distribution, result.percentiles)]
    return [name, stage.name, *cells, str(distribution.n if distribution else 0)]


def _narrow(result: PerformanceResult, name: str, stage: Stage) -> list[str]:
    """Return a row whose unit is next to its name, and whose P99 is marked when it means little."""
    distribution = stage.parameters[name]
    cells = [short(value) for value in values(distribution, result.percentiles)]
    unit = UNITS[name].strip()
    label = BROKEN.get(name) or (f"{name} ({unit})" if unit else name)
    return [label, stage.name, *cells, short(distribution.n if distribution else 0)]


def _too_few(result: PerformanceResult) -> str:
    """Return a line that names percentiles with too few values, and their stages."""
    return "".join(
        f"\nP{percent:g} ({stage.name}): {e2el.n} requests are too few; it is close to the maximum"
        for stage in result.stages
        for percent in result.percentiles
        if (e2el := stage.parameters["E2EL"]) is not None and e2el.too_few_for(percent)
    )


def _common(result: PerformanceResult) -> str:
    rows = [["Common Metric", "Stage", "Value"]]
    for name, (key, unit) in COMMON.items():
        for stage in result.stages:
            value = getattr(stage.totals, key)
            number = UNKNOWN if value is None else f"{value:.0f}" if value == int(value) else f"{value:.4f}"
            rows.append([name, stage.name, number if value is None else number + unit])
    return grid(rows, left=3, gap=2)


def _load(result: PerformanceResult) -> Iterator[str]:
    """Yield the requested load next to the achieved one, then further facts."""
    requested, achieved = result.requested, result.achieved
    yield f"rate: requested {requested_rate(result)}, achieved {short(achieved.rate)} requests/s"
    limit = f"at most {requested.concurrency}" if requested.concurrency else "no limit"
    had = f"{short(achieved.concurrency)} on average and {short(achieved.peak)} at the peak"
    yield f"concurrency: requested {limit}, achieved {had}"
    if result.window is not None:
        yield (
            f"stable: {short(result.window.seconds)} s from {short(result.window.start / 1e9)} s on, "
            f"with {short(result.window.level)} in flight"
        )
    elif requested.options.get("ramp_up"):
        yield f"stable: {result.unsteady}"
    else:
        yield f"stable: not steady: {result.unsteady}"
    if result.goodput is not None:
        good = result.goodput
        limits = ", ".join(f"{name} ≤ {limit:g} ms" for name, limit in good.objectives.items())
        share = UNKNOWN if good.share is None else f"{100 * good.share:.2f} %"
        yield f"goodput: {short(good.per_second)} requests/s, {share} of those offered, with {limits}"
    yield from _counters(result)
    yield from result.notes


def _counters(result: PerformanceResult) -> Iterator[str]:
    counters = result.counters
    if counters is None:
        return
    if counters.acceptance_rate is not None:
        line = f"speculative decoding: {100 * counters.acceptance_rate:.1f} % of drafted tokens accepted"
        if counters.acceptance_length is not None:
            line += f", {counters.acceptance_length:.2f} tokens a step"
        if counters.acceptance_by_position:
            shares = " ".join(f"{100 * share:.0f} %" for share in counters.acceptance_by_position)
            line += f", by position {shares}"
        yield line
    if counters.prefix_hit_rate is not None:
        yield f"prefix cache: {100 * counters.prefix_hit_rate:.1f} % of the requested tokens were cached"
    gauges = [(name, g) for name in ("running", "waiting") if (g := getattr(counters, name)) is not None]
    if gauges:
        said = ", ".join(
            f"{short(g.average)} {name} on average and {g.maximum:g} at most" for name, g in gauges
        )
        yield f"requests at the server: {said} ({gauges[0][1].samples} samples)"


def _speculation(result: PerformanceResult, width: int) -> str:
    """Return what the server counted of its speculative decoding, as a table."""
    counters = result.counters
    if counters is None or counters.acceptance_rate is None:
        line = (
            "Speculative decoding: the server counted none during the run (searched for "
            "vllm:spec_decode_num_draft_tokens and similar counters under /metrics)"
        )
        return "\n".join(_folded([line], width))
    rows = [
        ["Speculative Decoding", "Value"],
        ["Acceptance Rate", f"{100 * counters.acceptance_rate:.2f} %"],
        ["Acceptance Length", f"{counters.acceptance_length:.2f} token/step"],
        *(
            [name, short(value)]
            for name, value in (
                ("Drafts", counters.drafts),
                ("Draft Tokens", counters.drafted),
                ("Accepted Tokens", counters.accepted),
            )
        ),
        *(
            [f"Acceptance at Position {place}", f"{100 * share:.2f} %"]
            for place, share in enumerate(counters.acceptance_by_position)
        ),
    ]
    return grid(rows, left=2, gap=2)


def _certificate(result: PerformanceResult, width: int) -> Iterator[str]:
    yield f"certificate: {result.certificate.verdict}"
    for signal in result.certificate.signals:
        yield from _folded([f"  {signal.verdict}: {signal.reason}"], width)


def _dialects(result: PerformanceResult, dialects: Sequence[DialectResult], width: int) -> str:
    """Return the averages of the same run in other tools' numbers, and by which rules."""
    total = result.stages[0].parameters
    rows = [["Average", "aisb", *(dialect.name for dialect in dialects)]]
    for name in ("E2EL", "TTFT", "TPOT", "ITL", "OutputTokens"):
        every = [total[name], *(dialect.parameters[name] for dialect in dialects)]
        unit = f" ({UNITS[name].strip()})" if UNITS[name] else ""
        rows.append([name + unit, *(short(one.average if one else None) for one in every)])
    rules = _folded([f"{dialect.name}: {dialect.summary}" for dialect in dialects], width)
    return "\n".join(["The same run in other tools' numbers:", grid(rows, left=1, gap=2), *rules])


def _folded(lines: Iterator[str] | Sequence[str], width: int) -> list[str]:
    return [
        part
        for line in lines
        for part in textwrap.wrap(
            line, width, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False
        )
    ]


def _widest(block: str) -> int:
    return max(map(len, block.splitlines()))
