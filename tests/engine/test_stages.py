"""The stable stage is the stretch in which the number in flight held, or there is none, with the reason."""

import numpy as np
import pytest

from aisb_engine._performance.stages import in_flight, steady

MS = 1e6


def closed_loop(clients, requests, taken, stagger=1.0):
    """Requests of clients that send one after the other; `taken` gives a request's ms by its start in ms."""
    free = [n * stagger for n in range(clients)]
    rows = []
    for _ in range(requests):
        client = min(range(clients), key=free.__getitem__)
        sent = free[client]
        free[client] = sent + taken(sent)
        rows.append((sent, free[client]))
    sent, end = np.array(sorted(rows)).T
    return sent * MS, end * MS, end - sent


def open_loop(rate, seconds, taken, seed=0):
    draw = np.random.default_rng(seed)
    sent = np.cumsum(draw.exponential(1000 / rate, int(rate * seconds)))
    e2el = np.array([taken(at, draw) for at in sent])
    return sent * MS, (sent + e2el) * MS, e2el


def noisy(mean, seed=0):
    draw = np.random.default_rng(seed)
    return lambda _: mean * draw.uniform(0.8, 1.2)


def test_a_closed_loop_is_steady_between_its_filling_and_its_draining():
    sent, end, e2el = closed_loop(50, 1000, noisy(500), stagger=10)
    window, reason = steady(sent, end, e2el)
    assert reason == ""
    assert window.level == 50
    assert 890 * MS < window.start < 1090 * MS  # the fiftieth client joins at 490 ms, and has one reply
    assert window.end <= sent[-1] + 20 * MS
    assert window.seconds > 8


def test_one_request_after_another_is_steady():
    window, reason = steady(*closed_loop(1, 200, noisy(20)))
    assert reason == ""
    assert window.level == 1


@pytest.mark.parametrize("rate", [0.5, 5, 200])
def test_an_open_loop_that_keeps_up_is_steady(rate):
    requests = 400
    sent, end, e2el = open_loop(rate, requests / rate, lambda _, draw: draw.uniform(200, 400), seed=1)
    window, reason = steady(sent, end, e2el)
    assert reason == ""
    assert window.start >= sent[0] + 200 * MS
    assert window.end <= sent[-1]
    assert window.seconds > 0.5 * requests / rate


def test_an_open_loop_that_falls_behind_is_not_steady():
    sent, end, e2el = open_loop(100, 20, lambda at, draw: 200 + at / 2 + draw.uniform(0, 50))
    window, reason = steady(sent, end, e2el)
    assert window is None
    assert "drifts" in reason or "held" in reason or "swings" in reason or "waves" in reason


def test_a_server_that_gets_slower_at_the_same_concurrency_is_not_steady():
    sent, end, e2el = closed_loop(20, 1000, lambda at: 200 + at / 50)
    window, reason = steady(sent, end, e2el)
    assert window is None
    assert "the median E2EL drifts from" in reason


def test_a_burst_that_is_answered_once_is_not_steady():
    sent, end, e2el = closed_loop(64, 64, noisy(500), stagger=0.1)
    window, reason = steady(sent, end, e2el)
    assert window is None
    assert reason == "0 waves of 64 in flight; ask for at least 384 prompts"


def test_few_requests_are_not_steady():
    window, reason = steady(*closed_loop(1, 6, lambda _: 100.0))
    assert window is None
    assert reason == "only 5 requests lie in the window; ask for at least 11 prompts"


def test_a_peak_that_was_reached_once_is_not_the_level():
    sent, end, e2el = open_loop(50, 40, lambda _, draw: draw.uniform(150, 250), seed=3)
    spike = np.full(60, 20_000 * MS)
    sent = np.concatenate([sent, spike])
    end = np.concatenate([end, spike + 100 * MS])
    window, reason = steady(sent, end, np.concatenate([e2el, np.full(60, 100.0)]))
    assert reason == ""
    assert window.level == pytest.approx(10, rel=0.2)


def test_nothing_answered_is_not_steady():
    nothing = np.full(3, np.nan)
    assert steady(nothing, nothing, nothing) == (None, "nothing was answered")
    assert steady(*[np.zeros(0)] * 3) == (None, "nothing was answered")


def test_with_few_in_flight_the_level_is_their_average_and_no_peak():
    sent, end, e2el = open_loop(2, 120, lambda _, draw: draw.uniform(30, 50))
    window, reason = steady(sent, end, e2el)
    assert not reason
    assert window.level == pytest.approx(2 * 0.04, rel=0.2)


def test_a_ramp_of_quick_replies_is_not_steady():
    sent = np.cumsum(1000 / np.geomspace(2, 60, 400))
    e2el = np.full(400, 40.0)
    window, reason = steady(sent * MS, (sent + e2el) * MS, e2el)
    assert window is None
    assert "drifts" in reason


@pytest.mark.parametrize("seed", range(60))
def test_few_requests_of_any_times_have_a_window_or_a_reason(seed):
    draw = np.random.default_rng(seed)
    count = int(draw.integers(1, 9))
    sent = np.sort(draw.integers(0, 20, count)).astype(float) * MS
    end = sent + draw.integers(0, 6, count) * MS
    e2el = np.where(draw.random(count) < 0.6, (end - sent) / MS, np.nan)
    window, reason = steady(sent, end, e2el)
    assert (window is None) == bool(reason)


def test_requests_that_all_failed_at_once_are_not_steady():
    sent = np.array([1.0, 1.2, 1.4, 1.5]) * MS
    assert steady(sent, sent + 0.3 * MS, np.full(4, np.nan)) == (None, "nothing was answered")


def test_the_peak_is_exact_and_an_end_comes_before_a_start_of_the_same_moment():
    flight = in_flight(np.array([0.0, 10.0, 20.0, 20.0]), np.array([20.0, 30.0, 40.0, 50.0]))
    assert flight.peak == 3
    assert flight.mean(0, 20) == 1.5
    assert flight.mean(0, 50) == pytest.approx((20 + 20 + 20 + 30) / 50)
    assert flight.mean(10, 10) is None
