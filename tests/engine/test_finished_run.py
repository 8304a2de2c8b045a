"""Reading a run folder for showing, and what is said when it cannot be read."""

import json

import pytest

from aisb._errors import RunError
from aisb_engine import open_finished_run

RESULT = {
    "model": "sim",
    "task": "demo_gsm8k",
    "variant": "zero-shot",
    "version": "3f2a1b",
    "mode": "gen",
    "accuracy": 73.44,
    "metrics": [
        {"name": "accuracy", "value": 73.44, "low": 61.5, "high": 82.7, "unit": "%", "count": 64, "later": 1}
    ],
    "outcomes": {"correct": 47, "wrong": 16, "unparsed": 1},
    "bounds": [73.44, 74.6],
    "asked": 64,
    "failed": 0,
    "merge": False,
    "details": {"0": {}},
}


def put(folder, **changes):
    data = RESULT | changes
    file = folder / "results" / data["model"] / f"{data['task']}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(data))
    return file


def plan(folder, *pairs, tasks=""):
    (folder / "configs").mkdir(parents=True, exist_ok=True)
    subtasks = "".join(f'[[subtasks]]\nmodel = "{model}"\ntask = "{task}"\n' for model, task in pairs)
    (folder / "configs" / f"{folder.name}.toml").write_text(subtasks + tasks)


def test_a_result_is_read_with_every_outcome(tmp_path):
    put(tmp_path)
    run = open_finished_run(tmp_path)
    (result,) = run.results
    assert run.timestamp == tmp_path.name
    assert (result.model, result.task, result.variant, result.version) == (
        "sim",
        "demo_gsm8k",
        "zero-shot",
        "3f2a1b",
    )
    assert (result.bounds, result.asked, result.unclear) == ((73.44, 74.6), 64, 1)
    assert list(result.outcomes) == ["correct", "wrong", "truncated", "unparsed", "refused", "error"]
    assert result.metrics[0].value == 73.44
    assert result.headline is result.metrics[0]


def test_models_and_tasks_stand_in_the_order_of_the_run(tmp_path):
    plan(tmp_path, ("zeta", "b"), ("alpha", "b"), ("zeta", "a"), ("alpha", "a"))
    for model, task in (("alpha", "a"), ("alpha", "b"), ("zeta", "b")):
        put(tmp_path, model=model, task=task)
    run = open_finished_run(tmp_path)
    assert (run.models, run.tasks) == (("zeta", "alpha"), ("b", "a"))
    assert [(result.model, result.task) for result in run.results] == [
        ("zeta", "b"),
        ("alpha", "b"),
        ("alpha", "a"),
    ]
    assert run.unscored == (("zeta", "a"),)


def test_results_are_found_without_a_configuration_and_earlier_passes_are_not(tmp_path):
    put(tmp_path)
    put(tmp_path / "results" / "passes" / "20261121_220301", task="older")
    assert [result.task for result in open_finished_run(tmp_path).results] == ["demo_gsm8k"]


def test_groups_come_before_their_averages_and_merge_hides_both(tmp_path):
    metrics = [
        {"name": "accuracy", "value": 68.0},
        {"name": "naive_average", "value": 70.0},
        {"name": "accuracy", "value": 60.0, "group": "anatomy"},
        {"name": "weighted_average", "value": 68.0},
    ]
    put(tmp_path, task="mmlu", metrics=metrics)
    (result,) = open_finished_run(tmp_path).results
    assert [(name, metric.name) for name, metric in result.rows()] == [
        ("mmlu-anatomy", "accuracy"),
        ("mmlu", "naive_average"),
        ("mmlu", "weighted_average"),
    ]
    assert result.headline.name == "weighted_average"
    put(tmp_path, task="mmlu", metrics=metrics, merge=True)
    (result,) = open_finished_run(tmp_path).results
    assert [(name, metric.name) for name, metric in result.rows()] == [("mmlu", "accuracy")]


def test_a_folder_that_is_no_run_is_named(tmp_path):
    with pytest.raises(RunError, match="is no run folder: it has neither configs/ nor results/") as raised:
        open_finished_run(tmp_path)
    assert str(tmp_path) in str(raised.value)
    assert "give the folder of one run" in str(raised.value)
    with pytest.raises(RunError, match="is no run folder: it does not exist"):
        open_finished_run(tmp_path / "nothing")


def test_a_broken_result_is_named_with_the_command_that_makes_it_again(tmp_path):
    folder = tmp_path / "20261121_220301"
    file = put(folder)
    file.write_text("{")
    with pytest.raises(RunError, match="is no result") as raised:
        open_finished_run(folder)
    assert str(file) in str(raised.value)
    assert "aisb run --mode eval --reuse 20261121_220301" in str(raised.value)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"model": "sim"}', "it lacks 'task'"),
        ("[]", "is no result"),
        ('{"model": "m", "task": "t", "version": "v", "mode": "gen", "metrics": [3]}', "is no result"),
    ],
)
def test_a_result_of_another_shape_is_named(tmp_path, text, reason):
    put(tmp_path).write_text(text)
    with pytest.raises(RunError, match=reason):
        open_finished_run(tmp_path)


def test_a_task_without_an_evaluator_is_no_missing_result(tmp_path):
    plan(tmp_path, ("sim", "speed"), ("sim", "right"), tasks="[tasks.speed]\nevaluate = []\n")
    assert open_finished_run(tmp_path).unscored == (("sim", "right"),)


def test_a_broken_configuration_is_named(tmp_path):
    (tmp_path / "configs").mkdir()
    file = tmp_path / "configs" / f"{tmp_path.name}.toml"
    for text in ("[1", "[[subtasks]]\nmodel = 'sim'\n"):
        file.write_text(text)
        with pytest.raises(RunError, match="is broken") as raised:
            open_finished_run(tmp_path)
        assert str(file) in str(raised.value)
        assert "restore it, or start a new run" in str(raised.value)
