"""Schedules are drawn once, scaled to the rate asked for, and the same for the same seed."""

from __future__ import annotations

import math
from collections import Counter
from itertools import pairwise
from statistics import fmean, pstdev

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aisb._errors import ConfigError
from aisb_engine._load.arrivals import Ramp, schedule, trace_schedule


def gaps(planned) -> list[float]:
    return [(b - a) / 1e9 for a, b in pairwise(planned)]


@given(
    count=st.integers(2, 300),
    rate=st.floats(0.01, 5000),
    beta=st.one_of(st.just(0.0), st.floats(0.01, 8)),
    seed=st.integers(0, 1000),
)
def test_n_requests_always_fill_n_over_rate_seconds_in_order(count, rate, beta, seed) -> None:
    planned = schedule(count, rate=rate, arrival="gamma", burstiness=beta, seed=seed)
    assert len(planned) == count
    assert planned[0] == 0
    assert list(planned) == sorted(planned)
    assert planned[-1] / 1e9 == pytest.approx((count - 1) / rate, rel=1e-6, abs=1e-8)


def test_the_same_seed_draws_the_same_schedule_and_another_seed_another() -> None:
    first = schedule(100, rate=10, seed=1)
    assert schedule(100, rate=10, seed=1) == first
    assert schedule(100, rate=10, seed=2) != first


def test_constant_gaps_are_equal() -> None:
    assert set(schedule(1001, rate=1000, arrival="constant")) == {n * 1_000_000 for n in range(1001)}
    assert schedule(50, rate=3, arrival="gamma", burstiness=0) == schedule(50, rate=3, arrival="constant")


@pytest.mark.parametrize(("rate", "beta"), [(1000, 1.0), (300, 2.0), (700, 4.0)])
def test_arrivals_lie_anywhere_within_a_millisecond(rate: float, beta: float) -> None:
    """Timers of a millisecond, as event loops have them, would make bursts of what was planned apart."""
    planned = schedule(2000, rate=rate, arrival="gamma", burstiness=beta, seed=3)
    tenths = Counter(at % 1_000_000 // 100_000 for at in planned)
    assert all(150 < tenths[tenth] < 250 for tenth in range(10))


@pytest.mark.parametrize("beta", [0.25, 1.0, 4.0])
def test_burstiness_sets_the_spread_of_the_gaps(beta: float) -> None:
    found = gaps(schedule(20_000, rate=100, arrival="gamma", burstiness=beta, seed=3))
    assert pstdev(found) / fmean(found) == pytest.approx(1 / math.sqrt(beta), rel=0.05)


def test_gamma_without_burstiness_is_poisson() -> None:
    assert schedule(100, rate=7, arrival="gamma") == schedule(100, rate=7, arrival="poisson")


@pytest.mark.parametrize("shape", ["linear", "exponential"])
def test_a_ramp_begins_and_ends_at_the_rates_asked_for(shape: str) -> None:
    found = gaps(schedule(1000, arrival="constant", ramp=Ramp.parse(f"{shape}:2:50")))
    assert 1 / found[0] == pytest.approx(2, rel=1e-6)
    assert 1 / found[-1] == pytest.approx(50, rel=1e-6)
    assert found == sorted(found, reverse=True)
    middle = {"linear": 26.0, "exponential": 10.0}[shape]
    assert 1 / found[499] == pytest.approx(middle, rel=0.01)


def test_a_drawn_ramp_takes_as_long_as_an_even_one() -> None:
    ramp = Ramp.parse("linear:5:100")
    assert schedule(500, ramp=ramp)[-1] == pytest.approx(
        schedule(500, arrival="constant", ramp=ramp)[-1], rel=1e-9
    )


def test_schedules_of_no_and_of_one_request() -> None:
    assert list(schedule(0, rate=1)) == []
    assert list(schedule(1, rate=0.001)) == [0]
    assert list(schedule(2, rate=0.001, arrival="constant")) == [0, 1_000_000_000_000]


def test_a_trace_begins_at_once_and_keeps_its_gaps() -> None:
    assert list(trace_schedule([100.5, 100.5, 101.25])) == [0, 0, 750_000_000]


@pytest.mark.parametrize(
    ("rate", "words"),
    [
        (
            -1.0,
            "load.request_rate: must be requests a second, at least 0.001 (it is -1); 0 sends without pacing",
        ),
        (math.nan, "at least 0.001 (it is nan)"),
        (0.0001, "can be from 0.001 to 1,000,000 a second (it is 0.0001)"),
        (math.inf, "(it is inf)"),
    ],
)
def test_a_rate_that_cannot_be_paced_is_refused(rate: float, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        schedule(10, rate=rate)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("linear:50:1", "load.ramp_up: 'linear:50:1' goes down: END must not be below START"),
        ("cubic:1:2", "'cubic:1:2' is not linear:START:END or exponential:START:END, as in linear:1:50"),
        ("linear:1", "is not linear:START:END"),
        ("linear:a:b", "START and END are requests a second"),
        ("exponential:0:5", "can be from 0.001"),
        ("linear:-1:5", "at least 0.001 (it is -1)"),
        ("linear:nan:5", "(it is nan)"),
    ],
)
def test_a_ramp_that_cannot_be_followed_is_refused(text: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Ramp.parse(text)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("arrival", "beta", "words"),
    [
        (
            "gamma",
            -0.5,
            "load.burstiness: must be 0 (constant), or from 0.01 to 1000; 1 is Poisson (it is -0.5)",
        ),
        ("gamma", math.nan, "(it is nan)"),
        ("poisson", 2.0, "2 contradicts arrival = 'poisson', which is 1; set arrival = 'gamma'"),
    ],
)
def test_a_burstiness_that_means_nothing_is_refused(arrival, beta, words) -> None:
    with pytest.raises(ConfigError) as caught:
        schedule(10, rate=1, arrival=arrival, burstiness=beta)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("times", "words"),
    [
        (
            [0.0, 2.0, 1.5],
            "load.use_timestamp: the trace is out of order: request c is at 1.5 s, after one at 2 s",
        ),
        ([0.0, None, 1.5], "request b has no time; leave it out, and give request_rate"),
        ([0.0, math.nan], "request b has an invalid time (nan)"),
    ],
)
def test_a_trace_that_cannot_be_followed_is_refused(times, words) -> None:
    with pytest.raises(ConfigError) as caught:
        trace_schedule(times, ["a", "b", "c"])
    assert words in str(caught.value)
