"""The dialect `vllm` and the rules that vllm bench publishes say the same of the same streams.

The rules are written here from vllm/benchmarks (lib/endpoint_request_func.py and serve.py), over
the bytes of each reply: nothing of aisb reads them here.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from minimal import DONE, Chat, event
from played import Played

from aisb._types import Request
from aisb_engine._http.assembly import ask
from aisb_engine._performance.performance import measure
from aisb_engine._record.log import LogWriter
from aisb_engine._record.runfolder import RunFolder

MS = 1_000_000
PERCENTILES = (50, 75, 90, 95, 99)


def stream(rng: np.random.Generator, number: int) -> list[tuple[float, bytes]]:
    """Return the stamped events of a reply, in ms from its sending; services differ in what they send."""
    at = float(rng.uniform(20, 200))
    pieces = []
    if rng.random() < 0.6:  # a chunk with the role, long before the first token
        pieces.append((at, event("", role="assistant")))
        at += float(rng.uniform(0, 150))
    count = int(rng.integers(1, 30))
    reasons = int(rng.integers(0, count)) if rng.random() < 0.3 else 0
    for place in range(count):
        several = "a b c " if rng.random() < 0.2 else "t "
        pieces.append((at, event(reasoning_content=several) if place < reasons else event(several)))
        at += float(rng.choice([0, 10, 20, 80]))
        if rng.random() < 0.1:
            pieces.append((at, b": ping\n\n"))
    if rng.random() < 0.8:
        at += 5
        pieces.append((at, event(finish="stop")))
    if rng.random() < 0.8:  # the counts come in an event of their own, at times late
        at += float(rng.choice([0, 1, 200]))
        pieces.append((at, event(choices=False, usage=(40 + number, int(rng.integers(1, 3 * count))))))
    return [*pieces, (at + 1, DONE)]


def vllm_request(pieces: list[tuple[float, bytes]]) -> dict[str, Any]:
    """Return what vllm bench keeps of one reply: seconds, gaps, and the tokens that the service counted."""
    first = latest = None
    gaps: list[float] = []
    tokens = 0
    for at, data in pieces:
        for message in data.decode().split("\n\n"):
            text = message.strip()
            if not text or text.startswith(":") or text == "data: [DONE]":
                continue
            body = json.loads(text.removeprefix("data: "))
            if body.get("choices"):
                if first is None:
                    first = at
                else:
                    gaps.append(at - latest)
                latest = at
            elif usage := body.get("usage"):
                tokens = usage["completion_tokens"]
    return {"ttft": first, "latency": latest, "itl": gaps, "tokens": tokens or 1}


def vllm_metrics(replies: list[dict[str, Any]]) -> dict[str, list[float]]:
    """Return the values that vllm bench averages, in ms."""
    return {
        "TTFT": [one["ttft"] for one in replies],
        "E2EL": [one["latency"] for one in replies],
        "TPOT": [
            (one["latency"] - one["ttft"]) / (one["tokens"] - 1) for one in replies if one["tokens"] > 1
        ],
        "ITL": [gap for one in replies for gap in one["itl"]],
        "OutputTokens": [one["tokens"] for one in replies],
    }


@pytest.mark.parametrize("seed", range(6))
async def test_the_dialect_says_what_vllm_bench_says_of_the_same_streams(seed, tmp_path):
    rng = np.random.default_rng(seed)
    folder = RunFolder(tmp_path)
    replies = []
    with LogWriter(folder.log("m", "t") / "worker-0") as log:
        for number in range(60):
            pieces = stream(rng, number)
            replies.append(vllm_request(pieces))
            sent = 1000 * MS * number
            carrier = Played(
                [(sent + round(at * MS), data) for at, data in pieces], sent_ns=sent, headers_ns=sent + 1
            )
            request = Request(str(number), text="6 x 7?", params={"max_tokens": 99})
            log.append(await ask(Chat(), carrier, request), final=True)
    found = measure(folder, "m", "t", percentiles=PERCENTILES).dialect("vllm").parameters
    for name, values in vllm_metrics(replies).items():
        spread = found[name]
        assert spread.n == len(values), name
        told = [spread.average, spread.median, *(spread.percentiles[percent] for percent in PERCENTILES)]
        wanted = [np.mean(values), np.median(values), *np.percentile(values, PERCENTILES)]
        assert told == pytest.approx(wanted, abs=2e-6), name
