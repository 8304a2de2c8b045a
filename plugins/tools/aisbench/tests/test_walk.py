"""The walk of AISBench's documents, command by command: what they print, and which files they leave."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from aisb_mock import MockOptions, MockProcess, start_mock

MODELS = ("--models", "vllm_api_general_chat", "vllm_api_stream_chat")
DATASETS = ("--datasets", "gsm8k_gen_4_shot_cot_str", "aime2024_gen_0_shot_chat_prompt")


def only(pattern: str) -> Path:
    (path,) = Path().glob(f"outputs/default/{pattern}")
    return path


def read(path: Path) -> Any:
    return json.loads(path.read_bytes())


def files(folder: Path) -> set[str]:
    """Return the files of a run that scripts look for, without those that aisb keeps for itself."""
    found = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    return {name for name in found if not name.startswith(("aisb/", "log/", ".lock", "configs/", "logs/"))}


def test_several_models_and_data_sets_leave_the_documented_files(
    ais_bench, work: Path, service: MockProcess
) -> None:
    ended = ais_bench(*MODELS, *DATASETS, "--url", service.url)
    header, rule, *lines = ended.out.splitlines()
    assert header.split() == [
        "dataset",
        "version",
        "metric",
        "mode",
        "vllm-api-general-chat",
        "vllm-api-stream-chat",
    ]
    assert set(rule) == {"-", " "}
    assert [line.split()[0] for line in lines[:2]] == ["gsm8k", "aime2024"]
    assert re.fullmatch(r"gsm8k +[0-9a-f]{6} +accuracy +gen +\d+\.\d\d +\d+\.\d\d", lines[0])
    folder = only("*")
    stamp = folder.name
    assert re.fullmatch(r"\d{8}_\d{6}(_\d+)?", stamp)
    expected = {f"summary/summary_{stamp}.{ending}" for ending in ("csv", "md", "txt")}
    for model in ("vllm-api-general-chat", "vllm-api-stream-chat"):
        for data in ("gsm8k", "aime2024"):
            expected |= {f"predictions/{model}/{data}.{ending}" for ending in ("json", "jsonl")}
            expected.add(f"results/{model}/{data}.json")
            for stage in ("infer", "eval"):
                assert (folder / f"logs/{stage}/{model}/{data}.out").is_file()
    assert files(folder) == expected


def test_search_prints_the_three_columns(ais_bench, work: Path) -> None:
    ended = ais_bench(*MODELS, *DATASETS, "--search")
    assert re.search(r"│ Task Type +│ Task Name +│ Config File Path +│", ended.out)
    for name in (*MODELS[1:], *DATASETS[1:]):
        assert re.search(rf"│ --(models|datasets) +│ {name} +│ /.+\.toml +│", ended.out)
    assert not Path("outputs").exists()


def test_names_may_end_with_py(ais_bench, work: Path, service: MockProcess) -> None:
    words = ("--models", "vllm_api_general_chat.py", "--datasets", "gsm8k_gen_4_shot_cot_str.py")
    ais_bench(*words, "--url", service.url, "--num-prompts", "2")
    assert set(read(only("*/predictions/vllm-api-general-chat/gsm8k.json"))) == {"0", "1"}


def test_the_defaults_are_those_of_aisbench(ais_bench, work: Path) -> None:
    ended = ais_bench("--models", "vllm_api_stream_chat", "--datasets", "gsm8k_gen", "--dry-run")
    plan = tomllib.loads(ended.out[ended.out.index("[run]") :])
    (subtask,) = plan["subtasks"]
    assert plan["models"]["vllm-api-stream-chat"]["options"]["url"] == "http://localhost:8080"
    assert subtask["params"] == {"max_tokens": 512, "temperature": 0.01, "ignore_eos": False}
    assert (subtask["load"]["concurrency"], subtask["load"]["retries"]) == (1, 2)
    assert subtask["load"]["timeouts"]["first_byte"] == 604_800
    assert plan["run"]["reporters"] == ["aisbench"]


def test_flags_and_a_file_of_one_s_own_stand_above_the_defaults(ais_bench, work: Path) -> None:
    Path("aisb.toml").write_text(
        "[models.vllm_api_stream_chat]\nurl = 'http://mine:9'\nbatch_size = 7\n"
        "generation_kwargs = { temperature = 0.5 }\n",
        encoding="utf-8",
    )

    def plan(*flags: str) -> tuple[str, dict[str, Any]]:
        words = ("--models", "vllm_api_stream_chat", "--datasets", "gsm8k_gen", "--dry-run", *flags)
        shown = ais_bench(*words).out
        tables = tomllib.loads(shown[shown.index("[run]") :])
        return tables["models"]["vllm-api-stream-chat"]["options"]["url"], tables["subtasks"][0]

    url, subtask = plan()
    assert url == "http://mine:9"
    assert (subtask["params"]["temperature"], subtask["load"]["concurrency"]) == (0.5, 7)
    url, subtask = plan("--url", "http://h:1", "--max-out-len", "9", "--concurrency", "2")
    assert url == "http://h:1"
    assert (subtask["forced"], subtask["load"]["concurrency"]) == ({"max_tokens": 9}, 2)


def test_several_tasks_at_once(ais_bench, work: Path, service: MockProcess) -> None:
    ended = ais_bench(
        "--models", "vllm_api_general", "vllm_api_stream_chat",
        "--datasets", "gsm8k_gen", "math500_gen_0_shot_cot_chat_prompt",
        "--disable-cb", "--max-num-workers", "4", "--url", service.url,
    )  # fmt: skip
    assert "--disable-cb is not needed here" in ended.err
    assert len(list(only("*").glob("results/*/*.json"))) == 4


def test_a_run_is_resumed_for_all_tasks_or_some(ais_bench, work: Path) -> None:
    with start_mock(MockOptions(faults=("status-500:1",), models=("tiny",))) as broken:
        ended = ais_bench(*MODELS, *DATASETS, "--url", broken.url, "--set", "load.backoff=0", code=1)
    stamp = only("*").name
    assert f"send them again: ais_bench --reuse {stamp}" in ended.err
    failed = only("*/predictions/vllm-api-general-chat/gsm8k_failed.jsonl")
    lines = [json.loads(line) for line in failed.read_text().splitlines()]
    assert [(line["data_abbr"], line["id"]) for line in lines] == [("gsm8k", n) for n in range(12)]
    assert all("500" in line["error_info"] and line["input"] for line in lines)
    assert read(only("*/predictions/vllm-api-general-chat/gsm8k.json")) == {}
    with start_mock(MockOptions(models=("tiny",))) as whole:
        again = ("--reuse", stamp, "--url", whole.url)
        ais_bench("--models", "vllm_api_general_chat", "--datasets", "gsm8k_gen_4_shot_cot_str", *again)
        assert len(read(only("*/predictions/vllm-api-general-chat/gsm8k.json"))) == 12
        assert not failed.exists()
        ais_bench("--models", "vllm_api_general_chat", *DATASETS, *again)
        ais_bench(*MODELS, "--datasets", "aime2024_gen_0_shot_chat_prompt", *again)
        ais_bench(*MODELS, *DATASETS, *again)
    assert only("*").name == stamp
    assert not list(only("*").glob("predictions/*/*_failed.jsonl"))


def test_a_resumed_run_says_so_in_the_documented_words(ais_bench, work: Path) -> None:
    words = ("--models", "vllm_api_general_chat", "--datasets", "gsm8k_gen_4_shot_cot_str")
    with start_mock(MockOptions(faults=("status-500@3",), models=("tiny",))) as broken:
        ais_bench(*words, "--url", broken.url, "--set", "load.retries=0", "--num-prompts", "9", code=1)
    with start_mock(MockOptions(models=("tiny",))) as whole:
        ended = ais_bench("--reuse", only("*").name, "--url", whole.url)
    line = "Found 8 tmp items, run infer task from the last interrupted position"
    assert line in ended.err
    assert line in only("*/logs/infer/vllm-api-general-chat/gsm8k.out").read_text()


def test_a_performance_run_says_how_to_see_it_again(ais_bench, work: Path, service: MockProcess) -> None:
    words = ("--models", "vllm_api_stream_chat", "--datasets", "synthetic_gen_string", "--mode", "perf")
    ended = ais_bench(*words, "--url", service.url, "--num-prompts", "2")
    again = f"ais_bench --mode perf_viz --reuse {only('*').name}"
    assert f"show the result again: {again}" in ended.err
    assert "Performance Results of task" in ais_bench(*again.split()[1:]).out


def test_a_run_is_resumed_with_other_names(ais_bench, work: Path, service: MockProcess) -> None:
    first = ("--models", "vllm_api_general_chat", "--datasets", "demo_gsm8k_gen_4_shot_cot_chat_prompt")
    ais_bench(*first, "--url", service.url)
    stamp = only("*").name
    again = ("--models", "vllm_api_general", "--datasets", "gsm8k_gen", "--reuse", stamp)
    ais_bench(*again, "--url", service.url)
    assert {path.stem for path in only("*").glob("results/*/*.json")} == {"demo_gsm8k", "gsm8k"}


def test_reuse_without_a_time_takes_the_latest_run(ais_bench, work: Path, service: MockProcess) -> None:
    ais_bench("--models", "vllm_api_general_chat", "--datasets", "gsm8k_gen", "--url", service.url)
    ais_bench("--reuse")
    assert len(list(only("*").glob("results/*/*.json"))) == 1


def test_merged_subsets_have_one_figure(ais_bench, work: Path, service: MockProcess) -> None:
    ended = ais_bench(
        "--models", "vllm_api_general", "--datasets", "ceval_gen", "--merge-ds", "--url", service.url
    )
    assert [line.split()[0] for line in ended.out.splitlines()[2:3]] == ["ceval"]
    assert {path.stem for path in only("*").glob("results/*/*.json")} == {"ceval-law", "ceval-accountant"}


def test_subsets_have_files_and_figures_of_their_own(ais_bench, work: Path, service: MockProcess) -> None:
    ended = ais_bench("--models", "vllm_api_general", "--datasets", "ceval_gen", "--url", service.url)
    names = [line.split()[0:3:2] for line in ended.out.splitlines()[2:6]]
    assert sorted(names[:2]) == [["ceval-accountant", "accuracy"], ["ceval-law", "accuracy"]]
    assert names[2:] == [["ceval", "naive_average"], ["ceval", "weighted_average"]]
    assert list(read(only("*/predictions/vllm-api-general/ceval-law.json"))) == ["0", "1", "2", "3"]


def test_num_prompts_counts_in_each_subset(ais_bench, work: Path, service: MockProcess) -> None:
    for mode in ("all", "perf"):
        words = (
            "--models",
            "vllm_api_stream_chat",
            "--datasets",
            "ceval_gen",
            "--num-prompts",
            "3",
            "--mode",
            mode,
        )
        ais_bench(*words, "--url", service.url, "-w", mode)
    assert {len(read(path)) for path in Path("all").glob("*/predictions/*/*.json")} == {3}
    (table,) = Path("perf").glob("*/performances/*/cevaldataset.json")
    assert read(table)["Total Requests"] == {"total": 6}


def test_repeats_have_the_documented_rows(ais_bench, work: Path, service: MockProcess) -> None:
    ended = ais_bench(
        "--models", "vllm_api_stream_chat", "--datasets", "aime2024_gen_0_shot_chat_prompt",
        "--url", service.url, "--set", "params.num_return_sequences=5",
    )  # fmt: skip
    metrics = re.findall(
        r"^\| aime2024 \| [0-9a-f]{6} \| (.+?) \| gen \| \d+\.\d\d \|$", ended.out, re.MULTILINE
    )
    assert {"accuracy (5 runs average)", "avg@5", "pass@5", "cons@5"} <= set(metrics)
    assert list(read(only("*/predictions/*/aime2024.json"))) == [str(n) for n in range(30)]


def test_answers_are_scored_again(ais_bench, work: Path, service: MockProcess) -> None:
    words = ("--models", "vllm_api_general_chat", "--datasets", "demo_gsm8k_gen_4_shot_cot_chat_prompt")
    first = ais_bench(*words, "--url", service.url)
    again = (*words, "--mode", "eval", "--reuse", only("*").name)
    trial = ais_bench(*again, "--set", 'task.postprocess=[{use="regex",pattern="^(zzz)"}]')
    assert " 0.00" in trial.out.splitlines()[2]
    assert ais_bench(*again).out == first.out


@pytest.mark.parametrize(("mode", "same"), [("judge", "eval"), ("infer_judge", "all")])
def test_judging_is_a_part_of_scoring(
    ais_bench, work: Path, service: MockProcess, mode: str, same: str
) -> None:
    words = ("--models", "vllm_api_general_chat", "--datasets", "gsm8k_gen", "--url", service.url)
    if mode == "judge":
        ais_bench(*words)
        words = (*words[:4], "--reuse")
    ended = ais_bench(*words, "--mode", mode)
    assert f"--mode {mode}: judging is part of scoring in aisb: --mode {same}" in ended.err
    assert only("*/results/vllm-api-general-chat/gsm8k.json").is_file()


def test_a_judged_data_set_asks_the_judge_at_the_usual_address(ais_bench, work: Path) -> None:
    rows = [{"question": "What is 1 + 1?", "answer": "2"}]
    Path("datasets/aime2025").mkdir()
    Path("datasets/aime2025/aime2025.jsonl").write_text(json.dumps(rows[0]), encoding="utf-8")
    words = ("--models", "vllm_api_general_chat", "--datasets", "aime2025_gen_0_shot_llmjudge", "--dry-run")
    plan = ais_bench(*words).out
    judge = tomllib.loads(plan[plan.index("[run]") :])["judge"]
    assert (judge["abbr"], judge["options"]["url"]) == ("judge", "http://localhost:8080")


@pytest.mark.parametrize(
    ("flags", "line"),
    [
        (("--max-workers-per-gpu", "2"), "--max-workers-per-gpu is not needed here"),
        (("--response-anomaly",), "--response-anomaly: aisb does not search replies for anomalies"),
        (("--response-anomaly-payload-retention", "all"), "aisb does not search replies for anomalies"),
        (("--summarizer", "example"), "--summarizer example: aisb derives tables from the results"),
    ],
)
def test_flags_that_mean_nothing_here_are_answered_in_one_line(
    ais_bench, work: Path, flags: Any, line: str
) -> None:
    ended = ais_bench("--models", "vllm_api_general_chat", "--datasets", "gsm8k_gen", "--dry-run", *flags)
    assert sum(line in one for one in ended.err.splitlines()) == 1
