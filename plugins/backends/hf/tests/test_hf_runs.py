"""Whole runs with a local model: resumed after a kill, in worker processes, shown while they go on."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hf_small import WORDS

from aisb import UsageError
from aisb_backend_hf import HFBase

TASK = """
[tasks.{name}]
summary = "Colours"
dataset = {{ use = "jsonl", path = "rows.jsonl" }}
prompt = {{ user = "{{question}}", style = "text" }}
{more}
"""
SCORES = """mode = "logprob"
sample = { choices = "{options}", target_index = "{index}" }
logprob = { continuation = " {choice}", normalise = "bytes" }
evaluate = [{ use = "choice-match" }]"""
GRADES = """sample = { target = "{number}" }
params = { max_tokens = 12 }
evaluate = [{ use = "exact-match" }]"""


@pytest.fixture
def place(tmp_path):
    import random

    draw = random.Random(1)
    rows = [
        {
            "question": " ".join(draw.choices(WORDS, k=draw.randint(4, 30))),
            "options": ["blue", "deep sea", "seven hills"],
            "index": n % 3,
            "number": str(n),
        }
        for n in range(40)
    ]
    (tmp_path / "datasets").mkdir()
    (tmp_path / "datasets/rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    tasks = TASK.format(name="told", more=GRADES) + TASK.format(name="chosen", more=SCORES)
    (tmp_path / "aisb.toml").write_text(tasks)
    return tmp_path


def words(folder, *more):
    start = [sys.executable, "-m", "aisb_cli.main", "run", "--models", "hf_base_model"]
    return [*start, "--set", f"model.path={folder}", *more]


def run(place, *command):
    return subprocess.run(command, cwd=place, capture_output=True, text=True, check=False, timeout=240)


def results(place, task):
    (path,) = place.glob(f"outputs/default/*/results/hf-base-model/{task}.json")
    return json.loads(path.read_text())


def lines(place, task):
    (path,) = place.glob(f"outputs/default/*/predictions/hf-base-model/{task}.jsonl")
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.slow
def test_both_kinds_of_task_run_are_shown_and_resumed(folder, place):
    ended = run(place, *words(folder, "--datasets", "told", "chosen", "--num-prompts", "10"))
    assert ended.returncode == 0, ended.stderr
    assert f"hf-base-model: loading {folder}" in ended.stderr
    assert "hf-base-model: loaded in " in ended.stderr
    assert len(lines(place, "told")) == 10
    assert [len(line["logprobs"]) for line in lines(place, "chosen")] == [3] * 10
    (log,) = place.glob("outputs/default/*/logs/infer/hf-base-model/told.out")
    assert "tokens computed, " in log.read_text()
    more = run(place, *words(folder, "--datasets", "told", "--num-prompts", "14", "--reuse"))
    assert more.returncode == 0, more.stderr
    assert "Found 10 finished of 14, 0 failed: resuming" in more.stderr
    assert len(lines(place, "told")) == 14
    other = run(
        place,
        *words(
            folder, "--datasets", "told", "--num-prompts", "14", "--reuse", "--set", "model.dtype=bfloat16"
        ),
    )
    assert other.returncode == 2
    assert "model.model: was " in other.stderr


@pytest.mark.slow
def test_two_workers_on_the_cpu_answer_as_one_process_does(folder, place):
    alone = run(place, *words(folder, "--datasets", "told", "chosen", "--set", "model.device=cpu"))
    assert alone.returncode == 0, alone.stderr
    first = {
        task: [line["prediction"] if task == "told" else line["logprobs"] for line in lines(place, task)]
        for task in ("told", "chosen")
    }
    for old in place.glob("outputs/default/*"):
        old.rename(place / f"old-{old.name}")
    apart = run(
        place,
        *words(folder, "--datasets", "told", "chosen", "--set", "model.device=cpu", "--max-num-workers", "2"),
    )
    assert apart.returncode == 0, apart.stderr
    assert "loading" not in apart.stderr.split("up to 2 subtasks")[0]  # not in the command's own process
    assert [line["prediction"] for line in lines(place, "told")] == first["told"]
    for line, before in zip(lines(place, "chosen"), first["chosen"], strict=True):
        for a, b in zip(line["logprobs"], before, strict=True):
            assert a["total"] == pytest.approx(b["total"], abs=1e-3)
    (log,) = place.glob("outputs/default/*/logs/infer/hf-base-model/told.out")
    assert "worker 0: loaded in " in log.read_text()


def children(process):
    tasks = Path(f"/proc/{process}/task")
    return [int(one) for task in tasks.iterdir() for one in (task / "children").read_text().split()]


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs /proc")
def test_a_worker_that_dies_is_reported_and_the_rest_is_resumable(folder, place):
    command = words(folder, "--datasets", "told", "chosen", "--max-num-workers", "2", "--max-out-len", "300")
    log = (place / "said.txt").open("w")
    with subprocess.Popen([*command], cwd=place, stdout=log, stderr=log, start_new_session=True) as running:
        try:
            shards = ()
            deadline = time.monotonic() + 120
            while not any(shard.stat().st_size for shard in shards) and time.monotonic() < deadline:
                time.sleep(0.02)
                shards = tuple(
                    file
                    for file in place.glob("outputs/default/*/log/hf-base-model/told/**/*")
                    if file.is_file() and "worker-" in str(file)
                )
                if running.poll() is not None:
                    break
            workers = [
                one
                for one in children(running.pid)
                if "aisb_engine._load.worker" in Path(f"/proc/{one}/cmdline").read_text()
            ]
            for one in workers[:1]:
                os.kill(one, signal.SIGKILL)
            running.wait(60)
        finally:
            if running.poll() is None:
                running.kill()
    said = (place / "said.txt").read_text()
    if running.returncode == 0:
        pytest.skip("the run had ended before its worker could be killed")
    assert running.returncode == 2, said
    assert "ended by signal 9 before its work did" in said
    assert "all finished requests are kept in the log" in said
    again = run(place, *words(folder, "--datasets", "told", "chosen", "--max-out-len", "300", "--reuse"))
    assert again.returncode == 0, again.stderr
    assert len(lines(place, "told")) == len(lines(place, "chosen")) == 40


@pytest.mark.slow
def test_more_devices_than_there_are_is_an_error_at_once(folder, place):
    command = words(folder, "--datasets", "told", "chosen", "--max-num-workers", "2")
    ended = run(place, *command, "--set", "model.run_cfg.num_gpus=4")
    assert ended.returncode == 2, ended.stderr
    assert "run_cfg.num_gpus = 4, and this machine has 0 devices" in ended.stderr
    assert not list(place.glob("outputs/default/*"))
    with pytest.raises(UsageError, match=r"run_cfg.num_gpus = 2, and device is cpu: omit one of them"):
        HFBase(path=str(folder), device="cpu", run_cfg={"num_gpus": 2}).pin(0, 1)


def test_workers_share_the_cores(tmp_path):
    backend = HFBase(path=str(tmp_path), device="cpu")
    one, two = backend.pin(0, 1), backend.pin(1, 2)
    assert int(one["OMP_NUM_THREADS"]) >= int(two["OMP_NUM_THREADS"]) >= 1


def test_a_worker_sees_its_own_of_the_visible_devices(monkeypatch):
    from aisb_backend_hf import _device as device

    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5,6,7")
    assert device.pin("cuda", 1, 2, 2) == {"CUDA_VISIBLE_DEVICES": "6,7"}


@pytest.mark.slow
def test_a_performance_run_measures_tokens_of_a_local_model(folder, place):
    ended = run(
        place,
        *words(folder, "--mode", "perf", "--datasets", "told", "--num-prompts", "6", "--concurrency", "2"),
    )
    assert ended.returncode == 0, ended.stderr
    assert "TTFT" in ended.stdout
    assert "TPOT" in ended.stdout


def test_batch_size_is_the_models_own_option_and_not_the_load(place):
    from aisb._plugins import Plugins
    from aisb_engine._resolve.config import RunInput, resolve

    (place / "aisb.toml").write_text(
        (place / "aisb.toml").read_text()
        + '[models.mine]\nbackend = "hf-base"\npath = "x"\nbatch_size = 7\nmax_out_len = 9\n'
        + '[models.served]\nbackend = "vllm-chat"\nbatch_size = 7\n'
    )
    spec = resolve(Plugins.load(), RunInput(["mine", "served"], ["told"], place / "aisb.toml"))
    assert spec.models["mine"].options["batch_size"] == 7
    loads = {subtask.model: subtask.load.concurrency for subtask in spec.subtasks}
    assert loads == {"mine": None, "served": 7}
    assert {subtask.model: subtask.merged.get("max_tokens") for subtask in spec.subtasks}["mine"] == 9


@pytest.mark.slow
def test_a_chat_task_reaches_a_base_model_through_the_template_of_a_tokenizer_that_is_named(folder, place):
    config = place / "aisb.toml"
    config.write_text(config.read_text().replace('style = "text"', 'style = "chat"', 1))
    asked = ["--datasets", "told", "--num-prompts", "3"]
    named = run(place, *words(folder, *asked, "--set", f"model.tokenizer_path={folder}"))
    assert named.returncode == 0, named.stderr
    told = (
        "told · hf-base-model: a chat task, a text endpoint: sent as one text, rendered with the tokenizer's"
    )
    assert told in " ".join(named.stderr.split())
    said = [line["prediction"] for line in lines(place, "told")]
    assert len(said) == 3
    command = words(folder, *asked, "--work-dir", "other")
    command[command.index("hf_base_model")] = "hf_chat_model"
    chat = run(place, *command)
    assert chat.returncode == 0, chat.stderr
    (path,) = place.glob("other/**/predictions/hf-chat-model/told.jsonl")
    assert [json.loads(line)["prediction"] for line in path.read_text().splitlines()] == said


@pytest.mark.slow
def test_the_folder_of_a_model_alone_says_how_to_run_it(place, folder):
    command = [sys.executable, "-m", "aisb_cli.main", "run", "--models", str(folder), "--datasets", "told"]
    ended = run(place, *command, "--num-prompts", "4")
    assert ended.returncode == 0, ended.stderr
    assert f"{folder} holds a chat model; running it with hf_chat_model" in ended.stderr
    (predictions,) = place.glob(f"outputs/default/*/predictions/{folder.name}/told.jsonl")
    assert len(predictions.read_text("utf-8").splitlines()) == 4
