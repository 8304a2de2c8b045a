"""docs/performance.md explains every number and every signal that there is, under the names that are shown."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from forked import run_forked

from aisb_engine._performance import certificate, limits, objectives
from aisb_engine._performance.columns import CHUNK_KINDS
from aisb_engine._performance.dialects import DIALECTS
from aisb_mock import MockOptions, start_mock
from aisb_reporter_performance._tables import FURTHER_PARAMETERS, PARAMETERS

PAGE = (Path(__file__).parents[2] / "docs/performance.md").read_text("utf-8")
TABLES = [line for line in PAGE.splitlines() if line.startswith("|")]


def section(title: str) -> str:
    return PAGE.partition(f"## {title}\n")[2].partition("\n## ")[0]


@pytest.mark.parametrize("name", [*PARAMETERS, *FURTHER_PARAMETERS])
def test_every_row_of_the_table_has_a_formula(name: str) -> None:
    assert any(name in line.split("|")[1].replace(",", " ").split() for line in TABLES)


@pytest.mark.parametrize("name", get_args(certificate.SignalName))
def test_every_signal_of_the_certificate_is_explained(name: str) -> None:
    assert f"\n| {name} | " in section("The certificate")


def test_no_signal_is_explained_that_there_is_not() -> None:
    rows = [
        line.split("|")[1].strip()
        for line in section("The certificate").splitlines()
        if line.startswith("| ")
    ]
    assert sorted(rows) == sorted(["signal", *get_args(certificate.SignalName)])


def test_the_limits_are_those_of_the_code() -> None:
    text = " ".join(section("The certificate").split())
    lag, late, missed = limits.LAG_MS, limits.LATE_MS, limits.LOAD_TOLERANCE
    for words in (
        f"loop lag | over {lag[0]:g} ms", f"| over {lag[1]:g} ms", f"lateness | P99 over {late[0]:g} ms",
        f"| over {late[1]:g} ms", f"rate 5 % away from the requested one | {100 * missed[1]:g} %",
        f"over {100 * limits.CPU_SHARE:g} % of a core", f"more than {100 * limits.FAILED_SHARE:g} %",
        f"over {100 * limits.MAX_DIFFERING_SHARE:g} % of replies", f"over {100 * limits.CACHE_POINTS:g} points",
    ):  # fmt: skip
        assert words in text


@pytest.mark.parametrize("name", [*DIALECTS, *objectives.LATENCIES, *CHUNK_KINDS])
def test_dialects_objectives_and_kinds_of_chunk_are_named(name: str) -> None:
    assert f"`{name}`" in PAGE or f"| {name} |" in PAGE


def test_every_metric_and_every_column_of_the_files_is_named(tmp_path: Path) -> None:
    import csv
    import json
    import sys

    with start_mock(MockOptions(tokens=3)) as mock:
        words = ["--models", "vllm_api_stream_chat", "--datasets", "demo_gsm8k", "--num-prompts", "4"]
        command = [sys.executable, "-m", "aisb_cli.main", "run", "--mode", "perf", *words, "--url", mock.url]
        run_forked(command, cwd=tmp_path, check=True, capture_output=True, timeout=60)
    (folder,) = tmp_path.glob("outputs/default/*/performances/*")
    for name in json.loads((folder / "demo_gsm8k.json").read_text()):
        assert any(
            name in line.split("|")[1] for line in section("Common Metric").splitlines() if "|" in line
        )
    with (folder / "demo_gsm8k_requests.csv").open() as file:
        columns = next(csv.reader(file))
    for name in (*columns, *np.load(folder / "demo_gsm8k_details.npz").files):
        assert f"`{name}`" in section("Files")


def test_the_headline_of_the_page_is_that_of_the_reporter() -> None:
    golden = Path(__file__).parents[2] / "plugins/reporters/performance/tests/golden/headline.txt"
    assert golden.read_text("utf-8").rstrip() in section("The headline")
