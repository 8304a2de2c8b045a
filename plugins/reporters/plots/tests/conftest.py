"""Run folders to be drawn, and browsers that open their pages."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest

from aisb.record.log import LogWriter
from aisb.report import FinishedRun

TIMESTAMP = "20261121_220301"


def _module(name):
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# Tests say `from plots_replies import …`: helpers of tests, found without any path being added.
chromium = _module("chromium")
_module("plots_replies")


@pytest.fixture
def make(tmp_path):
    """Make a run folder from replies."""

    def made(replies, *, model="sim", task="demo", load=None):
        folder = tmp_path / TIMESTAMP
        (folder / "configs").mkdir(parents=True, exist_ok=True)
        log = folder / "log" / model / task
        with LogWriter(log / "worker-0") as writer:
            for one in replies:
                writer.append(one, final=True)
        (log / "load.json").write_text(
            json.dumps(load or {"asked": {"concurrency": 8}, "planned": len(replies)})
        )
        return FinishedRun.read(folder)

    return made


@pytest.fixture(scope="module")
def process():
    """One browser for a module's tests."""
    if chromium.CHROMIUM is None:
        pytest.skip("chromium is not installed (apt install chromium): no page was opened")
    started = chromium.Chromium()
    yield started
    started.close()


@pytest.fixture
def browser(process):
    """Open pages of any size; what a page must never do is looked at in the end."""
    opened = []

    def start(width=1280, height=900):
        opened.append(chromium.Page(process, width, height))
        return opened[-1]

    yield start
    for page in opened:
        process.send("Target.closeTarget", targetId=page.target)
        assert page.complaints == []
        assert [url for url in page.asked_for if not url.startswith(("file:", "data:", "blob:"))] == []
