"""How exact the command is under pressure: 2,000 requests in flight, and prompts of 100,000 tokens.

    python benchmarks/pressed.py [ROUNDS]

The server is `mockllm.c`, compiled with `gcc -O2`. It answers each request after a fixed time, and records
when it read each request and how late it was itself. The error of a TTFT is what the command measured, less
the time that the server waited on purpose. A round in which the server itself was late by more than 5 ms
(p99) is printed as noisy and not judged.
"""

import csv
import itertools
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import httpx
from client import kept, stolen
from load import Verdicts, run

SOURCE = Path(__file__).with_name("mockllm.c")
CALM_MS = 5
"""The server's own lateness (p99) up to which a round is judged."""


def compiled(folder):
    """Compile the server; return its program, or None where there is no gcc."""
    if shutil.which("gcc") is None:
        return None
    program = Path(folder) / "mockllm"
    subprocess.run(["gcc", "-O2", "-w", "-o", program, SOURCE, "-lpthread", "-lm"], check=True)
    return program


@contextmanager
def served(program, *words):
    """Run the server while the block runs; give its address."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [program, "--port", str(port), *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(100):
            try:
                httpx.get(f"{url}/health", trust_env=False)
                break
            except httpx.TransportError:
                time.sleep(0.05)
        yield url
    finally:
        process.terminate()
        process.wait()


def lateness_ms(url):
    """Return how late the server was (p99), from its record of each request."""
    trace = httpx.get(f"{url}/trace", trust_env=False, timeout=60).text
    late = [int(row["late_ns"]) / 1e6 for row in csv.DictReader(trace.splitlines())]
    return statistics.quantiles(late, n=100)[98]


def errors_ms(found, ttft_ms):
    """Return by how much each measured TTFT exceeds the time that the server waited."""
    firsts = [
        next(
            (stamp for stamp, kind in zip(one.timing.chunk_ns, one.timing.chunk_kinds, strict=True)
             if kind == "content"),
            None,
        )
        for one in found
    ]  # fmt: skip
    return [
        abs((first - one.timing.sent_ns) / 1e6 - ttft_ms)
        for first, one in zip(firsts, found, strict=True)
        if first is not None
    ]


def many_at_once(program, limits, rounds):
    print("2,000 in flight: TTFT 2 s, 50 ms a token, 20 tokens")
    took, errors = [], []
    for _ in range(rounds):
        with served(program, "--ttft-ms", "2000", "--itl-ms", "50", "--tokens", "20") as url, \
                tempfile.TemporaryDirectory() as folder:  # fmt: skip
            words = ("--concurrency", "2000", "--num-prompts", "2000", "--num-warmups", "0", "--workers", "1")
            found, late = run(folder, url, *words), lateness_ms(url)
        steps = sorted(
            [(one.timing.sent_ns, 1) for one in found] + [(one.timing.done_ns, -1) for one in found]
        )
        in_flight = list(itertools.accumulate(step for _, step in steps))
        seconds = (steps[in_flight.index(max(in_flight))][0] - steps[0][0]) / 1e9
        middle = statistics.median(errors_ms(found, 2000))
        noisy = late > CALM_MS
        print(f"  {max(in_flight):,} in flight after {seconds:.2f} s; TTFT error p50 {middle:.2f} ms; "
              f"server late p99 {late:.2f} ms{'  (noisy)' if noisy else ''}")  # fmt: skip
        limits.check("missing of those asked for", 2000 - max(in_flight), 0, "")
        took.append(seconds)
        errors += [] if noisy else [middle]
    limits.check("until all were in flight, median", statistics.median(took), 1.0, "s")
    judged(limits, "TTFT error p50, median of calm rounds", errors, 20.0)


def long_prompts(program, limits, rounds):
    print("64 in flight, prompts of 100,000 tokens (400 kB)")
    errors = []
    for _ in range(rounds):
        with served(program, "--ttft-ms", "500", "--itl-ms", "20", "--tokens", "10") as url, \
                tempfile.TemporaryDirectory() as folder:  # fmt: skip
            words = ("--concurrency", "64", "--num-prompts", "128", "--num-warmups", "0", "--workers", "1")
            found = run(folder, url, *words, "--set", "task.dataset.input=100000")
            late = lateness_ms(url)
        worst = statistics.quantiles(errors_ms(found, 500), n=100)[98]
        noisy = late > CALM_MS
        print(f"  TTFT error p99 {worst:.2f} ms; server late p99 {late:.2f} ms{'  (noisy)' if noisy else ''}")
        errors += [] if noisy else [worst]
    judged(limits, "TTFT error p99, median of calm rounds", errors, 5.0)


def judged(limits, what, errors, limit):
    if errors:
        limits.check(what, statistics.median(errors), limit, "ms")
    else:
        print(f"  {what}: no calm round, not judged")


def main(rounds):
    limits, before = Verdicts(), stolen()
    with tempfile.TemporaryDirectory() as folder:
        program = compiled(folder)
        if program is None:
            print("gcc is not installed: nothing is measured")
            return 0
        many_at_once(program, limits, rounds)
        long_prompts(program, limits, rounds)
    if line := kept(before):
        print(line)
    return 1 if limits.broken else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 3))
