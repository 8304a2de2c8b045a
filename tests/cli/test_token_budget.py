"""A run stops when it has used its token budget, goes on with a larger one, and counts nothing as zero."""

import json
import os
import sys

import pytest
from forked import run_forked

from aisb_testing import ScriptedService, whole_reply

USAGE = {
    "prompt_tokens": 80,
    "completion_tokens": 20,
    "prompt_tokens_details": {"cached_tokens": 30},
    "completion_tokens_details": {"reasoning_tokens": 5},
}


def answer(usage):
    def script(_request):
        message = {"role": "assistant", "content": "The answer is 4."}
        body = {"choices": [{"message": message, "finish_reason": "stop"}]}
        return whole_reply(body | ({"usage": usage} if usage else {}))

    return script


@pytest.fixture
def run(tmp_path):
    def aisb(service, *words):
        base = ("run", "--models", "vllm-chat", "--url", service.url, "--datasets", "demo_gsm8k", "-w", "runs",
                "--set", "model.stream=false", "--concurrency", "1", "--num-prompts", "10")  # fmt: skip
        return run_forked(
            [sys.executable, "-m", "aisb_cli.main", *base, *words], cwd=tmp_path, capture_output=True,
            text=True, timeout=60, check=False, env={**os.environ, "NO_COLOR": "1"},
        )  # fmt: skip

    return aisb


def results(tmp_path):
    (file,) = tmp_path.glob("runs/*/results/vllm-chat/demo_gsm8k.json")
    return json.loads(file.read_text())


def test_a_run_stops_at_its_budget_and_goes_on_with_a_larger_one(run, tmp_path):
    with ScriptedService(answer(USAGE)) as service:
        stopped = run(service, "--token-budget", "300")
        assert stopped.returncode == 4, stopped.stderr
        assert len(service.requests) == 3
        assert "stopped: 300 tokens are used of 300 (--token-budget); resume with a larger" in stopped.stderr
        assert "7 of 10 requests have no answer yet" in stopped.stderr
        again = run(service, "--reuse")
        assert (again.returncode, len(service.requests)) == (
            4,
            3,
        )  # the budget is of the run, not of a command
        more = run(service, "--reuse", "--token-budget", "1000")
        assert more.returncode == 0, more.stderr
        assert len(service.requests) == 10
    tokens = results(tmp_path)["tokens"]
    assert tokens == {
        "requests": 10,
        "input": {"sum": 800, "reported": 10},
        "output": {"sum": 200, "reported": 10},
        "reasoning": {"sum": 50, "reported": 10},
        "cached": {"sum": 300, "reported": 10},
    }


def test_an_answer_without_usage_is_not_counted_as_no_tokens(run, tmp_path):
    with ScriptedService(answer(None)) as service:
        stopped = run(service, "--token-budget", "300")
        assert stopped.returncode == 4
        assert len(service.requests) == 1
        assert (
            "the answer to request 0 has no token counts, so that no token budget can be kept"
            in stopped.stderr
        )
    with ScriptedService(answer({"prompt_tokens": 8, "completion_tokens": 2})) as service:
        assert run(service).returncode == 0
    found = [json.loads(file.read_text()) for file in tmp_path.glob("runs/*/results/*/demo_gsm8k.json")]
    (tokens,) = [table["tokens"] for table in found]
    assert tokens["cached"] == tokens["reasoning"] == {"sum": None, "reported": 0}


def test_results_of_an_earlier_version_have_no_tokens_and_are_verified_all_the_same(run, tmp_path):
    with ScriptedService(answer(USAGE)) as service:
        assert run(service).returncode == 0
    for file in tmp_path.glob("runs/**/demo_gsm8k.json"):
        if "tokens" in (table := json.loads(file.read_text())):
            del table["tokens"]
            file.write_text(json.dumps(table))
    for words in (("pack", "latest", "-w", "runs", "-o", "run.capsule"), ("verify", "run.capsule")):
        done = run_forked(
            [sys.executable, "-m", "aisb_cli.main", *words], cwd=tmp_path, capture_output=True, text=True,
            timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr


def test_a_budget_is_kept_where_one_process_sends(run):
    with ScriptedService(answer(USAGE)) as service:
        refused = run(service, "--token-budget", "300", "--workers", "2", "--concurrency", "2")
        assert not service.requests
    assert refused.returncode == 2
    assert "a budget is kept where one process sends; use --workers 1" in refused.stderr


def judged(usage):
    """Play a model and, under the name `referee`, its judge with this usage."""

    def script(request):
        is_judge = request.body["model"] == "referee"
        message = {"role": "assistant", "content": "A" if is_judge else "The answer is 4."}
        body = {"choices": [{"message": message, "finish_reason": "stop"}]}
        found = usage if is_judge else USAGE
        return whole_reply(body | ({"usage": found} if found else {}))

    return ScriptedService(script, models=("mock", "referee"))


def judge(service):
    return (
        "--set", "model.model=mock", "--judge", "vllm-chat", "--judge-url", service.url,
        "--set", "judge.options.model=referee", "--set", "judge.options.stream=false",
        "--set", "judge.load.concurrency=1",
        "--set", 'task.evaluate=[{use="judge", prompt="{question} {prediction} {verdicts}"}]',
    )  # fmt: skip


def test_a_judges_tokens_count_in_the_budget_and_are_shown_apart(run, tmp_path):
    with judged({"prompt_tokens": 50, "completion_tokens": 1}) as service:
        stopped = run(service, *judge(service), "--token-budget", "1100")
        assert stopped.returncode == 4, stopped.stdout + stopped.stderr
        said = (
            "1,102 tokens are used of 1,100 (--token-budget), 102 of them by the judge; resume with a larger"
        )
        assert said in stopped.stderr
        assert len(service.requests) == 12
        again = run(service, *judge(service), "--reuse")
        assert (again.returncode, len(service.requests)) == (4, 12)
        more = run(service, *judge(service), "--reuse", "--token-budget", "5000")
        assert more.returncode == 0, more.stdout + more.stderr
    asked = results(tmp_path)["judge"]
    kept = ("questions", "answered_in_log", "replies", "tokens_reported", "input_tokens", "output_tokens")
    assert {name: asked[name] for name in kept} == {
        "questions": 10, "answered_in_log": 2, "replies": 10, "tokens_reported": 10, "input_tokens": 500,
        "output_tokens": 10,
    }  # fmt: skip
    assert results(tmp_path)["tokens"]["input"]["sum"] == 800


def test_a_judge_without_usage_counts_as_unknown_and_not_as_nothing(run, tmp_path):
    with judged(None) as service:
        stopped = run(service, *judge(service), "--token-budget", "100000")
        assert stopped.returncode == 4
        assert "to the judge has no token counts, so that no token budget can be kept" in stopped.stderr
        assert len(service.requests) == 11
    with judged(None) as service:
        said = run(service, *judge(service))
        assert said.returncode == 0, said.stderr
        assert "(unknown for 10 of 10 replies)" in said.stdout + said.stderr
    found = [json.loads(file.read_text()) for file in tmp_path.glob("runs/*/results/*/demo_gsm8k.json")]
    (asked,) = [table["judge"] for table in found]
    assert (asked["replies"], asked["tokens_reported"], asked["input_tokens"]) == (10, 0, None)
