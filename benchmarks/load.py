"""Whether the load asked for is the load that is sent: concurrency, pace, many streams, the time to begin.

    python benchmarks/load.py [start|health|concurrency|pace|many|long ...] [--seconds S]

Without a name all of them run. `start`, `concurrency` and `pace` are the `aisb` command itself against the
mock server, judged by its log and by the server's record; `many` and `long` are one worker alone, so that its
CPU and memory can be weighed. A cell is noisy where the server itself is late by more than 1 ms (p99).
"""

import argparse
import asyncio
import itertools
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx
from client import kept, stolen
from startup import KEPT

from aisb_mock import MockOptions, start_mock

HERE = Path(__file__).parent
AISB = Path(sys.executable).with_name("aisb")
RATE = 20_000
"""Chunks a second of all streams together, whatever their number."""


class Verdicts:
    """Limits, each with what was measured."""

    def __init__(self):
        self.broken = 0

    def check(self, what, value, limit, unit):
        over = value > limit
        self.broken += over
        verdict = "OVER" if over else "within"
        print(f"  {what:58} {value:9.2f} {unit:5} {verdict} the limit of {limit:g} {unit}", flush=True)


def command(folder, url, *words):
    return [
        str(AISB), "run", "--mode", "perf", "--models", "vllm_api_stream_chat", "--url", url,
        "--work-dir", folder, "--datasets", "synthetic", "--set", "task.dataset.input=16", *words,
    ]  # fmt: skip


def run(folder, url, *words):
    """Run the command; return the attempts in its log, by the time they were sent."""
    from aisb_engine._record.log import read_file

    ended = subprocess.run(command(folder, url, *words), capture_output=True, text=True, check=False)
    if ended.returncode:
        sys.exit(f"{ended.stdout[-2000:]}{ended.stderr[-2000:]}")
    paths = Path(folder).rglob("log/*/*/worker-*")
    found = [record.prediction for path in paths for record in read_file(path)]
    return sorted(found, key=lambda one: one.timing.sent_ns)


def record_of(url):
    return httpx.get(f"{url}/record", trust_env=False, timeout=120).json()


def lateness(record):
    late = record["lateness_ms"]["p99"]
    return f"the server's own lateness p99: {late:.2f} ms{'  (noisy)' if late > 1 else ''}"


def start(limits, _):
    print("\nThe smallest run: one request, one token")
    walls, firsts, peaks = [], [], []
    for number in range(7):
        with start_mock(MockOptions(tokens=1)) as mock, tempfile.TemporaryDirectory() as folder:
            words = command(folder, mock.url, "--num-prompts", "1", "--num-warmups", "0")
            began = time.monotonic_ns()
            process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=KEPT)
            if number == 0:
                process.wait()  # it compiles modules
            elif number % 2:  # weighing costs time, so it has runs of its own
                peaks.append(weigh(process))
            else:
                process.wait()
                walls.append((time.monotonic_ns() - began) / 1e9)
                firsts.append((record_of(mock.url)["requests"][0]["arrival_ns"] - began) / 1e9)
    limits.check("from the command to the first request, median", statistics.median(firsts), 0.6, "s")
    limits.check("from the command to its end, median", statistics.median(walls), 1.0, "s")
    limits.check("memory of all its processes together, at most", max(peaks), 120, "MB")


def weigh(process):
    """Return the most memory that a process and its children had at once, shared pages shared out, in MB."""
    peak = 0
    while process.poll() is None:
        peak = max(peak, sum(map(proportional, tree(process.pid))))
        time.sleep(0.005)
    return peak / 1024


def tree(pid):
    yield pid
    try:
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                yield from tree(int(child))
    except OSError:
        return


def proportional(pid):
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)


def health(limits, _):
    print("\nLoop lag and lateness, always on")
    from aisb_engine._load.client_health import ClientHealth

    async def spent(watched):
        with tempfile.TemporaryDirectory() as folder:
            began = time.process_time(), time.perf_counter()
            watching = ClientHealth(Path(folder) / "v", time.perf_counter_ns, lambda: 0) if watched else None
            await asyncio.sleep(4)
            if watching:
                watching.close()
            return (time.process_time() - began[0]) / (time.perf_counter() - began[1])

    import uvloop

    limits.check("of a core", 100 * (uvloop.run(spent(True)) - uvloop.run(spent(False))), 1.0, "%")


def concurrency(limits, _):
    print("\n2,000 asked for in a closed loop")
    with (
        start_mock(MockOptions(ttft_ms=1500, tpot_ms=100, tokens=20)) as mock,
        tempfile.TemporaryDirectory() as folder,
    ):
        found = run(folder, mock.url, "--concurrency", "2000", "--num-prompts", "2000", "--num-warmups", "0")
        record = record_of(mock.url)
    failed = sum(one.failure is not None for one in found)
    steps = sorted([(one.timing.sent_ns, 1) for one in found] + [(one.timing.done_ns, -1) for one in found])
    in_flight = list(itertools.accumulate(step for _, step in steps))
    took = (steps[in_flight.index(max(in_flight))][0] - steps[0][0]) / 1e9
    arrivals = [entry["arrival_ns"] for entry in record["requests"]]
    seen = (max(arrivals) - min(arrivals)) / 1e9
    print(f"  most in flight: {max(in_flight):,}; failed: {failed}")
    print(f"  the server saw the last of {len(arrivals):,} {seen:.2f} s after the first; {lateness(record)}")
    limits.check("missing of those asked for", 2000 - max(in_flight), 0, "")
    limits.check("until all were in flight", took, 1.0, "s")


