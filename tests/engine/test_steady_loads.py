"""Loads of many kinds in simulated time: what is steady is found steady, and what is not is not.

The rate in the stable stage is compared with concurrency ÷ mean latency, and with what the service saw.
"""

from __future__ import annotations

import heapq
import re
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest

from aisb_engine._performance.stages import steady
from aisb_engine._performance.throughput import shares

MS = 1e6


class Requests(NamedTuple):
    """Requests in the order of sending: milliseconds, and output tokens."""

    sent: np.ndarray
    end: np.ndarray
    tokens: np.ndarray

    def window(self):
        """Return the stable stage, or None with the reason."""
        return steady(self.sent * MS, self.end * MS, self.end - self.sent, self.tokens)


Draw = Callable[[np.random.Generator], tuple[float, float]]
"""Draws the milliseconds and the output tokens of a request."""


def in_order(rows) -> Requests:
    return Requests(*np.array(sorted(rows)).T)


def closed(
    clients: int, count: int, draw: Draw, seed: int = 0, *, slower=lambda _, took: took, gap=0.2
) -> Requests:
    """Clients that send one request after the other; `slower` changes a time by when it began."""
    rng = np.random.default_rng(seed)
    free = [client * 0.2 for client in range(clients)]
    rows = []
    for _ in range(count):
        sent = heapq.heappop(free)
        took, tokens = draw(rng)
        took = slower(sent, took)
        rows.append((sent, sent + took, tokens))
        heapq.heappush(free, sent + took + gap * rng.uniform(0.5, 1.5))
    return in_order(rows)


def opened(rate: float, count: int, draw: Draw, seed: int = 0, *, gaps="poisson", slower=None) -> Requests:
    """Requests at a rate a second, as `aisb` plans them: n of them fill n/r seconds."""
    rng = np.random.default_rng(seed)
    drawn = {
        "poisson": lambda: rng.exponential(1, count),
        "constant": lambda: np.ones(count),
        "bursts": lambda: rng.gamma(0.25, 4, count),
    }[gaps]()
    sent = np.cumsum(drawn) * 1000 * count / rate / drawn.sum()
    rows = []
    for at in sent:
        took, tokens = draw(rng)
        rows.append((at, at + (slower(at, took) if slower else took), tokens))
    return in_order(rows)


def batching(clients: int, count: int, seed: int = 0) -> Requests:
    """A service that makes a token of each request a step: the more are in it, the longer the step."""
    rng = np.random.default_rng(seed)
    waiting = [(n * 0.2, max(1, int(rng.exponential(30)))) for n in range(clients)]
    asked, now, rows = clients, 0.0, []
    active: list[list[float]] = []
    while active or waiting:
        joining = [one for one in waiting if one[0] <= now]
        waiting = [one for one in waiting if one[0] > now]
        if not active and not joining:
            now = min(at for at, _ in waiting)
            continue
        active += [[sent, tokens, tokens] for sent, tokens in joining]
        now += 10 + 0.3 * len(active) + 7.5 * len(joining)
        for one in active:
            one[1] -= 1
        for sent, _, tokens in (one for one in active if one[1] <= 0):
            rows.append((sent, now, tokens))
            if asked < count:
                waiting.append((now + 0.3, max(1, int(rng.exponential(30)))))
                asked += 1
        active = [one for one in active if one[1] > 0]
    return in_order(rows)


def by_tokens(tokens: Callable[[np.random.Generator], float], each: float = 10) -> Draw:
    def draw(rng):
        count = max(1, int(tokens(rng)))
        return 20 + count * each * (1 + 0.02 * rng.normal()), count

    return draw


EQUAL: Draw = lambda rng: (300 * (1 + 0.01 * rng.normal()), 10)  # noqa: E731 - a table of draws
UNIFORM = by_tokens(lambda rng: rng.integers(10, 51))
NO_TOKENS: Draw = lambda rng: (rng.uniform(100, 500), 10)  # noqa: E731
EXPONENTIAL = by_tokens(lambda rng: rng.exponential(30))
LOGNORMAL = by_tokens(lambda rng: rng.lognormal(3, 1))
SOME_SLOW: Draw = lambda rng: ((3000 if rng.random() < 0.1 else 300) * (1 + 0.01 * rng.normal()), 10)  # noqa: E731
PARETO = by_tokens(lambda rng: min(2000, 8 * (1 + rng.pareto(1.8))))

