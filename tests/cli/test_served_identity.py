"""The manifest and `runs show` have what a service says of its server, its weights and its chat template."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from forked import run_forked
from json_service import JsonHandler, serving

TEMPLATE = "{% for message in messages %}{{ message.content }}{% endfor %}"
KEY = "server-side-KEY-2718281828"


class _Service(JsonHandler):
    """A chat service with the pages that it is given; all others are not found."""

    def get(self) -> None:
        pages: dict[str, Any] = self.server.pages  # type: ignore[attr-defined]
        self.server.seen.append(self.path)  # type: ignore[attr-defined]
        page = pages.get(self.path)
        self.answer(404 if page is None else 200, page if page is not None else {"detail": "Not Found"})

    def post(self) -> None:
        self.read_body()
        message = {"role": "assistant", "content": "The answer is 3."}
        self.answer(200, {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]})


@pytest.fixture
def service() -> Iterator[Any]:
    with serving(_Service, seen=[]) as server:
        yield server


def run(service: Any, work: Path, *, url: str = "", model: str = "vllm_api_general_chat") -> dict[str, Any]:
    """Ask one question; return what the manifest has of the service, after `runs show` was seen to have it."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("AISB_", "OPENAI_"))}

    def aisb(*words: str) -> str:
        ended = run_forked(
            [sys.executable, "-m", "aisb_cli.main", *words],
            cwd=work, capture_output=True, text=True, check=False, timeout=60, env=environment,
        )  # fmt: skip
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    aisb(
        "run", "--models", model, "--datasets", "demo_gsm8k", "--num-prompts", "1", "--mode", "infer",
        "--url", url or service.url,
    )  # fmt: skip
    (manifest,) = work.glob("outputs/default/*/configs/manifest.json")
    assert KEY not in manifest.read_text()
    (table,) = json.loads(manifest.read_text())["models"].values()
    found: dict[str, Any] = table.get("identity", {})
    if found:
        (shown,) = [line for line in aisb("runs", "show").splitlines() if "was served by:" in line]
        for name, value in found.items():
            assert str(value)[:12] in shown, name
        (served,) = json.loads(aisb("runs", "show", "--json"))["served"].values()
        assert served == found
    return found


def models(owner: str, **more: Any) -> dict[str, Any]:
    return {"data": [{"id": "tiny", "object": "model", "owned_by": owner, **more}]}


PAGES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "vllm": (
        {"/v1/models": models("vllm", root="/weights/tiny", parent=None), "/version": {"version": "0.11.0"}},
        {"weights": "/weights/tiny", "server": "vllm", "server_version": "0.11.0"},
    ),
    "sglang": (
        {
            "/v1/models": models("sglang", root="org/tiny"),
            "/get_server_info": {
                "model_path": "org/tiny", "revision": "abc123", "api_key": KEY, "version": "0.5.2",
                "chat_template": "chatml", "tokenizer_path": "org/tiny", "dtype": "bfloat16",
            },
        },
        {
            "weights": "org/tiny", "server": "sglang", "server_version": "0.5.2", "revision": "abc123",
            "tokenizer": "org/tiny", "dtype": "bfloat16", "chat_template": "chatml",
        },
    ),
    "llama.cpp": (
        {
            "/v1/models": models("llamacpp"),
            "/props": {"chat_template": TEMPLATE, "build_info": "b6000-1a2b3c4d", "model_path": "tiny.gguf"},
        },
        {
            "server": "llama.cpp", "server_version": "b6000-1a2b3c4d", "weights": "tiny.gguf",
            "chat_template_sha256": hashlib.sha256(TEMPLATE.encode()).hexdigest(),
        },
    ),
    "of no known kind, by TGI's page": (
        {
            "/v1/models": models("org/tiny"),
            "/info": {"model_id": "org/tiny", "model_sha": "0123abcd", "version": "3.3.6", "sha": "beef"},
        },
        {
            "server": "tgi", "server_version": "3.3.6", "server_revision": "beef", "revision": "0123abcd",
            "weights": "org/tiny",
        },
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", PAGES)
def test_what_a_service_says_of_itself_is_kept_and_shown(service: Any, tmp_path: Path, kind: str) -> None:
    service.pages, wanted = PAGES[kind]
    assert run(service, tmp_path) == wanted


def test_the_pages_of_a_server_stand_above_an_address_that_ends_with_a_version(
    service: Any, tmp_path: Path
) -> None:
    service.pages, wanted = PAGES["vllm"]
    assert run(service, tmp_path, url=f"{service.url}/v1") == wanted


def test_a_service_that_says_nothing_or_nonsense_is_no_error(service: Any, tmp_path: Path) -> None:
    nonsense: list[Any] = [b"[" * 100_000, b"\xff\xfe", [1], "text", {"version": {"a": 1}, "model_id": 5}]
    for number, page in enumerate(nonsense):
        paths = ("/version", "/get_server_info", "/server_info", "/info", "/props")
        service.pages = {"/v1/models": models("someone"), **dict.fromkeys(paths, page)}
        (work := tmp_path / str(number)).mkdir()
        found = run(service, work)
        assert not {"server_version", "revision", "chat_template_sha256"} & found.keys()


def test_a_service_that_is_not_ones_own_is_not_asked_for_pages(service: Any, tmp_path: Path) -> None:
    service.pages = {"/v1/models": models("openai", created=1700000000)}
    assert run(service, tmp_path, model="openai-chat") == {"created": 1700000000}
    assert set(service.seen) == {"/v1/models"}
