"""Results of harnesses for agents become runs: every state is one of the six outcomes."""

import json
import sys

import pytest
from forked import run_forked

from aisb_dataset_tools._agent_results import Harbor, SweBench
from aisb_testing import check_importer


def trial(name, task, reward=None, exception=None, **agent):
    return {
        "task_name": task,
        "trial_name": name,
        "source": "terminal-bench",
        "agent_info": {"name": "mini", "version": "1", "model_info": {"name": "qwen3", "provider": "local"}},
        "agent_result": {"n_input_tokens": 900, "n_cache_tokens": 100, "n_output_tokens": 30, **agent},
        "verifier_result": None if reward is None else {"rewards": {"reward": reward}},
        "exception_info": exception and {"exception_type": exception, "exception_message": "it broke"},
    }


@pytest.fixture
def job(tmp_path):
    """A job with two trials of one task, and one of each of four others."""
    trials = [
        trial("a__1", "a", 1.0), trial("a__2", "a", 0.0), trial("b__1", "b", 0.5),
        trial("c__1", "c", 0.0, "AgentTimeoutError"), trial("d__1", "d", None, "EnvironmentStartError"),
        trial("e__1", "e", None, None, n_output_tokens=None),
    ]  # fmt: skip
    root = tmp_path / "job"
    for one in trials:
        (root / one["trial_name"]).mkdir(parents=True)
        (root / one["trial_name"] / "result.json").write_text(json.dumps(one))
    (root / "result.json").write_text(json.dumps({"stats": {"n_trials": 6}}))
    return root


@pytest.fixture
def report(tmp_path):
    table = {
        "total_instances": 6, "submitted_ids": ["a", "b", "c", "d", "f"], "completed_ids": ["a", "b"],
        "resolved_ids": ["a"], "unresolved_ids": ["b"], "empty_patch_ids": ["c"], "error_ids": ["d"],
        "incomplete_ids": ["e"], "schema_version": 2,
    }  # fmt: skip
    path = tmp_path / "qwen3.run-1.json"
    path.write_text(json.dumps(table))
    return path


def imported(path, cwd):
    done = run_forked(
        [sys.executable, "-m", "aisb_cli.main", "import", str(path)],
        cwd=cwd, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    (file,) = cwd.glob("outputs/default/*/results/*/*.json")
    return done, json.loads(file.read_text())


def test_the_states_of_trials_are_outcomes_and_their_tokens_are_kept(job, tmp_path):
    done, results = imported(job, tmp_path)
    assert results["outcomes"] == {
        "correct": 1, "wrong": 2, "truncated": 1, "unparsed": 0, "refused": 0, "error": 2,
    }, done.stdout + done.stderr  # fmt: skip
    assert results["model"] == "qwen3"
    assert results["tokens"]["cached"] == {"sum": 400, "reported": 4}  # of trials that have an answer


def test_the_states_of_a_report_are_outcomes_and_the_score_is_that_of_the_report(report, tmp_path):
    done, results = imported(report, tmp_path)
    assert results["outcomes"] == {
        "correct": 1, "wrong": 1, "truncated": 0, "unparsed": 1, "refused": 0, "error": 3,
    }, done.stdout + done.stderr  # fmt: skip
    assert results["accuracy"] == pytest.approx(100 / 6, abs=0.01)


def test_both_importers_keep_the_contract(job, report):
    check_importer(Harbor(), job, report)
    check_importer(SweBench(), report, job / "result.json")
