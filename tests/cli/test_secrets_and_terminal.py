"""Keys stay out of files and off the terminal, and nothing that a service or a foreign file says is obeyed."""

from __future__ import annotations

import csv
import json
import os
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from forked import run_forked
from json_service import JsonHandler, serving

from aisb_mock import MockOptions, start_mock

KEY = "marker/KEY-31415926"
CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
HOSTILE = "\x1b]0;TITLE\x07\x1b[2J\x1b[31mRED\x9b31m \u202egnirts\u2066"


class Ended(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def said(self) -> str:
        return self.out + self.err


def aisb(*words: str, cwd: Path, **env: str) -> Ended:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("AISB_", "OPENAI_"))}
    ended = run_forked(
        [sys.executable, "-m", "aisb_cli.main", *words],
        cwd=cwd, capture_output=True, check=False, timeout=120, env={**kept, "COLUMNS": "80", **env},
    )  # fmt: skip
    return Ended(ended.returncode, ended.stdout.decode(), ended.stderr.decode())


class _Echoing(JsonHandler):
    """Refuses every request with what it was sent, or as its server says."""

    def get(self) -> None:
        self.answer(200, {"data": [{"id": "tiny"}]})

    def post(self) -> None:
        self.read_body()
        sent = " ".join(f"{name}: {value}" for name, value in self.headers.items())
        self.answer(self.server.status, self.server.reply(sent))  # type: ignore[attr-defined]


@pytest.fixture
def service() -> Iterator[Any]:
    def reply(sent: str) -> dict[str, Any]:
        return {"error": {"message": f"cannot serve {sent}"}}

    with serving(_Echoing, status=400, reply=reply) as server:
        yield server


def asked(service: Any, *more: str, url: str | None = None) -> list[str]:
    return [
        "run", "--models", "vllm_api_general_chat", "--datasets", "demo_gsm8k", "--num-prompts", "3",
        "--set", "load.retries=1", "--set", "load.backoff=0", "--url", url or service.url, *more,
    ]  # fmt: skip


def files_with(folder: Path, secret: str) -> list[str]:
    found = [path for path in folder.rglob("*") if path.is_file() and secret.encode() in path.read_bytes()]
    return [str(path.relative_to(folder)) for path in found]


@pytest.mark.parametrize("mode", ["all", "perf"])
@pytest.mark.parametrize(
    "given",
    [
        ("--api-key-env", "MY_KEY"),
        ("--set", f"model.headers.Authorization=Bearer {KEY}"),
        ("--set", f'model.headers={{X-Auth="{KEY}", X-Team="team-seven"}}'),
        ("--set", 'model.headers_env={X-Custom="MY_KEY"}'),
    ],
)
def test_a_key_that_a_service_echoes_is_masked_everywhere(
    service: Any, tmp_path: Path, mode: str, given: tuple[str, str]
) -> None:
    flags = ("--mode", mode, "--debug", "--reporters", "junit") if mode == "all" else ("--mode", mode)
    ended = aisb(*asked(service, *flags, *given), cwd=tmp_path, MY_KEY=KEY)
    assert ended.code == 1, ended.said
    assert "cannot serve" in ended.said
    assert "***" in ended.said
    assert KEY not in ended.said
    assert files_with(tmp_path, KEY) == []
    assert files_with(tmp_path, "cannot serve")


def test_a_key_in_the_url_is_masked_wherever_the_url_goes(service: Any, tmp_path: Path) -> None:
    address = service.url.removeprefix("http://")
    url = f"http://me:{KEY.replace('/', '%2F')}@{address}/base?api_key={KEY}&api-version=2024-02-01"
    ended = aisb(*asked(service, url=url), cwd=tmp_path)
    assert ended.code in (1, 3), ended.said
    doctor = aisb("doctor", "--url", url, cwd=tmp_path)
    for text in (ended.said, doctor.said):
        assert "KEY-31415926" not in text
    assert f"service http://***@{address}/base?api_key=***&api-version=2024-02-01" in doctor.out
    assert files_with(tmp_path, "KEY-31415926") == []


@pytest.mark.parametrize(
    ("url", "words"),
    [
        (f"http://me:{KEY}@127.0.0.1:99999", "the port must be a number from 1 to 65535"),
        (f"ftp://me:{KEY}@127.0.0.1:21", "is ftp, not HTTP"),
        (f"me:{KEY}@127.0.0.1:8000", "has no scheme"),
    ],
)
def test_an_error_about_a_url_does_not_show_its_password(tmp_path: Path, url: str, words: str) -> None:
    for command in (
        ("run", "--models", "vllm_api_general_chat", "--datasets", "demo_gsm8k", "--url", url),
        ("doctor", "--url", url),
    ):
        ended = aisb(*command, cwd=tmp_path)
        assert words in " ".join(ended.said.split())
        assert "KEY-31415926" not in ended.said


def test_headers_are_kept_where_they_are_listed_as_plain(service: Any, tmp_path: Path) -> None:
    headers = 'model.headers={X-Team="team-seven", X-Other="other-eight"}'
    aisb(*asked(service, "--set", headers, "--set", 'model.plain_headers=["x-team"]'), cwd=tmp_path)
    (config,) = tmp_path.glob("outputs/default/*/configs/2*.toml")
    assert 'X-Team = "team-seven"' in config.read_text()
    assert 'X-Other = "***"' in config.read_text()
    assert files_with(tmp_path, "other-eight") == []
    again = aisb("run", "--reuse", cwd=tmp_path)
    assert again.code == 2
    assert "headers.X-Other: this was a secret" in again.err


