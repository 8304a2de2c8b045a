"""What users meet around a run on a cluster: signals while it is scored, a wrong API key, and its log lines."""

import os
import re
import signal
import subprocess
import sys
import time
from importlib.util import find_spec

import pytest
from json_service import JsonHandler, serving
from slow_plugin import write_slow_plugin

pytestmark = [
    pytest.mark.ray,
    pytest.mark.skipif(find_spec("ray") is None, reason="ray is not installed: make test-ray"),
]

TWO = ("--workers", "2", "--set", "launcher.resources={workers=1}")
WRONG = "sk-wrong-4f1d0c7a99e2"


@pytest.mark.parametrize(
    ("at", "number"),
    [
        ("score", signal.SIGTERM), ("score, caught", signal.SIGINT),
        ("report", signal.SIGINT), ("report, caught", signal.SIGTERM),
    ],
)  # fmt: skip
def test_a_signal_ends_scoring_and_reporting_and_the_run_can_be_scored(
    begin, machines, ended_after, monkeypatch, tmp_path, at, number
):
    slow = tmp_path / "is-slow"
    for name, value in (
        ("PYTHONPATH", write_slow_plugin(tmp_path / "plugin")), ("SLOW_AT", at), ("IS_SLOW", slow),
    ):  # fmt: skip
        monkeypatch.setenv(name, str(value))
    run = begin(
        *TWO, "--num-prompts", "6", "--set", "task.evaluate=[{use='slow'}]", "--reporters", "slow-report"
    )
    while not slow.exists():
        time.sleep(0.05)
        assert run.process.poll() is None, run.err
    began = time.monotonic()
    run.process.send_signal(number)
    _, err = run.end(code=130)
    sys.stdout.write(f"{at}, {number.name}: the command ended after {time.monotonic() - began:.1f} s\n")
    assert "interrupted\nthe answers so far are kept in " in err
    assert ended_after(machines.workers("one") + machines.workers("two"), 30) < 6
    monkeypatch.delenv("SLOW_AT")
    words = ("score", str(run.folder))
    scored = subprocess.run(
        [sys.executable, "-m", "aisb_cli.main", *words],
        capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert scored.returncode == 0, scored.stderr
    assert len(run.scores()) == 6


class RefusesRequests(JsonHandler):
    """Lists its model to anyone, and refuses every key."""

    def get(self):
        self.answer(200, {"data": [{"id": "m", "owned_by": "vllm"}]})

    def post(self):
        self.read_body()
        self.answer(401, {"error": {"message": f"Incorrect API key provided: {WRONG}"}})


def test_a_wrong_key_is_one_line_and_in_none_of_rays_files(begin, machines, mock, monkeypatch):
    monkeypatch.setenv("WRONG_KEY", WRONG)
    before = refused_by(begin, mock.url, "before", code=3)  # before workers are placed
    (line,) = before.err.splitlines()
    place = mock.url.removeprefix("http://")
    assert line.endswith(
        f"{place} refuses the API key in the environment variable WRONG_KEY (401: Unauthorized)"
    )
    with serving(RefusesRequests) as service:
        workers = refused_by(begin, service.url, "workers", code=1)
    assert "4 failed in " in workers.err
    assert workers.err.count("Incorrect API key provided: ***; give the right key with --api-key-env") == 1
    for file in machines.session.rglob("*"):
        assert not file.is_file() or WRONG.encode() not in file.read_bytes(), file


def refused_by(begin, url, folder, *, code):
    """Run against a service that refuses the key; nothing in the folder of the run has the key."""
    model = ("vllm_api_stream_chat", "--url", url, "--api-key-env", "WRONG_KEY")
    run = begin(*TWO, "--num-prompts", "4", model=model, folder=folder)
    run.end(code=code)
    for file in run.work.rglob("*"):
        assert not file.is_file() or WRONG.encode() not in file.read_bytes(), file
    return run


def test_the_log_of_a_run_on_a_cluster_is_followed_until_its_end(begin, machines):
    words = ("--set", "params.num_return_sequences=6", "--set", "params.temperature=1", "--concurrency", "4")
    run = begin(*TWO, *words)
    run.wait_for_records(20)
    logs = [sys.executable, "-m", "aisb_cli.main", "logs", str(run.folder)]
    follower = subprocess.Popen([*logs, "-f"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    os.kill(machines.workers("one")[0], signal.SIGKILL)
    run.end()
    shown, err = follower.communicate(timeout=60)
    assert follower.returncode == 0, err
    assert re.search(r"worker \d on node [\d.]+ was lost: ", shown)
    assert "scored 384 predictions" in shown.splitlines()[-1]
    whole = subprocess.run(logs, capture_output=True, text=True, timeout=60, check=True)
    assert shown == whole.stdout
