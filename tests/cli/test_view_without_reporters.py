"""`aisb view` in an installation without the reporters whose parts show samples and plots."""

from __future__ import annotations

import re
import signal
import subprocess
import sys

import httpx
import pytest
from click.testing import CliRunner

from aisb_cli.main import cli

INSTALL = "pip install 'aisb[pages]'"
BARE = (
    "import sys; sys.modules['aisb_reporter_html'] = sys.modules['aisb_reporter_plots'] = None; "
    "from aisb_cli.main import main; sys.exit(main())"
)


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """A work folder with a performance run."""
    work = tmp_path_factory.mktemp("work")
    words = ["--mode", "perf", "--num-prompts", "4", "--set", 'run.reporters=["performance"]']
    done = CliRunner().invoke(
        cli, ["run", "--models", "sim", "--datasets", "demo_gsm8k", *words, "-w", str(work)]
    )
    assert done.exit_code == 0, done.output
    return work


def test_the_pages_say_what_to_install_and_show_the_rest(work):
    line = [sys.executable, "-u", "-c", BARE, "view", str(work)]
    process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        url = re.search(r"http://\S+", process.stdout.readline()).group()
        (run,) = [one["run"] for one in httpx.get(f"{url}api/runs").json()["runs"]]
        told = httpx.get(f"{url}api/runs/{run}", timeout=60).json()
        assert told["figures"][0]["requests"] == 4
        assert (told["has_reporter"], told["install"]) == (False, INSTALL)
        answer = httpx.get(f"{url}api/runs/{run}/samples", timeout=60)
        assert answer.status_code == 400
        assert answer.json()["error"] == (
            f"samples are shown by aisb-reporter-html, which is not installed: {INSTALL}"
        )
        answer = httpx.get(f"{url}plots/{run}/0/plots_plot.html", timeout=60)
        assert (answer.status_code, answer.text) == (
            400,
            f"the plots are drawn by aisb-reporter-plots, which is not installed: {INSTALL}\n",
        )
        answer = httpx.get(f"{url}parts/rows.js")
        assert (answer.status_code, answer.text) == (404, "aisb-reporter-html is not installed\n")
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
        process.communicate()


def test_a_bundle_is_refused_before_anything_is_written(work, tmp_path):
    line = [sys.executable, "-c", BARE, "view", "--bundle", str(tmp_path / "new"), str(work)]
    done = subprocess.run(line, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    assert (
        f"a bundle contains the reports of aisb-reporter-html, which is not installed: {INSTALL}"
        in " ".join(done.stderr.split())
    )
    assert not (tmp_path / "new").exists()
