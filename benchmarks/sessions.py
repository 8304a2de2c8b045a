"""What a load of sessions costs the client, next to single turns of the same lengths, and its memory.

    python benchmarks/sessions.py [SESSIONS [TOKENS]]

2,000 sessions of 50 turns grow to contexts of 100,000 tokens each, in the form of a Mooncake trace with
session ids; a smaller number of sessions scales it down. A reply has 100 tokens, each a chunk; the 100,000
prompts have 35 GB in all. The server is `mockllm.c`, compiled with `gcc -O2`.
The single turns are ready texts of the same 50 lengths, read from a file, so that they cost nothing to
make; 5,000 are enough for a cost per chunk. CPU is that of the whole command, less that of the same
command with one session (one turn): what remains is the cost of sending, reading and measuring, per
chunk. Memory is the command's peak.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from client import kept, stolen
from load import Verdicts
from pressed import compiled, served

SESSIONS, TURNS = 2_000, 50
LONGEST = 100_000
BLOCK = 512
TOKENS = 100
MOST_SINGLE_TURNS = 5_000
IN_FLIGHT = 64
MOST_RATIO, MOST_GB = 1.5, 1.0


class Cost(NamedTuple):
    """The CPU seconds, the peak memory and the duration of a command."""

    cpu: float
    gigabytes: float
    seconds: float


def lengths():
    return [LONGEST * (turn + 1) // TURNS for turn in range(TURNS)]


def write_trace(path, sessions, tokens_out):
    """Write the trace: the prompt of a turn begins with that of the turn before it."""
    with path.open("w") as file:
        for session in range(sessions):
            for turn, tokens in enumerate(lengths()):
                first = session * (LONGEST // BLOCK + TURNS + 2)
                full, rest = divmod(tokens, BLOCK)
                ids = [*range(first, first + full), *([first + LONGEST // BLOCK + 1 + turn] if rest else [])]
                row = {"session_id": f"s{session}", "input_length": tokens, "output_length": tokens_out,
                       "delay": 0, "hash_ids": ids}  # fmt: skip
                file.write(json.dumps(row) + "\n")


def write_single_turns(path):
    """Write prompts of the same lengths."""
    with path.open("w") as file:
        for tokens in lengths():
            file.write(json.dumps({"question": "common " * tokens, "answer": ""}) + "\n")


def cost_of(folder, url, *words):
    """Run a performance run; return what it cost."""
    command = [
        sys.executable, "-m", "aisb_cli.main", "run", "--mode", "perf", "--models", "vllm_api_stream_chat",
        "--url", url, "--concurrency", str(IN_FLIGHT), "--num-warmups", "0", "--workers", "1",
        "-w", str(folder / "out"), *map(str, words),
    ]  # fmt: skip
    begun = time.monotonic()
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert process.stdout is not None
    output = process.stdout.read().decode()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, output
    return Cost(usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1e6, time.monotonic() - begun)


def measured(what, folder, url, words, count, chunks):
    """Run a load of `count` rows of `chunks` chunks each; return its CPU per chunk in us, and its memory."""
    start = cost_of(folder, url, *words, "--num-prompts", 1)
    whole = cost_of(folder, url, *words, "--num-prompts", count)
    us = (whole.cpu - start.cpu) / ((count - 1) * chunks) * 1e6
    spent = f"{whole.seconds:.0f} s; {whole.cpu:.1f} s of CPU, of these {start.cpu:.1f} s to begin"
    print(f"  {what:<13} {us:6.2f} us of CPU per chunk; {whole.gigabytes:.2f} GB; {spent}", flush=True)
    return us, whole.gigabytes


def main(sessions, tokens):
    limits, before = Verdicts(), stolen()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        program = compiled(folder)
        if program is None:
            print("gcc is not installed: nothing is measured")
            return 0
        trace, texts = folder / "trace.jsonl", folder / "texts.jsonl"
        write_trace(trace, sessions, tokens)
        write_single_turns(texts)
        replay = ("--datasets", "mooncake_sessions", "--set", f"task.dataset.path={trace}")
        single = ("--datasets", texts, "--max-out-len", tokens)
        requests, least = sessions * TURNS, min(sessions * TURNS, MOST_SINGLE_TURNS)
        print(f"{sessions:,} sessions of {TURNS} turns up to {LONGEST:,} tokens, {IN_FLIGHT} in flight: "
              f"{requests:,} requests,")  # fmt: skip
        print(f"{requests * tokens:,} chunks; next to {least:,} single turns", flush=True)
        with served(program, "--ttft-ms", "5", "--itl-ms", "1", "--tokens", str(tokens)) as url:
            sessions_us, peak = measured("sessions", folder, url, replay, sessions, TURNS * tokens)
            single_us, _ = measured("single turns", folder, url, single, least, tokens)
    limits.check("CPU per chunk of sessions, times single turns", sessions_us / single_us, MOST_RATIO, "x")
    limits.check("memory of sessions", peak, MOST_GB, "GB")
    if line := kept(before):
        print(line)
    return 1 if limits.broken else 0


if __name__ == "__main__":
    given = [int(word) for word in sys.argv[1:]]
    sys.exit(main(*given, *(SESSIONS, TOKENS)[len(given) :]))
