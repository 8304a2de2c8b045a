"""Grouped tasks from the command: how many rows of which groups are asked, and what averages say of them."""

import json
import tomllib
from collections import Counter
from pathlib import Path

import pytest
from command_line import aisb_output as aisb

TASK = """
[models.small]
backend = "sim"

[tasks.sums]
summary = "Sums of several kinds"
dataset = { use = "jsonl", path = "sums.jsonl" }
prompt = { user = "{question}" }
postprocess = [{ use = "number" }]
evaluate = [{ use = "numeric-match" }]
sample = { target = "{answer}", group = "{kind}", areas = ["{area}"] }
"""
SIZES = {"add": 5, "double": 3, "halve": 1}
AREAS = {"add": "plus", "double": "times", "halve": "times"}


@pytest.fixture
def work(tmp_path: Path) -> Path:
    rows = [
        {"question": f"{kind} {n}?", "answer": n, "kind": kind, "area": AREAS[kind]}
        for kind, size in SIZES.items()
        for n in range(size)
    ]
    (tmp_path / "sums.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "aisb.toml").write_text(TASK)
    return tmp_path


def asked(work: Path, *words: str) -> list[str]:
    """Ask, and return the ids of what was asked in the latest run, in the order of its log."""
    aisb("run", "--models", "small", "--datasets", "sums", "--data-dir", ".", *words, cwd=work)
    return ids(work)


def ids(work: Path) -> list[str]:
    (log,) = latest(work).glob("log/small/sums")
    if (predictions := latest(work) / "predictions/small/sums.jsonl").exists():
        return [json.loads(line)["id"] for line in predictions.read_text().splitlines()]
    data = b"".join(path.read_bytes() for path in sorted(log.glob("worker-*")))
    parts = data.split(b'"sample_id":"')[1:] or data.split(b'"id":"')[1:]
    return [part.split(b'"')[0].decode() for part in parts]


def latest(work: Path) -> Path:
    return max((work / "outputs/default").iterdir())


def groups(found: list[str]) -> dict[str, int]:
    return dict(Counter(one.split("/")[0] for one in found))


def test_an_accuracy_run_asks_so_many_of_each_group(work: Path) -> None:
    assert groups(asked(work, "--num-prompts", "2")) == {"add": 2, "double": 2, "halve": 1}
    shown = json.loads(
        aisb("run", "--models", "small", "--datasets", "sums", "--data-dir", ".", "--num-prompts", "2",
             "--dry-run", "--json", cwd=work)
    )  # fmt: skip
    assert shown["subtasks"][0]["requests"] == 5


@pytest.mark.parametrize(
    ("count", "spread"),
    [
        (2, {"add": 1, "double": 1}),
        (3, {"add": 1, "double": 1, "halve": 1}),
        (6, {"add": 3, "double": 2, "halve": 1}),
        (9, SIZES),
    ],
)
def test_a_performance_run_asks_so_many_in_all_spread_over_groups(work: Path, count, spread) -> None:
    said = aisb(
        "run", "--models", "small", "--datasets", "sums", "--data-dir", ".", "--mode", "perf",
        "--num-prompts", str(count), "--num-warmups", "0", cwd=work,
    )  # fmt: skip
    assert f"{count}/{count} finished" in said
    (table,) = latest(work).glob("performances/small/sums_requests.csv")
    assert groups([line.split(",")[0] for line in table.read_text().splitlines()[1:]]) == spread


def test_a_drawn_order_is_the_same_again_and_a_larger_number_extends_it(work: Path) -> None:
    few = asked(work, "--num-prompts", "2", "--shuffle", "4")
    again = asked(work, "--num-prompts", "2", "--shuffle", "4")
    other = asked(work, "--num-prompts", "2", "--shuffle", "5")
    assert few == again
    assert set(few) != set(other)
    assert groups(few) == {"add": 2, "double": 2, "halve": 1}
    said = aisb("run", "--reuse", "--num-prompts", "3", "--data-dir", ".", cwd=work)
    assert "Found 5 finished of 7" in said
    assert set(other) < set(ids(work))


def test_a_run_that_was_made_before_keeps_its_own_selection(work: Path) -> None:
    asked(work, "--num-prompts", "3")
    (config,) = latest(work).glob("configs/2*.toml")
    assert tomllib.loads(config.read_text())["run"]["selection"] == "groups"
    old = config.read_text().replace('selection = "groups"\n', "")
    (work / "old.toml").write_text(old)
    aisb("run", "-c", "old.toml", "-w", "old", "--data-dir", ".", cwd=work)
    (predictions,) = work.glob("old/*/predictions/small/sums.jsonl")
    assert groups([json.loads(line)["id"] for line in predictions.read_text().splitlines()]) == {"add": 3}
    aisb("run", "--reuse", "--num-prompts", "4", "-w", "old", "--data-dir", ".", cwd=work)
    assert groups([json.loads(line)["id"] for line in predictions.read_text().splitlines()]) == {"add": 4}
    out = aisb("run", "-c", "old.toml", "--set", "run.selection=groups", "--data-dir", ".", cwd=work)
    assert "8/8 finished" not in out
    assert "7/7 finished" in out


def test_an_average_over_some_of_the_groups_says_so_everywhere(work: Path) -> None:
    out = aisb(
        "run", "--models", "small", "--datasets", "sums:kind=add+double", "--data-dir", ".", "--reporters",
        "text,markdown,csv,json,html", cwd=work,
    )  # fmt: skip
    assert "sums naive_average · small: n 8, 2 of 3 groups, 95 %" in out
    assert "sums weighted_average · small: n 8, 2 of 3 groups, 95 %" in out
    assert "sums-times naive_average · small: n 3, 1 of 2 groups, 95 %" in out
    assert "sums-plus naive_average · small: n 5, 95 %" in out
    assert "sums-add · small: n 5, 95 %" in out
    summary = {path.suffix: path.read_text() for path in (latest(work) / "summary").iterdir()}
    assert "sums naive_average · small: n 8, 2 of 3 groups" in summary[".md"]
    head, *rows = (line.split(",") for line in summary[".csv"].splitlines())
    assert {row[2]: row[head.index("small groups")] for row in rows if row[0] == "sums"} == {
        "naive_average": "2 of 3 groups",
        "weighted_average": "2 of 3 groups",
    }
    metrics = json.loads(summary[".json"])["results"][0]["metrics"]
    assert [one["groups"] for one in metrics if one["group"] is None] == [[2, 3]] * 3
    assert "(2 of 3 groups)" in aisb("runs", "show", "latest", cwd=work)
    aisb("report", "latest", "--reporters", "junit", "--set", "junit.least=1", cwd=work)
    (suites,) = latest(work).glob("summary/*.xml")
    assert " over 2 of 3 groups" in suites.read_text()
    merged = aisb("score", "latest", "--merge-ds", cwd=work)
    assert "sums · small: n 8, 2 of 3 groups, 95 %" in merged


def test_a_comparison_says_which_side_is_over_some_of_the_groups(work: Path) -> None:
    words = ("run", "--models", "small", "--data-dir", ".", "--datasets")
    aisb(*words, "sums", cwd=work)
    aisb(*words, "sums:kind=add+double", cwd=work)
    whole, some = sorted((work / "outputs/default").iterdir())
    said = aisb("compare", str(some), str(whole), cwd=work)
    assert "A: over 2 of 3 groups" in said
    assert "B: over" not in said


def test_an_average_over_all_groups_says_nothing_of_them(work: Path) -> None:
    out = aisb(
        "run", "--models", "small", "--datasets", "sums", "--data-dir", ".", "--num-prompts", "1", cwd=work
    )
    assert "sums naive_average · small: n 3, 95 %" in out
    assert " groups" not in out
    (table,) = latest(work).glob("summary/*.csv")
    assert "groups" not in table.read_text()


def test_thresholds_add_g_pass_and_cons_says_what_it_is(work: Path) -> None:
    words = ("--set", "params.num_return_sequences=4", "--set", "task.repeats.k=[2]")
    asked(work, *words)
    out = aisb("score", "latest", "--set", "task.repeats.thresholds=[0.5, 1.0]", cwd=work)
    assert "g-pass@2_0.5" in out
    assert "sums g-pass@2_1 · small: n 9" in out
    assert "sums cons@2 · small: n 9" in out
    line = next(line for line in out.splitlines() if line.startswith("sums cons@2 · "))
    assert line.endswith("more than half of k right")
    assert "g-pass" not in aisb("score", "latest", cwd=work)
    error = aisb("score", "latest", "--set", "task.repeats.thresholds=[1.5]", cwd=work, code=2)
    assert "repeats.thresholds" in error
