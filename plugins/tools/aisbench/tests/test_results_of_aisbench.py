"""Folders that AISBench wrote: `aisb import` scores their answers, and `--reuse` says so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from aisb import UnknownName
from aisb_cli.importers.abbreviations import abbreviations, task_of
from aisb_cli.index import explain_name
from aisb_compat_aisbench._known import known_abbrs, known_datasets
from aisb_engine import Catalog, Plugins, Resolver, RunInput, Selection
from aisb_mock import MockProcess

TIME = "20250628_151326"


def write_predictions(abbr: str, predictions: list[str], gold: Any, *, kept_by: str = ".json") -> Path:
    folder = Path("outputs/default") / TIME
    path = folder / "predictions/qwen" / f"{abbr}{kept_by}"
    path.parent.mkdir(parents=True, exist_ok=True)
    (folder / "configs").mkdir(exist_ok=True)
    (folder / f"configs/{TIME}_123.py").write_text("models = []\n", encoding="utf-8")
    entries = [{"origin_prompt": "?", "prediction": said, "gold": gold} for said in predictions]
    path.write_text(json.dumps({str(n): entry for n, entry in enumerate(entries)}), encoding="utf-8")
    return folder


def results(task: str) -> dict[str, Any]:
    (path,) = Path("imported").glob(f"*/results/qwen/{task}.json")
    table: dict[str, Any] = json.loads(path.read_bytes())
    return table


def test_every_abbreviation_leads_to_the_task_of_its_config_file() -> None:
    plugins = Plugins.load(explain=explain_name)
    catalog = Catalog(plugins)
    checked = set()
    for name in known_datasets()["datasets"]:
        try:
            expected = catalog.find("task", Selection.parse(name))[0].name
        except UnknownName:  # not offered
            continue
        for abbr in known_abbrs(name):
            found = catalog.find("task", Selection.parse(task_of(abbr) or abbr))[0].name
            assert {found, expected} <= {"mmmu_pro", "mmmu_pro_vision"} or found == expected, (name, abbr)
            checked.add(abbr)
    assert len(checked) > 400


def test_the_field_of_an_abbreviation_is_what_the_task_is_grouped_by() -> None:
    plugins = Plugins.load(explain=explain_name)
    resolver = Resolver(plugins, Catalog(plugins), RunInput())
    fields = {name: text for name, text in abbreviations()["tasks"].items() if "{" in text}
    assert len(fields) > 15
    for name, pattern in fields.items():
        assert resolver.show(name).sample.group == pattern[pattern.index("{") : pattern.index("}") + 1]


@pytest.mark.parametrize(
    ("abbr", "task"),
    [
        ("Length4000Depth21_origin_en_4k", "needle:4k:length=4000"),
        ("Length8000Depth0_parallel_zh_8k", "needle:several-8k:length=8000"),
        ("Length32000Depth100_3needle_en_32k", "needle:chain-32k:length=32000"),
        ("lcb_code_generation_v6", "livecodebench:v6"),
        ("RefCOCO_base64_testA", "refcoco:part_of=testA"),
        ("mmlu_pro_computer_science", "mmlu_pro:subject=computer_science"),
        ("LEval_nq", "leval:set=natural_question"),
        ("something_else", ""),
    ],
)
def test_an_abbreviation_says_the_group_or_the_variant(abbr: str, task: str) -> None:
    assert task_of(abbr) == task


def test_sets_of_longbench_and_leval_are_graded_by_their_own_measures(aisb, work: Path) -> None:
    folder = write_predictions("LongBench_triviaqa", ["Paris\nPassage: more", "Rome"], ["Paris"])
    write_predictions("LEval_nq", ["Paris", "it is Paris"], "Paris")
    aisb("import", str(folder), "-w", "imported")
    assert {path.stem for path in Path("imported").glob("*/results/qwen/*.json")} == {"longbench", "leval"}
    groups = {m["group"]: m["value"] for m in results("longbench")["metrics"] if m["group"]}
    assert groups == {"triviaqa": 50.0}  # of the first line alone, as LongBench says
    assert results("leval")["predictions"] == 2


def test_data_sets_that_are_one_group_of_a_task_are_counted_together(aisb, work: Path) -> None:
    folder = write_predictions("Length1000Depth0_origin_en_4k", ["a Brahms b"], ["Brahms"])
    write_predictions("Length1000Depth50_origin_en_4k", ["none", "none"], ["Brahms"])
    write_predictions("Length1000Depth0_parallel_en_4k", ["Brahms"], ["Brahms"])
    aisb("import", str(folder), "-w", "imported")
    assert results("needle-4k")["predictions"] == 3
    assert results("needle-several-4k")["predictions"] == 1


def test_replies_of_a_judge_are_no_answers(aisb, work: Path) -> None:
    folder = write_predictions("aime2025", ["The answer is \\boxed{7}"], "7")
    write_predictions("aime2025-judge", ["A"], "7")
    aisb("import", str(folder), "-w", "imported")
    assert results("aime2025")["predictions"] == 1
    assert not list(Path("imported").glob("*/predictions/qwen/aime2025-judge*"))


def test_answers_that_need_a_judge_are_kept_and_the_command_that_scores_them_is_named(
    aisb, work: Path
) -> None:
    said = aisb("import", str(write_predictions("hle", ["7"], "7")), "-w", "imported", code=2).err
    (run,) = Path("imported").iterdir()
    assert f"the answers are imported; score them with: aisb score {run.name} -w {run.parent}" in said
    assert "--judge NAME" in said


@pytest.mark.parametrize("words", [("--reuse", TIME), ("--reuse",), ("--reuse", "20250628_000000")])
def test_reuse_of_a_folder_of_aisbench_says_aisb_import(ais_bench, work: Path, words: Any) -> None:
    write_predictions("gsm8k", ["The answer is 7"], "#### 7")
    said = ais_bench("--models", "vllm_api_general_chat", "--datasets", "gsm8k_gen", *words, code=2).err
    if words[-1] == "20250628_000000":
        assert "there is no run in outputs/default yet" in said  # the folder is none
    else:
        assert f"score the answers in it with: aisb import outputs/default/{TIME}" in said


def test_reuse_of_a_performance_run_of_aisbench_says_that_it_is_none_of_ours(ais_bench, work: Path) -> None:
    Path(f"outputs/default/{TIME}/performances/qwen").mkdir(parents=True)
    Path(f"outputs/default/{TIME}/configs").mkdir()
    said = ais_bench("--mode", "perf_viz", "--reuse", TIME, code=2).err
    assert f"outputs/default/{TIME} was not written by aisb, so it can be neither resumed nor shown" in said


def test_data_in_the_folder_of_aisbench_is_found(ais_bench, work: Path, service: MockProcess) -> None:
    words = ("--models", "vllm_api_general_chat", "--datasets", "gsm8k_gen", "--num-prompts", "2")
    Path("ais_bench").mkdir()
    Path("datasets").rename("elsewhere")
    said = ais_bench(*words, "--url", service.url, code=2).err
    assert str(work / "ais_bench/datasets/gsm8k/test.jsonl") in said
    Path("elsewhere").rename("ais_bench/datasets")
    ais_bench(*words, "--url", service.url)
