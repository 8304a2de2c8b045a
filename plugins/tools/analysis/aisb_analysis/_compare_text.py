"""Comparisons as text for the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from aisb_analysis._compare import Comparison
from aisb_analysis._determinism import noise_lines

if TYPE_CHECKING:
    from aisb_analysis._compare import Flip
    from aisb_analysis._determinism import Determinism
    from aisb_analysis._speeds import SpeedComparison

MAX_FLIPS = 8
"""The number of flipped samples that the terminal lists; --json has all of them."""


def comparison_lines(
    found: Sequence[Comparison | SpeedComparison], noise: Determinism | None = None
) -> Iterator[str]:
    """Yield tables of comparisons, and the changes below them; `noise` is that of the service, if known."""
    grades = [one for one in found if isinstance(one, Comparison)]
    speeds = [one for one in found if not isinstance(one, Comparison)]
    for one in grades:
        yield from (f"! {one.task}: not the same on both sides: {line}" for line in one.setup_differences)
        yield from (f"! {one.task}: {line}" for line in one.notes)
    lines = ((one.place, line) for one in speeds for line in one.setup_differences)
    yield from (f"! {place}: not the same on both sides: {line}" for place, line in dict.fromkeys(lines))
    doubts = ((one.place, line) for one in speeds for line in one.doubts)
    yield from (f"! {place}: {line}" for place, line in dict.fromkeys(doubts))
    yield ""
    if grades:
        yield _table(
            {"task": "left", "n": "right", "A": "right", "B": "right", "B - A": "right"},
            [_row(one, grades) for one in grades],
        )
        yield ""
        for one in grades:
            yield from _details(one)
            if noise:
                flipped = len(one.improved) + len(one.worsened)
                yield from (f"  {line}" for line in noise_lines(noise, flipped, one.samples))
    if grades and speeds:
        yield ""
    if speeds:
        yield _table(
            {"task": "left", "number": "left", "A": "right", "B": "right", "B / A": "right"},
            [_speed_row(one, speeds) for one in speeds],
        )
        if any(one.verdict is None for one in speeds):
            yield (
                "\nsingle runs do not show the variation between runs: "
                "compare repeats,\nas in A1,A2,A3 B1,B2,B3"
            )


def _table(columns: Mapping[str, str], rows: Sequence[Sequence[str]]) -> str:
    """Format rows below these columns, by name with their alignment, and the columns of the test."""
    from tabulate import tabulate

    columns = {**columns, "95 %": "left", "p": "right", "verdict": "left"}
    return str(tabulate(rows, headers=[*columns], disable_numparse=True, colalign=[*columns.values()]))


def _row(one: Comparison, comparisons: Sequence[Comparison]) -> tuple[str, ...]:
    return (
        _name(one, comparisons),
        f"{one.samples:,}",
        f"{one.a:.2f}",
        f"{one.b:.2f}",
        f"{one.difference:+.2f}",
        f"[{one.low:+.1f}, {one.high:+.1f}]",
        format_p(one.p_corrected),
        _verdict(one),
    )


def _details(one: Comparison) -> Iterator[str]:
    yield f"{one.task}: {len(one.improved)} got better{_ids(one.improved)}"
    yield f"  {len(one.worsened)} got worse{_ids(one.worsened)}"
    if one.clusters is not None:
        yield f"  its samples form {one.clusters:,} clusters, which are resampled as a whole"
    smallest = "none" if one.detectable_difference is None else f"{one.detectable_difference:.1f} points"
    yield f"  minimum detectable difference with {one.samples:,} samples: {smallest}"
    if one.samples_needed is not None:
        yield f"  samples needed to detect the observed difference: {one.samples_needed:,}"


def _ids(flips: Sequence[Flip]) -> str:
    ids = ", ".join(flip.id for flip in flips[:MAX_FLIPS])
    return f": {ids}{', …' if len(flips) > MAX_FLIPS else ''}" if flips else ""


def _speed_row(one: SpeedComparison, comparisons: Sequence[SpeedComparison]) -> tuple[str, ...]:
    return (
        _name(one, comparisons),
        one.name,
        _mean(one.a),
        _mean(one.b),
        "–" if one.ratio is None else f"{one.ratio:.3f}",
        "–" if one.low is None or one.high is None else f"[{one.low:.3f}, {one.high:.3f}]",
        "–" if one.p_corrected is None else format_p(one.p_corrected),
        _verdict(one),
    )


def _mean(values: Sequence[float]) -> str:
    return f"{sum(values) / len(values):.4g}" if values else "–"


def _name(one: Comparison | SpeedComparison, comparisons: Sequence[Comparison | SpeedComparison]) -> str:
    """Return the task's name, with the point of a sweep, and with the models if several are compared."""
    name = one.task if isinstance(one, Comparison) else one.place
    if len({(other.model_a, other.model_b) for other in comparisons}) == 1:
        return name
    models = one.model_a if one.model_a == one.model_b else f"{one.model_a} / {one.model_b}"
    return f"{name} {models}"


def _verdict(one: Comparison | SpeedComparison) -> str:
    if one.verdict is None:
        return "not known"
    return one.verdict if one.verdict == "tie" else f"B {one.verdict}"


def format_p(p: float) -> str:
    """Format a p-value."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"
