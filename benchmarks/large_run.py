"""How long a run of 200,000 samples takes to be resumed, and to be scored again, next to the limits.

    python benchmarks/large_run.py [SAMPLES]

A run of a few samples is asked of the mock service. Its log is then continued here, with answers of the
same form, up to a few that are left over. Resuming is measured up to the first new answer, scoring as a
whole, both through the command. CPU seconds are counted, so that a busy machine does not stretch them; memory
is the largest resident size of the process.
"""

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from aisb_engine._record.log import LogWriter, read_file

SAMPLES = 200_000
LEFT, ASKED = 200, 40
RESUME_S, SCORE_S, MEMORY_MB = 10.0, 120.0, 2_000.0
TASK = """
version = 1
summary = "Sums"
[dataset]
use = "jsonl"
path = "./rows.jsonl"
[prompt]
user = "{q}"
[sample]
target = "{a}"
[params]
max_tokens = 512
[[postprocess]]
use = "strip-reasoning"
[[postprocess]]
use = "number"
[[evaluate]]
use = "numeric-match"
"""
STORY = [
    "we",
    "write",
    "down",
    "what",
    "is",
    "given",
    "and",
    "add",
    "the",
    "parts",
    "one",
    "after",
    "another",
    "so",
    "that",
    "each",
    "can",
    "be",
    "checked",
]


def command(work: Path, *words: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "aisb_cli.main", *words],
        cwd=work,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def done(process: subprocess.Popen) -> None:
    said = process.communicate()[1]
    if process.returncode:
        sys.exit(f"{process.args} ended with {process.returncode}:\n{said}")


def make_run(work: Path, samples: int) -> Path:
    """Return the folder of a run in which all samples but the last ones are answered."""
    draw = random.Random(20261130)
    with (work / "rows.jsonl").open("w") as rows:
        for n in range(samples):
            story = " ".join(draw.choices(STORY, k=40))
            rows.write(json.dumps({"q": f"{story}: what is {n} + 1?", "a": str(n + 1)}) + "\n")
    (work / "sums.toml").write_text(TASK)
    flags = ("--models", "sim", "--datasets", "./sums.toml", "--num-prompts", str(ASKED), "--mode", "infer")
    done(command(work, "run", *flags))
    (folder,) = (work / "outputs/default").iterdir()
    (file,) = folder.glob("log/sim/sums/worker-0")
    answers = [record.prediction for record in read_file(file) if record is not None]
    with LogWriter(file) as log:
        for n in range(ASKED, samples - LEFT):
            right = n + 1 if draw.random() < 0.7 else n
            text = f"{' '.join(draw.choices(STORY, k=60))}. So the answer is {right}."
            log.append(replace(answers[n % ASKED], sample_id=str(n), text=text, failure=None), final=True)
    return folder


def cpu_seconds(pid: int) -> float:
    """Return the CPU seconds of a process until now."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resume(work: Path, folder: Path, samples: int) -> tuple[float, float]:
    """Resume the run; return CPU and wall seconds until the first new answer is logged."""
    (file,) = folder.glob("log/sim/sums/worker-0")
    before, began = file.stat().st_size, time.monotonic()
    process = command(work, "run", "--reuse", "--num-prompts", str(samples), "--mode", "infer")
    used = 0.0
    while process.poll() is None and file.stat().st_size <= before:
        used = cpu_seconds(process.pid)
        time.sleep(0.02)
    passed = time.monotonic() - began
    done(process)
    return used, passed


def score(work: Path) -> tuple[float, float, float]:
    """Score the run again; return CPU and wall seconds, and the megabytes that it took at most."""
    began = time.monotonic()
    process = command(work, "score", "latest")
    said = process.stderr.read() if process.stderr else ""
    _, status, used = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"scoring ended with {status}:\n{said}")
    return used.ru_utime + used.ru_stime, time.monotonic() - began, used.ru_maxrss / 1e3


def main(samples: int) -> int:
    share = samples / SAMPLES
    broken = 0

    def told(name: str, value: float, unit: str, limit: float, beside: str = "") -> None:
        nonlocal broken
        broken += value > limit
        verdict = f"{'OVER' if value > limit else 'within'} the limit of {limit:g} {unit}"
        print(f"  {name:22} {value:8.1f} {unit}   {verdict}{beside}", flush=True)

    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        folder = make_run(work, samples)
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        print(f"a run of {samples:,} samples, {size / 1e6:,.0f} MB", flush=True)
        used, passed = resume(work, folder, samples)
        told("resumed, CPU", used, "s", max(3.0, RESUME_S * share), f"; {passed:.1f} s passed")
        used, passed, memory = score(work)
        told("scored again, CPU", used, "s", max(5.0, SCORE_S * share), f"; {passed:.1f} s passed")
        told("scored again, memory", memory, "MB", max(300.0, MEMORY_MB * share))
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else SAMPLES))
