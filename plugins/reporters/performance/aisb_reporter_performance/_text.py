"""Lay a measured performance out for a terminal: tables, what was asked and achieved, the certificate."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from aisb_engine._performance.counters import SPECULATIVE
from aisb_engine._performance.performance import BESIDE, PARAMETERS, Performance
from aisb_engine._performance.throughput import Stage
from aisb_reporter_performance._tables import COMMON, UNITS, UNKNOWN, exact, grid, headers, short, values

if TYPE_CHECKING:
    from aisb_engine._performance.dialects import Dialect

BROKEN = {
    "Performance Parameters": "Performance\nParameters",
    "OutputTokenThroughput": "OutputToken\nThroughput\n(token/s)",
    "PrefillTokenThroughput": "PrefillToken\nThroughput\n(token/s)",
    "TTFT(planned)": "TTFT(plan-\nned) (ms)",
    "E2EL(planned)": "E2EL(plan-\nned) (ms)",
    "E2EL(close)": "E2EL(close)\n(ms)",
}
"""How long names stand in a narrow terminal."""


def as_text(
    found: Performance, tools: Sequence[Dialect] = (), width: int = 80, *, spec_decode: bool = False
) -> str:
    """Return everything that is shown of one subtask, in at most `width` columns where that can be."""
    blocks = [
        f"Performance of {found.model} on {found.task}",
        _parameters(found, width),
        _common(found),
        "\n".join(_folded(_load(found), width)),
        "\n".join(_certificate(found, width)),
    ]
    if spec_decode:
        blocks.insert(3, _speculation(found, width))
    if tools:
        blocks.append(_dialects(found, tools, width))
    return "\n\n".join(blocks) + "\n\n"


def _parameters(found: Performance, width: int) -> str:
    shown = [(name, stage) for name in PARAMETERS for stage in found.stages]
    beside = [(name, stage) for name in BESIDE for stage in found.stages if stage.parameters[name]]
    wide = grid(
        [headers(found.percentiles), *(_wide(found, *row) for row in (*shown, *beside))], left=2, gap=2
    )
    if _widest(wide) <= width:
        return wide + _too_few(found)
    head = [BROKEN.get(header, header) for header in headers(found.percentiles)]
    return grid([head, *(_narrow(found, *row) for row in (*shown, *beside))], left=2) + _too_few(found)


def _wide(found: Performance, name: str, stage: Stage) -> list[str]:
    spread = stage.parameters[name]
    cells = [exact(value, UNITS[name]) or UNKNOWN for value in values(spread, found.percentiles)]
    return [name, stage.name, *cells, str(spread.n if spread else 0)]


def _narrow(found: Performance, name: str, stage: Stage) -> list[str]:
    """Return a row whose unit stands beside its name, and whose P99 is marked when it means little."""
    spread = stage.parameters[name]
    cells = [short(value) for value in values(spread, found.percentiles)]
    unit = UNITS[name].strip()
    label = BROKEN.get(name) or (f"{name} ({unit})" if unit else name)
    return [label, stage.name, *cells, short(spread.n if spread else 0)]


def _too_few(found: Performance) -> str:
    """Say which percentiles rest on too few values, and for which stages."""
    return "".join(
        f"\nP{percent:g} ({stage.name}): {spread.n} requests are too few, it is little more than the maximum"
        for stage in found.stages
        for percent in found.percentiles
        if (spread := stage.parameters["E2EL"]) is not None and spread.too_few_for(percent)
    )


def _common(found: Performance) -> str:
    rows = [["Common Metric", "Stage", "Value"]]
    for name, (key, unit) in COMMON.items():
        for stage in found.stages:
            value = getattr(stage.common, key)
            number = UNKNOWN if value is None else f"{value:.0f}" if value == int(value) else f"{value:.4f}"
            rows.append([name, stage.name, number if value is None else number + unit])
    return grid(rows, left=3, gap=2)


def _load(found: Performance) -> Iterator[str]:
    """Yield what was asked beside what was achieved, then what else is known."""
    asked, achieved = found.load, found.achieved
    rate = f"{asked.rate:g} requests/s" if asked.rate else "no pacing"
    if asked.asked.get("use_timestamp"):
        rate = "the trace's own times"
    if ramp := asked.asked.get("ramp_up"):
        rate = f"the ramp {ramp}"
    if seconds := asked.asked.get("pressure_time"):
        rate = f"clients step by step for {seconds:g} s"
    arrival = asked.asked.get("arrival")
    yield (f"rate: asked {rate}{f' ({arrival})' if arrival else ''}, sent {short(achieved.rate)} requests/s")
    limit = f"at most {asked.concurrency}" if asked.concurrency else "no limit"
    had = f"{short(achieved.concurrency)} on average and {achieved.peak} at the peak"
    yield f"concurrency: asked {limit}, had {had}"
    if found.window is not None:
        yield (
            f"stable: {short(found.window.seconds)} s from {short(found.window.start / 1e9)} s on, "
            f"with {short(found.window.level)} in flight"
        )
    else:
        yield f"stable: not steady: {found.unsteady}"
    if found.goodput is not None:
        good = found.goodput
        limits = ", ".join(f"{name} ≤ {limit:g} ms" for name, limit in good.objectives.items())
        share = UNKNOWN if good.share is None else f"{100 * good.share:.2f} %"
        yield f"goodput: {short(good.per_second)} requests/s, {share} of those offered, with {limits}"
    yield from _counters(found)
    yield from found.notes


def _counters(found: Performance) -> Iterator[str]:
    counters = found.counters
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
        yield f"prefix cache: {100 * counters.prefix_hit_rate:.1f} % of the tokens looked up were there"
    gauges = [(name, g) for name in ("running", "waiting") if (g := getattr(counters, name)) is not None]
    if gauges:
        said = ", ".join(f"{short(g.average)} {name} on average and {g.most:g} at most" for name, g in gauges)
        yield f"requests at the server: {said} (looked at {gauges[0][1].looks} times)"


def _speculation(found: Performance, width: int) -> str:
    """Return what the server counted of its speculative decoding, as a table."""
    counters = found.counters
    if counters is None or counters.acceptance_rate is None:
        line = (
            "Speculative decoding: the server counted none during the run (looked for "
            f"{SPECULATIVE}draft_tokens and its like under /metrics)"
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


def _certificate(found: Performance, width: int) -> Iterator[str]:
    yield f"certificate: {found.certificate.verdict}"
    for signal in found.certificate.signals:
        yield from _folded([f"  {signal.verdict}: {signal.reason}"], width)


def _dialects(found: Performance, tools: Sequence[Dialect], width: int) -> str:
    """Return the averages of the same run in other tools' numbers, and by which rules."""
    from aisb_engine._performance.dialects import speak

    total = found.stages[0].parameters
    spoken = [speak(found.columns, tool, found.percentiles) for tool in tools]
    rows = [["Average", "aisb", *(tool.name for tool in tools)]]
    for name in ("E2EL", "TTFT", "TPOT", "ITL", "OutputTokens"):
        spreads = [total[name], *(one.spreads[name] for one in spoken)]
        unit = f" ({UNITS[name].strip()})" if UNITS[name] else ""
        rows.append([name + unit, *(short(spread.average if spread else None) for spread in spreads)])
    rules = _folded([f"{tool.name}: {tool.summary}" for tool in tools], width)
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