STEADY = {
    "equal": lambda seed: closed(10, 100, EQUAL, seed),
    "uniform": lambda seed: closed(10, 100, UNIFORM, seed),
    "times without tokens": lambda seed: closed(10, 200, NO_TOKENS, seed),
    "exponential": lambda seed: closed(10, 200, EXPONENTIAL, seed),
    "lognormal": lambda seed: closed(10, 200, LOGNORMAL, seed),
    "pareto": lambda seed: closed(10, 200, PARETO, seed),
    "some with long prompts": lambda seed: closed(10, 200, SOME_SLOW, seed),
    "many clients": lambda seed: closed(32, 400, EXPONENTIAL, seed),
    "one client": lambda seed: closed(1, 60, UNIFORM, seed),
    "batching": lambda seed: batching(10, 200, seed),
    "poisson, equal": lambda seed: opened(20, 200, EQUAL, seed),
    "poisson, uniform": lambda seed: opened(20, 400, UNIFORM, seed),
    "poisson, lognormal": lambda seed: opened(20, 400, LOGNORMAL, seed),
    "poisson, few in flight": lambda seed: opened(2, 240, EXPONENTIAL, seed),
    "constant": lambda seed: opened(20, 60, EQUAL, seed, gaps="constant"),
}


def found(make, seeds) -> Counter[str]:
    """Count the verdicts of runs that differ in their seeds, without their figures."""
    verdicts: Counter[str] = Counter()
    for seed in seeds:
        window, reason = make(seed).window()
        assert (window is None) == bool(reason)
        verdicts["steady" if window else re.sub(r"\d[\d.e+]*", "#", reason)] += 1
    return verdicts


@pytest.mark.parametrize("kind", STEADY)
def test_a_steady_load_is_steady(kind):
    verdicts = found(STEADY[kind], range(12))
    assert verdicts["steady"] >= 10, verdicts


@pytest.mark.slow
@pytest.mark.parametrize("kind", STEADY)
def test_false_alarms_are_few(kind):
    verdicts = found(STEADY[kind], range(1000, 1200))
    print(f"{kind}: {200 - verdicts['steady']} of 200 not steady {dict(verdicts)}")  # noqa: T201 - the rate, with -s
    assert verdicts["steady"] >= 190, verdicts


def after(moment, factor):
    return lambda at, took: took * factor if at > moment else took


def stalled(start, length):
    """Everything that is in flight at a moment takes so much longer."""
    return lambda at, took: took + length if at < start < at + took else took


UNSTEADY = {
    "two slow waves": lambda draw, seed: closed(
        10, 200, draw, seed, slower=lambda at, took: 2000 if at < 2300 else took
    ),
    "a slow second wave": lambda draw, seed: closed(
        10, 120, draw, seed, slower=lambda at, took: took + 1000 if 100 < at < 550 else took
    ),
    "a stall": lambda draw, seed: closed(10, 200, draw, seed, slower=stalled(3000, 3000)),
    "a stall of two clients": lambda draw, seed: closed(
        2, 40, draw, seed, slower=lambda at, took: took + 3000 if 2500 < at < 2850 else took
    ),
    "a short stall of few clients": lambda draw, seed: closed(4, 120, draw, seed, slower=stalled(4500, 1500)),
    "a slow end": lambda draw, seed: closed(
        10, 200, draw, seed, slower=lambda at, took: took + 2500 if at > 5500 else took
    ),
    "a step to half the speed": lambda draw, seed: closed(10, 200, draw, seed, slower=after(3000, 2)),
    "a step to more speed": lambda draw, seed: closed(10, 200, draw, seed, slower=after(3000, 0.7)),
    "a drift": lambda draw, seed: closed(10, 200, draw, seed, slower=lambda at, took: took * (1 + at / 6000)),
    "two phases of an open loop": lambda draw, seed: opened(
        20, 400, draw, seed, gaps="constant", slower=after(10_000, 3)
    ),
    "a stall in an open loop": lambda draw, seed: opened(
        20, 300, draw, seed, slower=lambda at, took: max(took, 9000 - at + took) if 6000 < at < 9000 else took
    ),
    "a step in an open loop": lambda draw, seed: opened(20, 400, draw, seed, slower=after(10_000, 2)),
    "a drift in an open loop": lambda draw, seed: opened(
        20, 400, draw, seed, slower=lambda at, took: took * (1 + at / 20_000)
    ),
}


