"""A script that reads the files of AISBench by their documented formats reads all that `ais_bench` writes."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

from aisb_mock import MockOptions, MockProcess, start_mock

TWO = ("--models", "vllm_api_general_chat", "vllm_api_general")
DATASETS = ("--datasets", "gsm8k_gen", "ceval_gen_0_shot_str")


def run_folder(work_dir: str = "outputs/default") -> Path:
    (folder,) = Path(work_dir).iterdir()
    return folder


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def read_predictions(folder: Path) -> dict[str, dict[str, str]]:
    """Read predictions as the FAQ says: an object by number, each with prompt, prediction and gold."""
    found = {}
    for path in folder.glob("predictions/*/*.json"):
        table = json.loads(path.read_text(encoding="utf-8"))
        for number, entry in table.items():
            assert str(int(number)) == number
            assert set(entry) == {"origin_prompt", "prediction", "gold"}
        found[f"{path.parent.name}/{path.stem}"] = {n: entry["prediction"] for n, entry in table.items()}
    return found


def read_lines(folder: Path) -> dict[str, dict[str, str]]:
    """Read predictions as the newest version writes them: a line each, with the data set's abbreviation."""
    found = {}
    for path in folder.glob("predictions/*/*.jsonl"):
        if path.stem.endswith("_failed"):
            continue
        for line in lines(path):
            assert line["data_abbr"] == path.stem
            assert line["success"] is True
            assert isinstance(line["id"], int)
            assert re.fullmatch(r"[0-9a-f]{32}", line["uuid"])
            key = f"{path.parent.name}/{path.stem}"
            found.setdefault(key, {})[str(line["id"])] = line["prediction"]
    return found


def read_summary(folder: Path) -> dict[tuple[str, str], dict[str, float]]:
    (path,) = folder.glob("summary/summary_*.csv")
    header, *rows = csv.reader(path.read_text(encoding="utf-8").splitlines())
    assert header[:4] == ["dataset", "version", "metric", "mode"]
    models = header[4:]
    return {(row[0], row[2]): dict(zip(models, map(float, row[4:]), strict=True)) for row in rows}


def test_a_reader_of_the_documented_formats_reads_everything(ais_bench, work: Path) -> None:
    with start_mock(MockOptions(models=("tiny",), faults=("status-500@3",))) as server:
        ended = ais_bench(
            *TWO, *DATASETS, "--url", server.url, "--set", "load.retries=0", "--dump-eval-details", code=1
        )
    folder = run_folder()
    predictions = read_predictions(folder)
    assert predictions == read_lines(folder)
    assert set(predictions) == {
        f"{model}/{data}"
        for model in ("vllm-api-general-chat", "vllm-api-general")
        for data in ("gsm8k", "ceval-law", "ceval-accountant")
    }
    failed = [line for path in folder.glob("predictions/*/*_failed.jsonl") for line in lines(path)]
    assert [set(line) for line in failed] == [{"data_abbr", "id", "input", "error_info"}]
    assert sum(map(len, predictions.values())) == 2 * (12 + 4 + 4) - 1
    summary = read_summary(folder)
    for path in folder.glob("results/*/*.json"):
        table = json.loads(path.read_text(encoding="utf-8"))
        assert summary[path.stem, "accuracy"][path.parent.name] == round(table["accuracy"], 2)
        assert set(table["details"]) <= {str(number) for number in range(12)}
    text = next(folder.glob("summary/*.txt")).read_text(encoding="utf-8").splitlines()
    assert text[:3] == [folder.name, "tabulate format", "^" * 128]
    for block in ("csv format", "markdown format", "raw format"):
        assert text[text.index(block) + 1] == "^" * 128
    assert text.count("$" * 128) == 4
    assert sum("THIS IS A DIVIDER" in line for line in text) == 2
    assert next(folder.glob("summary/*.md")).read_text(encoding="utf-8") in ended.out


def test_tasks_of_likelihoods_have_the_perplexity_of_each_option(
    ais_bench, work: Path, service: MockProcess
) -> None:
    ended = ais_bench(
        "--models", "vllm_api_general", "--datasets", "demo_ppl", "--url", service.url, "--num-prompts", "2"
    )
    assert " ppl " in ended.out.splitlines()[2]
    for line in lines(run_folder() / "predictions/vllm-api-general/demo_ppl.jsonl"):
        found = {one["label"]: one["ppl"] for one in line["ppl_list"]}
        assert line["prediction"] == min(found, key=lambda label: found[label])


