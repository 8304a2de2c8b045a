"""Scoring by other rules is a trial: it changes no configuration, is said everywhere, and leaves no trace."""

import json
from pathlib import Path

import pytest
from command_line import aisb_output as aisb

TRIAL = 'task.postprocess=[{use="after", marker="nowhere"}]'


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """A folder with one run of eight questions, most answered right."""
    aisb("run", "--models", "sim", "--datasets", "demo_gsm8k", "--num-prompts", "8", cwd=tmp_path)
    return tmp_path


def run_folder(work: Path) -> Path:
    (folder,) = (work / "outputs/default").iterdir()
    return folder


def configuration(work: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (run_folder(work) / "configs").iterdir()}


def results(work: Path) -> dict[str, object]:
    table: dict[str, object] = json.loads((run_folder(work) / "results/sim/demo_gsm8k.json").read_text())
    return table


SCORE = ("score", "latest")
EVAL = ("run", "--mode", "eval", "--reuse")


@pytest.mark.parametrize("words", [SCORE, EVAL])
def test_a_trial_changes_no_configuration_and_the_next_scoring_is_by_the_runs_own_rules(work, words):
    before, own = configuration(work), results(work)["accuracy"]
    aisb(*words, "--set", TRIAL, cwd=work)
    assert configuration(work) == before
    assert (results(work)["accuracy"], results(work)["trial"]) == (0.0, ["task.postprocess"])
    aisb(*words, cwd=work)
    assert configuration(work) == before
    assert (results(work)["accuracy"], results(work)["trial"]) == (own, [])


def test_every_table_says_that_a_score_is_of_a_trial(work):
    said = "scored by other rules than the task's own (task.postprocess)"
    out = " ".join(aisb("score", "--set", TRIAL, "--dump-eval-details", cwd=work).split())
    assert said in out
    shown = aisb("report", "latest", "--reporters", "text,markdown,csv,json,html,junit", cwd=work)
    assert said in " ".join(shown.split())
    summary = run_folder(work) / "summary"
    texts = {path.suffix: path.read_text() for path in summary.iterdir()}
    assert said in texts[".md"]
    head, row = (line.split(",") for line in texts[".csv"].splitlines())
    assert row[head.index("sim trial")] == "task.postprocess"
    assert json.loads(texts[".json"])["results"][0]["trial"] == ["task.postprocess"]
    assert any(said in line for line in json.loads(texts[".json"])["warnings"])
    assert '<property name="trial" value="task.postprocess"' in texts[".xml"]
    assert "other rules than the task's own: task.postprocess" in aisb("runs", "show", "latest", cwd=work)
    listed = json.loads(aisb("runs", "list", "--json", cwd=work))
    assert "task.postprocess" in json.dumps(listed)


def test_a_comparison_uses_the_runs_own_rules_and_says_so(work):
    aisb("run", "--models", "sim", "--datasets", "demo_gsm8k", "--num-prompts", "8", "-w", "other", cwd=work)
    other = next((work / "other").iterdir())
    aisb("score", "--set", TRIAL, "--dump-eval-details", cwd=work)
    out = aisb("compare", str(run_folder(work)), str(other), cwd=work)
    assert "! demo_gsm8k: A: last scored by other rules (task.postprocess); compared by its own" in out
    assert "tie" in out


def test_a_baseline_whose_log_is_gone_says_that_other_versions_graded_it(work):
    aisb("run", "--models", "sim", "--datasets", "demo_gsm8k", "--num-prompts", "8", "-w", "other", cwd=work)
    other = next((work / "other").iterdir())
    aisb("score", "--dump-eval-details", cwd=work)
    folder = run_folder(work)
    graded_by = results(work)["graded_by"]
    assert {"aisb-core", "aisb-engine", "aisb-evaluator-text"} <= set(graded_by)
    assert "graded by other rules" not in aisb("compare", str(folder), str(other), cwd=work)
    for log in (folder / "log").glob("*/*/*"):
        log.unlink()
    assert "graded by other rules" not in aisb("compare", str(folder), str(other), cwd=work)
    path = folder / "results/sim/demo_gsm8k.json"
    path.write_text(json.dumps({**results(work), "graded_by": {**graded_by, "aisb-evaluator-text": "0.0.9"}}))
    out = aisb("compare", str(folder), str(other), cwd=work)
    today = graded_by["aisb-evaluator-text"]
    assert (
        f"A: its log is gone, and it was graded by other rules: aisb-evaluator-text 0.0.9, today {today}"
        in out
    )


def test_grades_that_are_kept_are_made_again_where_the_log_is_there(work):
    aisb("run", "--models", "sim", "--datasets", "demo_gsm8k", "--num-prompts", "8", "-w", "other", cwd=work)
    aisb("score", "--dump-eval-details", cwd=work)
    path = run_folder(work) / "results/sim/demo_gsm8k.json"
    kept = results(work)
    for entry in kept["details"].values():
        entry |= {"outcome": "wrong", "value": 0.0}
    path.write_text(json.dumps(kept))
    out = aisb("compare", str(run_folder(work)), str(next((work / "other").iterdir())), "--json", cwd=work)
    (found,) = json.loads(out)["comparisons"]
    assert found["difference"] == 0


@pytest.mark.slow
@pytest.mark.parametrize("words", [SCORE, EVAL])
@pytest.mark.parametrize(
    "setting",
    [
        "task.prompt.shots=0",
        "task.prompt.user={question}",
        "task.dataset.path=elsewhere.jsonl",
        "task.sample.group={question}",
        "task.version=7",
        "params.temperature=1.0",
        "load.num_prompts=4",
        "tasks.demo_gsm8k.prompt.shots=0",
        "models.sim.seed=3",
        "run.max_num_workers=2",
    ],
)
def test_keys_that_belong_to_asking_are_refused(work, words, setting):
    before, kept = configuration(work), results(work)
    key = setting.partition("=")[0]
    error = aisb(*words, "--set", setting, cwd=work, code=2)
    assert f"{key}: this affects requests, and those of " in error
    assert f"start a new run, without --reuse: aisb run --models … --datasets … with --set {key}=…" in error
    assert (configuration(work), results(work)) == (before, kept)


def test_flags_that_say_otherwise_what_was_asked_are_refused_and_the_same_ones_are_not(work):
    again = (
        "run",
        "--mode",
        "eval",
        "--reuse",
        "--models",
        "sim",
        "--datasets",
        "demo_gsm8k",
        "--num-prompts",
    )
    assert "62.50" in aisb(*again, "8", cwd=work)
    assert "load.num_prompts: was 8, is 4: this affects requests" in aisb(*again, "4", cwd=work, code=2)
    error = aisb(*again, "8", "--max-out-len", "5", cwd=work, code=2)
    assert "params.max_tokens: was " in error


def test_a_resumed_run_keeps_the_rules_that_it_began_with(work):
    out = aisb("run", "--reuse", "--num-prompts", "10", "--set", TRIAL, cwd=work)
    assert "scored by other rules than the task's own" in " ".join(out.split())
    aisb("score", cwd=work)
    assert results(work)["trial"] == []
    assert results(work)["predictions"] == 10


def test_a_run_that_is_not_resumed_since_its_requests_would_differ_keeps_its_configuration(work):
    before = configuration(work)
    error = aisb("run", "--reuse", "--set", "task.prompt.shots=0", cwd=work, code=2)
    assert "task.prompt.shots: was 4, is 0" in error
    after = configuration(work)
    assert {k: v for k, v in after.items() if k != "manifest.json"} == {
        k: v for k, v in before.items() if k != "manifest.json"
    }
