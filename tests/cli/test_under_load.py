"""`aisb run --under-load`: two subtasks of the same samples, compared, and what is refused."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from forked import run_forked

from aisb_mock import MockOptions, start_mock

pytest.importorskip("scipy")


def aisb(*words: str, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    ended = run_forked(
        [sys.executable, "-m", "aisb_cli.main", "run", "--datasets", "demo_gsm8k", *words],
        cwd=cwd, capture_output=True, text=True, check=False, timeout=240, env={**os.environ, **env},
    )  # fmt: skip
    assert "Traceback" not in ended.stderr, ended.stderr
    return ended


def test_a_service_that_corrupts_its_answers_under_load_is_found(tmp_path: Path) -> None:
    options = MockOptions(accuracy=1, ttft_ms=100, corrupt_share=1, corrupt_above=8, models=("served",))
    with start_mock(options) as mock:
        (tmp_path / "aisb.toml").write_text(
            f'[models.mine]\nbackend = "vllm-chat"\nabbr = "own"\noptions = {{ url = "{mock.url}" }}\n'
        )
        ended = aisb("--models", "mine", "--concurrency", "8", "--under-load", "32", cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert "\nunder load: demo_gsm8k · own\n  accuracy 100.0 at 8 in flight, " in ended.stdout
    assert "at 32: a difference (p < 0.001)" in ended.stdout
    assert " samples got worse, 0 got better" in ended.stdout
    (run,) = (tmp_path / "outputs" / "default").iterdir()
    (file,) = (run / "configs").glob("*.toml")
    subtasks = tomllib.loads(file.read_text())["subtasks"]
    assert [(one["model"], one["load"]["concurrency"]) for one in subtasks] == [("own", 8), ("own-at-32", 32)]


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("--under-load", "4"), "--under-load 4 must be more than the 4 requests in flight of --concurrency"),
        (("--under-load", "64", "--mode", "perf"), "and --mode perf is not one"),
        (("--under-load", "64", "--reuse"), "is for a new run"),
        (("--under-load", "64", "--request-rate", "5"), "omit --request-rate"),
        (("--under-load", "64", "--set", "load.concurrency=8"), "write --concurrency, not --set"),
    ],
)
def test_a_load_that_cannot_be_compared_is_refused(
    tmp_path: Path, words: tuple[str, ...], error: str
) -> None:
    ended = aisb("--models", "sim", *words, cwd=tmp_path)
    assert ended.returncode == 2
    assert error in " ".join(ended.stderr.split())


def test_without_scipy_it_is_refused_before_anything_is_asked(tmp_path: Path) -> None:
    (tmp_path / "lacking" / "scipy").mkdir(parents=True)
    (tmp_path / "lacking" / "scipy" / "__init__.py").write_text('raise ImportError("no scipy here")')
    ended = aisb("--models", "sim", "--under-load", "64", cwd=tmp_path, PYTHONPATH=str(tmp_path / "lacking"))
    assert ended.returncode == 2
    assert "needs scipy, which cannot be imported: no scipy here" in ended.stderr
    assert not (tmp_path / "outputs").exists()
