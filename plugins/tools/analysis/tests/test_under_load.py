"""What load does to answers: the paired tests, with few and with many requests in flight."""

from __future__ import annotations

import random

import pytest

from aisb_analysis._paired import holm
from aisb_analysis._under_load import UnderLoad, compare_under_load
from aisb_engine import Grade, Subtask

pytest.importorskip("scipy")

NAMES = (Subtask(model="m", task="t"), Subtask(model="m-at-64", task="t"))
SAMPLES = 400


def compared(outcomes: dict[int, str], lengths: dict[int, float] | None = None) -> UnderLoad:
    """Compare 400 samples, 300 of them right, with the outcomes and lengths that some have under load."""
    alone = {
        str(n): [Grade("correct" if n < 300 else "wrong", float(n < 300), "7", None)] for n in range(SAMPLES)
    }
    loaded = dict(alone)
    for number, outcome in outcomes.items():
        loaded[str(number)] = [Grade(outcome, float(outcome == "correct"), "8", None)]  # type: ignore[arg-type]
    before = dict.fromkeys(alone, 50.0)
    after = before | {str(number): length for number, length in (lengths or {}).items()}
    return compare_under_load(alone, loaded, (before, after), names=NAMES, in_flight=(4, 64), draws=100)


def test_answers_that_load_leaves_alone_are_no_difference() -> None:
    found = compared({})
    assert not found.is_changed
    assert list(found.lines()) == [
        "accuracy 75.0 at 4 in flight, 75.0 at 64: no difference with 400 samples (minimum detectable: 1.5 points)",
        "answers without a clear outcome: 0.0 % and 0.0 %: no difference",
        "output tokens of a reply: 50.0 and 50.0: no difference",
    ]


def test_wrong_answers_under_load_change_the_score() -> None:
    found = compared(dict.fromkeys(range(12), "wrong"))
    first, *_, last = found.lines()
    assert first == "accuracy 75.0 at 4 in flight, 72.0 at 64: a difference (p < 0.001)"
    assert last == "load changes the answers: 12 samples got worse, 0 got better"
    assert (found.unclear.is_real, found.length and found.length.is_real) == (False, False)


def test_unreadable_answers_and_other_lengths_are_told_from_wrong_ones() -> None:
    unreadable = compared(dict.fromkeys(range(300, 312), "unparsed"))
    assert (unreadable.score.is_real, unreadable.unclear.is_real) == (False, True)
    longer = compared({}, dict.fromkeys(range(20), 60.0))
    assert longer.length
    assert (longer.score.is_real, longer.length.is_real) == (False, True)
    assert "output tokens of a reply: 50.0 and 50.5: a difference (p < 0.001)" in list(longer.lines())


def test_flips_both_ways_are_chance() -> None:
    draw = random.Random(0)
    outcomes = dict.fromkeys(draw.sample(range(300), 10), "wrong")
    outcomes |= dict.fromkeys(draw.sample(range(300, 400), 9), "correct")
    assert not compared(outcomes).is_changed


def test_holm_with_weights_gives_a_test_more_of_the_level() -> None:
    assert holm([0.04, 0.5, 0.5], [0.8, 0.1, 0.1]) == pytest.approx([0.05, 1.0, 1.0])
    assert holm([0.01, 0.02], [1, 1]) == holm([0.01, 0.02]) == pytest.approx([0.02, 0.02])
