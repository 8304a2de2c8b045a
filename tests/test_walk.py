"""From the command to the socket a request passes few functions in few modules, in every kind of load."""

import json
import os
import sys
from pathlib import Path

import pytest
from forked import run_forked

from aisb_mock import MockOptions, start_mock

MOST_FRAMES = 12
MOST_MODULES = 7

LOADS = {
    "closed loop": (),
    "open loop": ("--mode", "perf", "--request-rate", "50"),
    "bounded open loop": ("--mode", "perf", "--request-rate", "50", "--concurrency", "2"),
    "pressure": ("--mode", "perf", "--set", "load.pressure_time=1", "--concurrency", "2"),
}


@pytest.fixture(scope="module")
def mock():
    with start_mock(MockOptions(ttft_ms=1, tpot_ms=0, tokens=2)) as running:
        yield running


@pytest.mark.parametrize("load", LOADS)
def test_a_request_takes_few_steps_from_the_command_to_the_socket(tmp_path, mock, load):
    walk_file = tmp_path / "walk.json"
    ended = run_forked(
        [
            sys.executable, "-m", "request_tracer", walk_file, "POST /v1/chat/completions",
            "run", "--models", "vllm_api_stream_chat", "--datasets", "demo_gsm8k", "--url", mock.url,
            "--num-prompts", "4", "--set", "load.num_warmups=0", *LOADS[load],
        ],
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120,
        env={
            **{key: value for key, value in os.environ.items() if not key.startswith("AISB_")},
            "PYTHONPATH": str(Path(__file__).parent),
        },
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    walk = [tuple(step) for step in json.loads(walk_file.read_text())]
    modules = {module for module, _ in walk}
    sys.stdout.write(f"\n{load}: {len(walk)} frames in {len(modules)} modules\n")
    for module, function in walk:
        sys.stdout.write(f"  {module}: {function}\n")
    assert walk[0] == ("aisb_cli.main", "main")
    assert len(walk) <= MOST_FRAMES
    assert len(modules) <= MOST_MODULES
