"""How long a large log takes to compute, and in how much memory.

A log of 250,000 requests with 4,096 output tokens each is written in the record format, in two workers'
files, and its performance is computed from disk, by a process of its own that is timed and weighed. An
argument scales the number of requests (`0.01`: 2,500), and the limit of time with it.
"""

import argparse
import os
import random
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path
from struct import Struct
from tempfile import mkdtemp
from zlib import crc32

import orjson

REQUESTS, TOKENS, CONCURRENCY = 250_000, 4_096, 1_000
SECONDS, GIGABYTES = 60.0, 3.0
HEAD, LENGTH = Struct("<4sII"), Struct("<I")
WORKERS = 2


def write_log(folder: Path, requests: int) -> int:
    """Write a closed loop of replies with about 20 ms between tokens; return its size in bytes."""
    import numpy as np

    draw = np.random.default_rng(0)
    patterns = [
        np.maximum(draw.normal(2e7, 2e6, TOKENS + 2), 1e5).astype("<u4").tobytes() for _ in range(251)
    ]
    taken = [int(np.frombuffer(pattern, "<u4").sum(dtype=np.int64)) for pattern in patterns]
    # Some text, of the length that so many tokens have.
    text = " ".join(random.Random(0).choices(["token", "of", "some", "words", "a"], k=TOKENS))
    free = [n * 1_000_000 for n in range(CONCURRENCY)]
    written = 0
    log = folder / "log" / "model" / "task"
    log.mkdir(parents=True)
    (folder / "configs").mkdir()
    files = [(log / f"worker-{n}").open("wb", buffering=1 << 20) for n in range(WORKERS)]
    for number in range(requests):
        client = number % CONCURRENCY
        sent = free[client]
        first = sent + 200_000_000 + number % 1000 * 100_000
        pattern = number % len(patterns)
        free[client] = done = first + taken[pattern]
        header = {
            "id": str(number), "repeat": 0, "turn": 0, "attempt": 1, "final": True, "session": 0,
            "text": text, "reasoning": None, "tool_calls": None, "finish_reason": "length",
            "usage": {"input_tokens": 1000, "output_tokens": TOKENS, "cached_tokens": 0},
            "failure": None, "times": [sent, None, sent + 50_000, first, done + 1000],
            "first_chunk_ns": first,
            "kinds": [["role", 1], ["content", TOKENS], ["finish", 1], ["usage", 1]],
            "gaps": ["I", TOKENS + 2], "tokens": 0, "streamed": True,
        }  # fmt: skip
        json = orjson.dumps(header)
        payload = b"".join((LENGTH.pack(len(json)), json, patterns[pattern]))
        written += files[number % WORKERS].write(HEAD.pack(b"aisb", len(payload), crc32(payload)) + payload)
    for file in files:
        file.close()
    return written


def compute(folder: Path) -> None:
    """Measure a run folder, and print what it took."""
    began = time.perf_counter()
    from aisb_engine._load.connection_limits import cores
    from aisb_engine._performance.performance import measure
    from aisb_engine._performance.split import MAX_PROCESSES
    from aisb_engine._record.runfolder import RunFolder

    found = measure(RunFolder(folder), "model", "task")
    seconds = time.perf_counter() - began
    gaps = found.stages[0].parameters["ICL"]
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    # Of the processes that compute parts the largest is known: as if all were as large, and all at once.
    memory = (used[0].ru_maxrss + min(cores(), MAX_PROCESSES) * used[1].ru_maxrss) / 1024**2
    print(orjson.dumps({
        "seconds": seconds, "cpu": sum(one.ru_utime + one.ru_stime for one in used), "gigabytes": memory,
        "gaps": gaps.n, "p99": gaps.percentiles[99.0], "stages": len(found.stages),
        "requests": len(found.columns),
    }).decode())  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scale", type=float, nargs="?", default=0.02, help="1 is 250,000 requests, 9 GB")
    parser.add_argument("--folder", type=Path, help="where the log is written; needs the room")
    parser.add_argument("--compute", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.compute:
        compute(given.compute)
        return 0
    requests = max(1, int(REQUESTS * given.scale))
    folder = Path(mkdtemp(prefix="aisb-metrics-", dir=given.folder))
    try:
        began = time.perf_counter()
        size = write_log(folder, requests)
        print(f"a log of {requests:,} requests × {TOKENS:,} tokens: {size / 1e9:.2f} GB, written in "
              f"{time.perf_counter() - began:.0f} s; {os.cpu_count()} cores")  # fmt: skip
        out = subprocess.run(
            [sys.executable, __file__, "--compute", str(folder)], stdout=subprocess.PIPE, check=True
        )
    finally:
        shutil.rmtree(folder)
    found = orjson.loads(out.stdout)
    # A second stands for what does not grow with the log: starting, and the requests that cross an edge.
    limit = SECONDS * given.scale + 1
    # Where it had to wait for a core, its CPU time is what the limit is held against: what one core takes.
    noisy = os.getloadavg()[0] > (os.cpu_count() or 1)
    taken = found["cpu"] if noisy else found["seconds"]
    broken = taken > limit or found["gigabytes"] > GIGABYTES
    print(f"computed {found['gaps']:,} gaps of {found['requests']:,} requests")
    print(f"  {found['seconds']:.1f} s (limit {limit:.1f} s), {found['cpu']:.1f} s of CPU")
    print(f"  {found['gigabytes']:.2f} GB in memory at most (limit {GIGABYTES:g} GB)")
    print(f"{'BROKEN' if broken else 'held'}{', noisy: others use this machine' if noisy else ''}")
    return int(broken)


if __name__ == "__main__":
    sys.exit(main())
