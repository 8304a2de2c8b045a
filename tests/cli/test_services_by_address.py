"""`aisb run --url URL` and `--models NAME=URL`: a service is found out from its address, and named by its model."""

from __future__ import annotations

import json
import re
import shlex
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from forked import run_forked

from aisb_engine import read_toml
from aisb_mock import MockOptions, MockProcess, start_mock
from aisb_testing._fixtures import Answering

TASK = ("--datasets", "demo_gsm8k", "--num-prompts", "2")
MODELS = {"data": [{"id": "org/Base-7B", "owned_by": "vllm"}]}
TEXT = {"choices": [{"text": "It is 7.", "finish_reason": "stop"}]}
NO_TEMPLATE = (400, {"message": "the model has no chat template"})


@pytest.fixture(scope="module")
def mock() -> Iterator[MockProcess]:
    with start_mock(MockOptions(models=("Qwen/Qwen3-8B",), accuracy=1)) as running:
        yield running


@pytest.fixture
def aisb(tmp_path: Path) -> Callable[..., tuple[int, str]]:
    """Return a function that runs `aisb` in an empty folder, and returns its exit code and what it prints."""

    def run(*words: str, module: str = "aisb_cli.main") -> tuple[int, str]:
        ended = run_forked(
            [sys.executable, "-m", module, *words], cwd=tmp_path, capture_output=True, text=True, timeout=120
        )
        return ended.returncode, ended.stdout + ended.stderr

    return run


def resolved(work: Path) -> dict[str, Any]:
    """Return the saved configuration of the only run."""
    (file,) = work.glob("outputs/default/*/configs/*.toml")
    return read_toml(file)


def columns(work: Path) -> list[str]:
    """Return the models of the only run, as its folders name them."""
    return sorted(path.name for path in work.glob("outputs/default/*/predictions/*"))


def test_an_address_alone_is_enough_and_the_served_model_names_the_column(aisb, mock, tmp_path) -> None:
    code, said = aisb("run", "--url", mock.url, *TASK)
    assert code == 0, said
    line = f"{mock.url} is aisb mock serve and serves Qwen/Qwen3-8B; using vllm_api_stream_chat"
    assert said.count("; using ") == 1
    assert line in said
    assert re.search(r"^demo_gsm8k +\w+ +accuracy +gen +100\.00$", said, re.MULTILINE)
    assert columns(tmp_path) == ["Qwen3-8B"]
    for pattern in ("results/Qwen3-8B/demo_gsm8k.json", "log/Qwen3-8B", "logs/infer/Qwen3-8B"):
        assert list(tmp_path.glob(f"outputs/default/*/{pattern}")), pattern
    (summary,) = tmp_path.glob("outputs/default/*/summary/*.csv")
    assert summary.read_text().startswith("dataset,version,metric,mode,Qwen3-8B,")


def test_a_run_on_an_address_is_resumed_as_printed_and_nothing_is_looked_up_again(aisb, tmp_path) -> None:
    options = MockOptions(models=("Qwen/Qwen3-8B",), faults=("status-500@2",))
    with start_mock(options) as service:
        code, said = aisb("run", "--url", service.url, *TASK, "--set", "load.retries=0")
        assert code == 1, said
        assert "1 failed" in said
        (again,) = re.findall(r"send them again: aisb (.*)", said)
        code, said = aisb(*shlex.split(again))
    assert code == 0, said
    assert "using" not in said
    (model,) = resolved(tmp_path)["models"].values()
    assert model["backend"] == "vllm-chat"
    assert model["options"] == {"url": service.url, "stream": True, "model": "Qwen/Qwen3-8B"}


def test_texts_and_likelihoods_go_to_the_completions_api(aisb, mock, tmp_path) -> None:
    tasks = ("demo_gsm8k", "demo_gsm8k:text", "demo_ppl")
    code, said = aisb("run", "--url", mock.url, "--datasets", *tasks, "--num-prompts", "2")
    assert code == 0, said
    assert "vllm_api_stream_chat, and vllm_api_general_stream for demo_gsm8k:text, demo_ppl" in said
    assert [(one["model"], one["task"]) for one in resolved(tmp_path)["subtasks"]] == [
        ("Qwen3-8B", "demo_gsm8k"), ("Qwen3-8B-completions", "demo_gsm8k-text"), ("Qwen3-8B-completions", "demo_ppl"),
    ]  # fmt: skip


def test_a_likelihood_task_alone_needs_no_second_column(aisb, mock, tmp_path) -> None:
    code, said = aisb("run", "--url", mock.url, "--datasets", "demo_ppl")
    assert code == 0, said
    assert "using vllm_api_general_stream\n" in said
    assert columns(tmp_path) == ["Qwen3-8B"]


def test_a_base_model_without_a_chat_template_is_asked_through_completions(
    aisb, answering: Callable[..., Answering], tmp_path
) -> None:
    pages = {"/v1/models": (200, MODELS), "/v1/chat/completions": NO_TEMPLATE, "/v1/completions": (200, TEXT)}
    service = answering(pages)
    code, said = aisb("run", "--url", service.url, *TASK, "--set", "model.stream=false")
    assert code == 0, said
    assert (
        f"{service.url} is vLLM and serves org/Base-7B; using vllm_api_general_stream, since its chat "
        "API refuses requests (400: the model has no chat template)"
    ) in said
    assert columns(tmp_path) == ["Base-7B"]


