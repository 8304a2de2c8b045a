"""Averages and percentiles are numpy's, also where the values are never together in memory."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aisb_engine._performance.spreads import Counted, distribution_of, pooled

PERCENTS = [1, 25, 75, 90, 99, 99.9]
values = st.one_of(
    st.integers(0, 40),
    st.integers(0, 2**32 - 1),
    st.integers(2**24 - 3, 2**24 + 3),
    st.integers(2**31 - 200, 2**31 + 200),
    st.integers(-(2**40), 2**45),
)


def same(found, expected):
    expected = np.asarray(expected, np.int64)
    wanted = np.percentile(expected, [50, *PERCENTS]) / 1e6
    assert found.n == len(expected)
    assert [found.median, *found.percentiles.values()] == pytest.approx(wanted.tolist(), rel=1e-12, abs=1e-12)
    assert (found.minimum, found.maximum) == (expected.min() / 1e6, expected.max() / 1e6)
    assert found.average == pytest.approx(expected.mean() / 1e6, rel=1e-9, abs=1e-9)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(values, min_size=1, max_size=30), min_size=1, max_size=5))
def test_pooled_percentiles_are_exactly_those_of_all_values_together(parts):
    arrays = [np.array(part, np.int64) for part in parts]
    found = pooled(Counted(lambda: ((0, part) for part in arrays)), {"all": frozenset({0})}, PERCENTS)["all"]
    same(found, np.concatenate(arrays))


@pytest.mark.parametrize("seed", range(3))
def test_many_gaps_in_shapes_that_servers_have_are_exact_in_each_pool(seed):
    draw = np.random.default_rng(seed)
    shapes = [
        draw.normal(2e7, 1e6, 200_000),
        draw.lognormal(17, 1, 150_000),
        np.full(300_000, 5_000_000),
        draw.choice([0, 20_000_000, 5_000_000_000], 9_000),
    ]
    parts = [(n % 3, np.maximum(shape, 0).astype(np.int64)) for n, shape in enumerate(shapes)]
    parts = [(key, part.astype(np.uint32) if part.max() < 2**32 else part) for key, part in parts]
    pools = {
        "all": frozenset({0, 1, 2}),
        "some": frozenset({1, 2}),
        "one": frozenset({2}),
        "none": frozenset({7}),
    }
    found = pooled(Counted(lambda: iter(parts)), pools, PERCENTS)
    for name, keys in pools.items():
        together = [part.astype(np.int64) for key, part in parts if key in keys]
        if together:
            same(found[name], np.concatenate(together))
    assert found["none"] is None


def test_nothing_measured_is_none_and_what_is_unknown_is_left_out():
    nan = float("nan")
    assert distribution_of(np.array([nan, nan]), [99]) is None
    assert pooled(Counted(list), {"all": frozenset({0})}, [99]) == {"all": None}
    found = distribution_of(np.array([1.0, nan, 3.0]), [90])
    assert (found.n, found.average, found.median, found.percentiles) == (2, 2.0, 2.0, {90: 2.8})


def test_a_percentile_beyond_which_no_value_lies_is_too_few():
    few, enough = distribution_of(np.arange(99.0), [99]), distribution_of(np.arange(100.0), [99])
    assert few.too_few_for(99)
    assert not enough.too_few_for(99)
    assert enough.too_few_for(99.9)
    assert not few.too_few_for(90)
