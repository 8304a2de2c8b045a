"""Reading a run folder for showing, and what is said when it cannot be read."""

import json
from importlib.util import find_spec
from pathlib import Path

import pytest

from aisb import AisbError, FinishedRun, RunError, UsageError
from aisb_engine import MeasuringOptions, open_finished_run

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
    "predictions": 64,
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
    assert (result.bounds, result.predictions, result.unclear) == ((73.44, 74.6), 64, 1)
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
    with pytest.raises(RunError, match="is not a run folder: it has neither configs/ nor results/") as raised:
        open_finished_run(tmp_path)
    assert str(tmp_path) in str(raised.value)
    assert "name the folder of one run" in str(raised.value)
    with pytest.raises(RunError, match="is not a run folder: it does not exist"):
        open_finished_run(tmp_path / "nothing")


def test_a_broken_result_is_named_with_the_command_that_makes_it_again(tmp_path):
    folder = tmp_path / "20261121_220301"
    file = put(folder)
    file.write_text("{")
    with pytest.raises(RunError, match="is not a result") as raised:
        open_finished_run(folder)
    assert str(file) in str(raised.value)
    assert "aisb score 20261121_220301" in str(raised.value)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"model": "sim"}', "it lacks 'task'"),
        ("[]", "is not a result"),
        ('{"model": "m", "task": "t", "version": "v", "mode": "gen", "metrics": [3]}', "is not a result"),
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
        with pytest.raises(RunError, match="is damaged") as raised:
            open_finished_run(tmp_path)
        assert str(file) in str(raised.value)
        assert "restore it, or start a new run" in str(raised.value)


STORED = Path(__file__).parents[1] / "runs"
ACCURACY, PERFORMANCE = STORED / "accuracy/20261129_211322", STORED / "performance/20261129_211323"


def test_rows_of_a_run_are_plain_and_can_be_chosen_by_model_and_task():
    run = open_finished_run(ACCURACY)
    scores = run.scores(task="sums")
    assert list(scores[0]) == [
        "model", "task", "id", "repeat", "evaluator", "outcome", "value", "answer", "rule", "span", "details",
    ]  # fmt: skip
    assert {row["task"] for row in run.scores()} == {"sums", "essays"}
    assert len(scores) == len([row for row in run.scores() if row["task"] == "sums"]) > 0
    assert run.scores("nobody") == []
    (result,) = [result for result in run.results if result.task == "sums"]
    metrics = [row for row in run.metrics() if row["task"] == "sums"]
    assert [(row["name"], row["value"]) for row in metrics] == [(m.name, m.value) for m in result.metrics]


def test_requests_and_samples_say_what_was_asked_and_answered():
    run = open_finished_run(ACCURACY)
    requests, samples = run.requests("small", "sums"), run.samples("small", "sums")
    assert {row["id"] for row in requests} == {row["id"] for row in samples}
    first = {row["id"]: row for row in samples}[requests[0]["id"]]
    assert (requests[0]["origin_prompt"], requests[0]["gold"]) == (first["prompt"], first["target"])
    assert first["fields"] == {
        "region": "north",
        "question": "In the north, what is 0 plus 0?",
        "answer": "0",
    }
    assert requests[0]["messages"] is None
    assert (requests[0]["file"], requests[0]["line"]) == ("predictions/small/sums.jsonl", 1)
    line = (ACCURACY / requests[0]["file"]).read_text().splitlines()[0]
    assert json.loads(line)["prediction"] == requests[0]["prediction"]


def test_requests_of_a_performance_run_come_from_its_log():
    run = open_finished_run(PERFORMANCE)
    assert run.is_performance
    rows = run.requests()
    columns = run.performance["small", "sums"].requests()
    assert sorted(row["id"] for row in rows) == sorted(columns["id"])
    times = {(row["id"], row["repeat"]): row["ttft_ms"] for row in rows}
    for key, repeat, ttft in zip(columns["id"], columns["repeat"], columns["ttft"], strict=True):
        assert times[key, int(repeat)] == pytest.approx(ttft, nan_ok=True)


def test_performance_is_measured_once_and_by_the_configuration():
    run = open_finished_run(PERFORMANCE)
    assert list(run.performance) == [("small", "sums")]
    assert run.performance["small", "sums"] is run.performance["small", "sums"]
    with pytest.raises(KeyError):
        run.performance["small", "essays"]
    chosen = open_finished_run(PERFORMANCE, measuring=MeasuringOptions([12.5], {"ttft": 1}))
    result = chosen.performance["small", "sums"]
    assert (result.percentiles, dict(result.goodput.objectives)) == ((12.5,), {"ttft": 1.0})
    assert set(result.stages[0].parameters["E2EL"].percentiles) == {12.5, 95, 99}


def test_percentiles_that_are_no_numbers_are_named():
    run = open_finished_run(PERFORMANCE, measuring=MeasuringOptions("many"))
    with pytest.raises(UsageError, match=r"percentiles 'many': expected numbers"):
        run.performance["small", "sums"]


def test_the_configuration_and_the_manifest_are_those_of_the_run(tmp_path):
    run = open_finished_run(ACCURACY)
    assert run.configuration["subtasks"][0]["model"] == "small"
    assert run.manifest["sessions"][0]["exit_code"] == 0
    put(tmp_path)
    assert (open_finished_run(tmp_path).configuration, open_finished_run(tmp_path).manifest) == ({}, {})


def test_another_run_is_opened_beside_it(tmp_path):
    other = open_finished_run(ACCURACY).open(PERFORMANCE)
    assert other.is_performance
    with pytest.raises(RunError, match="cannot be opened from a run that was not read from a folder"):
        FinishedRun(tmp_path, "20261121_220301").open(PERFORMANCE)


def test_rows_become_a_data_frame_where_pandas_is_installed():
    rows = open_finished_run(ACCURACY).metrics()
    if find_spec("pandas"):
        assert list(rows.to_pandas()["value"]) == [row["value"] for row in rows]
    else:
        with pytest.raises(AisbError, match="needs pandas: pip install pandas"):
            rows.to_pandas()
