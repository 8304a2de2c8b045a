"""`aisb compare SWEEP SWEEP`: each point of two sweeps with repeats is compared, and judged by a gate."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from command_line import aisb

from aisb_mock import MockOptions, start_mock

pytest.importorskip("scipy")

GRID = ("--grid", "load.concurrency=1,2")
SHORT = ("--input-len", "16", "--output-len", "4", "--num-prompts", "6", "--num-warmups", "0")


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sweeps `fast` and `slow`: two loads with three repeats each."""
    folder = tmp_path_factory.mktemp("sweeps")
    for name, ttft in (("fast", 40.0), ("slow", 240.0)):
        with start_mock(MockOptions(ttft_ms=ttft, tpot_ms=1)) as mock:
            words = ("--repeats", "3", "--url", mock.url, *SHORT, "--reporters", "csv", "-w", name)
            ended = aisb("sweep", *GRID, *words, cwd=folder)
        assert ended.returncode == 0, ended.stderr
        (made,) = (folder / name).iterdir()
        made.rename(folder / f"{name}-sweep")
    return folder


def test_each_point_is_compared_and_judged(work: Path) -> None:
    words = ("--baseline", "fast-sweep", "slow-sweep", "--max-slowdown", "20", "--junit", "x.xml")
    ended = aisb("compare", *words, cwd=work)
    assert ended.returncode == 4, ended.stderr
    assert ended.stdout.splitlines()[:2] == [
        "A: fast-sweep (6 runs of 2 points)", "B: slow-sweep (6 runs of 2 points)",
    ]  # fmt: skip
    assert "synthetic, concurrency 1 TTFT (median): FAIL: slowdown of " in ended.stderr
    names = [case.get("name") or "" for case in ET.parse(work / "x.xml").getroot()[0]]
    assert {name.partition(" TTFT")[0] for name in names if "TTFT" in name} == {
        "synthetic, concurrency 1", "synthetic, concurrency 2",
    }  # fmt: skip


def test_a_plan_from_sweeps_is_refused_with_what_to_do(work: Path) -> None:
    for words in (("fast-sweep", "slow-sweep"), ("fast-sweep",)):
        ended = aisb("compare", "--plan", *words, cwd=work)
        assert ended.returncode == 2
        said = " ".join(ended.stderr.split())
        assert "fast-sweep is a sweep, whose runs have no scores: --plan says how many samples" in said
        assert "add repeats to the sweep: aisb sweep --reuse fast-sweep --repeats N" in said


def test_p_values_are_corrected_over_all_points(work: Path) -> None:
    ended = aisb("compare", "fast-sweep", "slow-sweep", "--json", cwd=work)
    found = json.loads(ended.stdout)["comparisons"]
    assert {one["point"] for one in found} == {"concurrency 1", "concurrency 2"}
    assert all(len(one["a"]) == len(one["b"]) == 3 for one in found if one["name"] == "TTFT (median)")
    tested = [
        one for one in found if one["p"] is not None
    ]  # a busy machine may read all chunks at once: no TPOT
    assert {one["point"] for one in tested} == {"concurrency 1", "concurrency 2"}
    smallest = min(tested, key=lambda one: one["p"])
    assert smallest["p_corrected"] == pytest.approx(min(1.0, len(tested) * smallest["p"]))


def test_a_point_that_b_lacks_is_missing_and_a_sweep_is_compared_with_a_sweep(work: Path) -> None:
    half = work / "half-sweep"
    shutil.copytree(work / "fast-sweep", half)
    table = json.loads((half / "sweep.json").read_text())
    table["points"] = [one for one in table["points"] if one["settings"]["load.concurrency"] == "1"]
    (half / "sweep.json").write_text(json.dumps(table))
    ended = aisb("compare", "fast-sweep", "half-sweep", "--max-slowdown", "20", cwd=work)
    assert ended.returncode == 4
    assert "synthetic, concurrency 2 of mock is in A only" in ended.stdout
    assert "synthetic, concurrency 2 speed: MISSING: B lacks it" in ended.stderr
    run = table["points"][0]["run"]
    other = aisb("compare", "fast-sweep", f"half-sweep/runs/{run}", cwd=work)
    assert other.returncode == 2
    assert f"fast-sweep is a sweep and half-sweep/runs/{run} is not: compare a sweep with a" in other.stderr


def test_a_gate_on_two_repeats_names_the_point_and_the_option(work: Path) -> None:
    two = work / "two-sweep"
    shutil.copytree(work / "slow-sweep", two)
    table = json.loads((two / "sweep.json").read_text())
    table["points"] = [one for one in table["points"] if one["repeat"] < 3]
    (two / "sweep.json").write_text(json.dumps(table))
    ended = aisb("compare", "fast-sweep", "two-sweep", "--max-slowdown", "20", cwd=work)
    assert ended.returncode == 2
    assert (
        "needs at least 3 performance runs of concurrency 1 on each side, aisb sweep --repeats 3"
        in ended.stderr
    )
    assert "A has 3, B has 2" in ended.stderr
    table["points"] = []
    (two / "sweep.json").write_text(json.dumps(table))
    empty = aisb("compare", "fast-sweep", "two-sweep", cwd=work)
    assert "no point is in both sweeps: A has concurrency 1; concurrency 2; B has none" in empty.stderr
