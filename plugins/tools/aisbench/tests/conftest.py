"""The command `ais_bench` in this process, a folder with small data sets, and a service."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from aisb_cli.main import main as aisb_main
from aisb_compat_aisbench.main import main
from aisb_mock import MockOptions, MockProcess, start_mock


class Ended(NamedTuple):
    code: int
    out: str
    err: str


Run = Callable[..., Ended]


@pytest.fixture(scope="session")
def service() -> Iterator[MockProcess]:
    with start_mock(MockOptions(accuracy=0.75, models=("tiny",))) as server:
        yield server


def rows(path: Path, found: list[dict[str, object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in found), encoding="utf-8")


def twice(number: int) -> dict[str, object]:
    return {
        "question": f"What is {number} + {number}?",
        "answer": f"It is twice {number}.\n#### {2 * number}",
    }


EXAMPLES = "".join(json.dumps(twice(number)) + "\n" for number in range(7473))
"""As many rows as the train split of GSM8K has: its examples are named by their place."""


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, with ./datasets as a user has them."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AISB_DATA", raising=False)
    rows(tmp_path / "datasets/gsm8k/test.jsonl", [twice(n) for n in range(1, 13)])
    (tmp_path / "datasets/gsm8k/train.jsonl").write_text(EXAMPLES, encoding="utf-8")
    rows(
        tmp_path / "datasets/aime2024/aime2024.jsonl",
        [{"problem": f"Compute {n} times {n}.", "answer": str(n * n)} for n in range(3, 9)],
    )
    rows(
        tmp_path / "datasets/math/test.jsonl",
        [
            {"problem": f"Compute {n} - 1.", "answer": str(n - 1), "solution": f"\\\\boxed{{{n - 1}}}"}
            for n in range(3, 9)
        ],
    )
    for split, count in (("val", 4), ("dev", 5)):
        for subject in ("law", "accountant"):
            path = tmp_path / f"datasets/ceval/formal_ceval/{split}/{subject}_{split}.csv"
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("w", encoding="utf-8", newline="") as file:
                writer = csv.writer(file)
                writer.writerow(["id", "question", "A", "B", "C", "D", "answer", "explanation"])
                writer.writerows(
                    [n, f"{subject} {n}?", "甲", "乙", "丙", "丁", "ABCD"[n % 4], ""] for n in range(count)
                )
    return tmp_path


@pytest.fixture
def ais_bench(capsys: pytest.CaptureFixture[str]) -> Run:
    """Return what runs a command line of `ais_bench`."""
    return _runner(main, capsys)


@pytest.fixture
def aisb(capsys: pytest.CaptureFixture[str]) -> Run:
    """Return what runs a command line of `aisb`."""
    return _runner(aisb_main, capsys)


def _runner(command: Callable[[list[str]], object], capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*words: str, code: int = 0) -> Ended:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            command([*words])
        out, err = capsys.readouterr()
        assert ended.value.code == code, f"{' '.join(words)} ended with {ended.value.code}\n{out}\n{err}"
        return Ended(code, out, err)

    return run
