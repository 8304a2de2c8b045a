"""A model mends a repository with a shell; stand-ins play the container program, and SWE-bench's harness."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from forked import run_forked

from aisb import DataError, Prediction, Sample, UsageError
from aisb_dataset_tools._swe_harness import SweBenchHarness
from aisb_dataset_tools._swe_shell import SHOWN, swe_bench_shell
from aisb_testing import ScriptedService, whole_reply

CONTAINERS = """\
#!/bin/bash
# Plays docker: a container is a copy of $STAND_IN/repository, and a command runs in it, on this machine.
command=$1; shift
case $command in
run)
    for last; do image=$last; [ "$previous" = sleep ] && break; before=$previous; previous=$last; done
    case "$*" in *missing_1776_image*) echo "no such image" >&2; exit 125;; esac
    name=c$$; cp -r "$STAND_IN/repository" "$STAND_IN/$name"; echo "$*" >> "$STAND_IN/started"; echo $name;;
exec)
    while [ $# -gt 0 ]; do case $1 in --workdir|--env) shift 2;; *) break;; esac; done
    name=$1; shift; cd "$STAND_IN/$name" || exit 1; exec "$@";;
inspect) [ -d "$STAND_IN/$3" ] && echo true || { echo "no such container" >&2; exit 1; };;
rm) rm -rf "$STAND_IN/$2"; echo "$2" >> "$STAND_IN/removed";;
esac
"""
HARNESS = '''\
"""Plays the harness: it applies the patch to a copy of the repository, runs the test, and writes the report."""

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

parser = argparse.ArgumentParser()
for name in ("dataset_name", "split", "predictions_path", "instance_ids", "run_id", "max_workers", "timeout", "report_dir"):
    parser.add_argument(f"--{name}", required=True)
given = parser.parse_args()
(prediction,) = json.loads(Path(given.predictions_path).read_text())
assert set(prediction) == {"instance_id", "model_name_or_path", "model_patch"}
name = prediction["instance_id"]
if "broken__harness" in name:
    sys.exit("Docker is not running")
copy = Path(given.report_dir) / "copy"
shutil.copytree(Path(os.environ["STAND_IN"]) / "repository", copy)
applied = subprocess.run(["git", "apply", "-"], cwd=copy, input=prediction["model_patch"], text=True).returncode == 0
passed = subprocess.run([sys.executable, "-c", "import sums; assert sums.add(1, 2) == 3"], cwd=copy).returncode == 0
kinds = {"resolved_ids": applied and passed, "unresolved_ids": applied and not passed, "error_ids": not applied}
report = {kind: [name] if holds else [] for kind, holds in kinds.items()}
if "no__disk" in name:
    report |= {"resolved_ids": [], "unresolved_ids": [name], "infra_failure_ids": [name], "failure_reasons": {name: "disk full"}}
report |= {"submitted_ids": [name], "empty_patch_ids": [], "incomplete_ids": [], "total_instances": 1, "schema_version": 2}
file = f"{prediction['model_name_or_path']}.{given.run_id}.json"
(Path(given.report_dir) / file).write_text(json.dumps(report))
'''


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """A folder with a repository whose sum is wrong, the stand-ins, and rows in `data`."""
    root = tmp_path / "stand-in"
    (root / "repository").mkdir(parents=True)
    (root / "repository" / "sums.py").write_text("def add(a, b):\n    return a - b\n")
    for words in (
        ("init", "-q"),
        ("add", "."),
        ("-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "a"),
    ):
        subprocess.run(["git", *words], cwd=root / "repository", check=True)
    (root / "docker").write_text(CONTAINERS)
    (root / "docker").chmod(0o755)
    (root / "swebench" / "harness").mkdir(parents=True)
    for package in ("swebench", "swebench/harness"):
        (root / package / "__init__.py").touch()
    (root / "swebench" / "harness" / "run_evaluation.py").write_text(HARNESS)
    monkeypatch.setenv("STAND_IN", str(root))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("AISB_ALLOW_CODE_EXECUTION", "1")
    return root


def rows(tmp_path, *names):
    (tmp_path / "data" / "SWE-bench_Verified").mkdir(parents=True)
    lines = [
        json.dumps({"instance_id": name, "problem_statement": f"add() of {name} subtracts."})
        for name in names
    ]
    (tmp_path / "data" / "SWE-bench_Verified" / "test.jsonl").write_text("\n".join(lines) + "\n")


def call(name, **arguments):
    function = {"name": name, "arguments": json.dumps(arguments)}
    return {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "c", "type": "function", "function": function}],
    }


def mends(request):
    """Play a model that looks, mends the sum unless its issue is `lazy` or `wrong`, and submits."""
    messages = request.body["messages"]
    turn, issue = sum(one["role"] == "assistant" for one in messages), messages[1]["content"]
    steps = [
        call("bash", command="cat sums.py"),
        call("bash", command="sed -i 's/a - b/a + b/' sums.py"),
        call("submit"),
    ]
    if "lazy__" in issue:
        steps = [call("submit")]
    elif "wrong__" in issue:
        steps = [call("bash", command="echo '# hm' >> sums.py"), call("submit")]
    elif "silent__" in issue:
        steps = [{"role": "assistant", "content": "I would use a plus."}] * 9
    return whole_reply({"choices": [{"message": steps[turn], "finish_reason": "stop"}]})


def test_patches_are_made_in_containers_and_graded_by_the_harness(stand_in, tmp_path):
    rows(
        tmp_path,
        "good__sums-1",
        "wrong__sums-1",
        "lazy__sums-1",
        "silent__sums-1",
        "broken__harness-1",
        "no__disk-1",
        "missing__image",
    )
    with ScriptedService(mends) as service:
        command = [
            sys.executable, "-m", "aisb_cli.main", "run", "--models", "vllm-chat", "--url", service.url,
            "--datasets", "swe_bench", "--data-dir", "data", "--set", "model.stream=false", "-w", "runs",
            "--set", f"task.environment.runtime={stand_in / 'docker'}", "--set", "task.environment.max_turns=6",
            "--allow-code-execution",
        ]  # fmt: skip
        done = run_forked(
            command, cwd=tmp_path, env={**os.environ, "NO_COLOR": "1"}, capture_output=True, text=True,
            timeout=200, check=False,
        )  # fmt: skip
    assert done.returncode == 1, done.stdout + done.stderr  # a container could not be started
    (file,) = tmp_path.glob("runs/2*/results/vllm-chat/swe_bench.json")
    results = json.loads(file.read_text())
    expected = {"correct": 1, "wrong": 1, "truncated": 0, "unparsed": 2, "refused": 0, "error": 3}
    assert results["outcomes"] == expected, done.stdout + done.stderr
    low, high = results["bounds"]
    assert (round(low, 1), round(high, 1)) == (14.3, 50.0)
    (scores,) = tmp_path.glob("runs/2*/results/vllm-chat/swe_bench_scores.jsonl")
    failures = [
        json.loads(line).get("details", {}).get("failure", "") for line in scores.read_text().splitlines()
    ]
    assert "wrote no report: Docker is not running" in failures[4]
    assert "disk full" in failures[5]
    assert "no such image" in failures[6]
    assert len((stand_in / "removed").read_text().split()) == 6
    assert (
        "--network none docker.io/swebench/sweb.eval.x86_64.good_1776_sums-1:latest sleep"
        in (stand_in / "started").read_text()
    )
    assert not list(stand_in.glob("c[0-9]*"))


def played(stand_in, *replies, name="good__sums-1", **options):
    async def play():
        sample = Sample("0", {"instance_id": name, "problem_statement": "It subtracts."})
        episode = swe_bench_shell(runtime=str(stand_in / "docker"), **options)(sample, 0)
        said = []
        try:
            await episode.begin()
            for reply in replies:
                said += [await episode.respond(reply)]
        finally:
            await episode.close()
        return said, episode.state()

    return asyncio.run(play())


def asks(name, arguments):
    return Prediction("0", tool_calls=({"id": "c", "name": name, "arguments": arguments},))


def test_what_a_command_says_goes_back_and_a_slow_one_is_stopped(stand_in):
    said, state = played(
        stand_in,
        asks("bash", '{"command": "echo out; echo err >&2; exit 3"}'),
        asks("bash", '{"command": "sleep 60"}'),
        asks("bash", '{"command": "yes | head -c 50000"}'),
        asks("bash", "[1]"),
        asks("look", "{}"),
        Prediction("0", text="Done."),
        seconds=2.0,
    )
    texts = [messages[0].content for messages in said]
    assert texts[0] == "exit code 3\nout\nerr\n"
    assert texts[1] == "exit code unknown\nit took longer than 2 s"
    assert "characters left out" in texts[2]
    assert len(texts[2]) < SHOWN + 100
    assert texts[3:5] == ["The argument `command` is missing.", f"There is no function 'look'. {texts[5]}"]
    assert state == {"patch": None, "commands": 3}


def test_a_container_that_is_gone_is_no_failure_of_the_model(stand_in):
    with pytest.raises(RuntimeError, match="the container is gone"):
        played(stand_in, asks("bash", json.dumps({"command": f"rm -rf {stand_in}/c[0-9]*; exit 1"})))


def test_what_is_missing_is_said(stand_in, monkeypatch, tmp_path):
    with pytest.raises(UsageError, match=r"no program runs containers here \(/nowhere/docker\): install one"):
        swe_bench_shell(runtime="/nowhere/docker")
    with pytest.raises(DataError, match="the row has no 'instance_id'"):
        swe_bench_shell(runtime=str(stand_in / "docker"))(Sample("0", {}), 0)
    with pytest.raises(UsageError, match="at_once and seconds must be at least 1"):
        SweBenchHarness(dataset="x", at_once=0)
    monkeypatch.delenv("AISB_ALLOW_CODE_EXECUTION")
    for make in (lambda: swe_bench_shell(), lambda: SweBenchHarness(dataset="x")):
        with pytest.raises(UsageError, match=r"off by default\n  to allow it, add --allow-code-execution"):
            make()


def test_a_patch_that_does_not_apply_is_an_error_as_in_an_imported_report(stand_in):
    fields = {"instance_id": "good__sums-1", "episode": {"state": {"patch": "no patch at all"}}}
    score = asyncio.run(SweBenchHarness(dataset="x").score(None, Sample("0", fields)))
    assert (score.outcome, score.value) == ("error", 0.0)
    assert "the patch did not apply" in score.details["failure"]
    assert Path(os.environ["STAND_IN"]).is_dir()