def test_the_printed_command_quotes_the_names_of_models_and_headers_that_have_dots(tmp_path: Path) -> None:
    with start_mock(MockOptions(faults=("status-400@2",), accuracy=1.0)) as server:
        (tmp_path / "models.toml").write_text(
            f'[models."tiny-2.5"]\nbackend = "vllm-chat"\nurl = "{server.url}"\n'
            f'[models.other]\nbackend = "vllm-chat"\nurl = "{server.url}"\n'
        )
        first = aisb(
            "run", "--config", "models.toml", "--models", "tiny-2.5,other", "--datasets", "demo_gsm8k",
            "--num-prompts", "3", "--concurrency", "1", "--set", "load.retries=0",
            "--set", 'models."tiny-2.5".headers={"X.Api"="hidden-word", "X-Key"="another-word"}',
            cwd=tmp_path, COLUMNS="300",
        )  # fmt: skip
        assert first.code == 1, first.said
        printed = first.err.partition("send them again: ")[2].splitlines()[0]
        assert """ --set 'models."tiny-2.5".headers."X.Api"=…' """ in f"{printed} "
        program, *words = shlex.split(printed.replace("…", "hidden-word"))
        again = aisb(*words, cwd=tmp_path)
        assert (program, again.code) == ("aisb", 0), again.said
        assert "3/3 finished, 0 failed" in again.err


def test_a_header_from_the_environment_needs_its_variable(service: Any, tmp_path: Path) -> None:
    ended = aisb(*asked(service, "--set", 'model.headers_env={X-Auth="NOT_THERE"}'), cwd=tmp_path)
    assert ended.code == 2
    assert "the header X-Auth needs the environment variable NOT_THERE, which is not set" in ended.err


def test_answers_are_kept_as_they_are(service: Any, tmp_path: Path) -> None:
    answer = f"Bearer abcdefghijklmnop and {KEY}"
    service.status = 200
    service.reply = lambda _: {"choices": [{"message": {"content": answer}, "finish_reason": "stop"}]}
    ended = aisb(*asked(service, "--api-key-env", "MY_KEY"), cwd=tmp_path, MY_KEY=KEY)
    assert ended.code == 0, ended.said
    (predictions,) = tmp_path.glob("outputs/default/*/predictions/*/*.jsonl")
    assert {json.loads(line)["prediction"] for line in predictions.open()} == {answer}


@pytest.mark.parametrize("mode", ["all", "perf"])
def test_a_service_cannot_steer_the_terminal(service: Any, tmp_path: Path, mode: str) -> None:
    service.reply = lambda _: {"error": {"message": f"over {HOSTILE} done"}}
    said = [aisb(*asked(service, "--mode", mode), cwd=tmp_path).said]
    said += [aisb(*words, cwd=tmp_path).said for words in (("logs",), ("doctor", "--url", service.url))]
    for text in said:
        assert "RED" in text
        assert not CONTROLS.search(text)
    for file in tmp_path.rglob("*.out"):
        assert not CONTROLS.search(file.read_text())


def test_a_foreign_run_folder_cannot_steer_the_terminal(tmp_path: Path) -> None:
    made = aisb("run", "--models", "sim", "--datasets", "demo_gsm8k", "--num-prompts", "2", cwd=tmp_path)
    assert made.code == 0, made.said
    (config,) = tmp_path.glob("outputs/default/*/configs/2*.toml")
    hostile = json.dumps(f"sim{HOSTILE}").replace("\\u009b", "\\u009B")
    config.write_text(re.sub(r'model = "sim"', lambda _: f"model = {hostile}", config.read_text()))
    commands = (
        ("runs", "list"),
        ("runs", "show"),
        ("logs",),
        ("score",),
        ("report",),
        ("runs", "list", "--json"),
    )
    for words in commands:
        said = aisb(*words, cwd=tmp_path).said
        assert not CONTROLS.search(said), words
    listed = json.loads(aisb("runs", "list", "--json", cwd=tmp_path).out)
    assert f"sim{HOSTILE}" in listed[0]["models"], "JSON keeps the value, escaped"


def test_cells_of_csv_are_never_formulas(tmp_path: Path) -> None:
    for mode in ("all", "perf"):
        ended = aisb(
            "run", "--mode", mode, "--models", "sim", "--datasets", "demo_gsm8k", "--num-prompts", "2",
            "--set", "model.abbr=@SUM=1+1",             cwd=tmp_path,
        )  # fmt: skip
        assert ended.code == 0, ended.said
    cells = [
        cell
        for file in tmp_path.rglob("*.csv")
        for row in csv.reader(file.open(encoding="utf-8"))
        for cell in row
    ]
    assert cells
    formulas = [cell for cell in cells if cell[:1] in "=+@-" and not re.fullmatch(r"|-?[\d.]+( \w+)?", cell)]
    assert formulas == []
    assert any(cell.startswith("'@SUM") for cell in cells)