@pytest.mark.parametrize("draw", [EQUAL, UNIFORM], ids=["equal", "uniform"])
@pytest.mark.parametrize("kind", UNSTEADY)
def test_a_load_that_changes_is_not_steady(kind, draw):
    verdicts = found(lambda seed: UNSTEADY[kind](draw, seed), range(8))
    assert verdicts["steady"] <= (1 if "open" in kind else 0), verdicts


@pytest.mark.parametrize("gaps", ["poisson", "bursts"])
def test_a_short_run_of_random_arrivals_that_swings_is_not_steady(gaps):
    verdicts = found(lambda seed: opened(20, 120, lambda _: (1000, 20), seed, gaps=gaps), range(12))
    assert not verdicts["steady"], verdicts
    assert any("ask for at least # prompts" in reason for reason in verdicts)


def test_the_first_wave_is_no_part_of_a_closed_loop():
    load = closed(10, 200, EQUAL, slower=lambda at, took: 3000 if at < 5 else took)
    window, reason = load.window()
    assert reason == ""
    assert window.start == load.end[:10].max() * MS
    share = shares(load.sent * MS, load.end * MS, window)
    assert share.sum() / window.seconds == pytest.approx(10 / 0.3, rel=0.01)


@pytest.mark.parametrize("gaps", ["poisson", "constant"])
def test_slow_replies_at_the_start_are_no_part_of_an_open_loop(gaps):
    for seed in range(4):
        load = opened(5, 100, EQUAL, seed, gaps=gaps, slower=lambda at, took: 5 * took if at < 1000 else took)
        window, reason = load.window()
        assert reason == ""
        inside = (load.end * MS > window.start) & (load.sent * MS < window.end)
        assert (load.end - load.sent)[inside].max() < 400


@pytest.mark.parametrize(("clients", "count"), [(10, 30), (10, 50), (4, 12), (64, 64), (32, 100)])
def test_too_few_waves_are_said_with_the_prompts_that_would_do(clients, count):
    window, reason = closed(clients, count, EQUAL).window()
    assert window is None
    told = re.fullmatch(r"([\d.]+) waves of \d+ in flight; ask for at least (\d+) prompts", reason)
    assert told
    assert float(told[1]) < 4
    assert closed(clients, int(told[2]), EQUAL).window()[0]
    assert closed(clients, int(told[2]) - clients, EQUAL).window()[0] is None


def rate_in(load: Requests, window) -> float:
    return shares(load.sent * MS, load.end * MS, window).sum() / window.seconds


@pytest.mark.parametrize("took", [20, 300, 4000])
@pytest.mark.parametrize(("clients", "count"), [(1, 12), (10, 60), (10, 100), (40, 260)])
def test_with_equal_lengths_the_request_rate_is_concurrency_by_latency(clients, count, took):
    load = closed(clients, count, lambda _: (took, 10), gap=0.001 * took)
    window, _ = load.window()
    assert rate_in(load, window) == pytest.approx(1000 * clients / took, rel=0.01)


@pytest.mark.parametrize(
    "draw", [UNIFORM, NO_TOKENS, EXPONENTIAL], ids=["uniform", "times without tokens", "exponential"]
)
@pytest.mark.parametrize(("clients", "count"), [(10, 200), (8, 240)])
def test_with_random_lengths_the_request_rate_is_not_biased(draw, clients, count):
    ratios = []
    for seed in range(50):
        load = closed(clients, count, draw, seed, gap=0)
        window, _ = load.window()
        if window:
            ratios.append(rate_in(load, window) * np.mean(load.end - load.sent) / 1000 / clients)
    assert len(ratios) >= 48
    assert np.mean(ratios) == pytest.approx(1, abs=0.01)
