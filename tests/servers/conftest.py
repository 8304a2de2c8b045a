"""Real servers for the tests of this folder: each runs while the tests that name it last."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from real_servers import INSTALLED_AS, command, is_installed

READY_WITHIN = 300
TRIES = 3
"""Triton gives up by itself when a busy machine lets it wait for ten seconds."""
READY = {"triton": "/v2/models/ensemble/ready"}


@dataclass
class Real:
    """A real server that runs."""

    name: str
    url: str

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Ask it something directly, beside what aisb does."""
        data = json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"content-type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as reply:
            return json.load(reply)


@pytest.fixture(scope="module")
def real(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Real]:
    """Run the server that a test names: `@pytest.mark.parametrize("real", ["vllm"], indirect=True)`."""
    name = request.param
    if not is_installed(name):
        setup = INSTALLED_AS.get(name, name)
        pytest.skip(f"{name} is not installed: python tests/servers/real_servers.py setup {setup}")
    log = tmp_path_factory.mktemp(name) / "server.log"
    for _ in range(TRIES):
        port = _free_port()
        words, env = command(name, port)
        with log.open("wb") as output:
            process = subprocess.Popen(words, env=env, stdout=output, stderr=output, start_new_session=True)
        try:
            if _became_ready(f"http://127.0.0.1:{port}{READY.get(name, '/v1/models')}", process):
                yield Real(name, f"http://127.0.0.1:{port}")
                return
        finally:
            _end(process)
    pytest.fail(f"{name} did not become ready:\n{log.read_text(errors='replace')[-3000:]}")


@dataclass
class Ran:
    """A command that has ended, and its run folder."""

    code: int
    out: str
    err: str
    work: Path

    def predictions(self, model: str, task: str) -> list[dict[str, Any]]:
        """Return the lines of a subtask's predictions."""
        (file,) = self.work.glob(f"outputs/default/*/predictions/{model}/{task}.jsonl")
        return [json.loads(line) for line in file.read_text().splitlines()]

    def read(self, pattern: str) -> Any:
        """Return the one JSON file that fits a pattern."""
        (file,) = self.work.glob(f"outputs/default/*/{pattern}")
        return json.loads(file.read_text())


@pytest.fixture
def aisb(real: Real, tmp_path: Path):
    """Run `aisb run` against the server, in a folder of its own."""

    def run(*words: str, toml: str = "") -> Ran:
        (tmp_path / "aisb.toml").write_text(toml)
        ended = subprocess.run(
            [sys.executable, "-m", "aisb_cli.main", "run", "--url", real.url, *words],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
            env={key: value for key, value in os.environ.items() if not key.startswith("AISB_")},
        )
        return Ran(ended.returncode, ended.stdout, ended.stderr, tmp_path)

    return run


def _free_port() -> int:
    """Return a port that is free, as are the two above it, which Triton takes too."""
    while True:
        sockets = [socket.socket() for _ in range(3)]
        try:
            sockets[0].bind(("127.0.0.1", 0))
            port = sockets[0].getsockname()[1]
            for above, one in enumerate(sockets[1:], 1):
                one.bind(("127.0.0.1", port + above))
            return port
        except (OSError, OverflowError):
            continue
        finally:
            for one in sockets:
                one.close()


def _became_ready(url: str, process: subprocess.Popen[bytes]) -> bool:
    until = time.monotonic() + READY_WITHIN
    while time.monotonic() < until and process.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return True
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.2)
    return False


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a server with all that it started."""
    for number, patience in ((signal.SIGTERM, 20), (signal.SIGKILL, None)):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(patience)
            return