def test_a_service_that_refuses_both_apis_is_asked_through_chat_and_its_words_are_shown(
    aisb, answering: Callable[..., Answering]
) -> None:
    service = answering({"/v1/models": (200, MODELS), "/v1/chat/completions": NO_TEMPLATE})
    code, said = aisb("run", "--url", service.url, *TASK)
    assert code == 1
    assert "using vllm_api_stream_chat\n" in said
    assert "the model has no chat template" in said


def test_a_dry_run_asks_for_no_token_and_plans_the_same_models(
    aisb, answering: Callable[..., Answering]
) -> None:
    service = answering({"/v1/models": (200, MODELS)})
    code, said = aisb("run", "--url", service.url, *TASK, "--dry-run")
    assert code == 0, said
    assert re.search(r"^Base-7B +demo_gsm8k +2 ", said, re.MULTILINE)
    assert not service.bodies


def test_another_kind_of_service_is_asked_in_its_own_way(aisb, answering: Callable[..., Answering]) -> None:
    service = answering({"/info": (200, {"model_id": "org/Tiny", "version": "3.0"})})
    code, said = aisb("run", "--url", service.url, *TASK, "--dry-run", "--json")
    assert code == 0, said
    assert "is Text Generation Inference and serves org/Tiny; using tgi_stream_api_general" in said
    plan = json.loads(said[said.index("{") : said.rindex("}") + 1])
    assert plan["configuration"]["models"]["Tiny"]["backend"] == "tgi-stream"


def test_what_cannot_be_found_out_is_an_error_with_the_remedy(
    aisb, answering: Callable[..., Answering], mock
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        closed = f"127.0.0.1:{free.getsockname()[1]}"
    code, said = aisb("run", "--url", f"http://{closed}", *TASK)
    assert (code, f"error: {closed} refused the connection; is the service running" in said) == (3, True), (
        said
    )

    code, said = aisb("run", "--url", answering({}).url, *TASK)
    assert code == 3
    assert "it has none of the endpoints /v1/models, /info, /v2\n" in said
    assert "name the model file to use: --models NAME --url URL" in said

    code, said = aisb("--block", "backend-vllm", "run", "--url", mock.url, *TASK)
    assert code == 2
    assert f"{mock.url} needs the model file vllm_api_stream_chat, which is not installed" in said
    assert "plugin backend-vllm is blocked" in said

    code, said = aisb("run", "--url", mock.url)
    assert (code, "--datasets is not set" in said) == (2, True), said


def test_several_served_models_are_listed_and_one_is_chosen_by_its_name(aisb, tmp_path) -> None:
    with start_mock(MockOptions(models=("org/small", "org/large"))) as service:
        code, said = aisb("run", "--url", service.url, *TASK)
        assert code == 2
        assert "lists several models; choose one with --model-name: org/large, org/small" in said
        code, said = aisb("run", "--url", service.url, "--model-name", "org/large", *TASK)
    assert code == 0, said
    assert columns(tmp_path) == ["large"]


def test_services_side_by_side_are_named_by_the_user(aisb, mock, tmp_path) -> None:
    with start_mock(MockOptions(models=("new",), accuracy=0)) as other:
        code, said = aisb("run", "--models", f"old={mock.url}", f"new.2={other.url}", *TASK)
    assert code == 0, said
    assert f"old: {mock.url} is aisb mock serve and serves Qwen/Qwen3-8B; using" in said
    assert f"new.2: {other.url} is aisb mock serve and serves new; using" in said
    assert re.search(r"gen +100\.00 +0\.00$", said, re.MULTILINE)
    assert columns(tmp_path) == ["new.2", "old"]


def test_a_name_for_the_completions_api_does_not_replace_another_model(aisb, mock) -> None:
    models = (f"a={mock.url}", f"a-completions={mock.url}")
    code, said = aisb("run", "--models", *models, "--datasets", "demo_gsm8k", "demo_ppl", "--dry-run")
    assert (code, "a-completions is the name of two models" in said) == (2, True), said


def test_a_performance_run_on_an_address_is_shown_again_as_printed(aisb, mock, tmp_path) -> None:
    code, said = aisb("run", "--url", mock.url, *TASK, "--mode", "perf", "-w", "speed tests")
    assert code == 0, said
    assert "Qwen3-8B on demo_gsm8k" in said
    (again,) = re.findall(r"show the result again: aisb (.*)", said)
    code, said = aisb(*shlex.split(again))
    assert (code, "Qwen3-8B on demo_gsm8k" in said, "using" in said) == (0, True, False), said


def test_a_known_name_with_an_address_is_that_model_file(aisb, mock, tmp_path) -> None:
    code, said = aisb("run", "--models", f"vllm_api_general_chat={mock.url}", *TASK)
    assert code == 0, said
    assert "using" not in said
    assert columns(tmp_path) == ["vllm-api-general-chat"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--models", "a=http://h:1", "a=http://h:2"), "--models has the name a twice"),
        (
            ("--models", "a/b=http://h:1"),
            "'a/b' is not a valid model name: use letters, digits, '.', '_' and '-'",
        ),
        (("--models", "a="), "--models a= has no address: write a=http://HOST:PORT"),
        (("--models", "a=http://h:1", "--url", "http://h:2"), "--url and --models NAME=URL are both given"),
        (
            ("--models", "sim", "sim-text", "--name", "x"),
            "--name x is for one model without a name of its own, and --models has sim, sim-text",
        ),
        (("--models", "a=http://h:1", "--name", "x"), "--name x is for one model without a name of its own"),
        (("--models", "sim", "--name", "a b"), "'a b' is not a valid model name"),
        (("--models", "sim", "--name", "x", "--reuse"), "--name is for a new run"),
        (("--models", "a=http://h:1", "--reuse"), "--models NAME=URL is for a new run"),
    ],
)
def test_names_and_addresses_that_cannot_be_used_are_refused(aisb, words, expected) -> None:
    code, said = aisb("run", *words, "--datasets", "demo_gsm8k")
    assert (code, expected in said) == (2, True), said


