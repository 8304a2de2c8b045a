"""Two sides on the same samples: what is counted, what is left out, and what the verdict stands on."""

from __future__ import annotations

import random

import pytest

from aisb._errors import UsageError
from aisb_analysis._compare import compare_grades, correct_p_values
from aisb_engine import Grade
from aisb_engine._spec import Subtask

NAMES = (Subtask(model="old", task="gsm8k"), Subtask(model="new", task="gsm8k"))


def grades(text: str, *, target: str = "7") -> dict[str, list[Grade]]:
    """A sample a word, a repeat a letter: c for correct, w wrong, e error."""
    words = {"c": "correct", "w": "wrong", "e": "error"}
    return {
        str(i): [Grade(words[c], float(c == "c"), c, target) for c in word]
        for i, word in enumerate(text.split())
    }


def spaced(text: str) -> str:
    return " ".join(text)


def test_differences_are_b_less_a_and_flips_are_named():
    found = compare_grades(grades("c c w w c"), grades("c w c c c"), names=NAMES)
    assert (found.samples, found.a, found.b, found.difference) == (5, 60, 80, pytest.approx(20))
    assert [flip.id for flip in found.improved] == ["2", "3"]
    assert [flip.id for flip in found.worsened] == ["1"]
    assert found.mcnemar == found.p == 1
    assert found.verdict == "tie"


def test_many_flips_to_one_side_are_a_verdict():
    a, b = grades(spaced("c" * 90 + "w" * 10)), grades(spaced("c" * 80 + "w" * 20))
    found = compare_grades(a, b, names=NAMES)
    assert (found.verdict, found.difference) == ("worse", pytest.approx(-10))
    assert compare_grades(b, a, names=NAMES).verdict == "better"
    assert found.low < -10 < found.high < 0


def test_the_same_on_both_sides_is_a_tie_that_no_size_would_change():
    found = compare_grades(grades("c w c"), grades("c w c"), names=NAMES)
    assert (found.verdict, found.p, found.samples_needed, found.improved, found.worsened) == (
        "tie",
        1,
        None,
        (),
        (),
    )


def test_samples_of_one_side_only_and_with_other_targets_are_left_out_and_said():
    a = grades("c c c c") | {"8": [Grade("correct", 1.0, "1", "7")]}
    b = grades("c c c") | {"3": [Grade("correct", 1.0, "1", "another")]}
    found = compare_grades(a, b, names=NAMES)
    assert found.samples == 3
    assert found.setup_differences == (
        "1 samples have different reference answers on the two sides, and are left out",
        "1 samples are in A only and 0 in B only",
    )


def test_sides_without_a_common_sample_cannot_be_compared():
    with pytest.raises(UsageError, match="gsm8k: the two sides share no sample"):
        compare_grades({"a": grades("c")["0"]}, grades("c"), names=NAMES)
    with pytest.raises(UsageError, match="the reference answers of all samples differ"):
        compare_grades(grades("c"), grades("c", target="8"), names=NAMES)


def test_repeats_count_as_their_mean_and_the_bootstrap_decides():
    a, b = grades("cc cw ww cc " * 40), grades("cw ww ww cc " * 40)
    found = compare_grades(a, b, names=NAMES)
    assert (found.a, found.b, found.mcnemar) == (62.5, 37.5, None)
    assert found.p == found.bootstrap
    assert found.verdict == "worse"


def test_partial_credit_counts_as_it_is():
    def side(shift: float) -> dict[str, list[Grade]]:
        draw = random.Random(1)
        return {str(i): [Grade("wrong", draw.uniform(0.2, 0.6) + shift, "", "7")] for i in range(200)}

    found = compare_grades(side(0), side(0.1), names=NAMES)
    assert found.mcnemar is None
    assert found.difference == pytest.approx(10)
    assert found.verdict == "better"


def test_a_few_samples_of_partial_credit_are_not_taken_for_many():
    a = {str(i): [Grade("wrong", 0.5, "", "7")] for i in range(3)}
    b = {str(i): [Grade("wrong", 0.6 + i / 10, "", "7")] for i in range(3)}
    found = compare_grades(a, b, names=NAMES)
    assert found.bootstrap < 0.05 < found.p
    assert found.verdict == "tie"


def test_errors_are_counted_beside_the_numbers():
    found = compare_grades(grades("c e e"), grades("c c c"), names=NAMES)
    assert found.notes == ("2 answers of A and 0 of B ended in an error, which counts as not correct",)


def test_what_is_clear_alone_may_be_a_tie_among_many_tasks():
    a, b = grades(spaced("c" * 90 + "w" * 10)), grades(spaced("c" * 84 + "w" * 16))
    one = compare_grades(a, b, names=NAMES)
    equal = compare_grades(a, a, names=NAMES)
    assert (one.p, one.verdict) == (2 / 64, "worse")
    first, *others = correct_p_values([one, equal, equal])
    assert (first.p_corrected, first.verdict) == (6 / 64, "tie")
    assert {other.verdict for other in others} == {"tie"}


def test_samples_that_share_a_passage_are_resampled_together() -> None:
    def shared(side: dict[str, list[Grade]], each: int) -> dict[str, list[Grade]]:
        return {
            key: [one._replace(cluster=f"passage {int(key) // each}") for one in found]
            for key, found in side.items()
        }

    # Ten questions on each of 20 passages: B understands five of them, and loses two.
    a = grades(spaced(("w" * 10) * 5 + ("c" * 10) * 2 + ("c" * 10) * 13))
    b = grades(spaced(("c" * 10) * 5 + ("w" * 10) * 2 + ("c" * 10) * 13))
    apart = compare_grades(a, b, names=NAMES)
    assert (apart.verdict, apart.clusters) == ("better", None)
    assert apart.p < 0.001
    together = compare_grades(shared(a, 10), b, names=NAMES)  # one side knows it: the other was kept alone
    assert (together.verdict, together.clusters, together.mcnemar) == ("tie", 20, None)
    assert together.difference == apart.difference == pytest.approx(15)
    assert together.low < 0 < apart.low
    assert together.p > 0.2
    assert together.detectable_difference is not None
    assert apart.detectable_difference is not None
    assert together.detectable_difference > 2 * apart.detectable_difference
    assert together.samples_needed is not None
    assert together.samples_needed > 400


def test_samples_each_with_a_passage_of_its_own_are_compared_exactly() -> None:
    a, b = grades(spaced("c" * 90 + "w" * 10)), grades(spaced("c" * 80 + "w" * 20))
    own = {key: [one._replace(cluster=key) for one in found] for key, found in a.items()}
    assert compare_grades(own, b, names=NAMES) == compare_grades(a, b, names=NAMES)