def test_a_data_set_without_a_score_has_dashes(ais_bench, work: Path, service: MockProcess) -> None:
    rows = [{"turns": ["Write a line.", "Write another."], "category": "writing", "question_id": 1}]
    Path("datasets/mtbench").mkdir()
    Path("datasets/mtbench/question.jsonl").write_text(json.dumps(rows[0]), encoding="utf-8")
    ended = ais_bench(
        "--models", "vllm_api_stream_chat_multiturn", "--datasets", "mtbench_gen", "--url", service.url
    )
    assert ended.out.splitlines()[2].split() == ["mtbench", "-", "-", "-", "-"]
    (entry,) = read_predictions_of(run_folder() / "predictions/vllm-multiturn-api-chat-stream/mtbench.json")
    assert len(entry["prediction"]) == 2


def read_predictions_of(path: Path) -> list[dict[str, Any]]:
    return list(json.loads(path.read_text(encoding="utf-8")).values())


def test_speeds_have_one_stage_and_no_files_beside(ais_bench, work: Path, service: MockProcess) -> None:
    words = ("--models", "vllm_api_stream_chat", "--datasets", "synthetic_gen_string", "--mode", "perf")
    ais_bench(*words, "--url", service.url, "--num-prompts", "9", "--concurrency", "3", "--spec-decode")
    folder = run_folder() / "performances"
    with (folder / "vllm-api-stream-chat/synthetic.csv").open(encoding="utf-8") as file:
        table = {row["Performance Parameters"]: row for row in csv.DictReader(file)}
    assert {row["Stage"] for row in table.values()} == {"total"}
    assert list(table)[:4] == ["E2EL", "TTFT", "TPOT", "ITL"]
    assert re.fullmatch(r"\d+\.\d+ ms", table["E2EL"]["Average"])
    assert list(table["E2EL"])[2:] == ["Average", "Min", "Max", "Median", "P75", "P90", "P99", "N"]
    common = json.loads((folder / "vllm-api-stream-chat/synthetic.json").read_bytes())
    assert all(set(stages) == {"total"} for stages in common.values())
    assert common["Total Requests"] == {"total": 9}
    details = lines(folder / "vllm-api-stream-chat/synthetic_details.jsonl")
    assert [line["id"] for line in details] == list(range(9))
    assert all(line["success"] and line["latency"] >= line["ttft"] > 0 for line in details)
    assert {path.suffix for path in folder.glob("*/*")} == {".csv", ".json", ".jsonl", ".html"}
    (decoding,) = folder.glob("spec_decode_127.0.0.1_*.json")
    assert json.loads(decoding.read_bytes())["status"] in ("ok", "na")


def test_under_aisb_the_files_stand_in_a_folder_that_nothing_reads_back(
    aisb, work: Path, service: MockProcess
) -> None:
    words = ("run", "--models", "vllm_api_general_chat", "--datasets", "gsm8k:text", "--url", service.url)
    first = aisb(*words, "--reporters", "text,aisbench").out
    folder = run_folder()
    assert read_predictions(folder / "aisbench").keys() == {"vllm-api-general-chat/gsm8k"}
    own = json.loads((folder / "predictions/vllm-api-general-chat/gsm8k.json").read_bytes())
    assert own["0"]["origin_prompt"] != read_predictions(folder / "aisbench")
    for path in (folder / "aisbench").rglob("*"):
        if path.is_file():
            path.write_text("spoiled", encoding="utf-8")
    aisb("run", "--reuse", "--mode", "viz", "--reporters", "text")
    shown = aisb("report", "latest", "--reporters", "text").out
    assert "spoiled" not in shown
    assert first.splitlines()[2] in shown


def test_a_run_of_ais_bench_is_a_run_of_aisb(ais_bench, aisb, work: Path, service: MockProcess) -> None:
    ais_bench("--models", "vllm_api_general_chat", "--datasets", "gsm8k_gen", "--url", service.url)
    folder = run_folder()
    shown = aisb("runs", "show", "latest").out
    assert "gsm8k" in shown
    aisb("score", "latest")
    aisb("report", "latest", "--reporters", "json")
    (table,) = folder.glob("summary/summary_*.json")
    assert json.loads(table.read_bytes())["results"][0]["task"] == "gsm8k"
    assert set(read_predictions(folder)) == {"vllm-api-general-chat/gsm8k"}
