"""Intervals and repeat formulas against closed forms, published values and enumeration of every subset."""

import random
import subprocess
import sys
from collections import Counter
from itertools import combinations
from math import comb, sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aisb._stats import Z95, clustered, cons_at_k, mean_interval, pass_at_k, wilson
from aisb_engine._scoring.repeats import maj_at_k, mean_of_shares


@pytest.mark.parametrize(
    ("right", "n", "low", "high"),
    [  # Newcombe, Statist. Med. 17 (1998) 857, table I, method 3
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_gives_the_published_intervals(right: int, n: int, low: float, high: float):
    assert wilson(right / n, n) == pytest.approx((low, high), abs=5e-5)


@given(st.integers(1, 3000), st.data())
def test_wilson_limits_solve_the_score_equation(n: int, data: st.DataObject):
    share = data.draw(st.integers(0, n)) / n
    for limit in wilson(share, n):
        assert (share - limit) ** 2 == pytest.approx(Z95**2 * limit * (1 - limit) / n, abs=1e-12)


def test_wilson_covers_95_percent_on_average():
    n = 40
    shares = [i / 400 for i in range(1, 400)]
    covered = [
        sum(
            comb(n, c) * p**c * (1 - p) ** (n - c)
            for c in range(n + 1)
            if wilson(c / n, n)[0] <= p <= wilson(c / n, n)[1]
        )
        for p in shares
    ]
    assert 0.945 < sum(covered) / len(covered) < 0.965


def test_wilson_knows_nothing_without_trials_and_refuses_what_is_no_share():
    assert wilson(0, 0) == (0, 1)
    with pytest.raises(ValueError, match=r"a share of 1\.2 in 5 trials: the share must be 0 to 1"):
        wilson(1.2, 5)


@given(st.lists(st.sampled_from([0.0, 1.0]), min_size=2, max_size=60))
def test_clusters_of_one_give_wilsons_interval(values: list[float]):
    expected = wilson(sum(values) / len(values), len(values))
    assert clustered([[v] for v in values]) == pytest.approx(expected)


@given(st.lists(st.sampled_from([0.0, 1.0]), min_size=2, max_size=60), st.integers(1, 6))
def test_repeats_that_always_agree_are_worth_one_each(values: list[float], repeats: int):
    expected = wilson(sum(values) / len(values), len(values))
    assert clustered([[v] * repeats for v in values]) == pytest.approx(expected)


def test_the_clustered_interval_follows_its_formula():
    clusters = [[1, 1, 0], [1, 0, 0], [0, 0, 0], [1, 1, 1]]
    variance = (0.5**2 + 0.5**2 + 1.5**2 + 1.5**2) / 12**2
    assert clustered(clusters) == pytest.approx(wilson(0.5, 0.25 / variance))


def test_a_variance_that_happens_to_be_zero_claims_no_certainty():
    assert clustered([[1, 0]] * 8) == pytest.approx(wilson(0.5, 8))
    assert clustered([[1, 1, 1]]) == pytest.approx(wilson(1, 1))
    assert clustered([]) == (0, 1)


@pytest.mark.parametrize("repeats", [1, 4])
def test_the_clustered_interval_covers_about_95_percent(repeats: int):
    draw, covered, runs = random.Random(5), 0, 1500
    for _ in range(runs):
        clusters = []
        for _ in range(80):
            ease = draw.betavariate(1.4, 0.6)  # mean 0.7
            clusters.append([float(draw.random() < ease) for _ in range(repeats)])
        low, high = clustered(clusters)
        covered += low <= 0.7 <= high
    assert 0.93 < covered / runs < 0.97


def test_a_mean_of_any_size_has_a_normal_interval_over_its_clusters():
    values = [2.0, 4.0, 6.0, 8.0]
    half = Z95 * sqrt(20 / 3 / 4)  # the sample variance over n
    assert mean_interval(values) == pytest.approx((5 - half, 5 + half))
    half = Z95 * sqrt(2 * (4**2 + 4**2)) / 4
    assert mean_interval(values, ["a", "a", "b", "b"]) == pytest.approx((5 - half, 5 + half))
    assert mean_interval([3.0]) is None
    assert mean_interval(values, ["a"] * 4) is None


def test_the_mean_of_shares_keeps_the_doubt_of_groups_at_the_end():
    one = wilson(1, 10)
    low, high = mean_of_shares([(1.0, one), (1.0, one)])
    assert low == pytest.approx(1 - sqrt(2) * (1 - one[0]) / 2)
    assert high == 1
    assert mean_of_shares([(0.4, wilson(0.4, 50))]) == pytest.approx(wilson(0.4, 50))
    assert mean_of_shares([]) == (0, 1)


@st.composite
def repeats_of_a_sample(draw: st.DrawFn) -> tuple[list[str | None], int]:
    answers = draw(st.lists(st.sampled_from(["right", "a", "b", "c", None]), min_size=1, max_size=8))
    return answers, draw(st.integers(1, len(answers)))


def expected(answers: list[str | None], k: int, value) -> float:
    subsets = list(combinations(answers, k))
    return sum(value(list(subset)) for subset in subsets) / len(subsets)


@given(repeats_of_a_sample())
def test_pass_at_k_is_the_share_of_subsets_with_a_right_answer(case):
    answers, k = case
    found = pass_at_k(len(answers), answers.count("right"), k)
    assert found == pytest.approx(expected(answers, k, lambda subset: "right" in subset))


@given(st.integers(1, 300), st.data())
def test_pass_at_k_equals_its_closed_form(n: int, data: st.DataObject):
    right, k = data.draw(st.integers(0, n)), data.draw(st.integers(1, n))
    assert pass_at_k(n, right, k) == pytest.approx(1 - comb(n - right, k) / comb(n, k))


@given(repeats_of_a_sample())
def test_cons_at_k_is_the_share_of_subsets_more_than_half_right(case):
    answers, k = case
    found = cons_at_k(len(answers), answers.count("right"), k)
    assert found == pytest.approx(expected(answers, k, lambda subset: subset.count("right") > k / 2))


@given(st.integers(1, 40), st.data())
def test_cons_at_n_says_whether_more_than_half_are_right(n: int, data: st.DataObject):
    right = data.draw(st.integers(0, n))
    assert cons_at_k(n, right, n) == (1 if right > n / 2 else 0)


def vote(subset: list[str | None]) -> float:
    counts = Counter(answer for answer in subset if answer is not None)
    first = [answer for answer, count in counts.items() if count == max(counts.values())]
    return (first.count("right") / len(first)) if first else 0


@given(repeats_of_a_sample())
def test_maj_at_k_is_the_share_of_subsets_whose_commonest_answer_is_right(case):
    answers, k = case
    counts = Counter(answers)
    others = [counts[a] for a in "abc" if counts[a]]
    found = maj_at_k(counts["right"], others, counts[None], k)
    assert found == pytest.approx(expected(answers, k, vote))


def test_two_samples_of_two_repeats_one_always_right_give_a_half():
    for measure in (pass_at_k, cons_at_k):
        assert (measure(2, 2, 2) + measure(2, 0, 2)) / 2 == 0.5


def test_a_k_above_the_number_of_repeats_is_refused():
    for measure in (pass_at_k, cons_at_k):
        with pytest.raises(ValueError, match="k = 3 of 2 repeats: k must be 1 to 2"):
            measure(2, 0, 3)
    with pytest.raises(ValueError, match="k = 0 of 3 repeats"):
        maj_at_k(1, [2], 0, 0)
    with pytest.raises(ValueError, match="5 right of 4 repeats: it must be 0 to 4"):
        pass_at_k(4, 5, 4)


def test_statistics_load_no_numpy():
    code = "import aisb._stats, aisb_engine._scoring.metrics, sys; print([m for m in ('numpy', 'pydantic', 'httpx') if m in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"
