"""The command and its tools use the public names of core and engine, and those names are what they should be."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import aisb_engine

ROOT = Path(__file__).parents[2]
SCANNED = ("cli/aisb_cli", "plugins/tools/analysis/aisb_analysis", "plugins/tools/mock/aisb_mock")
PRIVATE = re.compile(r"^\s*(?:from|import) (aisb(?:_engine)?\._[\w.]+)", re.MULTILINE)
ALLOWED = {
    # what a factory is given by core; it goes when that is declared by types
    "cli/aisb_cli/plugins_command.py",
    "cli/aisb_cli/data_sets/inventory.py",
    # the statistics of runs, which read their records
    "plugins/tools/analysis/aisb_analysis/_audit.py",
    "plugins/tools/analysis/aisb_analysis/_compare.py",
    "plugins/tools/analysis/aisb_analysis/_grading.py",
    "plugins/tools/analysis/aisb_analysis/_paired.py",
    "plugins/tools/analysis/aisb_analysis/_readback.py",
    "plugins/tools/analysis/aisb_analysis/_speeds.py",
}
"""Files that import private modules; none may be added."""

NAMES = """
COMPILED KINDS RUN_STATUSES Asked Catalog Component DataFolders DeclaredCommand DeclaredCommands Display
EndedRun ImportedPart Judging Option Phase PluginInfo Plugins Progress PromptTable PullTable Resolver Room
RunCommand RunFolder RunInfo RunSpec Selection ServiceClient Task connect_backend connection_room
error_words execute_run factory_options factory_summary is_being_written judge_of load_samples locate_data
offered_twice own_task plan_run preview_requests prompt_of read_progress read_run read_toml read_user_file
removable_run report_run reporter_table request_latency resolved_tables run_size safe_name split_names
started_at usable_cores write_atomically write_imported
"""


def test_the_command_and_its_tools_import_public_names_of_core_and_engine():
    found = {
        file.relative_to(ROOT).as_posix(): PRIVATE.findall(file.read_text("utf-8"))
        for folder in SCANNED
        for file in sorted((ROOT / folder).rglob("*.py"))
    }
    assert {name: modules for name, modules in found.items() if modules and name not in ALLOWED} == {}


def test_the_names_of_the_engine_are_these():
    assert sorted(aisb_engine.__all__) == sorted(NAMES.split())


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
