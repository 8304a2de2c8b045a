"""docs/tasks.md: its examples are tasks, and it names every key and every built-in component."""

import re
import tomllib
from pathlib import Path

import pytest

from aisb._plugins import Plugins
from aisb_cli.tasks_table import GENERATED_ROWS, markdown_table, read_by_tests
from aisb_engine._builtin import aisb_datasets, aisb_postprocessors
from aisb_engine._data.datafiles import DataFolders
from aisb_engine._data.loading import load_samples
from aisb_engine._data.prompts import Renderer
from aisb_engine._resolve.catalog import Catalog, read_toml
from aisb_engine._resolve.config import RunInput, resolve
from aisb_engine._spec import DatasetTable, LogprobTable, PromptTable, SampleTable, ShotsFrom, Task

PAGE = (Path(__file__).parents[2] / "docs/tasks.md").read_text(encoding="utf-8")
BLOCKS = [
    tomllib.loads(block) for block in re.findall(r"^```toml\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
]
WHOLE, *PARTS = BLOCKS


@pytest.mark.parametrize("part", PARTS, ids=lambda part: "-".join(part))
def test_each_part_of_a_task_is_valid(part):
    made = Task(**{"name": "toy", "summary": "", "dataset": {}} | part)
    assert set(part) <= made.model_fields_set


def test_the_whole_task_runs_on_the_row_that_the_page_shows(tmp_path):
    row = re.search(r"rows such as `(.*?)`:", PAGE)[1]
    (tmp_path / "toy.jsonl").write_text(
        (row + "\n").replace("2 + 2", "1 + 3") + row + "\n" + row.replace("2 +", "3 +")
    )
    plain = {key: value for key, value in WHOLE.items() if key != "variants"}
    text = plain | {"prompt": plain["prompt"] | WHOLE["variants"]["text"]["prompt"]}
    for table in (plain, text):
        task = Task(**table, name="toy", file=tmp_path / "toy.toml")
        plugins, folders = Plugins.load(), DataFolders([])
        samples = load_samples(task, plugins, folders)
        assert [sample.target for sample in samples] == ["4", "4", "4"]
        request = Renderer(task, plugins, folders).request(samples.samples[0])
        said = request.text or request.messages[-1].content
        assert said.endswith("Question: 1 + 3?\nAnswer:")
        for use in (*task.postprocess, *task.evaluate):
            kind = "postprocessor" if use in task.postprocess else "evaluator"
            plugins.make(kind, use.use, use.options)


@pytest.mark.parametrize("table", [DatasetTable, SampleTable, PromptTable, LogprobTable, ShotsFrom, Task])
def test_every_key_of_a_task_is_named(table):
    told = {"name", "variant", "base", "file"} if table is Task else set()
    for key in set(table.model_fields) - told:
        assert f"`{key}`" in PAGE or f"[{key}]" in PAGE or f"[[{key}]]" in PAGE, key


def test_every_reader_and_step_of_core_is_named():
    for name in (*aisb_datasets(), *aisb_postprocessors()):
        assert f"`{name}`" in PAGE, name


def test_the_aliases_and_selections_that_the_page_shows_exist():
    plugins = Plugins.load()
    for name in ("gsm8k", "gsm8k:zero-shot", "gsm8k_gen"):
        assert resolve(plugins, RunInput(models=["sim"], datasets=[name])).tasks


def test_the_table_of_all_tasks_is_the_one_that_is_printed():
    made = "python tools/tasks_table.py writes it again"
    assert f"do not write here -->\n\n{markdown_table(Plugins.load())}\n<!-- end of the table -->" in PAGE, (
        made
    )


def test_what_each_task_was_tested_on_is_one_of_three_and_the_table_shows_it():
    catalog = Catalog(Plugins.load())
    found = {entry.name: read_by_tests(catalog.lock.get(entry.name, {})) for entry in catalog.entries("task")}
    assert set(found.values()) == {"published data", "published rows", GENERATED_ROWS}
    assert (found["gsm8k"], found["leval"], found["omnidocbench"]) == (
        "published data",
        "published rows",
        GENERATED_ROWS,
    )
    for name, what in found.items():
        assert re.search(rf"^\| `{name}` \| [^|]* \| {what} \|", PAGE, re.MULTILINE), name


def test_every_task_says_where_its_data_comes_from_and_what_may_be_done_with_it():
    catalog = Catalog(Plugins.load())
    for entry in catalog.entries("task"):
        table = read_toml(entry.path)
        missing = {"summary", "source", "licence", "citation"} - {
            key for key, value in table.items() if value
        }
        assert not missing, f"{entry.name}: {missing}"