def pace(limits, given):
    seconds = given.seconds
    print(f"\nOpen loop at 1,000 requests/s over {seconds} s, replies of one token")
    with start_mock(MockOptions(ttft_ms=5)) as mock, tempfile.TemporaryDirectory() as folder:
        count = 1000 * seconds
        found = run(
            folder,
            mock.url,
            "--request-rate",
            "1000",
            "--arrival",
            "constant",
            "--num-prompts",
            str(count),
            "--set",
            "task.dataset.output=1",
        )
        record = record_of(mock.url)
    late = [(one.timing.sent_ns - one.timing.planned_ns) / 1e6 for one in found]
    tenth = len(late) // 10
    drift = statistics.median(late[-tenth:]) - statistics.median(late[:tenth])
    rate = (len(found) - 1) / (found[-1].timing.sent_ns - found[0].timing.sent_ns) * 1e9
    failed = sum(one.failure is not None for one in found)
    print(f"  sent {rate:.1f} a second; failed: {failed}; lateness median {statistics.median(late):.3f} ms, "
          f"at most {max(late):.1f} ms\n  {lateness(record)}")  # fmt: skip
    limits.check("lateness p99", statistics.quantiles(late, n=100)[98], 2.0, "ms")
    limits.check("drift: last tenth later than the first by", max(0.0, drift), 0.5, "ms")


def worker(streams, tokens, seconds, rate):
    """Run one worker against streams that together bring `rate` chunks a second; return what it cost."""
    gap = 1000 * streams / rate
    count = max(streams, round(seconds * rate / tokens))
    body = {
        "model": "mock", "messages": [{"role": "user", "content": "Tell me of the sea."}],
        "max_tokens": tokens, "ignore_eos": True, "stream": True,
    }  # fmt: skip
    with (
        start_mock(MockOptions(ttft_ms=gap, tpot_ms=gap)) as mock,
        tempfile.NamedTemporaryFile("r") as result,
    ):
        words = [
            sys.executable,
            str(HERE / "client.py"),
            "contend",
            "aisb",
            mock.url,
            str(count),
            str(streams),
        ]
        ended = subprocess.run(
            [*words, json.dumps(body), "null", result.name], capture_output=True, text=True, check=False
        )
        if ended.returncode:
            sys.exit(ended.stderr)
        found = json.loads(result.read())
        found["lateness"] = lateness(record_of(mock.url))
    found["cpu"] *= 1e6 / (count * tokens)
    return found


def many(limits, _):
    print(f"\nThe same {RATE:,} chunks/s from more and more streams, 100 tokens each, in one worker")
    found = {}
    for streams in (64, 1_000, 10_000):
        found[streams] = one = worker(streams, 100, 10, RATE)
        print(f"  {streams:6,} streams: {one['cpu']:5.1f} µs of CPU a chunk, {one['memory'] / 1024:5.0f} MB, "
              f"none failed; {one['lateness']}", flush=True)  # fmt: skip
    cpu = {streams: one["cpu"] for streams, one in found.items()}
    middle = (max(cpu.values()) + min(cpu.values())) / 2
    spread = 100 * (max(cpu.values()) - middle) / middle
    limits.check("CPU a chunk from 64 to 10,000 streams: flat within ±", spread, 30, "%")
    each = (found[10_000]["memory"] - found[64]["memory"]) / (10_000 - 64)
    limits.check("memory a stream, of 10,000", each, 60, "kB")


def long(limits, _):
    print("\nReplies of 4,096 tokens: 500 streams in one worker")
    small = worker(16, 100, 1, RATE)
    one = worker(500, 4_096, 1, 2 * RATE)
    print(f"  {one['cpu']:.1f} µs of CPU a chunk, none failed; {one['lateness']}")
    limits.check("memory a stream", (one["memory"] - small["memory"]) / (500 - 16), 60, "kB")


def main():
    cells = {
        "start": start,
        "health": health,
        "concurrency": concurrency,
        "pace": pace,
        "many": many,
        "long": long,
    }
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cells", nargs="*", metavar="CELL", help=", ".join(cells))
    parser.add_argument("--seconds", type=int, default=20, help="how long the open loop runs (default 20)")
    given = parser.parse_args()
    limits = Verdicts()
    for name in given.cells or cells:
        before = stolen()
        cells[name](limits, given)
        if line := kept(before):
            print(line)
    return 1 if limits.broken else 0


if __name__ == "__main__":
    sys.exit(main())
