import json
import os
import re
import subprocess
import sys

import pytest
from click.testing import CliRunner
from forked import run_forked

from aisb_cli.main import cli


@pytest.fixture(scope="module")
def aisb(installed):
    """Run `aisb` in a process that finds the little distributions."""

    def aisb(*arguments, columns="80", **environment):
        path = {"PYTHONPATH": str(installed), "COLUMNS": columns, "AISB_BLOCK": ""}
        return run_forked(
            [sys.executable, "-m", "aisb_cli.main", *arguments],
            env={**os.environ, **path, **environment},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return aisb


@pytest.fixture(scope="module")
def listed(aisb):
    done = aisb("plugins", "list")
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_the_list_shows_what_a_plugin_offers_components_tasks_and_models(listed):
    lines = [line.rstrip() for line in listed.splitlines()]
    at = next(i for i, line in enumerate(lines) if line.startswith("test-good "))
    assert [line.split() for line in lines[at : at + 4]] == [
        ["test-good", "loaded", "dataset:", "dice"],
        ["aisb-test-good", "1.0", "silver", "postprocessor:", "shouted,", "dice"],
        ["tasks:", "throws"],
        ["models:", "shouter"],
    ]


def test_the_list_gives_the_reason_of_each_failure_below_the_table(listed):
    table, reasons = listed.split("\n\n")
    assert "failed" in table
    assert "test-broken-import did not load: No module named 'a_library_nobody_has'" in reasons.splitlines()
    assert "test-misspelt did not load: aisb_backend is not a hook; did you mean 'aisb_backends'?" in reasons


def test_the_table_fits_eighty_columns(listed):
    table, _ = listed.split("\n\n")
    assert max(map(len, table.splitlines())) <= 80


def test_the_list_as_json_has_a_record_a_plugin(aisb, installed):
    records = {
        (r["name"], r["distribution"]): r for r in json.loads(aisb("plugins", "list", "--json").stdout)
    }
    assert records["test-good", "aisb-test-good"] == {
        "name": "test-good",
        "distribution": "aisb-test-good",
        "version": "1.0",
        "state": "loaded",
        "quality": "silver",
        "reason": None,
        "offers": {"dataset": ["dice"], "postprocessor": ["shouted", "dice"]},
        "tasks": ["throws"],
        "models": ["shouter"],
        "configs": [str(installed / "aisb_test_good")],
    }
    assert records["test-same", "aisb-test-same-two"]["reason"] == (
        "the name test-same is taken by aisb-test-same-one 1.0"
    )
    assert records["test-same", "aisb-test-same-two"]["quality"] is None


def test_a_blocked_plugin_is_listed_as_blocked_and_a_wrong_name_to_block_is_said(aisb):
    done = aisb("plugins", "list", "--json", AISB_BLOCK="test-good,test-god")
    states = {record["name"]: record["state"] for record in json.loads(done.stdout)}
    assert states["test-good"] == "blocked"
    assert done.stderr == "no plugin named 'test-god' to block; did you mean 'test-good'?\n"


def test_show_prints_a_components_options_with_types_defaults_and_help(aisb):
    done = aisb("plugins", "show", "dataset:dice")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        "dataset:dice – Throw a die again and again.\n"
        "plugin test-good, from aisb-test-good\n"
        "\n"
        "option  type    default\n"
        "count   int     10\n"
        "    how many throws\n"
        "sides   6 | 20  6\n"
        "colour  str     (required)\n"
        "    what colour the dice have\n"
    )


def test_show_prints_every_kind_that_has_the_name(aisb):
    heads = [line for line in aisb("plugins", "show", "dice").stdout.splitlines() if " – " in line]
    assert heads == [
        "dataset:dice – Throw a die again and again.",
        "postprocessor:dice – Take the last word in capitals.",
    ]


def test_show_prints_both_where_two_plugins_offer_one_name(aisb):
    text = aisb("plugins", "show", "twin").stdout
    assert "plugin test-clash-one, from" in text
    assert "plugin test-clash-two, from" in text


