"""How often gates fail equals, and catch what is worse: verdicts of `aisb compare` on simulated sides.

Accuracy: 1,319 samples, 10 % of which end otherwise on the two sides. Throughput: five or three runs a side;
the logarithm of each run's number is drawn from a normal distribution with the spread between runs that event
simulations of a batching service and of one with heavy-tailed service times showed. P95 latency: the sides
are drawn from 500 simulated runs of the batching service, with Poisson arrivals at 70 % of the rate at which
it saturates, and 500 of one that is 10 % slower. Margin 0; on speed a guard of 5 %.
"""

import math
import random
import sys
from collections.abc import Sequence

import numpy as np

from aisb_analysis._capacity.loads import MeasuredLoad
from aisb_analysis._capacity.simulated import Batching
from aisb_analysis._margins import Allowance, Worsening, judge, slowdown, worsening_of

COMPARISONS = 200
NULL_MOST = 17
SAMPLES, DISCORDANT = 1_319, 0.10
SPREADS = {
    "batching, throughput, 5 x 60 s": (5, 0.033, 0.10, 0.95),
    "heavy tails, throughput, 5 x 180 s": (5, 0.039, 0.10, 0.95),
    "batching, throughput, 3 x 60 s": (3, 0.033, 0.10, None),
}
GUARD = math.log(1.05)
POOL, RATE, SECONDS = 500, 6.44, 180.0
"""Simulated runs of each service, with arrivals at 70 % of 9.2 requests/s, at which it saturates."""
LATENCY = {"batching, p95 latency, 5 x 180 s": (5, 0.95)}
"""Runs a side, and the least share of comparisons with a slower service that fail."""


def accuracy(draw: random.Random, true_drop: float) -> Worsening:
    lost = (DISCORDANT + true_drop) / 2
    kinds = draw.choices((-1.0, 1.0, 0.0), (lost, DISCORDANT - lost, 1 - DISCORDANT), k=SAMPLES)
    found = worsening_of(kinds)
    assert found is not None
    return found


def speed(draw: random.Random, runs: int, spread: float, slower: float) -> Worsening:
    sides = [[math.exp(draw.gauss(shift, spread)) for _ in range(runs)] for shift in (0.0, slower)]
    found = slowdown(sides[0], sides[1], "lower")
    assert found is not None
    return found


def latencies(slower: float, seed: int) -> list[float]:
    """Return the p95 of TTFT of simulated runs of a service whose steps take `slower` times as long."""
    times = {name: slower * getattr(Batching, name) for name in ("step_ms", "decode_ms", "prefill_ms")}
    load = MeasuredLoad(SECONDS, rate=RATE)
    runs = (Batching(one, **times).measure(load) for one in range(seed, seed + POOL))
    return [float(np.percentile(run.numbers["ttft"], 95)) for run in runs]


def latency(a: Sequence[float], b: Sequence[float]) -> Worsening:
    found = slowdown(a, b, "lower")
    assert found is not None
    return found


def failures(rows: list[Worsening], allowed: Allowance) -> int:
    """Count the comparisons that fail; each is a gate by itself."""
    return sum(judge([(row, allowed)]) == ["FAIL"] for row in rows)


def report(name: str, found: int, total: int, limit: str, *, holds: bool) -> bool:
    print(f"{'ok ' if holds else 'BAD'} {name:<58} {found:>4} of {total} fail   {limit}")
    return holds


def main() -> int:
    draw = random.Random(0)
    margin = Allowance(0.0)
    good = []
    for name, true_drop, least in (("equal", 0.0, None), ("3 points lower", 0.03, 0.9)):
        total = COMPARISONS if least is None else 20 * COMPARISONS
        found = failures([accuracy(draw, true_drop) for _ in range(total)], margin)
        limit = f"at most {NULL_MOST}" if least is None else f"at least {least:.0%}"
        holds = found <= NULL_MOST if least is None else found >= least * total
        good.append(report(f"accuracy, n = 1,319, {name}", found, total, limit, holds=holds))
    for name, (runs, spread, slower, least) in SPREADS.items():
        allowed = Allowance(0.0, GUARD)
        found = failures([speed(draw, runs, spread, 0.0) for _ in range(COMPARISONS)], allowed)
        good.append(
            report(f"{name}, equal", found, COMPARISONS, f"at most {NULL_MOST}", holds=found <= NULL_MOST)
        )
        total = 20 * COMPARISONS
        found = failures([speed(draw, runs, spread, math.log(1 + slower)) for _ in range(total)], allowed)
        limit = "no limit" if least is None else f"at least {least:.0%}"
        good.append(
            report(
                f"{name}, service 10 % slower",
                found,
                total,
                limit,
                holds=least is None or found >= least * total,
            )
        )
    equal, slow = latencies(1.0, 0), latencies(1.1, POOL)
    left, right = np.log(equal), np.log(slow)
    print(
        f"    simulated runs: p95 of TTFT {100 * math.expm1(right.mean() - left.mean()):.1f} % longer; "
        f"spread between runs {100 * left.std(ddof=1):.1f} and {100 * right.std(ddof=1):.1f} %"
    )
    for name, (runs, least) in LATENCY.items():
        allowed = Allowance(0.0, GUARD)
        drawn = [draw.sample(equal, 2 * runs) for _ in range(COMPARISONS)]
        found = failures([latency(one[:runs], one[runs:]) for one in drawn], allowed)
        limit = f"at most {NULL_MOST}"
        good.append(report(f"{name}, equal", found, COMPARISONS, limit, holds=found <= NULL_MOST))
        total = 20 * COMPARISONS
        pairs = [(draw.sample(equal, runs), draw.sample(slow, runs)) for _ in range(total)]
        found = failures([latency(*one) for one in pairs], allowed)
        holds, limit = found >= least * total, f"at least {least:.0%}"
        good.append(report(f"{name}, service 10 % slower", found, total, limit, holds=holds))
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
