"""Fixtures for tests in several folders: installed distributions, scripted servers, a certificate."""

import gc
import os
import ssl
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from forked import fork_services
from scripted import Scripted

SHARED_WORKERS = ("plugins/backends/hf/", "plugins/reporters/exchange/")
"""Folders whose files one worker runs, since each worker would prepare the same.

Importing torch takes six seconds of a core, and the runs that all exchange formats are written from take ten.
"""
DISTRIBUTIONS = Path(__file__).parent / "distributions"
fork_services()
gc.disable()  # until all tests are collected: of what that makes, nothing is freed


@pytest.hookimpl(trylast=True)
def pytest_collection_finish():
    """Leave out of each later collection of garbage what the collection of tests has made."""
    gc.freeze()
    gc.enable()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Distribute files as `--dist loadfile` does, and keep those of some folders together."""
    from xdist.scheduler.loadfile import LoadFileScheduling

    class ByFileOrFolder(LoadFileScheduling):
        def _split_scope(self, nodeid):
            return next(
                (folder for folder in SHARED_WORKERS if nodeid.startswith(folder)), nodeid.split("::", 1)[0]
            )

    return ByFileOrFolder(config, log) if config.getoption("dist") == "loadfile" else None


@pytest.fixture(scope="session")
def installed(tmp_path_factory):
    """The folder with every distribution of tests/distributions, installed; put it on PYTHONPATH."""
    from unpacked import install

    projects = sorted(project.parent for project in DISTRIBUTIONS.glob("*/pyproject.toml"))
    return install(tmp_path_factory.mktemp("installed"), *projects)


@pytest.fixture(scope="session")
def launching_aisb_in(installed):
    """Run `aisb` in a folder, where the launchers of tests/distributions are installed."""
    from forked import run_forked

    def aisb(folder: Path, *words: str, code: int = 0) -> str:
        ended = run_forked(
            [sys.executable, "-m", "aisb_cli.main", *words],
            cwd=folder,
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join([str(installed), os.environ.get("PYTHONPATH", "")]),
                "NO_COLOR": "1",
                "AISB_BLOCK": "",
                "COLUMNS": "200",
            },
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )
        assert ended.returncode == code, ended.stderr
        assert "Traceback" not in ended.stderr, ended.stderr
        return ended.stdout + ended.stderr

    return aisb


@pytest.fixture
def launching_aisb(launching_aisb_in, tmp_path):
    """Run `aisb` in the folder of this test, likewise."""
    return partial(launching_aisb_in, tmp_path)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    """A certificate for 127.0.0.1 and localhost that nobody signed but itself: one PEM file with its key."""
    file = tmp_path_factory.mktemp("certificate") / "server.pem"
    names = "subjectAltName=IP:127.0.0.1,DNS:localhost"
    subprocess.run(
        [
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30", "-subj", "/CN=127.0.0.1",
            "-addext", names, "-keyout", str(file.with_suffix(".key")), "-out", str(file),
        ],
        check=True,
        capture_output=True,
    )  # fmt: skip
    file.write_text(file.read_text() + file.with_suffix(".key").read_text())
    return file


@pytest.fixture
def server_tls(certificate):
    """The TLS context of a server with that certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


@pytest.fixture
async def serve():
    """Start scripted servers (`await serve([[bytes, 0.1, "close"]])`); they stop with the test."""
    servers = []

    async def start(replies, **options):
        servers.append(await Scripted(replies, **options).start())
        return servers[-1]

    yield start
    for server in servers:
        await server.stop()
