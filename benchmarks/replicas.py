"""One and two replicas of a local model on a Ray cluster of this machine: equal answers, and their speed.

    python benchmarks/replicas.py [SAMPLES] [TOKENS]

The model has random weights, and each replica one CPU, which is one thread. Loading is not counted: samples
per second are those between the first request and the last answer. Both replicas, Ray and everything else on
this machine share its processors, so the speed is printed without a limit, next to the load average.
"""

import json
import os
import secrets
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

from aisb_engine._record.log import read_file

NODE = {"object_store_memory": 150 << 20, "num_cpus": 2}
MODEL = {"hidden_size": 256, "intermediate_size": 1024, "num_hidden_layers": 6}
TASK = """
version = 1
summary = "Words"
[dataset]
use = "jsonl"
path = "./rows.jsonl"
[prompt]
user = "{question}"
style = "text"
[sample]
target = "{number}"
[[evaluate]]
use = "exact-match"
"""


def write(work: Path, samples: int) -> None:
    """Write the model and the task."""
    sys.path.append(str(Path(__file__).parents[1] / "plugins/backends/hf/tests"))
    from hf_small import build, prompts

    build(work / "model", **MODEL)
    rows = ({"question": text, "number": str(number)} for number, text in enumerate(prompts(samples)))
    (work / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (work / "words.toml").write_text(TASK)


def run(work: Path, address: str, replicas: int, tokens: int) -> tuple[dict[str, str], float]:
    """Run the model as this many replicas; return the answers, and the samples per second."""
    where = work / f"{replicas}"
    ended = subprocess.run(
        [
            sys.executable, "-m", "aisb_cli.main", "run", "--datasets", "./words.toml", "--models",
            "hf_base_model", "--set", f"model.path={work / 'model'}", "--set", "model.device=cpu",
            "--concurrency", "16", "--max-out-len", str(tokens), "--workers", str(replicas), "--launcher",
            "ray", "--set", f"launcher.address={address}", "--set", "launcher.cpus=1", "-w", str(where),
        ],
        cwd=work, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if ended.returncode:
        sys.exit(f"{ended.args} ended with {ended.returncode}:\n{ended.stderr}")
    kept = [record for file in where.glob("2*/log/*/*/worker-*") for record in read_file(file) if record]
    timings = [record.prediction.timing for record in kept]
    seconds = (max(one.done_ns for one in timings) - min(one.sent_ns for one in timings)) / 1e9
    return {record.prediction.sample_id: record.prediction.text for record in kept}, len(kept) / seconds


def main(samples: int = 96, tokens: int = 48) -> int:
    if find_spec("ray") is None or find_spec("torch") is None:
        print("skipped: ray or torch is not installed (make test-ray installs ray)")
        return 0
    os.environ |= {
        "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32), "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_raylet_start_wait_time_s": "120", "RAY_worker_niceness": "0",
    }  # fmt: skip
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={**NODE, "include_dashboard": False})
    found, rates = [], []
    try:
        with tempfile.TemporaryDirectory() as folder:
            work = Path(folder)
            write(work, samples)
            for replicas in (1, 2):
                answers, rate = run(work, cluster.address, replicas, tokens)
                found.append(answers)
                rates.append(rate)
                print(
                    f"    {replicas} replica{'s' if replicas > 1 else ' '} of 1 CPU each: "
                    f"{rate:.2f} samples/s of {tokens} tokens "
                    f"({os.cpu_count()} processors, load average {os.getloadavg()[0]:.1f})"
                )
    finally:
        cluster.shutdown()
    is_equal = found[0] == found[1] and len(found[0]) == samples
    verdict = "ok " if is_equal else "BAD"
    print(f"{verdict} the {samples} answers are equal; two replicas are {rates[1] / rates[0]:.2f} x as fast")
    return 0 if is_equal else 1


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