def test_a_name_of_the_users_own_replaces_that_of_the_model(aisb, mock, tmp_path) -> None:
    assert aisb("run", "--url", mock.url, "--name", "baseline", *TASK)[0] == 0
    assert columns(tmp_path) == ["baseline"]
    assert aisb("run", "--models", "sim", "--name", "toy", "-w", "outputs/default", *TASK)[0] == 0
    assert columns(tmp_path) == ["baseline", "toy"]


def test_named_model_files_keep_their_names_and_ais_bench_always_does(aisb, mock, tmp_path) -> None:
    words = ("--models", "vllm_api_general_chat", "--url", mock.url, *TASK)
    assert aisb("run", *words)[0] == 0
    assert aisb(*words, module="aisb_compat_aisbench.main")[0] == 0
    assert set(columns(tmp_path)) == {"vllm-api-general-chat"}
    code, said = aisb(*words, "--name", "x", module="aisb_compat_aisbench.main")
    assert (code, "--name" in said) == (2, True)


def test_the_simulator_keeps_its_own_service(aisb, mock, tmp_path) -> None:
    code, said = aisb("run", "--models", "vllm_api_stream_chat", "sim", "--url", mock.url, *TASK)
    assert code == 0, said
    assert "sim starts its own service: --url does not redirect it" in said
    options = {name: model.get("options", {}) for name, model in resolved(tmp_path)["models"].items()}
    assert options["sim"] == {}
    assert options["vllm-api-stream-chat"]["url"] == mock.url
    code, said = aisb("run", "--models", "sim", "--url", mock.url, *TASK)
    assert code == 2
    assert f"--url {mock.url}: sim starts its own service, and no other model is named" in said


def test_the_answers_of_a_service_found_by_its_address_can_be_compared_under_load(
    aisb, mock, tmp_path
) -> None:
    code, said = aisb("run", "--url", mock.url, *TASK, "--under-load", "8")
    assert code == 0, said
    assert columns(tmp_path) == ["Qwen3-8B", "Qwen3-8B-at-8"]
    both = ("--datasets", "demo_gsm8k", "demo_ppl")
    code, said = aisb("run", "--url", mock.url, *both, "--under-load", "8")
    assert (code, "these tasks need two APIs of the service" in said) == (2, True), said


def test_a_service_that_is_not_there_yet_is_waited_for(aisb) -> None:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    ready: list[MockProcess] = []

    def start() -> None:
        time.sleep(1.5)
        ready.append(start_mock(MockOptions(port=port)))

    thread = threading.Thread(target=start)
    thread.start()
    try:
        code, said = aisb("run", "--url", f"http://127.0.0.1:{port}", "--wait", "60", *TASK)
    finally:
        thread.join()
        ready[0].stop()
    assert code == 0, said
    assert "waiting up to " in said


def test_a_key_is_sent_when_a_service_is_found_out(aisb, monkeypatch) -> None:
    monkeypatch.setenv("MY_KEY", "sesame")
    with start_mock(MockOptions(api_key="sesame")) as service:
        code, said = aisb("run", "--url", service.url, "--api-key-env", "MY_KEY", *TASK)
        assert code == 0, said
        assert "sesame" not in said
        code, said = aisb("run", "--url", service.url, *TASK)
    assert (code, "requires an API key (401" in said) == (3, True), said


def test_an_address_without_a_scheme_is_named_as_the_user_wrote_it(aisb) -> None:
    code, said = aisb("run", "--url", "127.0.0.1:8000", "--datasets", "demo_gsm8k")
    assert code == 2
    assert (
        "the address of the service: url = '127.0.0.1:8000' has no scheme; write http://127.0.0.1:8000"
        in said
    )
    assert "vllm_api_stream_chat" not in said