def test_show_leaves_out_what_core_gives(aisb):
    assert aisb("plugins", "show", "with-files").stdout.splitlines()[3:] == [
        "option  type  default",
        'path    str   "x"',
    ]


def test_show_as_json_has_a_record_a_component(aisb):
    (record,) = json.loads(aisb("plugins", "show", "shouted", "--json").stdout)
    assert record == {
        "kind": "postprocessor",
        "name": "shouted",
        "summary": "Take the last word in capitals.",
        "plugin": "test-good",
        "distribution": "aisb-test-good",
        "options": [
            {"name": "least", "type": "int", "required": False, "default": 3, "help": "minimum word length"}
        ],
    }


def test_an_unknown_name_suggests_the_nearest_and_says_which_plugins_failed(aisb):
    done = aisb("plugins", "show", "dataset:dise")
    assert (done.returncode, done.stdout) == (2, "")
    assert "no dataset named 'dise'; did you mean 'dice'?\n" in done.stderr
    assert "plugin test-raising did not load: aisb_reporters() raised ValueError" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_unknown_kind_names_the_kinds(aisb):
    done = aisb("plugins", "show", "databse:dice")
    assert done.returncode == 2
    assert "no kind of component named 'databse'; did you mean 'dataset'?\n" in done.stderr
    assert (
        "known: backend, command, dataset, environment, evaluator, importer, launcher, postprocessor, "
        "reporter" in done.stderr
    )


def test_the_name_of_a_plugin_is_answered_with_what_it_offers(aisb):
    done = aisb("plugins", "show", "test-good")
    assert done.returncode == 2
    assert "test-good is a plugin; it offers dataset: dice; postprocessor: shouted, dice" in done.stderr


def test_listing_every_plugin_of_this_project_imports_little():
    # `benchmarks/startup.py` prints the time that this keeps short.
    script = (
        "import sys\nfrom aisb_cli.main import main\ntry: main(['plugins', 'list'])\n"
        "except SystemExit: print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    modules = done.stderr.split()
    foreign = {name.partition(".")[0] for name in modules} - sys.stdlib_module_names
    foreign = {name for name in foreign if not name.startswith(("aisb", "_", "sitecustomize"))}
    assert foreign <= {"click", "pluggy", "tabulate"}
    of_plugins = [name for name in modules if re.match(r"aisb_(?!cli|engine)", name)]
    assert len(of_plugins) < 2 * len([name for name in of_plugins if "." not in name])


@pytest.mark.parametrize(
    "words", [("tasks", "list", "--json"), ("data", "list", "gsm8k"), ("plugins", "list", "--json")]
)
def test_every_command_says_that_no_plugin_has_a_name_to_block(words):
    done = CliRunner().invoke(cli, ["--block", "reporter-plot", *words])
    assert done.exit_code == 0, done.output
    assert done.stderr == "no plugin named 'reporter-plot' to block; did you mean 'reporter-plots'?\n"


def test_the_list_of_backends_shows_what_their_requests_hold():
    done = CliRunner().invoke(cli, ["plugins", "list", "--backends", "--json"])
    found = {one["name"]: one for one in json.loads(done.stdout)}
    assert "imported" not in found
    chat, text = found["vllm-chat"], found["vllm-completions"]
    assert (chat["prompts"], chat["images"], chat["tools"], chat["token_ids"]) == ("chat", True, True, False)
    assert (text["prompts"], text["images"], text["tools"], text["token_ids"]) == ("text", False, False, True)
    assert (chat["log_probabilities"], found["openai-chat"]["log_probabilities"]) == (True, False)
    assert (chat["replies"], chat["counters"], chat["parameters"]) == ("both", True, "any")
    assert (found["hf-chat"]["replies"], found["hf-chat"]["images"]) == ("local", None)
    assert "max_tokens" in found["hf-chat"]["parameters"]


def test_the_table_of_backends_explains_its_columns():
    done = CliRunner().invoke(cli, ["plugins", "list", "--backends"])
    rows = [line.split() for line in done.stdout.splitlines()]
    assert ["vllm-chat", "chat", "both", "yes", "yes", "yes", "no", "yes"] in rows
    assert "images     sends images, and other media, of a message" in done.stdout
