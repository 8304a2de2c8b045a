"""`aisb.run`: the command's run for a program: plain, in a running loop, interrupted, and what it refuses."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import subprocess
import sys
import time
from importlib.metadata import distribution
from pathlib import Path

import pluggy
import pytest
from forked import run_forked

import aisb
from aisb import ConfigError, DataMissing, FinishedRun, ServiceError, UnknownName, UsageError
from aisb_engine import open_finished_run

ROOT = Path(__file__).parents[2]
SMALL = {"num_prompts": 8}


def test_a_run_returns_its_results_and_prints_nothing(tmp_path, capfd):
    run = aisb.run("sim", "demo_gsm8k", load=SMALL, work_dir=tmp_path)
    assert isinstance(run, FinishedRun)
    assert run.folder.parent == tmp_path
    (result,) = run.results
    assert (result.model, result.task, result.predictions, result.failed) == ("sim", "demo_gsm8k", 8, 0)
    assert capfd.readouterr() == ("", "")
    manifest = json.loads((run.folder / "configs/manifest.json").read_text())
    assert "aisb.run --models sim --datasets demo_gsm8k --mode all" in json.dumps(manifest).replace(
        '", "', " "
    )


def test_its_scores_are_those_of_the_command(tmp_path):
    run = aisb.run(["sim"], ["demo_gsm8k"], work_dir=tmp_path / "api")
    command = ["run", "--models", "sim", "--datasets", "demo_gsm8k", "-w", str(tmp_path / "command")]
    run_forked([sys.executable, "-m", "aisb_cli.main", *command], check=True, capture_output=True)
    (folder,) = (tmp_path / "command").iterdir()
    (mine,), (theirs,) = run.results, open_finished_run(folder).results
    assert (mine.metrics, mine.outcomes, mine.version) == (theirs.metrics, theirs.outcomes, theirs.version)


async def test_it_works_inside_a_running_event_loop(tmp_path, capfd):
    asyncio.get_running_loop()
    run = aisb.run("sim", "demo_gsm8k", load=SMALL, work_dir=tmp_path)
    assert run.results[0].predictions == 8
    assert capfd.readouterr() == ("", "")


def test_it_leaves_signal_handlers_alone(tmp_path):
    before = [signal.getsignal(number) for number in signal.valid_signals()]
    aisb.run("sim", "demo_gsm8k", load=SMALL, work_dir=tmp_path)
    assert [signal.getsignal(number) for number in signal.valid_signals()] == before


def test_runs_follow_each_other_and_one_resumes_another(tmp_path):
    first = aisb.run("sim", "demo_gsm8k", load={"num_prompts": 4}, mode="infer", work_dir=tmp_path)
    assert first.results == ()
    second = aisb.run("sim", "demo_gsm8k", load=SMALL, work_dir=tmp_path, reuse="latest")
    assert second.folder == first.folder
    assert second.results[0].predictions == 8
    third = aisb.run("sim", "demo_gsm8k", load=SMALL, work_dir=tmp_path)
    assert third.folder != first.folder
    assert third.results[0].metrics == second.results[0].metrics


def test_models_and_tasks_can_be_tables_as_in_aisb_toml(tmp_path):
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"q": "Name a colour.", "a": "red"}\n{"q": "Name another.", "a": "blue"}\n')
    task = {
        "summary": "Colours.",
        "dataset": {"use": "jsonl", "path": rows},
        "sample": {"target": "{a}"},
        "prompt": {"user": "{q}"},
        "evaluate": [{"use": "exact-match"}],
    }
    run = aisb.run(
        ["sim", {"quick": {"backend": "sim", "tokens": 4, "params": {"max_tokens": 5}}}],
        {"colours": task},
        params={"max_tokens": 9},
        settings={"max_failures": 2},
        work_dir=tmp_path / "runs",
    )
    assert run.models == ("sim", "quick")
    assert [(result.model, result.predictions) for result in run.results] == [("sim", 2), ("quick", 2)]
    (config,) = run.folder.glob("configs/*.toml")
    assert "max_failures = 2" in config.read_text()
    assert config.read_text().count("[subtasks.forced]\nmax_tokens = 9") == 2


def test_a_performance_run_and_its_workers(tmp_path):
    run = aisb.run(
        "sim", "demo_gsm8k", mode="perf", load={"workers": 2, "concurrency": 4}, launcher="local",
        reporters=["performance"], work_dir=tmp_path,
    )  # fmt: skip
    assert len(list(run.folder.glob("log/sim/demo_gsm8k/worker-*"))) == 2
    assert (run.folder / "performances/sim/demo_gsm8k.json").is_file()


def test_a_function_gets_the_lines_on_progress(tmp_path):
    lines = []
    aisb.run("sim", "demo_gsm8k", load=SMALL, work_dir=tmp_path, display=lines.append)
    assert lines[-1] == "demo_gsm8k · sim: done: 8 of 8 finished, 0 failed"


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ({"tasks": "demo_gsm8"}, UnknownName, "no task named 'demo_gsm8'; did you mean 'demo_gsm8k'?"),
        ({"models": "simm"}, UnknownName, "no model named 'simm'; did you mean 'sim'?"),
        ({"models": []}, UsageError, "nothing to run: --models is not set"),
        ({"models": 5}, UsageError, "models: 5 is neither a name nor tables by name"),
        ({"tasks": [5]}, UsageError, "tasks: 5 is neither a name nor tables by name"),
        ({"mode": "prf"}, UsageError, "mode='prf' is not one of all, infer, eval, viz, perf, perf_viz; did you"),
        ({"mode": "eval"}, UsageError, "--mode eval needs a run to read"),
        ({"load": {"concurency": 4}}, ConfigError, "load.concurency: there is no such key; did you mean 'concur"),
        ({"settings": {"max_failure": 4}}, ConfigError, "run.max_failure: there is no such key; did you mean"),
        ({"launcher": "remote"}, UnknownName, "no launcher named 'remote'"),
        ({"launcher": {"hosts": 4}}, UsageError, "launcher={'hosts': 4} names no launcher: give its name"),
        ({"launcher": {"use": "local", "hosts": 4}}, ConfigError, "launcher.hosts: no such option"),
        ({"tasks": "gsm8k", "data_dir": "nowhere"}, DataMissing, "no data for gsm8k"),
        ({"models": {"far": {"base": "openai-chat", "url": "http://127.0.0.1:1"}}}, ServiceError, "far: "),
    ],
)  # fmt: skip
def test_what_is_wrong_is_raised_as_the_error_that_the_command_prints(
    tmp_path, capfd, arguments, kind, message
):
    with pytest.raises(kind) as raised:
        aisb.run(**{"models": "sim", "tasks": "demo_gsm8k", "work_dir": tmp_path, **arguments})
    assert message in str(raised.value)
    assert capfd.readouterr() == ("", "")
    assert not list(tmp_path.iterdir())


INTERRUPTED = """
import asyncio, sys
import aisb

