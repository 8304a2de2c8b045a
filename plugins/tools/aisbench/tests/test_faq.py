"""The FAQ of AISBench's documents: each question with the command that answers it."""

from __future__ import annotations

import json
import re
import socket
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from aisb_mock import MockOptions, MockProcess, start_mock

CHAT = ("--models", "vllm_api_general_chat", "--datasets", "demo_gsm8k_gen_4_shot_cot_chat_prompt")
SPEED = ("--models", "vllm_api_stream_chat", "--datasets", "synthetic_gen_string", "--mode", "perf")


class OneReply(ThreadingHTTPServer):
    """A service that says the same to everything, as one event of a stream."""

    def __init__(self, text: str) -> None:
        super().__init__(("127.0.0.1", 0), OneEvent)
        event = {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": "stop"}]}
        self.body = f"data: {json.dumps(event)}\n\ndata: [DONE]\n\n".encode()

    def __enter__(self) -> str:  # type: ignore[override]
        Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()
        return f"http://127.0.0.1:{self.server_address[1]}"

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()


class OneEvent(BaseHTTPRequestHandler):
    server: OneReply

    def do_GET(self) -> None:
        self._answer("application/json", b'{"object": "list", "data": [{"id": "m", "object": "model"}]}')

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self._answer("text/event-stream", self.server.body)

    def _answer(self, kind: str, body: bytes) -> None:
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Print nothing."""


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


def test_1_1_doctor_names_the_torch_that_local_models_use(aisb) -> None:
    shown = aisb("doctor")
    assert re.search(r"^torch$", shown.out, re.MULTILINE)


def test_1_2_a_package_that_is_blocked_is_named_and_not_to_be_installed_again(ais_bench, work: Path) -> None:
    words = ("--models", "vllm_api_general_chat", "--datasets", "math500_gen_0_shot_cot_chat_prompt")
    said = ais_bench("--block", "evaluator-math", *words, code=2).err
    assert "plugin evaluator-math is blocked" in said
    assert "pip install" not in said


def test_2_3_code_that_comes_with_a_local_model_is_run_where_one_says_so(ais_bench, work: Path) -> None:
    words = ("--models", "hf_chat_model", *CHAT[2:], "--set", "model.path=/models/own")
    allowed = ais_bench(*words, "--set", "model.trust_remote_code=true", "--dry-run").out
    assert "trust_remote_code = true" in allowed
    assert "trust_remote_code = true" not in ais_bench(*words, "--dry-run").out


def test_3_4_a_chunk_of_any_size_is_read(ais_bench, work: Path) -> None:
    words = "long " * 30_000
    with OneReply(f"{words}#### 8") as url:
        ais_bench("--models", "vllm_api_stream_chat", *CHAT[2:], "--url", url, "--num-prompts", "1")
    (entry,) = json.loads(only("*/predictions/*/demo_gsm8k.json").read_bytes()).values()
    assert entry["prediction"] == f"{words}#### 8"
    assert len(entry["prediction"]) > 65_536


def test_4_5_the_naive_average_is_over_subsets_and_the_weighted_one_over_questions(
    ais_bench, work: Path, service: MockProcess
) -> None:
    law = Path("datasets/ceval/formal_ceval/val/law_val.csv")
    law.write_text("".join(law.read_text("utf-8").splitlines(keepends=True)[:2]), encoding="utf-8")
    ended = ais_bench("--models", "vllm_api_general", "--datasets", "ceval_gen", "--url", service.url)
    rows = {(row[0], row[2]): float(row[4]) for line in ended.out.splitlines()[2:6] if (row := line.split())}
    law_score, accountant = rows["ceval-law", "accuracy"], rows["ceval-accountant", "accuracy"]
    assert rows["ceval", "naive_average"] == pytest.approx((law_score + accountant) / 2, abs=0.01)
    assert rows["ceval", "weighted_average"] == pytest.approx((law_score + 4 * accountant) / 5, abs=0.01)


def test_4_6_what_is_asked_and_whether_the_data_is_what_was_published_is_shown(aisb, work: Path) -> None:
    assert "What is 1 + 1?" in aisb("tasks", "show", "gsm8k_gen_4_shot_cot_str", "--sample", "1").out
    assert "12 rows, but 1,319 were published" in aisb("data", "check", "gsm8k", code=4).out


def test_5_4_token_ids_are_as_many_as_asked_on_a_completions_endpoint(
    ais_bench, work: Path, service: MockProcess
) -> None:
    words = ("--models", "vllm_api_general_stream", "--datasets", "synthetic_gen_tokenid", "--mode", "perf")
    ais_bench(*words, "--url", service.url, "--set", "task.dataset.vocabulary=1000", "--num-prompts", "3")
    details = [json.loads(line) for line in only("*/performances/*/synthetic_details.jsonl").open()]
    assert [one["input_tokens"] for one in details] == [10, 10, 10]


def test_5_5_replies_are_as_long_as_asked_with_ignore_eos(
    ais_bench, work: Path, service: MockProcess
) -> None:
    words = (*SPEED, "--url", service.url, "--num-prompts", "3", "--max-out-len", "40")
    ais_bench(*words, "--set", "params.ignore_eos=true")
    details = [json.loads(line) for line in only("*/performances/*/synthetic_details.jsonl").open()]
    assert [one["output_tokens"] for one in details] == [40, 40, 40]


def test_5_7_and_5_9_the_numbers_of_another_tool_are_printed_on_demand(
    ais_bench, work: Path, service: MockProcess
) -> None:
    ended = ais_bench(*SPEED, "--url", service.url, "--reporters", "performance", "--dialect", "vllm")
    assert "vllm: first and last chunk with choices" in ended.out


@pytest.mark.parametrize(
    ("model", "backend"),
    [
        ("vllm_api_general_stream", "vllm-completions"),
        ("vllm_api_stream_chat", "vllm-chat"),
        ("tgi_stream_api_general", "tgi-stream"),
        ("triton_stream_api_general", "triton-stream"),
    ],
)
def test_5_9_the_endpoints_of_vllm_bench_have_their_models(
    ais_bench, work: Path, model: str, backend: str
) -> None:
    shown = ais_bench("--models", model, *SPEED[2:], "--dry-run").out
    assert re.search(rf'^backend = "{backend.removesuffix("-stream")}', shown, re.MULTILINE)
    assert "stream = true" in shown or f'backend = "{backend}"' in shown


def test_5_10_and_5_11_requests_are_sent_on_time_and_no_more_at_once_than_allowed(
    ais_bench, aisb, work: Path, service: MockProcess
) -> None:
    words = (
        *SPEED,
        "--url",
        service.url,
        "--request-rate",
        "50",
        "--concurrency",
        "2",
        "--num-prompts",
        "20",
    )
    ais_bench(*words, "--summarizer", "stable_stage")
    table = json.loads(only("*/performances/*/synthetic.json").read_bytes())
    assert all(value <= 2 for value in table["Max Concurrency"].values())
    shown = aisb("report", "latest", "--reporters", "performance").out
    assert re.search(
        r"achieved: +[\d.]+ requests/s sent, [\d.]+ in flight on average, [12] at the peak", shown
    )


def test_6_2_a_task_that_fails_names_its_log_which_says_why(ais_bench, work: Path) -> None:
    with start_mock(MockOptions(faults=("status-500:1",), models=("tiny",))) as server:
        words = ("--url", server.url, "--set", "load.retries=0", "--num-prompts", "2")
        said = ais_bench(*CHAT, *words, code=1).err
    path = only("*/logs/infer/vllm-api-general-chat/demo_gsm8k.out")
    assert str(path) in said
    assert "HTTP 500" in path.read_text()
