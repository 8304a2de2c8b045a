"""All names that AISBench's config files have resolve, or say why not."""

from __future__ import annotations

import pytest

from aisb import AisbError, UnknownName
from aisb_cli.index import explain_name
from aisb_compat_aisbench._abbrs import abbr_of, group_of
from aisb_compat_aisbench._convert import Converted
from aisb_compat_aisbench._datasets import TaskMapper
from aisb_compat_aisbench._known import known_abbrs, known_datasets, known_model, known_models, stub
from aisb_engine import Catalog, Plugins, Selection

NOT_OFFERED = {"vita_generate_chat", "vllm_offline_vl_model", "qwen_image_edit"}


@pytest.fixture(scope="module")
def loaded() -> Plugins:
    return Plugins.load(explain=explain_name)


def test_every_data_set_is_a_task_or_says_that_it_is_not_offered(loaded: Plugins) -> None:
    catalog = Catalog(loaded)
    said = {}
    for name in known_datasets()["datasets"]:
        try:
            catalog.find("task", Selection.parse(name))
        except UnknownName as error:
            said[name] = str(error)
    assert len(known_datasets()["datasets"]) == 266
    assert len(said) < 40
    assert all(f"the task {name} is not offered yet: " in words for name, words in said.items())


FAMILIES = """
ARC_c ARC_e BFCL FewCLUE_bustm FewCLUE_chid FewCLUE_cluewsc FewCLUE_csl FewCLUE_eprstmt FewCLUE_tnews SuperGLUE_BoolQ
Xsum aa_lcr agieval aime2024 aime2025 aime2026 bbh ceval cmmlu custom dapo_math demo docvqa drop gedit geometry3k gpqa
gsm8k hellaswag hle humaneval humanevalx ifbench ifeval infovqa lambada lcsts leval livecodebench longbench longbenchv2
math mathvision mbpp mgsm mm_custom mmlu mmlu_pro mmmu mmmu_pro mmstar mooncake_trace mtbench needlebench_v2
ocrbench_v2 omnidocbench piqa race realworldqa refcoco refcoco_plus refcocog sharegpt siqa synthetic textvqa triviaqa
videobench videomme vocalsound winogrande
"""
"""The families of data sets of AISBench: the folders of its config files."""
OUTSIDE = {
    "swe_bench": "mini_swe_agent_swe_bench_verified",
    "swe_bench_pro": "mini_swe_agent_swe_bench_pro_mini",
    "tau2_bench": "tau2_bench_task",
    "terminal_bench": "harbor_terminal_bench_2_task",
    "oneig": "oneig_full_eval",
    "vbench": "eval_vbench_standard",
}
"""Families that AISBench starts by config files of their own, each with such a name."""


def test_every_family_has_a_task_or_the_reason_why_not(loaded: Plugins) -> None:
    catalog, names = Catalog(loaded), {family: [name] for family, name in OUTSIDE.items()}
    for name, entry in known_datasets()["datasets"].items():
        names.setdefault(entry["folder"].partition("/")[0], []).append(name)
    assert len(names) == 77
    assert names.keys() == {*FAMILIES.split(), *OUTSIDE}
    without = {}
    for family, of in names.items():
        for name in of:
            try:
                catalog.find("task", Selection.parse(name))
            except UnknownName as error:
                without.setdefault(family, []).append(str(error).partition(" is not offered yet: ")[2])
    assert without.keys() == {"BFCL", "gedit", *OUTSIDE}
    assert all(reason for reasons in without.values() for reason in reasons)
    assert len(without["BFCL"]) == 1  # the group of both tasks


def test_every_model_has_a_backend_or_says_why_not() -> None:
    said = {}
    for name in known_models()["models"]:
        try:
            Converted().add_models([known_model(name)], name)
        except AisbError as error:
            said[name] = str(error)
    assert len(known_models()["models"]) == 20  # 19 files, and the old API of vLLM, which the documents name
    assert set(said) == NOT_OFFERED
    assert all("not offered" in words for words in said.values())


def test_a_known_data_set_that_nobody_changes_is_the_task_of_its_name(loaded: Plugins) -> None:
    mapper, catalog = TaskMapper.of(loaded), Catalog(loaded)
    for name, entry in known_datasets()["datasets"].items():
        try:
            expected = str(catalog.find("task", Selection.parse(name))[0])
        except UnknownName:
            continue
        for variable in entry["variables"]:
            found = mapper.map_all((stub("datasets", name) or {})[variable], variable)
            assert len(found) == 1, name
            assert (found[0].table, found[0].abbrs) == ({}, None), name
            assert found[0].name.partition(":")[0] == expected.partition(":")[0], name


def test_groups_and_abbreviations_lead_to_each_other(loaded: Plugins) -> None:
    catalog, checked = Catalog(loaded), 0
    for name in known_datasets()["datasets"]:
        try:
            selection = catalog.find("task", Selection.parse(name))[0]
        except UnknownName:
            continue
        for abbr in known_abbrs(name):
            group = group_of(selection.name, abbr)
            if group is not None:
                checked += 1
                assert abbr_of(selection.name, {}, group) == abbr.replace("base64_", "")
            elif selection.name != "needle":
                table = {"base": str(selection), "variant": selection.variant}
                assert abbr_of(selection.name, table, None) == abbr, name
    assert checked > 500
