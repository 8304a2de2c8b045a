"""`aisb run --models FOLDER`: the model in a folder of this machine, run as what its files say that it is."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from forked import run_forked

BASE = "a base model (its tokenizer has no chat template)"
TEMPLATE = {"chat_template": "{{ messages }}"}


@pytest.fixture
def aisb(tmp_path: Path) -> Callable[..., tuple[int, str, str]]:
    """Return a function that plans a run in a folder of its own: exit code, stdout, and stderr."""

    def run(*words: str, **environment: str) -> tuple[int, str, str]:
        command = [sys.executable, "-m", "aisb_cli.main", "run", *words]
        ended = run_forked(
            [*command, "--datasets", "demo_gsm8k", "--dry-run"],
            cwd=tmp_path,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        return ended.returncode, ended.stdout, ended.stderr

    return run


def model_folder(place: Path, config: object = None, **files: object) -> None:
    place.mkdir(parents=True)
    (place / "config.json").write_text(json.dumps(config or {"model_type": "llama"}), "utf-8")
    for name, content in files.items():
        (place / f"{name}.json").write_text(json.dumps(content), "utf-8")


@pytest.mark.parametrize(
    ("config", "files", "said"),
    [
        (None, {"tokenizer_config": TEMPLATE}, "a chat model; running it with hf_chat_model"),
        (None, {"chat_template": TEMPLATE}, "a chat model; running it with hf_chat_model"),
        (None, {"tokenizer_config": {}}, f"{BASE}; running it with hf_base_model"),
        (None, {}, f"{BASE}; running"),
        (
            {"vision_config": {}},
            {"tokenizer_config": TEMPLATE},
            "a vision-language model; running it with hf_qwenvl_model",
        ),
    ],
)
def test_the_files_of_a_folder_choose_the_model_file(aisb, tmp_path, config, files, said) -> None:
    model_folder(tmp_path / "models/Tiny-1B", config, **files)
    code, plan, notes = aisb("--models", "models/Tiny-1B")
    assert code == 0, notes
    assert f"models/Tiny-1B holds {said}" in notes
    assert "Tiny-1B" in plan
    assert str(Path("models/Tiny-1B")) in plan


def test_a_name_before_the_folder_names_the_column_and_other_models_stay(aisb, tmp_path) -> None:
    model_folder(tmp_path / "Tiny-1B", tokenizer_config=TEMPLATE)
    code, plan, notes = aisb("--models", "mine=./Tiny-1B", "sim")
    assert code == 0, notes
    assert "mine" in plan
    assert "sim" in plan


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ("models/none",),
            "--models models/none: there is no such folder; name the folder of a model on this",
        ),
        (("./empty",), "--models empty: it has no config.json, so it is not the folder of a model"),
        (("./Tiny", "Tiny=./empty"), "--models has the name Tiny twice: give each model a name of its own"),
    ],
)
def test_a_folder_that_holds_no_model_is_a_usage_error(aisb, tmp_path, words, message) -> None:
    model_folder(tmp_path / "Tiny", tokenizer_config=TEMPLATE)
    (tmp_path / "empty").mkdir()
    code, _, said = aisb("--models", *words)
    assert code == 2
    assert message in said


def test_a_missing_backend_is_named_with_how_to_have_it(aisb, tmp_path) -> None:
    model_folder(tmp_path / "Tiny", tokenizer_config=TEMPLATE)
    code, _, said = aisb("--models", "./Tiny", AISB_BLOCK="backend-hf")
    assert code == 2
    assert "hf_chat_model" in said
