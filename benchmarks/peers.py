"""Other load generators than `aisb run`, on one server whose times are known, where they are installed.

    python benchmarks/peers.py [ROUNDS]

The server is `mockllm.c`: 50 ms to the first token, 10 ms for each of the 31 after it. Each tool sends
640 prompts of 128 words, 64 in flight, as its own command, in turn. Printed is what each tool reports,
next to what the server recorded of the same requests, and the CPU time of the command with all its
processes. Tools are looked for on PATH and in the folders that AISB_PEERS names (separated as in PATH);
the program names those that are not there. There are no limits: it prints what the others cost and report
on this machine.
"""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import httpx
from client import kept, stolen
from pressed import compiled, served

TTFT_MS, ITL_MS, TOKENS, WORDS, STREAMS, COUNT = 50, 10, 32, 128, 64, 640
AISB = Path(sys.executable).with_name("aisb")


class Report(NamedTuple):
    """What a tool reports, or what the server recorded: medians, and the rate of requests."""

    requests_per_second: float
    ttft_ms: float
    tpot_ms: float


class Peer(NamedTuple):
    """A tool: its program, its words for a load, and how to read what it reported into a folder."""

    program: str
    version: tuple[str, ...]
    words: Callable[[str, Path], list[str]]
    report: Callable[[Path], Report]


def aisb_words(url: str, folder: Path) -> list[str]:
    return [
        "run", "--mode", "perf", "--models", "vllm_api_stream_chat", "--url", url, "--model-name", "mock",
        "--datasets", "synthetic", "--input-len", str(WORDS), "--output-len", str(TOKENS),
        "--concurrency", str(STREAMS), "--num-prompts", str(COUNT), "--num-warmups", "0",
        "--work-dir", str(folder),
    ]  # fmt: skip


def aisb_report(folder: Path) -> Report:
    words = [AISB, "runs", "show", "latest", "--work-dir", folder, "--json"]
    (row,) = json.loads(subprocess.run(words, capture_output=True, check=True).stdout)["figures"]
    return Report(row["requests_per_second"], row["ttft_ms"]["p50"], row["tpot_ms"]["p50"])


def vllm_words(url: str, folder: Path) -> list[str]:
    return [
        "bench", "serve", "--backend", "openai-chat", "--base-url", url, "--endpoint", "/v1/chat/completions",
        "--model", "mock", "--tokenizer", str(folder / "tokenizer"), "--dataset-name", "custom",
        "--dataset-path", str(folder / "prompts.jsonl"), "--custom-output-len", str(TOKENS),
        "--custom-skip-chat-template", "--num-prompts", str(COUNT), "--max-concurrency", str(STREAMS),
        "--save-result", "--result-dir", str(folder), "--result-filename", "vllm.json",
    ]  # fmt: skip


def vllm_report(folder: Path) -> Report:
    table = json.loads((folder / "vllm.json").read_text())
    return Report(table["request_throughput"], table["median_ttft_ms"], table["median_tpot_ms"])


def guidellm_words(url: str, folder: Path) -> list[str]:
    return [
        "run", "--backend", f"kind=openai_http,target={url},model=mock,request_format=/v1/chat/completions",
        "--profile", f"kind=concurrent,streams={STREAMS}",
        "--constraint", f"kind=max_requests,count={COUNT}",
        "--tokenizer", f"kind=huggingface_auto,model={folder / 'tokenizer'}",
        "--data", f"kind=json_file,path={folder / 'prompts.jsonl'}",
        "--output", f"kind=json,path={folder / 'guidellm.json'}", "--disable-console",
    ]  # fmt: skip


def guidellm_report(folder: Path) -> Report:
    metrics = json.loads((folder / "guidellm.json").read_text())["benchmarks"][0]["metrics"]
    return Report(
        metrics["requests_per_second"]["successful"]["mean"],
        metrics["time_to_first_token_ms"]["successful"]["median"],
        metrics["inter_token_latency_ms"]["successful"][
            "median"
        ],  # its "time per output token" has the first
    )


PEERS = {
    "aisb run": Peer(str(AISB), ("--version",), aisb_words, aisb_report),
    "vllm bench serve": Peer("vllm", ("--version",), vllm_words, vllm_report),
    "guidellm run": Peer("guidellm", ("--version",), guidellm_words, guidellm_report),
}


