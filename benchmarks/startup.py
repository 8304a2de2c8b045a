"""How long the `aisb` command takes to start, in units of a Python that does nothing.

    python benchmarks/startup.py [ROUNDS]

The commands run in turn, round after round, so that a busy machine slows all of them; medians are compared.
"""

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

AISB = Path(sys.executable).with_name("aisb")
NOTHING = [sys.executable, "-c", "pass"]
LIMITS = {("--help",): 8, ("plugins", "list"): 20}
KEPT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
"""The environment in which compiled modules are kept, as they are of what pip installs."""


def seconds(command: list[str]) -> float:
    began = time.perf_counter()
    ended = subprocess.run(command, check=False, capture_output=True, text=True, env=KEPT)
    passed = time.perf_counter() - began
    if ended.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{ended.stdout}{ended.stderr}")
    return passed


def main(rounds: int) -> int:
    commands = {(): NOTHING} | {words: [str(AISB), *words] for words in LIMITS}
    for command in commands.values():  # the first run of each compiles modules
        seconds(command)
    times = {words: [] for words in commands}
    for _ in range(rounds):
        for words, command in commands.items():
            times[words].append(seconds(command))
    medians = {words: statistics.median(passed) for words, passed in times.items()}
    nothing = medians.pop(())
    print(f"python -c pass     {1000 * nothing:6.1f} ms   (medians of {rounds} rounds)")
    broken = 0
    for words, median in medians.items():
        ratio, limit = median / nothing, LIMITS[words]
        broken += ratio > limit
        verdict = f"{'OVER' if ratio > limit else 'within'} the limit of {limit} x"
        print(f"aisb {' '.join(words):13} {1000 * median:6.1f} ms   {ratio:4.1f} x   {verdict}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 15))
