"""The command and its tools use the public names of core and engine, and those names are what they should be."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import aisb_engine
from aisb_engine import command_options

ROOT = Path(__file__).parents[2]
SCANNED = (
    "cli/aisb_cli",
    "plugins/tools/analysis/aisb_analysis",
    "plugins/tools/mock/aisb_mock",
    "plugins/tools/testing/aisb_testing",
)
PRIVATE = re.compile(r"^\s*(?:from|import) (aisb(?:_engine)?\._[\w.]+)", re.MULTILINE)
NAMES = """
COMPILED CORRECT_THRESHOLD KINDS QUALITY_LEVELS declared_quality ENGINE_PARAMS RUN_STATUSES TRUSTED_AGREEMENT KNOWN_PARAMS Answers BrokenRow CacheShare Catalog Component
ComponentError ConnectionLimits DataFolders DeclaredCommand DeclaredCommands Display EngineClient
ExecutedRun Grade ImportedPart ImportedPerformance TimedAnswer Judging OutcomeCounts LoadedSamples MarksTable MeasuringOptions Objective OpenedRun Option Phase
PluginFaults PluginInfo Plugins Progress PromptTable PullTable Renderer Resolver RunCommand RunFolder
RunInfo RunInput RunSpec SampleMaker SampleTable Selection ServiceClient StepError Steps Subtask Task Use
VisibleText answer_requests bind_options call_step component_owner connect_backend connection_limits duplicate_command_error error_words
evaluator_uses execute_run factory_options factory_summary find_removable_run grade_notes identity_differences
is_being_written is_contested is_judged judge_of launcher_options load_samples locate_data make_component make_evaluators mask_secrets mask_url
measure_performance missing_judge_error open_finished_run open_run other_extractors task_from_data_file tasks_from_data_files is_data_file DataColumns plan_run preview_requests
parse_goodput parse_objectives parse_tier prefix_cache_share printable prompt_of read_answers read_grades read_progress read_run read_run_json read_toml read_user_file
reply_turns_of judge_from_log report_run report_several reporter_names reporter_table request_latency resolve_run run_configuration run_size safe_name
score_predictions select_rows sends split_names started_at reads_files task_version usable_cores wait_for_service write_atomically
write_imported write_run_notes LogFacts inspect_log rewrite_log Recomputed recompute_results
JudgedObjective JunitCase judge_objectives parse_run_objectives to_junit
"""


def test_the_command_and_its_tools_import_public_names_of_core_and_engine():
    found = {
        file.relative_to(ROOT).as_posix(): PRIVATE.findall(file.read_text("utf-8"))
        for folder in SCANNED
        for file in sorted((ROOT / folder).rglob("*.py"))
    }
    assert {name: modules for name, modules in found.items() if modules} == {}


def test_the_names_of_the_engine_are_these():
    assert sorted(aisb_engine.__all__) == sorted(NAMES.split())


def test_the_options_that_commands_share_are_these():
    assert sorted(command_options.__all__) == [
        "OBJECTIVES", "WORK_DIR", "allow_options", "api_key_env", "as_json", "complete_last", "complete_runs",
        "judge_options", "model_name", "objectives", "only_models", "only_tasks", "which_run", "work_dir",
        "work_dir_option",
    ]  # fmt: skip


@pytest.mark.parametrize("name", aisb_engine.__all__)
def test_each_name_of_the_engine_is_there(name):
    assert getattr(aisb_engine, name) is not None


def test_a_name_that_the_engine_does_not_have_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'aisb_engine' has no attribute 'Nothing'"):
        aisb_engine.Nothing  # noqa: B018 - looking is what is tested


def test_importing_the_engine_loads_none_of_it():
    code = (
        "import sys, aisb_engine\nprint(*(name for name in sys.modules if name.startswith('aisb_engine.')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "\n"


def test_no_tool_imports_the_command():
    for folder in SCANNED[1:]:
        for file in (ROOT / folder).rglob("*.py"):
            assert "aisb_cli" not in file.read_text("utf-8"), file
