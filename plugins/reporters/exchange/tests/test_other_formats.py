"""Logs of Inspect, results of lm-eval and evaluation results of the Hugging Face hub, read by their own readers."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from every_family import aisb
from foreign_readers import read
from huggingface_hub import parse_eval_result_entries

from aisb import UsageError
from aisb_engine import open_finished_run
from aisb_reporter_exchange._every_eval_ever import EveryEvalEver
from aisb_reporter_exchange._huggingface import HuggingFace
from aisb_reporter_exchange._inspect import InspectLog
from aisb_reporter_exchange._lm_eval import LmEval
from aisb_testing import check_plugin

STORED = Path(__file__).parents[4] / "tests" / "runs" / "accuracy" / "20261129_211322"
READ_LOGS = """
import json, sys
from inspect_ai.log import list_eval_logs, read_eval_log, read_eval_log_sample_summaries
found = {}
for folder in sys.argv[1:]:
    for info in list_eval_logs(folder):
        log, head = read_eval_log(info), read_eval_log(info, header_only=True)
        first = log.samples[0]
        found[log.eval.task] = {
            "status": log.status, "model": log.eval.model, "epochs": head.eval.config.epochs,
            "metrics": {n: m.value for n, m in head.results.scores[0].metrics.items()},
            "samples": len(log.samples), "summaries": len(read_eval_log_sample_summaries(info)),
            "values": [next(iter(s.scores.values())).value for s in log.samples],
            "roles": [m.role for m in first.messages], "text": first.output.completion,
            "usage": first.output.usage and first.output.usage.total_tokens,
            "errors": sum(s.error is not None for s in log.samples),
            "calls": [c.function for m in first.messages for c in (getattr(m, "tool_calls", None) or [])],
        }