def found(program: str) -> str | None:
    """Return the path of a program; None where it is not installed."""
    path = os.pathsep.join(filter(None, (os.environ.get("AISB_PEERS"), os.environ.get("PATH"))))
    return shutil.which(program, path=path)


def make_inputs(folder: Path) -> None:
    """Write the prompts, and a tokenizer in which each of their words is one token."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = [f"word{number}" for number in range(500)]
    vocabulary = {word: number for number, word in enumerate(["[UNK]", *words])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="[UNK]")
    fast.save_pretrained(folder / "tokenizer")
    with (folder / "prompts.jsonl").open("w") as file:
        for number in range(COUNT):
            prompt = " ".join(words[(number * 7 + at) % len(words)] for at in range(WORDS))
            file.write(json.dumps({"prompt": prompt}) + "\n")


def truth(url: str) -> Report:
    """Return what the server recorded: from a whole request to its first token, and between tokens."""
    text = httpx.get(f"{url}/trace", trust_env=False, timeout=60).text
    rows: list[dict[str, Any]] = list(csv.DictReader(text.splitlines()))
    rows = [row for row in rows if int(row["tokens"]) == TOKENS][-COUNT:]
    begun, ended = min(int(row["recv_ns"]) for row in rows), max(int(row["last_ns"]) for row in rows)
    return Report(
        len(rows) / (ended - begun) * 1e9,
        statistics.median((int(row["first_ns"]) - int(row["recv_ns"])) / 1e6 for row in rows),
        statistics.median((int(row["last_ns"]) - int(row["first_ns"])) / 1e6 / (TOKENS - 1) for row in rows),
    )


def cpu_of(words: list[str]) -> float:
    """Run a command to its end; return the seconds of CPU of it and the processes that it waited for."""
    environment = os.environ | {"HF_HUB_OFFLINE": "1"}
    with tempfile.TemporaryFile("w+") as printed:
        process = subprocess.Popen(words, stdout=printed, stderr=printed, env=environment)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            printed.seek(0)
            sys.exit(f"{words[0]} ended with {process.returncode}:\n{printed.read()[-2000:]}")
    return usage.ru_utime + usage.ru_stime


def version_of(peer: Peer, program: str) -> str:
    text = subprocess.run([program, *peer.version], capture_output=True, text=True, check=False)
    number = re.search(r"\d+\.\d+\S*", text.stdout + text.stderr)
    return number[0] if number else "unknown version"


def measure(server: Path, peer: Peer, program: str) -> tuple[float, Report, Report]:
    """Return the CPU seconds of a tool's run, what it reported, and what the server recorded."""
    timing = ("--ttft-ms", str(TTFT_MS), "--itl-ms", str(ITL_MS), "--tokens", str(TOKENS))
    with tempfile.TemporaryDirectory() as name, served(server, *timing) as url:
        folder = Path(name)
        if peer.program != str(AISB):
            make_inputs(folder)
        seconds = cpu_of([program, *peer.words(url, folder)])
        return seconds, peer.report(folder), truth(url)


def main(rounds: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        server = compiled(folder)
        if server is None:
            print("not compared: there is no gcc for the server")
            return
        before = stolen()
        print(f"{COUNT} requests, {STREAMS} in flight, {rounds} rounds; in brackets what the server recorded")
        print(f"{'':28}{'CPU s':>7}  {'requests/s':>16}  {'TTFT ms':>16}  {'TPOT ms':>16}")
        installed = {name: program for name, peer in PEERS.items() if (program := found(peer.program))}
        results: dict[str, list[tuple[float, Report, Report]]] = {name: [] for name in installed}
        for number in range(rounds):
            for name in installed if number % 2 == 0 else reversed(installed):
                results[name].append(measure(server, PEERS[name], installed[name]))
        for name, rows in results.items():
            title = f"{name} {version_of(PEERS[name], installed[name])}"
            cells = [
                f"{statistics.median(said[at] for _, said, _ in rows):7.2f} "
                f"({statistics.median(known[at] for _, _, known in rows):6.2f})"
                for at in range(3)
            ]
            seconds = statistics.median(row[0] for row in rows)
            print(f"{title:28}{seconds:7.2f}  " + "  ".join(f"{cell:>16}" for cell in cells))
        for name in PEERS.keys() - installed.keys():
            print(f"{name}: not installed")
        print(kept(before) or "", end="")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1)
