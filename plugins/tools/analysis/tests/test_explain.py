"""A change of a score, separated: each part alone, all at once, and where a part cannot be told."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from aisb_analysis._explain import _parts, explanation_lines
from aisb_engine import Grade

NAMES: Any = (SimpleNamespace(task="t", model="m"), SimpleNamespace(task="t", model="m"))


def side(right: str, first: int = 0, target: str = "x") -> dict[str, list[Grade]]:
    """Return grades of consecutive samples: 1 is right, 0 is wrong."""
    return {
        str(first + n): [Grade("correct" if one == "1" else "wrong", float(one), one, target)]
        for n, one in enumerate(right)
    }


def test_equal_sides_change_nothing():
    one = _parts(side("1100"), side("1100"), (side("1100"), side("1100")), names=NAMES)
    assert (one.change, one.samples, one.rules, one.answers) == (0, 0, 0, 0)
    assert explanation_lines(one)[0] == "t: A 50.00, B 50.00, change 0.00"


def test_all_three_parts_add_up_and_each_is_counted():
    a, b = side("110010"), side("111101", first=2)  # 0 to 5, and 2 to 7
    a_by_b, b_by_a = side("111110"), side("100101", first=2)
    one = _parts(a, b, (a_by_b, b_by_a), names=NAMES)
    assert (one.shared, one.only_a, one.only_b) == (4, 2, 2)
    assert one.samples + (one.rules or 0) + (one.answers or 0) == pytest.approx(one.b - one.a)
    assert one.rules == pytest.approx(((75 - 25) + (100 - 50)) / 2)
    assert one.answers == pytest.approx(((50 - 25) + (100 - 75)) / 2)
    assert one.graded_otherwise == ("2", "3", "4")
    assert one.answered_otherwise == ("5",)


def test_samples_with_other_targets_by_the_same_rules_are_other_samples():
    a, b = side("1100"), {**side("1100"), **side("1", target="y")}
    one = _parts(a, b, (a, b), names=NAMES)
    assert (one.shared, one.other_targets) == (3, 1)
    assert one.samples + (one.rules or 0) + (one.answers or 0) == pytest.approx(0)


def test_other_targets_by_other_rules_are_other_rules():
    a, b = side("1100", target="x"), side("1111", target="y")
    one = _parts(a, b, (side("1111", target="y"), side("1100", target="x")), names=NAMES)
    assert (one.samples, one.rules, one.answers) == (0, 50, 0)


def test_rules_and_answers_are_one_part_where_a_side_cannot_be_regraded():
    one = _parts(side("10"), side("11"), None, names=NAMES, notes=["why"])
    assert (one.rules, one.answers, one.rules_and_answers) == (None, None, 50)
    assert explanation_lines(one)[2:] == ["  other rules and answers  +50.00", "  why"]


def test_sides_that_share_no_sample_differ_by_samples_alone():
    one = _parts(side("10"), side("11", first=2), None, names=NAMES)
    assert (one.samples, one.rules, one.answers) == (50, 0, 0)
    assert "share no sample" in one.notes[0]


def test_shown_parts_add_up_to_the_shown_change():
    for right in ("1110000", "1011000", "1111110", "0000001"):
        for other in ("110", "011", "10110"):
            one = _parts(side(right), side(other), (side(right[::-1]), side(other[::-1])), names=NAMES)
            text = explanation_lines(one)
            change = text[0].rpartition(" ")[2]
            parts = [line.split()[2] for line in text[1:4]]
            assert sum(round(100 * float(part)) for part in parts) == round(100 * float(change))


def test_partial_credit_counts_as_a_mean():
    a = {"0": [Grade("wrong", 0.5, "", "x")], "1": [Grade("correct", 1.0, "", "x")]}
    one = _parts(a, side("11"), (a, side("11")), names=NAMES)
    assert (one.a, one.answers) == (75, 25)
