"""Records of Every Eval Ever: accepted by its own validator, with our scores, intervals and answers."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from every_family import aisb, write_data
from foreign_readers import read

from aisb import RunError, UsageError
from aisb_engine import open_finished_run
from aisb_reporter_exchange._every_eval_ever import EveryEvalEver, model_identity

STORED = Path(__file__).parents[4] / "tests" / "runs"
VALIDATE = """
import json, sys
from every_eval_ever.validator.validate import _local_path_context, validate_file
from pathlib import Path
found = {}
for name in sys.argv[1:]:
    path = Path(name)
    place, files = _local_path_context(path)
    report = validate_file(path, repo_path=place, available_files=files, read_repo_file=files.read_text,
                           run_semantic_checks=True)
    found[path.parts[-4] + ":" + path.suffix] = [report.errors, report.warnings, report.line_count]
print(json.dumps(found, default=str))
"""


def records(folder):
    """Return the records of a run by task, each with its answers."""
    found = {}
    for path in (folder / "exchange/every-eval-ever").rglob("*.json"):
        lines = path.with_name(f"{path.stem}_samples.jsonl").read_text().splitlines()
        found[path.parts[-4]] = json.loads(path.read_text()), [json.loads(line) for line in lines]
    return found


def files_of(*folders):
    return [file for folder in folders for file in (folder / "exchange/every-eval-ever").rglob("*.json*")]


@pytest.mark.slow
def test_the_validator_finds_no_error_and_no_warning_in_any_family(families):
    found = read(VALIDATE, *files_of(*families))
    assert len(found) == 20
    assert {name: each[:2] for name, each in found.items() if each[0] or each[1]} == {}
    assert found["sums:.jsonl"][2] == 24


def test_the_validator_accepts_a_run_of_an_old_version(tmp_path):
    folder = Path(shutil.copytree(STORED / "accuracy/20261129_211322", tmp_path / "20261129_211322"))
    list(EveryEvalEver().report(open_finished_run(folder)))
    found = read(VALIDATE, *files_of(folder))
    assert found["essays:.json"][:2] == [[], []]
    assert found["sums:.jsonl"] == [[], [], 24]


def test_scores_and_intervals_are_those_of_the_run(families):
    record, lines = records(families[0])["sums"]
    run = open_finished_run(families[0])
    (result,) = [one for one in run.results if one.task == "sums"]
    entries = {entry["evaluation_result_id"]: entry for entry in record["evaluation_results"]}
    assert len(entries) == len(result.metrics)
    for name, metric in (
        (f"sums/{metric.name}", metric) for metric in result.metrics if metric.group is None
    ):
        details = entries[name]["score_details"]
        assert details["score"] == pytest.approx(metric.value / 100)
        interval = details["uncertainty"]["confidence_interval"]
        assert (interval["lower"], interval["upper"]) == pytest.approx((metric.low / 100, metric.high / 100))
        assert details["uncertainty"]["num_samples"] == metric.count
    passed = entries["sums-north/pass@3"]["metric_config"]
    assert (passed["metric_id"], passed["metric_parameters"]) == ("pass_at_k", {"k": 3})
    arguments = entries["sums/pass@3"]["generation_config"]["generation_args"]
    assert (arguments["temperature"], arguments["max_tokens"]) == (0.7, 64)
    assert {line["evaluation_result_id"] for line in lines} == {
        "sums-north/accuracy (3 runs average)",
        "sums-south/accuracy (3 runs average)",
    }
    assert sum(line["evaluation"]["is_correct"] for line in lines) == result.outcomes["correct"]
    (failed,) = [line for line in lines if "error" in line]
    assert "HTTP 500" in failed["error"]


def test_the_model_and_the_data_are_named(families):
    record, _ = records(families[0])["letters"]
    assert record["model_info"]["id"] == "acme/pen-8b"
    assert record["model_info"]["developer"] == "acme"
    source = record["evaluation_results"][0]["source_data"]
    assert (source["source_type"], source["hf_repo"], source["samples_number"]) == (
        "hf_dataset",
        "acme/letters",
        3,
    )
    assert source["additional_details"]["revision"] == "abc123"
    other = records(families[0])["sums"][0]["evaluation_results"][0]["source_data"]
    assert (other["source_type"], other["url"]) == ("url", ["https://example.org/sums"])
    assert records(families[0])["talk"][0]["evaluation_results"][0]["source_data"]["source_type"] == "other"


def test_a_judged_task_names_its_judge_and_the_prompt(families):
    record, lines = records(families[0])["essays"]
    scoring = record["evaluation_results"][0]["metric_config"]["llm_scoring"]
    assert scoring["judges"][0]["model_info"]["name"] == "referee"
    assert scoring["input_prompt"].startswith("Question: {question}")
    assert [line["evaluation"]["is_correct"] for line in lines] == [False, True, True]


def test_conversations_and_calls_have_all_their_messages(families):
    _, (talk, _) = records(families[0])["talk"]
    assert talk["interaction_type"] == "multi_turn"
    assert [message["content"] for message in talk["messages"]] == [
        "Think of 0.",
        "I do.",
        "Add 1 to the 0.",
        "It is 1.",
    ]
    assert talk["evaluation"]["num_turns"] == 2
    _, (call, _) = records(families[0])["bfcl"]
    assert call["interaction_type"] == "agentic"
    assert call["messages"][-1]["tool_calls"][0]["name"] == "t_run"
    assert call["evaluation"]["tool_calls_count"] == 1
    _, (episode,) = records(families[0])["bfcl_multi_turn"]
    assert episode["interaction_type"] == "agentic"
    assert [message["role"] for message in episode["messages"]][-3:] == ["assistant", "user", "assistant"]
    assert episode["messages"][-2]["content"] == "Thanks."


def test_likelihoods_are_kept_with_the_option_that_was_chosen(families):
    _, lines = records(families[1])["likely"]
    first = lines[0]
    likelihoods = json.loads(first["metadata"]["logprobs"])
    best = max(range(4), key=lambda place: likelihoods[place]["total"])
    assert first["output"]["raw"] == [first["input"]["choices"][best]]


def test_no_name_of_a_folder_of_this_machine_is_written(families):
    (folder, _), home = families, str(families[0].parent.parent)
    for file in files_of(folder):
        assert home not in file.read_text()
    _, lines = records(folder)["pictures"]
    assert "[image: dot.png]" in lines[0]["input"]["raw"]


def test_a_second_report_writes_the_same_files(families):
    before = {file: file.read_bytes() for file in files_of(families[0])}
    list(EveryEvalEver().report(open_finished_run(families[0])))
    assert {file: file.read_bytes() for file in files_of(families[0])} == before


def test_options_say_who_evaluated_and_which_model(tmp_path):
    folder = Path(shutil.copytree(STORED / "accuracy/20261129_211322", tmp_path / "20261129_211322"))
    written = EveryEvalEver(
        organization="Acme",
        relationship="first_party",
        model_id="acme/pen-8b",
        weights="open_weights",
        samples=False,
    ).report(open_finished_run(folder))
    assert all(path.suffix == ".json" for path in written)
    record = json.loads(next(iter(written)).read_text())
    assert record["source_metadata"]["source_organization_name"] == "Acme"
    assert record["model_info"]["additional_details"]["model_availability"] == "open_weights"
    assert "detailed_evaluation_results" not in record
    assert next(iter(written)).parts[-3:-1] == ("acme", "pen-8b")


@pytest.mark.parametrize(
    ("served", "expected"),
    [
        ("Qwen/Qwen3-8B", ("Qwen/Qwen3-8B", "Qwen")),
        ("gpt-oss:20b", ("gpt-oss:20b", "me")),
        ("/models/Qwen3-8B/", ("Qwen3-8B", "me")),
        ("unknown", ("unknown-model", "me")),
        ("a/b/c", ("a/b/c", "a")),
        ('od"d. ', ("od_d", "me")),
        ("/", ("model", "me")),
    ],
)
def test_a_model_has_an_id_that_is_a_path(served, expected):
    assert model_identity(served, "me") == expected


def test_one_id_for_several_models_is_refused(families, tmp_path):
    run = open_finished_run(families[0])
    several = replace(run, results=(run.results[0], replace(run.results[0], model="other")))
    with pytest.raises(
        UsageError, match=r"model_id = 'acme/x' names one model, but the run has 2: small, other"
    ):
        EveryEvalEver(model_id="acme/x").report(several)


def test_a_performance_run_has_nothing_to_write():
    run = open_finished_run(STORED / "performance/20261129_211323")
    with pytest.raises(RunError, match="is a performance run: it has no scores to write as Every Eval Ever"):
        EveryEvalEver().report(run)


def test_a_run_without_scores_says_how_to_score_it(tmp_path, capsys):
    folder = Path(shutil.copytree(STORED / "accuracy/20261129_211322", tmp_path / "run"))
    shutil.rmtree(folder / "results")
    assert list(EveryEvalEver().report(open_finished_run(folder))) == []
    said = capsys.readouterr().err
    assert (
        said
        == f"{folder} has no scores to write as Every Eval Ever; score it with: aisb score run -w {tmp_path}\n"
    )


def test_a_run_without_single_grades_says_how_to_get_them(tmp_path):
    shutil.copytree(STORED / "accuracy/20261129_211322", tmp_path / "run")
    for file in (tmp_path / "run/results/small").glob("*_scores.jsonl"):
        file.unlink()
    with pytest.raises(
        RunError, match="has no grades of single answers of small on sums\n  score it again: aisb score run"
    ):
        list(EveryEvalEver().report(open_finished_run(tmp_path / "run")))


def test_a_command_is_written_without_the_folders_of_this_machine(tmp_path):
    folder = Path(shutil.copytree(STORED / "accuracy/20261129_211322", tmp_path / "20261129_211322"))
    manifest = json.loads((folder / "configs/manifest.json").read_text())
    words = [
        "aisb",
        "run",
        "--url",
        "http://10.0.0.1:8000/v1",
        "--data-dir=/home/ann/data",
        "-w",
        "~/runs/mine",
        "a/b",
        "/x",
    ]
    manifest["sessions"][0]["command"] = words
    (folder / "configs/manifest.json").write_text(json.dumps(manifest))
    record = json.loads(next(iter(EveryEvalEver().report(open_finished_run(folder)))).read_text())
    command = record["evaluation_results"][0]["generation_config"]["generation_args"]["execution_command"]
    assert command == "aisb run --url http://10.0.0.1:8000/v1 --data-dir=data -w mine a/b x"


def test_models_that_are_served_under_one_name_have_evaluations_of_their_own(tmp_path):
    write_data(tmp_path)
    extra = (
        '[models.second]\nbackend = "sim"\noptions = { answers = "replies.jsonl", model = "acme/pen-8b" }\n'
    )
    (tmp_path / "aisb.toml").write_text(extra + (tmp_path / "aisb.toml").read_text())
    words = ("--models", "small", "second", "--datasets", "letters", "--set", "models.small.faults=[]")
    aisb(tmp_path, "run", *words, "--reporters", "every-eval-ever", "-w", "out", "--data-dir", ".")
    ids = [
        json.loads(path.read_text())["evaluation_id"] for path in (tmp_path / "out").rglob("data/**/*.json")
    ]
    assert sorted(one.rpartition("/")[2] for one in ids) == ["second", "small"]
