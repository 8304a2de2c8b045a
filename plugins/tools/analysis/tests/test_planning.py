"""Plans from a pilot: samples, repeats and minutes that a difference needs, and what a budget shows."""

from __future__ import annotations

import random
from statistics import fmean

import pytest

from aisb import UsageError
from aisb_analysis._paired import paired_t
from aisb_analysis._planning import Pilot, detectable, least_need, needed, pilot_of, within_budget
from aisb_analysis._times import read_seconds
from aisb_engine import Grade

pytest.importorskip("scipy")


def side(draw: random.Random, shares: list[float], repeats: int) -> dict[str, list[Grade]]:
    """A side whose model answers each sample right with its own probability."""
    return {
        str(place): [
            Grade("correct", 1.0, "7", None) if draw.random() < share else Grade("wrong", 0.0, "8", None)
            for _ in range(repeats)
        ]
        for place, share in enumerate(shares)
    }


def shares(draw: random.Random, count: int) -> list[float]:
    return [draw.choice((0.1, 0.5, 0.9)) for _ in range(count)]


def test_repeats_separate_what_varies_between_samples_from_what_varies_within() -> None:
    draw = random.Random(0)
    common = shares(draw, 3000)
    pilot = pilot_of("t", side(draw, common, 4), side(draw, common, 4), seconds=1.0, size=None)
    # Both sides answer alike on average: nothing between samples, 2 * mean(p (1 - p)) within.
    assert pilot.within == pytest.approx(2 * fmean(share * (1 - share) for share in common), rel=0.05)
    assert pilot.between == pytest.approx(0.0, abs=0.02)
    once = pilot_of("t", side(draw, common, 1), side(draw, common, 1), seconds=1.0, size=None)
    assert once.within is None
    assert once.between == pytest.approx(pilot.within, rel=0.1)


def test_a_planned_run_finds_the_difference_in_four_of_five() -> None:
    draw = random.Random(1)
    common = shares(draw, 2000)
    pilot = pilot_of("t", side(draw, common, 2), side(draw, common, 2), seconds=None, size=None)
    samples = needed(pilot, 0.08).samples
    found = 0
    for _ in range(200):
        mine = shares(draw, samples)
        a, b = side(draw, mine, 1), side(draw, [share + 0.08 for share in mine], 1)
        found += paired_t([b[key][0].value - a[key][0].value for key in a]) < 0.05
    assert 140 <= found <= 185


def test_repeats_are_planned_where_the_task_has_too_few_samples() -> None:
    pilot = Pilot("t", 100, between=0.02, within=0.2, seconds=2.0, size=500)
    assert (needed(pilot, 0.05).samples, needed(pilot, 0.05).fits) == (691, False)
    need = least_need(pilot, 0.05)
    assert (need.samples, need.repeats, need.requests) == (377, 2, 1508)
    assert need.minutes == pytest.approx(377 * 2 * 2 / 60)
    assert not least_need(pilot, 0.001).fits
    assert detectable(pilot, need.samples, need.repeats) == pytest.approx(0.05, rel=0.01)


def test_a_budget_is_spent_on_samples_first_and_then_on_repeats() -> None:
    pilot = Pilot("t", 100, between=0.02, within=0.2, seconds=2.0, size=500)
    assert within_budget(pilot, 600)
    samples, repeats, least = within_budget(pilot, 600) or (0, 0, 0.0)
    assert (samples, repeats) == (300, 1)
    assert least == pytest.approx(2.80 * (0.22 / 300) ** 0.5, rel=0.01)
    assert (within_budget(pilot, 4000) or ())[:2] == (500, 4)
    assert within_budget(Pilot("t", 100, 0.1, None, None, None), 600) is None


def test_one_side_alone_stands_for_two_models_that_correlate() -> None:
    draw = random.Random(2)
    pilot = pilot_of("t", side(draw, [0.75] * 4000, 1), None, seconds=1.0, size=None)
    assert pilot.is_assumed
    assert pilot.between == pytest.approx(0.75 * 0.25, rel=0.05)
    noisy = pilot_of("t", side(draw, [0.75] * 4000, 1), None, seconds=1.0, size=None, noise=0.05)
    assert noisy.within == 0.05
    assert noisy.between + 0.05 == pytest.approx(0.75 * 0.25, rel=0.05)


def test_a_pilot_in_which_nothing_changed_is_planned_with_the_largest_share_that_it_allows() -> None:
    draw = random.Random(3)
    same = side(draw, [0.75] * 64, 1)
    pilot = pilot_of("t", same, same, seconds=1.0, size=None)
    assert pilot.assumed_share == pytest.approx(1 - 0.05 ** (1 / 64))  # 0 of 64: at most 4.6 %
    assert needed(pilot, 0.05).samples == pytest.approx(2.80**2 * 0.0457 / 0.05**2, rel=0.01)
    alone = pilot_of("t", side(draw, [1.0] * 64, 1), None, seconds=1.0, size=None)
    assert alone.assumed_share == pilot.assumed_share
    changed = pilot_of("t", same, side(draw, [0.5] * 64, 1), seconds=1.0, size=None)
    assert changed.assumed_share is None


def test_times_are_read_with_their_units() -> None:
    assert [read_seconds("--budget", text) for text in ("90s", "10m", "1h", "2")] == [90, 600, 3600, 120]
    with pytest.raises(UsageError, match="--budget 'long' is not a duration; write 600s, 10m or 1h"):
        read_seconds("--budget", "long")
