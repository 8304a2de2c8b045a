"""Statistics of paired comparisons: closed forms, published values, and what they say of equals."""

import random
import warnings
from math import comb

import pytest

from aisb_analysis._paired import (
    bootstrap,
    detectable_difference,
    holm,
    mcnemar,
    paired_t,
    ratio,
    samples_needed,
    standard_error,
)


def test_mcnemar_is_the_exact_binomial():
    assert mcnemar(0, 0) == 1
    assert mcnemar(3, 3) == 1
    assert mcnemar(0, 5) == 2 / 32
    assert mcnemar(0, 6) == mcnemar(6, 0) == 2 / 64
    assert mcnemar(2, 10) == pytest.approx(2 * (1 + 12 + 66) / 4096)
    assert mcnemar(400, 420) == pytest.approx(2 * sum(comb(820, i) for i in range(401)) / 2**820)


def test_holm_is_worked_out_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.9]) == [1, 1]
    assert holm([]) == []


def test_a_bootstrap_agrees_with_the_normal_interval_and_repeats_itself():
    differences = [1.0] * 120 + [-1.0] * 80 + [0.0] * 800
    found = bootstrap(differences, seed=1)
    assert found == bootstrap(differences, seed=1)
    assert found != bootstrap(differences, seed=2)
    half = 1.96 * (0.2 - 0.04**2) ** 0.5 / 1000**0.5
    assert found.mean == pytest.approx(0.04)
    assert (found.low, found.high) == pytest.approx((0.04 - half, 0.04 + half), abs=0.002)


def test_a_bootstrap_of_many_different_values_agrees_with_that_of_few():
    draw = random.Random(3)
    few = [draw.choice((-1.0, 0.0, 1.0)) for _ in range(500)]
    many = [value + draw.uniform(-1e-6, 1e-6) for value in few]
    one, other = bootstrap(few), bootstrap(many)
    assert (other.low, other.high, other.p) == pytest.approx((one.low, one.high, one.p), abs=0.03)


def test_differences_that_are_all_the_same_leave_no_doubt():
    assert bootstrap([0.0] * 50) == (0, 0, 0, 1)
    assert bootstrap([0.5] * 50).p < 0.001
    assert bootstrap([]) == (0, 0, 0, 1)


def passages(draw, count, each):
    """Two equals on passages of several questions, of which one side or the other understands a passage."""
    found, clusters = [], []
    for number in range(count):
        leaning = draw.choice((-1.0, 1.0))
        found += [leaning if draw.random() < 0.4 else 0.0 for _ in range(each)]
        clusters += [number] * each
    return found, clusters


def test_clusters_of_one_change_nothing():
    differences = [1.0] * 12 + [-1.0] * 8 + [0.0] * 30
    alone = [*range(50)]
    assert bootstrap(differences, alone) == bootstrap(differences)
    assert paired_t(differences, alone) == paired_t(differences)
    assert detectable_difference(differences, alone) == detectable_difference(differences)
    assert samples_needed(differences, alone) == samples_needed(differences)


def test_samples_that_always_agree_are_worth_one():
    differences = [1.0] * 12 + [-1.0] * 8 + [0.0] * 30
    five = [value for value in differences for _ in range(5)]
    clusters = [number for number in range(50) for _ in range(5)]
    one, whole = bootstrap(differences), bootstrap(five, clusters)
    assert (whole.low, whole.high, whole.p) == pytest.approx((one.low, one.high, one.p), abs=0.01)
    assert standard_error(five, clusters) == pytest.approx(standard_error(differences))
    assert paired_t(five, clusters) == pytest.approx(paired_t(differences))
    assert bootstrap(five).p < 0.05 < whole.p
    # As many clusters are needed as samples by themselves, so five times as many samples.
    needed = samples_needed(differences, binary=False)
    assert samples_needed(five, clusters, binary=False) == pytest.approx(5 * needed, abs=5)


def test_equals_on_shared_passages_are_called_different_one_time_in_twenty():
    draw = random.Random(23)
    runs = [passages(draw, 60, 8) for _ in range(250)]
    called = [
        sum(
            bootstrap(found, clusters if by else None, seed=i, draws=400).p < 0.05
            for i, (found, clusters) in enumerate(runs)
        )
        / len(runs)
        for by in (True, False)
    ]
    assert 0.02 <= called[0] <= 0.08
    assert called[1] > 0.2  # what taking the samples for independent would say


def flips(draw, count, discordant=0.2):
    """Two equals on `count` samples: on a share of them one alone is right, either as often."""
    return [draw.choice((-1.0, 1.0)) if draw.random() < discordant else 0.0 for _ in range(count)]