print(json.dumps(found))
"""
TABLES = """
import json, sys
from lm_eval.utils import get_file_datetime, get_file_task_name, get_results_filenames, get_sample_results_filenames, make_table
files = sys.argv[2:]
(name,) = get_results_filenames(files)
results = json.load(open(name))
samples = {get_file_task_name(f.rpartition("/")[2]): get_file_datetime(f) for f in get_sample_results_filenames(files)}
print(json.dumps([make_table(results), make_table(results, "groups"), samples]))
"""


def test_the_reporters_pass_the_conformance_kit():
    check_plugin("aisb-reporter-exchange")


@pytest.fixture
def old(tmp_path):
    return open_finished_run(Path(shutil.copytree(STORED, tmp_path / STORED.name)))


def lm_eval_files(folder):
    return sorted((folder / "exchange/lm-eval").rglob("*.json*"))


def test_inspect_reads_logs_of_every_family(families):
    found = read(READ_LOGS, *(folder / "exchange/inspect" for folder in families))
    assert len(found) == 10
    assert all(one["samples"] == one["summaries"] for one in found.values())
    sums = found["sums"]
    assert (sums["status"], sums["model"], sums["epochs"], sums["samples"]) == (
        "success",
        "sim/acme/pen-8b",
        3,
        24,
    )
    run = open_finished_run(families[0])
    (result,) = [one for one in run.results if one.task == "sums"]
    assert sums["metrics"]["pass@3"] == pytest.approx(
        next(m.value for m in result.metrics if m.name == "pass@3") / 100
    )
    assert sums["values"].count("C") == result.outcomes["correct"]
    assert (sums["errors"], sums["values"].count("N")) == (1, 1)
    assert sums["roles"] == ["system", "user", "assistant"]
    assert found["talk"]["roles"] == ["user", "assistant", "user", "assistant"]
    assert found["talk"]["text"] == "It is 1."
    assert found["bfcl"]["calls"] == ["t_run"]
    assert found["bfcl_multi_turn"]["roles"].count("assistant") == 2
    assert found["likely"]["text"] in "ABCD"
    assert found["letters"]["usage"] > 0


def test_inspect_reads_a_run_of_an_old_version(old):
    assert len(list(InspectLog().report(old))) == 2
    found = read(READ_LOGS, old.folder / "exchange/inspect")
    assert found["sums"]["metrics"]["accuracy (2 runs average) (north)"] == pytest.approx(2 / 3)


def test_media_are_in_a_log_only_if_they_are_wanted(families):
    run = open_finished_run(families[0])

    def first_part(**options):
        (path,) = [path for path in InspectLog(**options).report(run) if "_pictures_" in path.name]
        return json.loads(path.read_text())["samples"][0]["input"][0]["content"][0]

    shown = first_part(media=True)
    assert shown["type"] == "image"
    assert shown["image"].startswith("data:image/png;base64,")
    assert first_part() == {"type": "text", "text": "[image: dot.png]"}


def test_lm_eval_makes_its_tables_of_our_results(families):
    table, groups, samples = read(TABLES, "", *lm_eval_files(families[0]))
    lines = [[cell.strip() for cell in line.split("|")] for line in table.splitlines()]
    (row,) = [line for line in lines if line[1] == "- sums_north"]
    assert row[5:9] == ["acc", "↑", "0.6667", "±"]
    assert "|sums " in groups
    assert {"sums_north", "sums_south", "letters", "talk"} <= samples.keys()
    assert len(set(samples.values())) == 1


def test_results_of_lm_eval_have_its_layout(families):
    (path,) = [file for file in lm_eval_files(families[0]) if file.name.startswith("results_")]
    results = json.loads(path.read_text())
    assert path.parent.name == results["model_name_sanitized"] == "acme__pen-8b"
    assert results["results"]["sums"]["pass@3,none"] == pytest.approx(0.75)
    assert results["groups"]["sums"] == results["results"]["sums"]
    assert results["group_subtasks"]["sums"] == ["sums_north", "sums_south"]
    assert results["n-samples"]["sums_north"] == {"original": 4, "effective": 4}
    assert results["higher_is_better"]["essays"] == {"acc": True, "without verdict": False}
    for table in ("configs", "versions", "n-shot"):
        assert results[table].keys() == results["results"].keys()
    (line, *_) = map(
        json.loads,
        path.with_name(path.name.replace("results", "samples_sums_north") + "l").read_text().splitlines(),
    )
    assert (line["doc_id"], line["target"], line["acc"]) == (0, "0", 0.0)
    assert line["resps"] == [["That makes 99."] * 3]
    assert line["outcomes"] == ["wrong"] * 3


def test_likelihoods_are_requests_of_their_own_in_lm_eval(families):
    (path,) = [file for file in lm_eval_files(families[1]) if file.name.startswith("samples_")]
    line = json.loads(path.read_text().splitlines()[0])
    assert [line["arguments"][f"gen_args_{n}"]["arg_1"] for n in range(4)] == [
        " stone",
        " apple",
        " chair",
        " cloud",
    ]
    assert len(line["resps"]) == 4


def test_values_that_are_no_accuracy_are_not_named_so(families):
    files = {file.name.partition("_20")[0]: file for file in lm_eval_files(families[0])}
    results = json.loads(files["results"].read_text())["results"]["summaries"]
    assert results["rouge1_stderr,none"] == pytest.approx(1 / 3)
    assert results["bleu_stderr,none"] == "N/A"
    line = json.loads(files["samples_summaries"].read_text().splitlines()[1])
    assert (line["metrics"], line["rouge1"], "acc" in line) == (["rouge1"], 1.0, False)


def test_an_old_run_gives_results_of_lm_eval(old):
    written = list(LmEval().report(old))
    results = json.loads(written[-1].read_text())
    assert results["results"]["sums"]["acc,none"] == pytest.approx(2 / 3)
    assert all(path.name.startswith("results_") for path in LmEval(samples=False).report(old))


def test_the_hub_reads_evaluation_results(old):
    (path,) = HuggingFace(
        datasets={"sums": "acme/sums"},
        tasks={"sums": "regions"},
        source_url="https://example.org/run",
        source_name="Run",
    ).report(old)
    assert path.parts[-3:] == ("small", ".eval_results", "sums.yaml")
    (entry,) = parse_eval_result_entries(yaml.safe_load(path.read_text()))
    assert (entry.dataset_id, entry.task_id, entry.value) == ("acme/sums", "regions", 66.6667)
    assert (entry.date, entry.source_url, entry.source_name) == (
        "2026-11-29T21:13:22Z",
        "https://example.org/run",
        "Run",
    )
    assert entry.notes == (
        "0-shot, weighted_average in %, n = 24, 95 % interval 39.06 to 86.19, 2 answers to each sample, "
        "task sums fe08c0 of aisb 0.1.0"
    )


def test_the_dataset_of_a_task_is_found_in_its_file(families):
    paths = HuggingFace().report(open_finished_run(families[0]))
    entries = {path.stem: parse_eval_result_entries(yaml.safe_load(path.read_text()))[0] for path in paths}
    assert entries["letters"].dataset_id == "acme/letters"
    assert entries["letters"].dataset_revision == "abc123"
    assert entries["bfcl"].dataset_id == "gorilla-llm/Berkeley-Function-Calling-Leaderboard"
    assert "sums" not in entries


def test_a_task_without_a_dataset_on_the_hub_is_named(old, capsys):
    (path,) = HuggingFace(datasets={"sums": "acme/sums"}).report(old)
    assert path.name == "sums.yaml"
    assert capsys.readouterr().err == (
        "essays is left out, since its dataset on the Hugging Face hub is not known; "
        "name it with: --set 'huggingface.datasets={essays = \"OWNER/NAME\"}'\n"
    )


def test_a_source_needs_an_address(old):
    with pytest.raises(
        UsageError, match="source_name and source_user describe a source: set source_url, too"
    ):
        HuggingFace(source_name="Run").report(old)


def test_what_a_score_leaves_out_is_said_in_every_format(old):
    (sums,) = [one for one in old.results if one.task == "sums"]
    metrics = tuple(replace(one, groups=(2, 5)) for one in sums.metrics)
    partial = replace(sums, metrics=metrics, not_sent=4, failed=1, trial=("task.postprocess",))
    run = replace(old, results=(partial,))
    limits = [
        "2 of 5 groups", "4 requests not sent", "1 failed requests, which count as not correct",
        "scored by other rules than the task's (task.postprocess)",
    ]  # fmt: skip
    (page,) = HuggingFace(datasets={"sums": "acme/sums"}).report(run)
    assert all(limit in yaml.safe_load(page.read_text())[0]["notes"] for limit in limits)
    (log,) = (json.loads(path.read_text()) for path in InspectLog().report(run))
    assert (log["status"], log["eval"]["metadata"]["limits"]) == ("cancelled", limits)
    *_, results = LmEval().report(run)
    assert json.loads(results.read_text())["configs"]["sums"]["metadata"]["limits"] == limits
    record = json.loads(next(iter(EveryEvalEver().report(run))).read_text())
    assert record["evaluation_results"][0]["metric_config"]["additional_details"]["limits"] == "; ".join(
        limits
    )


def test_a_run_that_was_imported_is_written_without_the_places_of_its_files(published, tmp_path):
    run, _ = published
    aisb(tmp_path, "import", run / "exchange/lm-eval", "-w", tmp_path / "back")
    (back,) = (tmp_path / "back").glob("2*")
    aisb(tmp_path, "report", back, "--reporters", "every-eval-ever,inspect,lm-eval")
    files = list((back / "exchange").rglob("*.json*"))
    assert len(files) == 6 + 3 + 5
    details = [
        json.loads(file.read_text())["source_metadata"]["additional_details"]
        for file in files
        if file.parts[-5] == "data" and file.suffix == ".json"
    ]
    assert [one["imported_from"] for one in details] == ["lm-eval"] * 3
    record = json.loads(
        next(file for file in files if "every-eval-ever" in file.parts and file.suffix == ".json").read_text()
    )
    assert "evaluation_timestamp" not in record  # when the other tool asked is not known
    (page, *_) = HuggingFace(datasets={"mmlu": "cais/mmlu"}).report(open_finished_run(back))
    assert "date" not in yaml.safe_load(page.read_text())[0]
    for file in files:
        assert str(run.parent) not in file.read_text()