def run():
    slow = {"slow": {"backend": "sim", "ttft_ms": 200}}
    aisb.run(slow, "demo_gsm8k", work_dir=sys.argv[2], load={"concurrency": 2})

async def inside():
    run()

try:
    asyncio.run(inside()) if sys.argv[1] == "loop" else run()
except KeyboardInterrupt:
    print("interrupted")
"""


@pytest.mark.parametrize("where", ["plain", "loop"])
def test_an_interrupt_stops_the_run_which_can_be_resumed(tmp_path, where):
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, where, str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    ends = time.monotonic() + 60
    while not any(shard.stat().st_size for shard in tmp_path.glob("*/log/slow/demo_gsm8k/worker-0")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < ends
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=30) == ("interrupted\n", "")
    assert process.returncode == 0
    (folder,) = tmp_path.iterdir()
    kept = (folder / "predictions/slow/demo_gsm8k.jsonl").read_text().splitlines()
    assert 0 < len(kept) < 64
    model = {"slow": {"backend": "sim", "ttft_ms": 0}}
    run = aisb.run(model, "demo_gsm8k", work_dir=tmp_path, reuse=folder.name)
    assert run.results[0].predictions == 64


def test_importing_aisb_loads_no_engine():
    script = "import sys, aisb; print([n for n in sys.modules if n.startswith(('aisb_', 'pydantic', 'httpx', 'numpy'))])"
    ended = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert ended.stdout == "[]\n"


def test_without_the_engine_it_says_what_to_install(tmp_path):
    shutil.copytree(ROOT / "core" / "aisb", tmp_path / "aisb")
    shutil.copytree(Path(pluggy.__file__).parent, tmp_path / "pluggy")
    script = f"import sys; sys.path.append({str(tmp_path)!r})\nimport aisb\ntry:\n    aisb.run('sim', 'demo_gsm8k')\n"
    script += "except aisb.PluginError as error:\n    print(error)\n"
    ended = subprocess.run(
        [sys.executable, "-I", "-S", "-c", script], check=True, capture_output=True, text=True, cwd=tmp_path
    )
    assert ended.stdout == "aisb.run needs the engine, which is not installed: install aisb-engine\n"
    assert distribution("aisb-engine").metadata["Name"] == "aisb-engine"
