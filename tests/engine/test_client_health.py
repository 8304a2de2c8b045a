"""Loop lag, lateness and CPU are measured in every worker, and a stall weighs as much as it lasted."""

from __future__ import annotations

import asyncio
import json
import time
from itertools import pairwise
from pathlib import Path

from aisb_engine._load.client_health import ClientHealth

NAMES = {"t_ns", "lag_ms_p50", "lag_ms_p99", "lag_ms_max", "late_ms_max", "in_flight", "cpu_share"}


def lines(path: Path):
    return [json.loads(line) for line in path.read_text().splitlines()]


async def test_a_stall_of_the_loop_is_seen_in_all_its_length(tmp_path: Path) -> None:
    health = ClientHealth(tmp_path / "client_health-0.jsonl", time.perf_counter_ns, lambda: 3)
    await asyncio.sleep(0.03)
    time.sleep(0.4)  # noqa: ASYNC251 - the stall
    await asyncio.sleep(0.03)
    health.record_lateness(1_500_000)
    health.record_lateness(500_000)
    health.close()
    (line,) = lines(tmp_path / "client_health-0.jsonl")
    assert set(line) == NAMES
    assert line["lag_ms_max"] >= 380
    assert line["lag_ms_p50"] >= 100  # most beats of this stretch came during the stall
    assert line["late_ms_max"] == 1.5
    assert line["in_flight"] == 3


async def test_a_line_is_written_about_every_second_and_lateness_is_null_without_a_schedule(
    tmp_path: Path,
) -> None:
    health = ClientHealth(tmp_path / "client_health-7.jsonl", time.perf_counter_ns, lambda: 0)
    await asyncio.sleep(2.2)
    health.close()
    found = lines(tmp_path / "client_health-7.jsonl")
    assert len(found) >= 3
    assert all(later["t_ns"] - line["t_ns"] >= 1e9 for line, later in pairwise(found[:-1]))
    assert all(line["late_ms_max"] is None for line in found)
    assert found[0]["t_ns"] < found[1]["t_ns"] < found[2]["t_ns"]
