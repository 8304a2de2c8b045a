"""The FAQ of AISBench's documents: each question with the command that answers it."""

from __future__ import annotations

import json
import re
import socket
from pathlib import Path

import pytest

from aisb_mock import MockOptions, MockProcess, start_mock

CHAT = ("--models", "vllm_api_general_chat", "--datasets", "demo_gsm8k_gen_4_shot_cot_chat_prompt")
SPEED = ("--models", "vllm_api_stream_chat", "--datasets", "synthetic_gen_string", "--mode", "perf")


def only(pattern: str) -> Path:
    (path,) = Path().glob(f"outputs/default/{pattern}")
    return path


def test_2_1_which_files_are_behind_a_command(ais_bench, work: Path) -> None:
    ended = ais_bench(*CHAT, "--search")
    assert ended.out.count("│ --") == 2


def test_2_2_which_keys_there_are(aisb, work: Path) -> None:
    aisb("config", "init", "--models", "vllm_api_general_chat", "--datasets", "gsm8k")
    assert "# url = " in Path("aisb.toml").read_text()


def test_2_4_and_4_7_data_that_is_missing_is_said_with_every_place(ais_bench, work: Path) -> None:
    said = ais_bench("--models", "vllm_api_general_chat", "--datasets", "piqa_gen_0_shot_str", code=2).err
    assert "no data for piqa; none of these exists:" in said
    assert str(work / "datasets/piqa") in said
    assert not list(Path().glob("outputs/default/*"))


def test_3_1_an_error_of_the_server_is_kept(ais_bench, work: Path) -> None:
    with start_mock(MockOptions(faults=("status-500@3",), models=("tiny",))) as server:
        ais_bench(*CHAT, "--url", server.url, "--set", "load.retries=0", "--num-prompts", "5", code=1)
    (line,) = only("*/predictions/*/demo_gsm8k_failed.jsonl").read_text().splitlines()
    assert "500" in json.loads(line)["error_info"]
    assert len(json.loads(only("*/predictions/*/demo_gsm8k.json").read_bytes())) == 4


