"""Keys that other tools have for a model: refused with what to write, or with why they mean nothing here."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from aisb import ConfigError
from aisb_cli.main import cli


def plan(*sets: str) -> str:
    words = ["run", "--models", "vllm_api_general_chat", "--datasets", "demo_gsm8k", "--dry-run"]
    for one in sets:
        words += ["--set", one]
    ended = CliRunner().invoke(cli, words, catch_exceptions=False)
    assert ended.exit_code == 0
    return ended.stdout


@pytest.mark.parametrize(
    ("key", "value", "place"),
    [
        ("retry", "2", "load = { retries = N }"),
        ("host_ip", "localhost", 'url = "http://HOST:PORT"'),
        ("request_rate", "3", "load = { request_rate = R }"),
        ("traffic_cfg", "{burstiness = 0.5}", "ramp_up"),
        ("attr", "service", "omit it"),
        ("pred_postprocessor", "x", "reasoning is never graded"),
    ],
)
def test_a_key_that_stands_elsewhere_is_refused_with_its_place(key: str, value: str, place: str) -> None:
    with pytest.raises(ConfigError, match=f"options.{key}: there is no such option") as caught:
        plan(f"model.{key}={value}")
    assert place in str(caught.value)


def test_the_empty_key_of_a_template_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("aisb.toml").write_text('[models.vllm_api_general_chat]\napi_key = ""\n', encoding="utf-8")
    assert "demo_gsm8k" in plan()
    Path("aisb.toml").write_text('[models.vllm_api_general_chat]\napi_key = "sk-1"\n', encoding="utf-8")
    with pytest.raises(ConfigError, match="an API key does not belong in a configuration"):
        plan()


def test_a_tokenizer_s_folder_is_no_path_of_an_endpoint(tmp_path: Path) -> None:
    assert "demo_gsm8k" in plan(f"model.path={tmp_path}")  # any other folder may have the endpoint's name
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({}))
    with pytest.raises(ConfigError, match="is a model's folder, but path is that of the service's endpoint"):
        plan(f"model.path={tmp_path}")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("mine.py",), "mine.py is a config file in Python: ais_bench mine.py runs it"),
        (("-c", "mine.py"), "aisb config import mine.py converts it to an aisb.toml"),
        (("--config-dir", "mine"), "ais_bench --config-dir mine reads config files"),
    ],
)
def test_config_files_in_python_are_not_passed_over(words: tuple[str, ...], said: str) -> None:
    ended = CliRunner().invoke(
        cli, ["run", *words, "--models", "sim", "--datasets", "demo_gsm8k", "--dry-run"]
    )
    assert ended.exit_code == 2
    assert said in ended.output


def test_a_map_of_adapters_is_not_sent_as_a_parameter() -> None:
    with pytest.raises(ConfigError, match="no adapter used; write lora_map = FILE under"):
        plan("params.lora_data_map_file=lora.json")
