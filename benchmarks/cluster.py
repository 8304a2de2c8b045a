"""The same run on local workers and on a Ray cluster of three nodes on this machine.

    python benchmarks/cluster.py

The scores of 1,319 samples must be equal, and each load must have all of its requests. Throughput and latency
are printed side by side, without a limit: all nodes, the service and the command share this machine's
processors.
"""

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

from ray_nodes import start_cluster

from aisb_mock import MockOptions, start_mock

SAMPLES, WORKERS, REQUESTS = 1_319, 3, 1_000
TASK = """
version = 1
summary = "Word problems of our own making"
[dataset]
use = "jsonl"
path = "./rows.jsonl"
[prompt]
user = "{question}"
[sample]
target = "{answer}"
[params]
max_tokens = 512
[[postprocess]]
use = "number"
[[evaluate]]
use = "numeric-match"
"""
NAMES = ("Ann", "Ben", "Chu", "Dana", "Emil", "Fay")
THINGS = ("apples", "books", "coins", "stamps", "shells", "cards")


def write_task(work: Path) -> None:
    """Write a task with as many samples as GSM8K's test set has."""
    draw = random.Random(1)
    with (work / "rows.jsonl").open("w") as rows:
        for number in range(SAMPLES):
            name, thing = draw.choice(NAMES), draw.choice(THINGS)
            first, more, given = draw.randint(10, 99), draw.randint(10, 99), draw.randint(1, 9)
            question = (
                f"Problem {number}. {name} has {first} {thing}, finds {more} more, and gives {given} away. "
                f"How many {thing} does {name} have?"
            )
            rows.write(json.dumps({"question": question, "answer": str(first + more - given)}) + "\n")
    (work / "problems.toml").write_text(TASK)


def run(work: Path, where: str, *words: str) -> tuple[Path, float]:
    """Run the command; return the run folder and the seconds that it took."""
    began = time.monotonic()
    ended = subprocess.run(
        [
            sys.executable, "-m", "aisb_cli.main", "run", "--datasets", "./problems.toml", "--models",
            "vllm_api_stream_chat", "--workers", str(WORKERS), "-w", where, *words,
        ],
        cwd=work, capture_output=True, text=True, check=False, env={**os.environ, "COLUMNS": "200"},
    )  # fmt: skip
    if ended.returncode:
        sys.exit(f"{ended.args} ended with {ended.returncode}:\n{ended.stderr}")
    (folder,) = (work / where).glob("2*")
    return folder, time.monotonic() - began


def scores(folder: Path) -> list[tuple[str, float]]:
    (file,) = folder.glob("results/*/problems_scores.jsonl")
    return sorted((line["id"], line["value"]) for line in map(json.loads, file.read_text().splitlines()))


def main() -> int:
    if find_spec("ray") is None:
        print("skipped: ray is not installed (make test-ray installs it)")
        return 0
    cluster = start_cluster(3)
    launchers = {
        "local": (),
        "ray": ("--launcher", "ray", "--set", f"launcher.address={cluster.address}"),
    }
    good = True
    print(f"{os.cpu_count()} processors, load average {os.getloadavg()[0]:.1f}; {WORKERS} workers each")
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        write_task(work)
        options = MockOptions(
            answers=str(work / "rows.jsonl"), accuracy=0.8, ttft_ms=40, tpot_ms=1, tokens=40
        )
        with start_mock(options) as mock:
            url = ("--url", mock.url)
            found = {}
            for name, words in launchers.items():
                made, seconds = run(work, f"accuracy-{name}", *url, "--concurrency", "60", *words)
                found[name] = scores(made)
                right = sum(value for _, value in found[name])
                print(
                    f"    {name:<6} {len(found[name]):,} samples, {right:.0f} right, {seconds:.1f} s in all"
                )
            is_equal = found["local"] == found["ray"] and len(found["ray"]) == SAMPLES
            good &= is_equal
            print(f"{'ok ' if is_equal else 'BAD'} each of {SAMPLES:,} samples has the same score on both")
            for name, words in launchers.items():
                load = ("--mode", "perf", "--num-prompts", str(REQUESTS), "--concurrency", "30")
                made, _ = run(work, f"load-{name}", *url, *load, *words)
                good &= show_load(name, made)
    cluster.shutdown()
    return 0 if good else 1


def show_load(name: str, folder: Path) -> bool:
    """Print what a performance run measured; say whether it has all its requests."""
    from aisb_engine import open_finished_run

    ((_, result),) = open_finished_run(folder).performance.items()
    stage = result.stages[0]
    ttft, e2el = (stage.parameters[one] for one in ("TTFT", "E2EL"))
    is_whole = e2el.n == REQUESTS
    print(
        f"{'ok ' if is_whole else 'BAD'} {name:<6} {e2el.n:,} of {REQUESTS:,} requests, "
        f"{stage.totals.request_rate:.1f}/s, "
        f"TTFT p50 {ttft.median:.1f} p99 {ttft.percentiles[99]:.1f} ms, "
        f"E2EL p50 {e2el.median:.1f} p99 {e2el.percentiles[99]:.1f} ms"
    )
    return is_whole


if __name__ == "__main__":
    sys.exit(main())