def test_3_2_a_service_that_is_not_there_is_said_before_anything_is_sent(ais_bench, work: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    assert "refused the connection" in ais_bench(*CHAT, "--url", url, code=3).err
    assert not list(Path().glob("outputs/default/*"))


def test_3_3_a_stream_that_ends_early_is_a_failure(ais_bench, work: Path) -> None:
    with start_mock(MockOptions(faults=("cut@2",), models=("tiny",))) as server:
        words = ("--models", "vllm_api_stream_chat", *CHAT[2:], "--url", server.url, "--num-prompts", "4")
        ais_bench(*words, "--set", "load.retries=0", code=1)
    (failed,) = only("*/predictions/*/demo_gsm8k_failed.jsonl").read_text().splitlines()
    number = str(json.loads(failed)["id"])
    predictions = json.loads(only("*/predictions/*/demo_gsm8k.json").read_bytes())
    assert number not in predictions  # what came before the cut is no answer
    assert len(predictions) == 3


def test_4_1_a_system_text(ais_bench, work: Path, service: MockProcess) -> None:
    words = ("--url", service.url, "--num-prompts", "1", "--set", "model.system=Be brief.")
    ais_bench(*CHAT, *words)
    first = json.loads(only("*/predictions/*/demo_gsm8k.json").read_bytes())["0"]["origin_prompt"]
    assert first[0] == {"role": "SYSTEM", "prompt": "Be brief."}


def test_4_2_the_answers_of_a_model(ais_bench, work: Path, service: MockProcess) -> None:
    ais_bench(
        "--models", "vllm_api_general", "--datasets", "gsm8k_gen", "--url", service.url, "--num-prompts", "2"
    )
    table = json.loads(only("*/predictions/vllm-api-general/gsm8k.json").read_bytes())
    assert {number: set(entry) for number, entry in table.items()} == {
        "0": {"origin_prompt", "prediction", "gold"},
        "1": {"origin_prompt", "prediction", "gold"},
    }
    assert isinstance(table["0"]["origin_prompt"], str)


def test_4_3_and_4_4_which_answers_are_right_and_why(
    ais_bench, aisb, work: Path, service: MockProcess
) -> None:
    ais_bench(*CHAT, "--url", service.url, "--dump-eval-details", "--dump-extract-rate")
    table = json.loads(only("*/results/vllm-api-general-chat/demo_gsm8k.json").read_bytes())
    assert list(table)[:2] == ["accuracy", "extract_rate"]
    assert list(table["details"])[:3] == ["0", "1", "2"]
    keys = {"prompt", "origin_prediction", "predictions", "references", "correct"}
    assert all(keys <= set(entry) for entry in table["details"].values())
    right = sum(entry["correct"] for entry in table["details"].values())
    assert table["accuracy"] == pytest.approx(100 * right / len(table["details"]))
    assert "demo_gsm8k" in aisb("audit", "latest").out


def test_4_3_later_with_the_answers_of_an_earlier_run(ais_bench, work: Path, service: MockProcess) -> None:
    ais_bench(*CHAT, "--url", service.url)
    file = only("*/results/vllm-api-general-chat/demo_gsm8k.json")
    assert "details" not in json.loads(file.read_bytes())
    ais_bench(*CHAT, "--mode", "eval", "--reuse", only("*").name, "--dump-eval-details")
    assert "details" in json.loads(file.read_bytes())


def test_5_1_and_5_6_speed_has_two_tables_and_charts(ais_bench, work: Path, service: MockProcess) -> None:
    ended = ais_bench(*SPEED, "--url", service.url)
    assert "Performance Results of task [vllm-api-stream-chat/synthetic]" in ended.out
    folder = only("*/performances/vllm-api-stream-chat")
    names = {path.name for path in folder.iterdir()}
    assert {"synthetic.csv", "synthetic.json", "synthetic_details.jsonl", "synthetic_plot.html"} <= names
    assert not re.search(rb"<script[^>]+src=.https?:", (folder / "synthetic_plot.html").read_bytes())  # 6.3


def test_5_2_the_steady_stage(ais_bench, work: Path, service: MockProcess) -> None:
    ais_bench(
        *SPEED,
        "--url",
        service.url,
        "--summarizer",
        "stable_stage",
        "--concurrency",
        "2",
        "--num-prompts",
        "10",
    )
    table = json.loads(only("*/performances/*/synthetic.json").read_bytes())
    assert set(table["Total Requests"]) <= {"stable", "total"}
    assert len(table["Total Requests"]) == 1


def test_5_3_pressure(ais_bench, work: Path, service: MockProcess) -> None:
    ais_bench(*SPEED, "--url", service.url, "--pressure", "--pressure-time", "1", "--concurrency", "2")
    table = json.loads(only("*/performances/*/synthetic.json").read_bytes())
    assert table["Total Requests"]["total"] > 10


def test_5_8_a_tokenizer_that_is_not_there(ais_bench, work: Path) -> None:
    Path("configs/models").mkdir(parents=True)
    Path("configs/models/mine.py").write_text(
        "from ais_bench.benchmark.models import VLLMCustomAPIChat\n"
        "models = [dict(attr='service', type=VLLMCustomAPIChat, abbr='mine', path='/no/such/tokenizer', stream=True)]\n",
        encoding="utf-8",
    )
    said = ais_bench("--models", "mine", *SPEED[2:], code=2).err
    assert "/no/such/tokenizer" in said


def test_6_1_log_lines_and_debug(ais_bench, aisb, work: Path, service: MockProcess) -> None:
    ais_bench(*CHAT, "--url", service.url, "--debug", "--num-prompts", "2")
    assert only("*/logs/infer/vllm-api-general-chat/demo_gsm8k.out").read_text()
    assert aisb("logs", "latest").out
