"""How often the interval of `aisb capacity` covers the truth, and how wide it is.

    python benchmarks/capacity.py [--runs N] [--budget MINUTES,…] [--service NAME] [--objective TEXT]

Everything runs in virtual time: the search asks one function for the requests under a load, and simulated
services answer it. Searches run on all processors at once. `--truth` computes the true capacities again, by
bisection on loads of 100,000 seconds.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from math import sqrt

from aisb_analysis._capacity.loads import Limit, MeasuredLoad, limits_of
from aisb_analysis._capacity.search import Search
from aisb_analysis._capacity.simulated import LASTING, SERVICES
from aisb_engine import parse_objectives

TRUTH: dict[tuple[str, str], float] = {
    ("slots", "ttft_p95=500ms"): 13.361,
    ("slots", "ttft_p99=500ms"): 11.947,
    ("slots, 5 s", "ttft_p95=500ms"): 11.048,
    ("batching", "ttft_p95=500ms"): 8.055,
    ("batching", "ttft_p99=500ms"): 7.619,
    ("batching", "tpot_p95=35ms"): 6.208,
    ("limiter", "failures=1%"): 9.572,
    ("warming", "ttft_p95=500ms"): 13.361,
    ("degrading", "ttft_p95=500ms"): 8.258,
    ("heavy tails", "ttft_p95=500ms"): 10.863,
}
"""The true capacities, in requests per second: what `--truth` prints."""
WIDTHS = {
    ("slots", "ttft_p95=500ms"): 0.10,
    ("slots", "ttft_p99=500ms"): 0.25,
    ("slots, 5 s", "ttft_p95=500ms"): 0.10,
    ("batching", "ttft_p95=500ms"): 0.18,
    ("batching", "ttft_p99=500ms"): 0.25,
    ("batching", "tpot_p95=35ms"): 0.18,
    ("limiter", "failures=1%"): 0.12,
    ("warming", "ttft_p95=500ms"): 0.10,
    ("degrading", "ttft_p95=500ms"): 0.10,
    ("heavy tails", "ttft_p95=500ms"): 0.18,
}
"""Services and objectives, with the most that the median width may be at 30 minutes, as a share."""
HEAD = (
    "service       objective     minutes    truth covers (least)  bias  width (most)  open above  no answer"
)
LEAST = {("degrading", 30): 0.85}
"""The least coverage where it is another: after a change."""
LEAST_COVERAGE = 0.90
TRUTH_SECONDS = 100_000.0


def true_capacity(service: str, limit: Limit, seconds: float = TRUTH_SECONDS) -> float:
    """Bisect for the rate at which the share over the limit is the one allowed, on long loads."""
    low, high = 1.0, 20.0
    for step in range(12):
        rate = sqrt(low * high)
        point = LASTING[service](step).measure(
            MeasuredLoad(seconds if step > 5 else seconds / 10, rate=rate, warm=100)
        )
        over, total = point.count(limit, point.counted())
        low, high = (low, rate) if over > limit.share * total else (rate, high)
    return sqrt(low * high)


def search(
    service: str, limit: Limit, minutes: float, seed: int
) -> tuple[float | None, float | None, float | None]:
    """Return (lower bound, estimate, upper bound) of one search."""
    found = Search(SERVICES[service](seed), [limit], 60 * minutes).run()
    return found.low if found.conclusive else None, found.rate, found.high


def main() -> int:
    """Print coverage and width for each service; return 1 where a limit is broken."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--seed", type=int, default=90_000, help="the first seed")
    parser.add_argument("--budget", default="10,30", help="minutes, with commas between")
    parser.add_argument("--service", choices=sorted({name for name, _ in WIDTHS}))
    parser.add_argument("--objective", help="as in ttft_p95=500ms")
    parser.add_argument("--truth", action="store_true", help="compute the true capacities, and nothing else")
    options = parser.parse_args()
    broken, seeds = 0, range(options.seed, options.seed + options.runs)
    processes = ProcessPoolExecutor()
    print(HEAD)
    for (service, text), widest in WIDTHS.items():
        if options.service not in (None, service) or options.objective not in (None, text):
            continue
        limit = limits_of(parse_objectives(text))[0]
        if options.truth:
            print(f"    ({service!r}, {text!r}): {true_capacity(service, limit):.3f},", flush=True)
            continue
        truth = TRUTH[service, text]
        for minutes in map(float, options.budget.split(",")):
            found = list(processes.map(partial(search, service, limit, minutes), seeds, chunksize=5))
            answers = [(low, rate, high) for low, rate, high in found if low is not None and rate is not None]
            covering = sum(low <= truth <= (high or 1e9) for low, rate, high in answers)
            widths = [(high - low) / rate if high else float("inf") for low, rate, high in answers]
            coverage = covering / max(1, len(answers))
            width = statistics.median(widths) if widths else float("inf")
            bias = statistics.median(rate for _, rate, _ in answers) / truth - 1 if answers else 0.0
            least = LEAST.get((service, minutes), LEAST_COVERAGE)
            bad = coverage < least or (minutes >= 30 and width > widest)
            broken += bad
            most = f"({100 * widest:.0f})" if minutes >= 30 else ""
            unbounded = sum(one == float("inf") for one in widths)
            print(
                f"{service:13} {text:15} {minutes:5g} {truth:8.2f} "
                f"{100 * coverage:6.0f} % ({100 * least:.0f}) {100 * bias:+7.1f} % "
                f"{100 * width:7.1f} % {most:>4} {unbounded:11} "
                f"{len(found) - len(answers):10}{'  BROKEN' if bad else ''}",
                flush=True,
            )
    processes.shutdown()
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
