"""Lengths that are drawn: each distribution keeps to its ends and has its own shape, and says what is wrong."""

from collections import Counter
from random import Random
from statistics import fmean, pvariance

import pytest

from aisb._errors import UsageError
from aisb_dataset_synthetic._lengths import METHODS, lengths

TABLES = {
    "constant": {"value": 512},
    "uniform": {"min": 10, "max": 20},
    "gaussian": {"mean": 100, "var": 100, "min": 1, "max": 1000},
    "zipf": {"alpha": 1.5, "min": 5, "max": 1000},
    "percentile": {"points": [[0, 10], [50, 100], [90, 500], [100, 2000]]},
    "weighted": {"values": [[128, 0.75], [2048, 0.25]]},
}


def draws(given, count=4000, seed=1):
    made, random = lengths(given, "input"), Random(seed)
    drawn = [made.draw(random) for _ in range(count)]
    assert all(made.minimum <= one <= made.maximum and type(one) is int for one in drawn)
    return drawn


@pytest.mark.parametrize("method", METHODS)
def test_a_draw_is_replayed_by_its_seed_and_keeps_to_its_ends(method):
    table = {"method": method, **TABLES[method]}
    assert draws(table) == draws(table)
    assert table["method"] == method  # the table is the user's: it stays as it was


def test_a_number_is_always_that_number():
    assert set(draws(7)) == {7}
    assert set(draws({"method": "constant", "value": 7})) == {7}


def test_uniform_takes_each_length_about_as_often():
    counts = Counter(draws({"method": "uniform", **TABLES["uniform"]}, 11_000))
    assert set(counts) == set(range(10, 21))
    assert all(800 < count < 1200 for count in counts.values())


def test_gaussian_has_its_mean_and_variance_and_is_cut_at_its_ends():
    drawn = draws({"method": "gaussian", **TABLES["gaussian"]})
    assert 99 < fmean(drawn) < 101
    assert 90 < pvariance(drawn) < 110
    cut = draws({"method": "gaussian", "mean": 100, "var": 100, "min": 95, "max": 105})
    assert {95, 105} < set(cut) <= set(range(95, 106))


def test_zipf_falls_off_by_its_power():
    counts = Counter(draws({"method": "zipf", "alpha": 2, "min": 5, "max": 1000}, 20_000))
    assert 3.6 < counts[5] / counts[6] < 4.4
    assert 8 < counts[5] / counts[7] < 10.2
    assert set(draws({"method": "zipf", "alpha": 0, "min": 1, "max": 3})) == {1, 2, 3}


def test_percentiles_are_met():
    drawn = draws({"method": "percentile", **TABLES["percentile"]})
    assert 0.47 < sum(one <= 100 for one in drawn) / len(drawn) < 0.53
    assert 0.88 < sum(one <= 500 for one in drawn) / len(drawn) < 0.92
    assert 0.22 < sum(one <= 55 for one in drawn) / len(drawn) < 0.28  # half-way along a straight line
    beyond = draws({"method": "percentile", "points": [[50, 200], [99, 4000]]})
    assert 1800 < sum(one == 200 for one in beyond) < 2200


def test_weighted_lengths_have_their_shares():
    counts = Counter(draws({"method": "weighted", **TABLES["weighted"]}))
    assert set(counts) == {128, 2048}
    assert 2850 < counts[128] < 3150


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (0, "input.value: 0 is not a whole number of at least 1"),
        (True, "input.value: True is not a whole number of at least 1"),
        ({"min": 1}, "input.method = None is not one of constant, uniform, gaussian"),
        ({"method": "unifrom"}, "input.method = 'unifrom' is not one of .*did you mean 'uniform'?"),
        ({"method": "uniform", "min": 1}, "input.max: must be set"),
        ({"method": "uniform", "min": 5, "max": 4}, "input.max: 4 is less than min, 5"),
        ({"method": "uniform", "min": 1.5, "max": 4}, "input.min: 1.5 is not a whole number"),
        ({"method": "uniform", "min": 1, "max": 4, "mean": 2}, "input.mean: no such key .*: min, max"),
        ({"method": "gaussian", "mean": 9, "var": -1, "min": 1, "max": 4}, "input.var: -1 is not a number of at least 0"),
        ({"method": "zipf", "alpha": float("nan"), "min": 1, "max": 4}, "input.alpha: nan is not a number"),
        ({"method": "zipf", "alpha": 1, "min": 1, "max": 2_000_000}, "input.max: 2000000 is more than 1,000,000 above min"),
        ({"method": "percentile", "points": [[50, 10], [50, 20]]}, "input.points: the percentiles .* must ascend"),
        ({"method": "percentile", "points": [[50, 10], [101, 20]]}, "input.points: the percentiles .*, up to 100"),
        ({"method": "percentile", "points": [[50, 10], [90, 5]]}, "input.points: the lengths .* must ascend"),
        ({"method": "percentile", "points": [[50, 10, 3]]}, r"input.points: must be a list of \[percentile, length\]"),
        ({"method": "percentile", "points": []}, r"input.points: must be a list of \[percentile, length\]"),
        ({"method": "weighted", "values": [[128, -1]]}, r"input.values: must be a list of \[length, share\]"),
        ({"method": "weighted", "values": [[128, 0]]}, "input.values: .* the shares more than 0 together"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_length_is_said(given, said):
    with pytest.raises(UsageError, match=said):
        lengths(given, "input")
