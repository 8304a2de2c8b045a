"""One and two replicas of a local model on a Ray cluster of this machine: equal answers, and their speed.

    python benchmarks/replicas.py [SAMPLES] [TOKENS] [MODEL]

MODEL is the folder of a model for transformers; without it, one with random weights is made. Each replica
has one CPU, which is one thread, and computes batches of at most 8 rows. Loading is not counted: samples per
second are those between the first request and the last answer.

Both replicas, Ray and everything else on this machine share its processors. So the CPU time that the
replicas used is printed, too, from the records of the run: if two replicas need no more of it for a sample
than one, then two free cores answer twice as much. The speed has no limit. The answers of the random model
must be equal; those of a real one can differ where two tokens are almost equally likely.
"""

import json
import os
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from ray_nodes import start_cluster

from aisb_engine._record.log import read_file

SHAPE = {"hidden_size": 256, "intermediate_size": 1024, "num_hidden_layers": 6}
BATCH = 8


class Measured(NamedTuple):
    """The answers by sample, samples a second, CPU seconds of each replica, most cores that one used."""

    answers: dict[str, str]
    rate: float
    cpu: list[float]
    most_cores: float


def run(work: Path, model: Path, address: str, replicas: int, tokens: int) -> Measured:
    """Run the model as this many replicas."""
    where = work / f"{replicas}"
    ended = subprocess.run(
        [
            sys.executable, "-m", "aisb_cli.main", "run", "--datasets", "./words.toml", "--models",
            "hf_base_model", "--set", f"model.path={model}", "--set", "model.device=cpu", "--set",
            "model.dtype=float32", "--set", f"model.batch_size={BATCH}", "--max-out-len", str(tokens),
            "--workers", str(replicas), "--launcher", "ray", "--set", f"launcher.address={address}", "--set",
            "launcher.cpus=1", "-w", str(where),
        ],
        cwd=work, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if ended.returncode:
        sys.exit(f"{ended.args} ended with {ended.returncode}:\n{ended.stderr}")
    kept = [record for file in where.glob("2*/log/*/*/worker-*") for record in read_file(file) if record]
    timings = [record.prediction.timing for record in kept]
    began, ends = min(one.sent_ns for one in timings), max(one.done_ns for one in timings)
    used = [cpu_of(file, began, ends) for file in sorted(where.glob("2*/log/*/*/client_health-*.jsonl"))]
    return Measured(
        {record.prediction.sample_id: record.prediction.text for record in kept},
        len(kept) / (ends - began) * 1e9,
        [seconds for seconds, _ in used],
        max(cores for _, cores in used),
    )


def cpu_of(health: Path, began: int, ends: int) -> tuple[float, float]:
    """Return a replica's CPU seconds between two times, and the most cores that it used for a second."""
    seconds = most = 0.0
    since = began
    for line in map(json.loads, health.read_text().splitlines()):
        until = min(max(line["t_ns"], since), ends)
        if until > since:
            seconds += line["cpu_share"] * (until - since) / 1e9
            most = max(most, line["cpu_share"])
        since = until
    return seconds, most


def main(samples: int = 64, tokens: int = 32, model: str = "") -> int:
    if find_spec("ray") is None or find_spec("torch") is None:
        print("skipped: ray or torch is not installed (make test-ray installs ray)")
        return 0
    sys.path.append(str(Path(__file__).parents[1] / "plugins/backends/hf/tests"))
    from hf_small import build, write_task

    cluster = start_cluster()
    found = []
    try:
        with tempfile.TemporaryDirectory() as folder:
            work = Path(folder)
            write_task(work, samples)
            where = Path(model).resolve() if model else build(work / "model", **SHAPE)
            for replicas in (1, 2):
                found.append(one := run(work, where, cluster.address, replicas, tokens))
                cpu = sum(one.cpu)
                print(
                    f"    {replicas} replica{'s' if replicas > 1 else ' '} of 1 CPU each: "
                    f"{one.rate:6.2f} samples/s of {tokens} tokens, {cpu:6.1f} s of CPU, "
                    f"{samples / cpu:6.2f} samples for each, at most {one.most_cores:.2f} cores a replica "
                    f"({os.cpu_count()} processors, load average {os.getloadavg()[0]:.1f})",
                    flush=True,
                )
    finally:
        cluster.shutdown()
    one, two = found
    is_whole = one.answers.keys() == two.answers.keys() and len(one.answers) == samples
    equal = sum(text == two.answers.get(key) for key, text in one.answers.items())
    is_good = is_whole and (bool(model) or equal == samples)
    per_cpu = sum(one.cpu) / sum(two.cpu)
    print(
        f"{'ok ' if is_good else 'BAD'} {equal} of {samples} answers are equal; two replicas are "
        f"{two.rate / one.rate:.2f} x as fast, and {2 * per_cpu:.2f} x by their CPU time"
    )
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:3]), *sys.argv[3:4]))
