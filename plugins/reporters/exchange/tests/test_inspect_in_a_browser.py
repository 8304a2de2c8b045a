"""Inspect's own viewer shows our logs: the list of tasks, the samples with their epochs, and a conversation."""

import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest


@pytest.fixture
def viewer(request):
    """The address of `inspect view` on the logs of a run, and the names of these logs by task."""
    readers = os.environ.get("AISB_READERS")
    if not readers:
        pytest.skip("it needs Inspect: make test-readers")
    logs = request.getfixturevalue("families")[0] / "exchange/inspect"  # made only where they are shown
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    words = ["view", "start", "--log-dir", logs, "--host", "127.0.0.1", "--port", str(port)]
    with subprocess.Popen(
        [Path(readers) / "bin" / "inspect", *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as server:
        url, ends = f"http://127.0.0.1:{port}/", time.monotonic() + 120
        while not answers(url):
            assert server.poll() is None
            assert time.monotonic() < ends
            time.sleep(0.2)
        yield url, {path.name.split("_")[1]: path.name for path in logs.iterdir()}
        server.terminate()


def answers(url):
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except (urllib.error.URLError, OSError):
        return False


def test_inspect_view_shows_tasks_samples_and_messages(viewer, chromium):
    url, logs = viewer
    page = chromium.page(1400, 900)
    shows = "document.body && {}.every((text) => document.body.innerText.includes(text))"
    page.go(url, shows.format(["sums", "letters", "sim/acme/pen-8b", "0.708"]))
    page.go(
        f"{url}#/logs/{logs['sums']}",
        shows.format(["8 x 3 samples", "PASS@1", "north/0", "1 of 24 samples (4%) had errors"]),
    )
    page.go("about:blank", "true")  # an address that differs after the # alone is not loaded again
    page.go(
        f"{url}#/logs/{logs['talk']}/samples/sample/0/1/messages",
        shows.format(["I do.", "Add 1 to the 0.", "It is 1."]),
    )
    page.close()
