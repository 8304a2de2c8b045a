"""Whole runs over TLS, IPv6, other paths, with keys, headers and adapters: what the service then sees."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from forked import run_forked

from aisb_testing._fixtures import Answering

MESSAGE = {"role": "assistant", "content": "The answer is 7."}
REPLY = {"choices": [{"index": 0, "message": MESSAGE, "finish_reason": "stop"}]}
CHAT = {"/v1/models": (200, {"data": [{"id": "m"}]}), "/v1/chat/completions": (200, REPLY)}
NAME = "vllm_api_general_chat"


def run(work: Path, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Ask two samples of the demo task."""
    known = {key: value for key, value in os.environ.items() if not key.startswith(("AISB_", "SSL_"))}
    return run_forked(
        [
            sys.executable,
            "-m",
            "aisb_cli.main",
            "run",
            "--datasets",
            "demo_gsm8k",
            "--num-prompts",
            "2",
            *words,
        ],
        cwd=work,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=known | env,
    )


def answered(work: Path) -> list[str]:
    """Return what was answered in the one run of a folder."""
    (file,) = work.glob("outputs/default/*/predictions/*/demo_gsm8k.jsonl")
    return [json.loads(line)["prediction"] for line in file.read_text().splitlines()]


@pytest.mark.parametrize("carrier", ["native", "httpx"])
@pytest.mark.parametrize("trust", ["ca_file", "verify"])
def test_a_certificate_of_ones_own_is_trusted_by_its_file_or_not_looked_at(
    tmp_path: Path,
    answering: Callable[..., Answering],
    certificate: Path,
    server_tls: Any,
    trust: str,
    carrier: str,
) -> None:
    service = answering(CHAT, tls=server_tls)
    value = str(certificate) if trust == "ca_file" else "false"
    ended = run(
        tmp_path, "--models", NAME, "--url", service.url, "--set", f"model.{trust}={value}",
        "--set", f"model.transport={carrier}",
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert answered(tmp_path) == ["The answer is 7."] * 2


def test_a_certificate_that_nobody_vouches_for_ends_the_run_with_what_to_set(
    tmp_path: Path, answering: Callable[..., Answering], server_tls: Any
) -> None:
    service = answering(CHAT, tls=server_tls)
    ended = run(tmp_path, "--models", NAME, "--url", service.url)
    assert ended.returncode == 3
    (line,) = [line for line in ended.stderr.splitlines() if line.startswith("error:")]
    assert service.place in line
    assert "certificate" in line
    assert line.endswith("name its authority with ca_file, or set verify = false")


def test_an_authority_that_did_not_sign_it_is_no_better_than_none(
    tmp_path: Path, answering: Callable[..., Answering], server_tls: Any
) -> None:
    other = tmp_path / "other.pem"
    subprocess.run(
        [
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30", "-subj", "/CN=other",
            "-keyout", str(tmp_path / "other.key"), "-out", str(other),
        ],
        check=True,
        capture_output=True,
    )  # fmt: skip
    service = answering(CHAT, tls=server_tls)
    ended = run(tmp_path, "--models", NAME, "--url", service.url, "--set", f"model.ca_file={other}")
    assert ended.returncode == 3
    assert "name its authority with ca_file, or set verify = false" in ended.stderr


def test_an_authority_that_is_no_file_is_told_by_its_path(
    tmp_path: Path, answering: Callable[..., Answering], server_tls: Any
) -> None:
    service = answering(CHAT, tls=server_tls)
    ended = run(tmp_path, "--models", NAME, "--url", service.url, "--set", "model.ca_file=lost.pem")
    assert ended.returncode == 2
    assert "ca_file" in ended.stderr
    assert "lost.pem" in ended.stderr


@pytest.mark.parametrize("carrier", ["native", "httpx"])
def test_an_ipv6_address_is_written_in_brackets(
    tmp_path: Path, answering: Callable[..., Answering], carrier: str
) -> None:
    service = answering(CHAT, host="::1")
    assert service.url.startswith("http://[::1]:")
    ended = run(tmp_path, "--models", NAME, "--url", service.url, "--set", f"model.transport={carrier}")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert answered(tmp_path) == ["The answer is 7."] * 2
    assert {headers["host"] for _, headers in service.asked} == {service.place}


def test_a_path_headers_and_a_key_of_ones_own_come_with_every_request(
    tmp_path: Path, answering: Callable[..., Answering]
) -> None:
    service = answering({"/gate/v1/models": (200, {"data": [{"id": "m"}]}), "/gate/ask": (200, REPLY)})
    ended = run(
        tmp_path, "--models", NAME, "--url", f"{service.url}/gate", "--api-key-env", "GATE_KEY",
        "--set", "model.path=/ask", "--set", "model.headers={X-Team = 'blue'}", GATE_KEY="sesame",
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout + ended.stderr
    paths = [path for path, _ in service.asked if path == "/gate/ask"]
    assert len(paths) == 2
    for _, headers in service.asked:
        assert (headers["authorization"], headers["x-team"]) == ("Bearer sesame", "blue")
    kept = [file.read_text() for file in tmp_path.rglob("outputs/**/*.json")]
    kept += [file.read_text() for file in tmp_path.rglob("outputs/**/*.toml")]
    assert all("sesame" not in text for text in kept)


def test_openai_is_sent_the_organisation_the_effort_and_its_own_name_for_lengths(
    tmp_path: Path, answering: Callable[..., Answering]
) -> None:
    service = answering(CHAT)
    ended = run(
        tmp_path, "--models", "openai", "--url", service.url, "--set", "model.stream=false",
        "--set", "model.headers={OpenAI-Organization = 'org-1'}", "--set", "params.reasoning_effort=low",
        OPENAI_API_KEY="sk-1",
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert {headers["openai-organization"] for _, headers in service.asked} == {"org-1"}
    assert {headers["authorization"] for _, headers in service.asked} == {"Bearer sk-1"}
    for body in service.bodies:
        assert (body["reasoning_effort"], body["max_completion_tokens"]) == ("low", 4096)
        assert "max_tokens" not in body


def test_a_sample_is_sent_to_its_adapter_and_another_map_is_another_run(
    tmp_path: Path, answering: Callable[..., Answering]
) -> None:
    service = answering(CHAT)
    words = ["--models", NAME, "--url", service.url, "--set", "model.lora_map=adapters.json"]
    file = tmp_path / "adapters.json"
    file.write_text('{"1": "sql", "5": "chat"}')
    ended = run(tmp_path, *words)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert sorted(body["model"] for body in service.bodies) == ["m", "sql"]
    file.write_text('{"5": "chat", "1": "sql"}')
    assert run(tmp_path, *words, "--reuse").returncode == 0
    file.write_text('{"1": "sql2", "5": "chat"}')
    other = run(tmp_path, *words, "--reuse")
    assert other.returncode == 2
    assert "model.lora_map_sha256: was " in other.stderr
