"""Endpoints of a vLLM server outside its API: the version, and the counters under `/metrics`."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace

from aisb import HttpBackend, ServiceError, ServiceInfo

COUNTER_NAMES = {
    "vllm:spec_decode_num_drafts": "drafts",
    "vllm:spec_decode_num_draft_tokens": "draft_tokens",
    "vllm:spec_decode_num_accepted_tokens": "accepted_tokens",
    "vllm:spec_decode_num_accepted_tokens_per_pos": "accepted_tokens_at_",
    "vllm:prefix_cache_queries": "prefix_cache_queries",
    "vllm:prefix_cache_hits": "prefix_cache_hits",
    "vllm:gpu_prefix_cache_queries": "prefix_cache_queries",  # in versions 0.6 to 0.8
    "vllm:gpu_prefix_cache_hits": "prefix_cache_hits",
    "vllm:num_requests_running": "running",
    "vllm:num_requests_waiting": "waiting",
    "sglang:num_running_reqs": "running",
    "sglang:num_queue_reqs": "waiting",
}
"""The servers' names of the counters that `Backend.counters` documents, without OpenMetrics' `_total`."""

IN_FLIGHT = frozenset(name for name, known in COUNTER_NAMES.items() if known in ("running", "waiting"))
"""The gauges: current values of a server."""

_SAMPLE = re.compile(r'[a-zA-Z_:][\w:]*(?P<labels>\{(?:[^"}]|"(?:[^"\\]|\\.)*")*\})?\s+(?P<value>\S+)')
_POSITION = re.compile(r'\bposition="(\d+)"')


async def with_version(service: HttpBackend, info: ServiceInfo) -> ServiceInfo:
    """Return a probe's result with the server's version prefixed; other servers have no `/version`."""
    try:
        answer = await service.fetch("/version")
        reported = json.loads(answer.body)["version"] if answer.status == 200 else None
    except (ServiceError, ValueError, LookupError, TypeError, RecursionError):
        reported = None
    if not isinstance(reported, str):
        return info
    return replace(info, detail=", ".join(filter(None, (f"version {reported}", info.detail))))


async def counters(service: HttpBackend) -> Mapping[str, float]:
    """Return the server's counters under its names and aisb's; empty if it has no `/metrics`."""
    try:
        answer = await service.fetch("/metrics")
    except ServiceError:
        return {}
    if answer.status != 200:
        return {}
    found = read_counters(answer.body.decode("utf-8", "replace"))
    return found | translated(found)


def translated(counters: Mapping[str, float]) -> dict[str, float]:
    """Return the server's counters that `Backend.counters` documents, under their names there."""
    found: dict[str, float] = {}
    for key, value in counters.items():
        name = COUNTER_NAMES.get(key.partition("{")[0].removesuffix("_total"))
        if name and name.endswith("_"):
            position = _POSITION.search(key)
            name = f"{name}{position[1]}" if position else None
        if name:
            found[name] = found.get(name, 0.0) + value
    return found


def read_counters(text: str) -> dict[str, float]:
    """Return the monotonic values of a Prometheus metrics text, and the running and waiting requests.

    Monotonic are counters, and the sums and counts of histograms. Each is summed over its labels, except the
    position in a draft, which becomes part of the name. Only the metrics of the inference engine are kept,
    whose names have a colon (`vllm:prompt_tokens_total`, `sglang:…`, `llamacpp:…`); others are about the
    process.
    https://prometheus.io/docs/instrumenting/exposition_formats/
    """
    kept: set[str] = set()
    sums: defaultdict[str, float] = defaultdict(float)
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            kept |= _kept(*line.removeprefix("# TYPE ").partition(" ")[::2])
            continue
        name = line.partition("{")[0].partition(" ")[0]
        if name in kept and (sample := _SAMPLE.match(line)):  # nine of ten lines are histogram buckets
            position = _POSITION.search(sample["labels"] or "")
            with suppress(ValueError):
                value = float(sample["value"])
                sums[f"{name}{{{position[0]}}}" if position else name] += value
    return dict(sums)


def _kept(name: str, kind: str) -> set[str]:
    """Return the sample names of one metric that are kept."""
    if ":" not in name:
        return set()
    if kind == "counter":
        return {name, f"{name}_total"}  # OpenMetrics omits `_total` in the TYPE line
    if kind in ("histogram", "summary"):
        return {f"{name}_sum", f"{name}_count"}
    return {name} if name in IN_FLIGHT else set()
