"""What the engine sets on a component is declared by annotation, and never taken from a name."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

import pytest
from forked import run_forked
from tokenizers import Tokenizer, models, pre_tokenizers


@pytest.fixture(scope="module")
def python(installed):
    """Run Python in a process that finds the little distributions; return what it prints."""

    def python(*words: str, cwd: Path | None = None) -> str:
        start = run_forked if words[0] == "-m" else subprocess.run
        done = start(
            [sys.executable, *words],
            env={**os.environ, "PYTHONPATH": str(installed), "AISB_BLOCK": "", "NO_COLOR": "1"},
            cwd=cwd,
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return python


@pytest.fixture(scope="module")
def make(python):
    """Run lines with `plugins` loaded; return what they print, an error of aisb with its class."""

    def make(lines: str, cwd: Path | None = None) -> str:
        body = "".join(f"    {line}\n" for line in lines.splitlines())
        script = (
            "from pathlib import Path\n"
            "from aisb import AisbError, DataFile, DataFiles\n"
            "from aisb._plugins import Plugins\n"
            f"plugins = Plugins.load()\ntry:\n{body}"
            "except AisbError as error:\n    print(type(error).__name__, error, sep=': ')\n"
        )
        return python("-c", script, cwd=cwd)

    return make


@pytest.fixture
def folder(tmp_path):
    """A tokenizer that knows single letters."""
    letters = Tokenizer(models.WordLevel({"a": 0, "b": 1, "?": 2}, unk_token="?"))
    letters.pre_tokenizer = pre_tokenizers.Whitespace()
    letters.save(str(tmp_path / "tokenizer.json"))
    return tmp_path


def performance_run(python, work: Path, task: str) -> tuple[dict, int]:
    """Measure a task with four prompts; return the dataset options that were used, and the requests sent."""
    options = ("--mode", "perf", "--models", "sim", "--datasets", task, "--num-prompts", "4")
    python("-m", "aisb_cli.main", "run", *options, cwd=work)
    (identity,) = work.glob(f"outputs/default/*/log/sim/{task}/identity.json")
    (requests,) = work.glob(f"outputs/default/*/performances/sim/{task}_requests.csv")
    keys = json.loads(identity.read_text())
    begin = "task.dataset."
    table = {key.removeprefix(begin): value for key, value in keys.items() if key.startswith(begin)}
    return table, len(requests.read_text().splitlines()) - 1


def test_options_with_the_names_of_roles_are_left_alone(python, tmp_path):
    # Its three rows are not enough for four prompts, so the first is asked in a second round.
    assert performance_run(python, tmp_path, "web_log") == ({"use": "web-log", "requests": 2}, 4)


def test_options_with_roles_are_set_whatever_their_names(python, tmp_path):
    table, requests = performance_run(python, tmp_path, "made_rows")
    assert (table["rows"], requests) == (4, 4)
    assert len(table["salt"]) == 12


def test_a_model_files_batch_size_is_the_option_with_that_role(make, tmp_path):
    (tmp_path / "aisb.toml").write_text('[models.mine]\nbackend = "batched"\nbatch_size = 7\n')
    printed = make(
        "from aisb_engine._resolve.config import RunInput, resolve\n"
        "spec = resolve(plugins, RunInput(['mine'], ['made_rows'], Path('aisb.toml')))\n"
        "print(spec.models['mine'].options, spec.subtasks[0].load.concurrency)",
        cwd=tmp_path,
    )
    assert printed == "{'at_once': 7} None\n"


def test_data_files_are_given_by_type_and_an_option_may_be_named_files(make, tmp_path):
    (tmp_path / "rows.txt").write_text("a b\n")
    printed = make(
        "files = DataFiles([DataFile(Path('rows.txt'))])\n"
        "print(list(plugins.make('dataset', 'sources', {'files': 3}, files=files)))",
        cwd=tmp_path,
    )
    assert printed == "[{'prompt': 'a b', 'files': 3, 'tokens': None}]\n"


def test_what_is_given_by_type_is_no_option(make):
    assert make("plugins.make('dataset', 'sources', {'source': 1}, where='task.dataset')") == (
        "ConfigError: task.dataset.source: no such option\n  known: files, words\n"
    )


def test_a_judge_is_given_by_type_and_an_option_may_be_named_ask(make):
    printed = make(
        "judge = lambda request: None\n"
        "panel = plugins.make('evaluator', 'panel', {'ask': 'right?'}, ask=judge)\n"
        "print(panel.question is judge, panel.ask)"
    )
    assert printed == "True right?\n"


def test_a_task_is_judged_where_an_evaluator_has_a_parameter_of_the_type(make):
    printed = make(
        "from aisb_engine._scoring.judges import is_judged\n"
        "from aisb_engine._spec import Task\n"
        "for name in ('panel', 'bare'):\n"
        "    table = {'name': 't', 'summary': 's', 'dataset': {'use': 'made'}, 'prompt': {'user': ''}}\n"
        "    print(is_judged(Task.model_validate({**table, 'evaluate': [{'use': name}]}), plugins))"
    )
    assert printed == "True\nFalse\n"


def test_an_option_that_is_a_tokenizer_is_loaded_from_its_folder(make, folder):
    (folder / "rows.txt").write_text("a b\n")
    printed = make(
        "files = DataFiles([DataFile(Path('rows.txt'))])\n"
        "print(list(plugins.make('dataset', 'sources', {'words': '.'}, files=files))[0]['tokens'])",
        cwd=folder,
    )
    assert printed == "2\n"


def test_a_tokenizer_that_is_not_there_is_an_error_at_its_options_path(make):
    printed = make("plugins.make('dataset', 'sources', {'words': '/no/model'}, where='tasks.t.dataset')")
    assert printed.startswith(
        "ConfigError: tasks.t.dataset.words: tokenizer = '/no/model': there is no such folder"
    )


def test_a_tokenizer_that_is_no_path_is_refused(make):
    assert make("plugins.make('dataset', 'sources', {'words': 7}, where='tasks.t.dataset')") == (
        "ConfigError: tasks.t.dataset.words: 7 is invalid: words takes path | None (folder of a tokenizer)\n"
    )


def test_without_the_engine_a_tokenizer_cannot_be_read_and_the_error_says_what_to_install(tmp_path):
    for name in ("aisb", "pluggy", "pydantic", "pydantic_core", "annotated_types", "typing_inspection"):
        (tmp_path / name).symlink_to(Path(str(files(name))))
    extensions = find_spec("typing_extensions")
    (tmp_path / "typing_extensions.py").symlink_to(extensions.origin)
    script = (
        "from aisb import Tokenizer, UsageError\nfrom aisb._options import arguments\n"
        "def rows(*, words: Tokenizer): pass\n"
        "try:\n    arguments(rows, {'words': 'x'}, {}, where='task.dataset')\n"
        "except UsageError as error:\n    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", script],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "task.dataset.words: the engine loads tokenizers: install aisb-engine\n"


def test_options_are_listed_without_what_is_given_and_a_tokenizer_as_a_path(python):
    shown = python("-m", "aisb_cli.main", "plugins", "show", "dataset:sources").splitlines()
    assert [line.split("  ")[0] for line in shown[3:] if not line.startswith(" ")] == [
        "option",
        "files",
        "words",
    ]
    assert any(line.startswith("words   path | None") for line in shown)


def test_each_real_option_needs_a_help_text_whatever_its_name(python):
    script = (
        "from aisb_testing import check_plugin\ntry:\n    check_plugin('aisb-test-roles')\n"
        "except AssertionError as error:\n    print(error)\n"
    )
    assert python("-c", script) == (
        "the plugin aisb-test-roles does not keep the contract:\n"
        'evaluator bare: the option model has no help text; write Annotated[…, "help"]\n'
        "  why: aisb plugins show prints what it is and what its options mean\n"
    )