@pytest.mark.parametrize(("count", "discordant"), [(60, 0.3), (300, 0.1), (1319, 0.2)])
def test_mcnemar_calls_equals_different_at_most_one_time_in_twenty(count, discordant):
    draw = random.Random(7)
    runs = [flips(draw, count, discordant) for _ in range(1000)]
    called = sum(mcnemar(run.count(-1.0), run.count(1.0)) < 0.05 for run in runs)
    assert 0 < called / len(runs) <= 0.05


@pytest.mark.parametrize(("count", "discordant"), [(300, 0.2), (300, 0.5), (500, 0.1)])
def test_the_bootstrap_calls_equals_different_one_time_in_twenty(count, discordant):
    draw = random.Random(11)
    runs = [flips(draw, count, discordant) for _ in range(500)]
    called = sum(bootstrap(run, seed=i, draws=500).p < 0.05 for i, run in enumerate(runs))
    assert 0.03 <= called / len(runs) <= 0.07


def test_of_several_tasks_with_equals_hardly_ever_one_is_called_different():
    draw = random.Random(13)
    families = [
        [mcnemar(run.count(-1.0), run.count(1.0)) for run in (flips(draw, 300) for _ in range(8))]
        for _ in range(500)
    ]
    assert sum(min(holm(ps)) < 0.05 for ps in families) / len(families) <= 0.05
    assert sum(min(ps) < 0.05 for ps in families) / len(families) > 0.15  # what uncorrected ones would say


def test_the_smallest_difference_is_found_four_times_of_five():
    draw = random.Random(17)
    count, discordant = 1000, 0.2
    shown = detectable_difference(flips(draw, count, discordant))
    assert shown == pytest.approx(2.8 * discordant**0.5 / count**0.5, rel=0.1)
    up = (discordant + shown) / 2 / discordant

    def differing():
        return [
            (1.0 if draw.random() < up else -1.0) if draw.random() < discordant else 0.0 for _ in range(count)
        ]

    runs = [differing() for _ in range(300)]
    found = sum(mcnemar(run.count(-1.0), run.count(1.0)) < 0.05 for run in runs) / len(runs)
    assert 0.72 <= found <= 0.86  # the exact test is a little more careful than the formula


def test_the_samples_needed_for_the_smallest_difference_are_those_there_are():
    differences = [1.0] * 130 + [-1.0] * 70 + [0.0] * 800
    needed = samples_needed(differences)
    ups, downs = round(0.13 * needed), round(0.07 * needed)
    as_many = [1.0] * ups + [-1.0] * downs + [0.0] * (needed - ups - downs)
    assert detectable_difference(as_many) == pytest.approx(0.06, abs=0.001)
    assert detectable_difference(differences * 4) == pytest.approx(
        detectable_difference(differences) / 2, rel=0.01
    )
    assert samples_needed([1.0, -1.0] * 10) is None
    assert samples_needed(differences, tests=8) > needed


def test_too_few_samples_can_show_nothing():
    assert detectable_difference([0.0] * 5) is None  # even 5 flips of 5 are no proof
    assert detectable_difference([0.0] * 10) == 0.6
    assert detectable_difference([1.0]) is None


def test_a_paired_t_test_is_worked_out_by_hand():
    from scipy import stats

    draw = random.Random(29)
    a, b = ([draw.random() for _ in range(30)] for _ in "ab")
    differences = [right - left for left, right in zip(a, b, strict=True)]
    assert paired_t(differences) == pytest.approx(stats.ttest_rel(a, b).pvalue)
    assert paired_t([1, 2, 3, 4, 5]) == pytest.approx(0.0132, abs=2e-4)  # t = 4.243 with 4 degrees of freedom
    assert paired_t([1.0, -1.0]) == 1
    assert paired_t([2.0]) == 1


def test_a_ratio_is_sure_only_where_both_sides_have_repeats():
    assert ratio([10.0], [12.0]) == pytest.approx((1.2, None, None, None))
    made = ratio([10.0, 10.2, 9.8], [12.0, 12.3, 11.8])
    assert made.ratio == pytest.approx(1.203, abs=0.002)
    assert made.low < 1.2 < made.high
    assert made.p < 0.01
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert ratio([10.0, 10.0], [12.0, 12.3]).p == pytest.approx(0.04, abs=0.02)
    assert ratio([10.0, 12.0, 9.0], [10.5, 9.5, 11.5]).p > 0.5
    assert ratio([], [1.0]) is None
    assert ratio([0.0], [1.0]) is None


def test_repeats_of_equals_are_called_different_one_time_in_twenty():
    draw = random.Random(19)

    def side():
        return [draw.lognormvariate(3, 0.05) for _ in range(4)]

    called = sum(ratio(side(), side()).p < 0.05 for _ in range(400)) / 400
    assert 0.03 <= called <= 0.07
