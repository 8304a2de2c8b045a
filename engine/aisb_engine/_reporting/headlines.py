"""Read the headline of a performance run, a few numbers, from the files of its folder rather than its log."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson

from aisb_engine._record.old_keys import update_keys
from aisb_engine._record.runfolder import RunFolder

HEADLINE_TIMES = ("TTFT", "TPOT", "ITL", "E2EL")
HEADLINE_PERCENTILES = ("95", "99")


def read_headline(folder: RunFolder, model: str, task: str) -> dict[str, Any] | None:
    """Return the headline of a subtask as plain values; None if no reporter has written it yet.

    Times are milliseconds at p50, p95 and p99, rates are per second, None is unknown. They are those of the
    stable stage if there is one, else of all requests, as `stage` tells. `text` are the printed lines; empty
    for runs of versions without a headline.
    """
    base = folder.performances(model, task)
    details = base.with_name(f"{base.name}_details.json")
    with suppress(OSError, ValueError, LookupError, TypeError, AttributeError):
        return {
            **_numbers(update_keys(details, orjson.loads(details.read_bytes()))),
            "text": _lines(base.with_name(f"{base.name}_headline.txt")),
        }
    return None


def _numbers(details: Mapping[str, Any]) -> dict[str, Any]:
    stages, requested, achieved = details["stages"], details["requested"], details["achieved"]
    stage = "stable" if "stable" in stages else "total"
    total, rates, times = stages["total"]["common"], stages[stage]["common"], stages[stage]["parameters"]
    duration = total["duration_ms"]
    return {
        "certificate": details["certificate"]["verdict"],
        "reasons": [signal["reason"] for signal in details["certificate"]["signals"]],
        "stage": stage,
        "requests": total["requests"],
        "failed": total["failed"],
        "seconds": None if duration is None else duration / 1000,
        **{f"{name.lower()}_ms": _percentiles(times[name]) for name in HEADLINE_TIMES},
        "requests_per_second": rates["request_rate"],
        "input_tokens_per_second": rates["input_rate"],
        "output_tokens_per_second": rates["output_rate"],
        "total_tokens_per_second": rates["total_rate"],
        "goodput": details.get("goodput"),
        "requested": {
            "requests_per_second": requested.get("request_rate"),
            "in_flight": requested.get("concurrency"),
            "arrival": requested.get("arrival"),
            "ramp_up": requested.get("ramp_up"),
            "use_timestamp": bool(requested.get("use_timestamp")),
            "pressure_seconds": requested.get("pressure_time"),
            "duration_seconds": requested.get("duration"),
        },
        "achieved": {
            "requests_per_second": achieved["rate"],
            "in_flight": achieved["concurrency"],
            "peak": achieved["peak"],
        },
    }


def _percentiles(distribution: Mapping[str, Any] | None) -> dict[str, float | None]:
    known = distribution or {"median": None, "percentiles": {}}
    return {"p50": known["median"]} | {
        f"p{percent}": known["percentiles"].get(percent) for percent in HEADLINE_PERCENTILES
    }


def _lines(file: Path) -> list[str]:
    with suppress(OSError, UnicodeDecodeError):
        return file.read_text("utf-8").splitlines()
    return []
