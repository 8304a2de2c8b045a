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


def trace_of(url):
    """Return the server's record of its requests: times in nanoseconds of this machine's clock."""
    text = httpx.get(f"{url}/trace", trust_env=False, timeout=60).text
    return [
        {name: int(row[name]) for name in ("recv_ns", "first_ns", "late_ns")}
        for row in csv.DictReader(text.splitlines())
    ]


def p99(values):
    return statistics.quantiles(values, n=100)[98]


def lateness_ms(trace):
    """Return how late the server was (p99)."""
    return p99([row["late_ns"] / 1e6 for row in trace])


def first_ns(one):
    """Return the stamp of a reply's first token."""
    chunks = zip(one.timing.chunk_ns, one.timing.chunk_kinds, strict=True)
    return next(stamp for stamp, kind in chunks if kind == "content")


def errors_ms(found, ttft_ms):
    """Return by how much each measured TTFT differs from the time that the server waited."""
    return [abs((first_ns(one) - one.timing.sent_ns) / 1e6 - ttft_ms) for one in found]


def parts_ms(found, trace):
    """Return the two parts of the error (p99): until the server had read a request, and until the stamp.

    The run's clock and the server's differ by a constant, which is not known: the smallest difference between
    a token that was written and its stamp is taken for it. Requests are paired in the order of their tokens.
    """
    pairs = list(
        zip(sorted(found, key=first_ns), sorted(trace, key=lambda row: row["first_ns"]), strict=True)
    )
    offset = min(first_ns(one) - row["first_ns"] for one, row in pairs)
    reading = [(row["recv_ns"] + offset - one.timing.sent_ns) / 1e6 for one, row in pairs]
    stamping = [(first_ns(one) - row["first_ns"] - offset) / 1e6 for one, row in pairs]
    return p99(reading), p99(stamping)


def many_at_once(program, limits, rounds):
    print("2,000 in flight: TTFT 2 s, 50 ms a token, 20 tokens")
    took, errors = [], []
    for _ in range(rounds):
        with served(program, "--ttft-ms", "2000", "--itl-ms", "50", "--tokens", "20") as url, \
                tempfile.TemporaryDirectory() as folder:  # fmt: skip
            words = ("--concurrency", "2000", "--num-prompts", "2000", "--num-warmups", "0", "--workers", "1")
            found, late = run(folder, url, *words), lateness_ms(trace_of(url))
        steps = sorted(
            [(one.timing.sent_ns, 1) for one in found] + [(one.timing.done_ns, -1) for one in found]
        )
        in_flight = list(itertools.accumulate(step for _, step in steps))
        seconds = (steps[in_flight.index(max(in_flight))][0] - steps[0][0]) / 1e9
        middle = statistics.median(errors_ms(found, 2000))
        noisy = late > CALM_MS
        print(f"  {max(in_flight):,} in flight after {seconds:.2f} s; TTFT error p50 {middle:.2f} ms; "
              f"server late p99 {late:.2f} ms{'  (noisy)' if noisy else ''}")  # fmt: skip
        if not noisy:
            limits.check("missing of those asked for", 2000 - max(in_flight), 0, "")
            took.append(seconds)
            errors.append(middle)
    judged(limits, "until all were in flight, median of calm rounds", took, 1.0, "s")
    judged(limits, "TTFT error p50, median of calm rounds", errors, 20.0, "ms")


def long_prompts(program, limits, rounds):
    """Measure with 64 in flight: begun one after another, as in the middle of a load, and all at once.

    Begun at once, all 25 MB arrive together at a server that reads them with one thread. A request counts
    as sent when the kernel has its last byte, so that reading is a part of the TTFT, as it is for a user.
    What the client can get wrong is the stamp: that part is judged.
    """
    evenly = ("--request-rate", "94", "--arrival", "constant", "--num-prompts", "256")
    at_once = ("--concurrency", "64", "--num-prompts", "128")
    for title, load in (("begun one after another", evenly), ("begun at once", at_once)):
        print(f"64 in flight, prompts of 100,000 tokens (400 kB), {title}")
        errors, stamps = [], []
        for _ in range(rounds):
            with served(program, "--ttft-ms", "500", "--itl-ms", "20", "--tokens", "10") as url, \
                    tempfile.TemporaryDirectory() as folder:  # fmt: skip
                words = (*load, "--num-warmups", "0", "--workers", "1")
                found = run(folder, url, *words, "--set", "task.dataset.input=100000")
                trace = trace_of(url)
            worst, late = p99(errors_ms(found, 500)), lateness_ms(trace)
            noisy = late > CALM_MS
            reading, stamping = parts_ms(found, trace)
            mark = "  (noisy)" if noisy else ""
            print(f"  TTFT error p99 {worst:.2f} ms; server late p99 {late:.2f} ms{mark}")
            print(f"    the server had read a request {reading:.2f} ms after it was sent (p99),")
            print(f"    and a first token was stamped {stamping:.2f} ms after it was written (p99)")
            stamps.append(stamping)
            errors += [] if noisy else [worst]
        if load is evenly:
            judged(limits, "TTFT error p99, median of calm rounds", errors, 5.0, "ms")
        else:
            judged(limits, "error of the first token's stamp p99, median", stamps, 5.0, "ms")


def judged(limits, what, values, limit, unit):
    if values:
        limits.check(what, statistics.median(values), limit, unit)
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
