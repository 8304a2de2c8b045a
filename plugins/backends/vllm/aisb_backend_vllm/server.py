"""What a vLLM server says beside its API: its version, and the counters under `/metrics`."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace

from aisb import HttpBackend, ServiceError, ServiceInfo

_SAMPLE = re.compile(r'(?P<name>[a-zA-Z_:][\w:]*)(?:\{(?:[^"}]|"(?:[^"\\]|\\.)*")*\})?\s+(?P<value>\S+)')


async def with_version(service: HttpBackend, info: ServiceInfo) -> ServiceInfo:
    """Return what a probe found with the server's version before it; other servers have no `/version`."""
    try:
        answer = await service.fetch("/version")
        said = json.loads(answer.body)["version"] if answer.status == 200 else None
    except (ServiceError, ValueError, LookupError, TypeError):
        said = None
    if not isinstance(said, str):
        return info
    return replace(info, detail=", ".join(filter(None, (f"version {said}", info.detail))))


async def counters(service: HttpBackend) -> Mapping[str, float]:
    """Return the server's counters by the names that it gives them; none where it has no `/metrics`."""
    try:
        answer = await service.fetch("/metrics")
    except ServiceError:
        return {}
    return read_counters(answer.body.decode("utf-8", "replace")) if answer.status == 200 else {}


def read_counters(text: str) -> dict[str, float]:
    """Return what only ever grows in a text of Prometheus metrics, each name summed over its labels.

    These are counters, and the sums and counts of histograms. Only the engine's own are kept, which have a
    colon in their names (`vllm:prompt_tokens_total`, `sglang:…`, `llamacpp:…`); the rest is about the
    process. https://prometheus.io/docs/instrumenting/exposition_formats/
    """
    growing: set[str] = set()
    sums: defaultdict[str, float] = defaultdict(float)
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            name, _, kind = line.removeprefix("# TYPE ").partition(" ")
            if kind == "counter":
                # OpenMetrics leaves `_total` out of the name in this line.
                growing |= {name, f"{name}_total"}
            elif kind in ("histogram", "summary"):
                growing |= {f"{name}_sum", f"{name}_count"}
        elif (sample := _SAMPLE.match(line)) and ":" in (name := sample["name"]) and name in growing:
            with suppress(ValueError):
                value = float(sample["value"])
                sums[name] += value
    return dict(sums)
