"""Commands and importers of installed plugins: how `aisb` shows them, runs them, and stands their faults."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from forked import run_forked
from unpacked import install

from aisb import Command
from aisb_cli.faults import CommandFault
from aisb_engine import DeclaredCommand

PROJECTS = Path(__file__).parents[1] / "distributions" / "commands"
OTHERS = "twins,helpless,late,lost,misplaced,rash"


def without(name: str) -> str:
    """Return what to block so that, beside `cost`, this plugin is found."""
    return ",".join(other for other in OTHERS.split(",") if other != name)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with the distributions of `tests/distributions/commands`, installed."""
    projects = sorted(file.parent for file in PROJECTS.glob("*/pyproject.toml"))
    return install(tmp_path_factory.mktemp("installed"), *projects)


@pytest.fixture
def aisb(folder, tmp_path):
    """Run `aisb` in a process that finds them; all but the plugin `cost` are blocked unless it is said."""

    def aisb(*words, block=OTHERS, code=0, **environment):
        kept = {key: value for key, value in os.environ.items() if not key.startswith("AISB_")}
        mine = {"PYTHONPATH": str(folder), "COLUMNS": "100", "AISB_BLOCK": block, "TMPDIR": str(tmp_path)}
        done = run_forked(
            [sys.executable, "-m", "aisb_cli.main", *map(str, words)],
            cwd=tmp_path,
            env={**kept, **mine, **environment},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == code, done.stderr + done.stdout
        return done

    return aisb


def test_a_plugins_command_is_in_the_help_after_this_projects_own(aisb):
    names = re.findall(r"^  ([a-z-]+)  +[A-Z]", aisb("--help").stdout.partition("Commands:")[2], re.MULTILINE)
    assert names[:3] == ["run", "score", "quick"]
    others = names[names.index("completion") + 1 :]
    assert others == sorted(others)
    assert {"audit", "budget", "compare", "cost", "grade", "mock"} <= set(others)


def test_help_imports_no_module_of_a_command(folder):
    code = (
        "import sys\nfrom aisb_cli.main import main\ntry: main(['--help'])\n"
        "except SystemExit: print(*sorted(sys.modules), sep='\\n', file=sys.stderr)"
    )
    environment = {**os.environ, "PYTHONPATH": str(folder), "AISB_BLOCK": OTHERS}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    imported = set(done.stderr.split())
    assert {"aisb_cli.commands", "aisb_test_cost.commands", "aisb_mock._commands"} <= imported
    assert not [name for name in imported if name.endswith("_command")]
    assert not imported & {"aisb_test_cost.command", "aisb_test_cost.importer", "aisb_cli.importers"}
    assert not imported & {
        "pydantic",
        "numpy",
        "httpx",
        "orjson",
        "aisb_mock._options",
        "aisb_engine._builtin",
    }


def test_a_plugins_command_runs_with_plugins_and_its_exit_code(aisb):
    done = aisb("--block", "reporter-html", "cost", "20261121", code=3)
    assert done.stdout.startswith("20261121 cost nothing; reporters: aisbench, csv, ")
    assert "html" not in done.stdout


def test_a_command_of_two_words_is_a_command_of_the_group(aisb):
    assert aisb("runs", "price", "latest", "good").stdout == "latest is good\n"
    shown = aisb("runs", "--help").stdout
    assert "  price  Put a price on a run.\n" in shown
    assert "  list  " in shown
    assert aisb("runs", "list", "--json").stdout == "[]\n"
    assert aisb("budget", "show").stdout == "no limit\n"
    assert "  show  Show the budget." in aisb("budget", "--help").stdout


def test_an_option_that_a_plugin_adds_to_run_is_a_setting_and_the_users_own_holds_over_it(aisb):
    run = ("run", "--models", "sim", "--datasets", "demo_gsm8k", "--dry-run", "--json")
    (subtask,) = json.loads(aisb(*run, "--few", "3").stdout)["subtasks"]
    assert subtask["requests"] == 3
    (subtask,) = json.loads(aisb(*run, "--few", "3", "--set", "load.num_prompts=5").stdout)["subtasks"]
    assert subtask["requests"] == 5
    assert re.search(r"Plugin cost:\n  --few N +Ask only N samples.", aisb("run", "--help-all").stdout)
    assert re.search(r"Plugin cost +--few\n", aisb("run", "--help").stdout)


def test_plugins_commands_are_completed_and_a_broken_plugin_prints_nothing(aisb):
    words = {"_AISB_COMPLETE": "bash_complete", "COMP_CWORD": "1"}
    done = aisb(block="twins", COMP_WORDS="aisb cost", **words)
    assert [line.partition(",")[2] for line in done.stdout.splitlines()] == [
        "cost",
        "cost-fails",
        "cost-lost",
        "cost-refuses",
    ]
    assert done.stderr == ""
    words["COMP_CWORD"] = "2"
    assert aisb(block="twins", COMP_WORDS="aisb runs pr", **words).stdout == "plain,price\n"
    done = aisb(block="twins", COMP_WORDS="aisb cost-lost x", **words)
    assert done.stderr == ""
    assert aisb(block="twins", COMP_WORDS="aisb run --fe", **words).stdout == "plain,--few\n"


def test_a_command_that_two_plugins_have_says_what_to_block(aisb):
    done = aisb("twin", block="helpless,late,lost,misplaced,rash", code=2)
    assert done.stderr == (
        "error: command 'twin' is offered by cost (aisb-test-cost) and twins (aisb-test-twins); "
        "block all but one, as in --block twins\n"
    )
    assert (
        "cost nothing"
        in aisb("--block", "twins", "twin", block="helpless,late,lost,misplaced,rash", code=3).stdout
    )


def test_a_command_of_two_words_that_the_group_has_is_an_error_that_names_both(aisb):
    done = aisb("runs", "list", block="helpless,late,lost,misplaced,rash", code=2)
    assert "command 'runs list' is offered by aisb (aisb) and twins (aisb-test-twins); block" in done.stderr


def test_what_cannot_be_added_is_left_out_with_a_line(aisb):
    done = aisb("score", "--help", block="helpless,late,lost,misplaced,rash")
    assert done.stderr == "command 'score twice' of plugin twins is left out: score has no commands\n"
    done = aisb("run", "--help", block="helpless,late,lost,misplaced,rash")
    assert "the options of plugin twins for aisb run are ignored: run has --url already\n" in done.stderr


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("lost", "No module named 'a_library_nobody_has'"),
        ("helpless", "aisb_commands() has None as the help of 'helpless'; it is a line of text"),
        ("late", "needs aisb-core>=9.1, and 0.2.0 is installed: upgrade one of them"),
        ("misplaced", "aisb_datasets belongs in a module with an entry point in the group aisb"),
    ],
)
def test_a_plugin_that_cannot_declare_its_commands_is_one_line_and_harms_no_other(aisb, name, reason):
    others = without(name)
    done = aisb("runs", "list", "--json", block=others)
    assert done.stdout == "[]\n"
    assert done.stderr == f"plugin {name} did not load: {reason}\n"
    assert f"{name} did not load: {reason}\n" in aisb("plugins", "list", block=others).stdout


def test_options_of_run_that_end_the_process_are_left_out_and_the_run_goes_on(aisb):
    done = aisb("run", "--models", "sim", "--datasets", "demo_gsm8k", block=without("rash"))
    assert (
        "the options of plugin rash for aisb run are ignored: SystemExit: 0 (commands.py, line "
        in done.stderr
    )
    assert "79.69" in done.stdout


def test_what_the_callback_of_an_added_option_raises_is_its_plugins_fault(aisb):
    done = aisb("run", "--models", "sim", "--rash", "price", block=without("rash"), code=1)
    assert "of plugin rash failed: KeyError: 'price' (commands.py, line " in done.stderr
    assert "its traceback is in " in done.stderr


def test_importers_that_end_the_process_or_return_no_task_are_named_and_the_others_go_on(aisb, tmp_path):
    (tmp_path / "gsm8k.quiz").write_text("3 pens and 4 pens?;7;The answer is 7.\n")
    done = aisb("import", "gsm8k.quiz", block=without("rash"), code=1)
    for name, reason in (("ending", "SystemExit"), ("counting", "TypeError: it returned 5")):
        assert (
            f"importer '{name}' of plugin rash failed on gsm8k.quiz and is left out: {reason}" in done.stderr
        )
    assert "100.00" in done.stdout


def test_a_plugin_for_another_core_is_never_imported(aisb):
    records = json.loads(aisb("plugins", "list", "--json", block="twins,lost,misplaced").stdout)
    late = [record for record in records if record["name"] == "late"]
    assert {record["state"] for record in late} == {"failed"}
    assert {record["reason"] for record in late} == {
        "needs aisb-core>=9.1, and 0.2.0 is installed: upgrade one of them"
    }


def test_a_hook_in_the_wrong_group_says_where_it_belongs(aisb):
    shown = aisb("plugins", "list", block="twins,helpless,late,lost,rash").stdout
    assert (
        "misplaced did not load: aisb_commands belongs in a module with an entry point in the group aisb.commands\n"
        in shown
    )


def test_the_list_of_plugins_shows_commands_and_importers_of_one_plugin_in_one_record(aisb):
    records = json.loads(aisb("plugins", "list", "--json").stdout)
    (record,) = [record for record in records if record["name"] == "cost"]
    assert record["offers"]["importer"] == ["quiz"]
    assert record["offers"]["command"][:2] == ["cost", "cost-fails"]
    (own,) = [record for record in records if record["name"] == "aisb"]
    assert own["offers"]["command"][:2] == ["run", "score"]


def test_show_says_whose_a_command_is(aisb):
    assert aisb("plugins", "show", "cost").stdout == (
        "command:cost – Say what a run cost.\n"
        "plugin cost, from aisb-test-cost\n\n"
        "aisb cost --help explains its options.\n"
        "It adds options to aisb run; aisb run --help-all explains them.\n"
    )
    assert (
        "no command named 'cots'; did you mean 'cost'?"
        in aisb("plugins", "show", "command:cots", code=2).stderr
    )


def test_the_traceback_of_a_plugin_that_failed_to_load_is_shown_with_debug(aisb):
    block = "twins,late,misplaced"
    assert "Traceback" not in aisb("plugins", "list", block=block).stdout
    shown = aisb("plugins", "list", "--debug", block=block).stdout
    assert "  Traceback (most recent call last):\n" in shown
    assert re.search(r'File ".*aisb_test_lost/commands.py", line 3', shown)
    records = json.loads(aisb("plugins", "list", "--debug", "--json", block=block).stdout)
    (lost,) = [record for record in records if record["name"] == "lost"]
    assert "a_library_nobody_has" in lost["traceback"]


def test_an_error_of_aisb_in_a_plugins_command_is_a_line(aisb):
    assert aisb("cost-refuses", code=2).stderr == "error: there is no price list; name one\n"


def test_any_other_error_in_a_plugins_command_names_the_plugin_and_the_file_with_the_traceback(aisb):
    done = aisb("cost-fails", code=1)
    line, place = done.stderr.splitlines()
    assert line == (
        "error: the command cost-fails of plugin cost failed: KeyError: 'the price list' (command.py, line 21)"
    )
    file = Path(place.removeprefix("  its traceback is in "))
    assert file.read_text().startswith("Traceback (most recent call last):\n")
    assert '{}["the price list"]' in file.read_text()


def test_with_aisb_debug_the_traceback_itself_is_printed(aisb):
    done = aisb("cost-fails", code=1, AISB_DEBUG="1")
    assert done.stderr.splitlines()[1] == "Traceback (most recent call last):"
    assert "its traceback is in" not in done.stderr


@pytest.mark.parametrize(
    ("command", "code", "words"),
    [
        (("cost", "cost", "aisb-test-cost"), 1, "the command cost of plugin cost failed: "),
        (("audit", "analysis", "aisb-analysis"), 70, "the command audit of plugin analysis failed, which is a defect of aisb: "),
        (None, 70, "aisb failed, which is a defect of aisb: "),
    ],
)  # fmt: skip
def test_a_defect_of_a_command_of_this_project_has_an_exit_code_of_its_own(
    tmp_path, monkeypatch, command, code, words
):
    monkeypatch.setenv("AISB_DEBUG", "1")
    declared = DeclaredCommand(Command(command[0], "", "a:b"), *command[1:]) if command else None
    fault = CommandFault(ValueError("seven"), declared)
    assert (fault.exit_code, str(fault).splitlines()[0]) == (code, f"{words}ValueError: seven")


def test_a_command_that_cannot_be_imported_is_an_error_of_its_plugin(aisb):
    assert aisb("cost-lost", code=2).stderr == (
        "error: command 'cost-lost' of plugin cost cannot be loaded: No module named 'aisb_test_cost.absent'\n"
    )


def test_an_unknown_command_suggests_the_nearest_and_names_blocked_plugins(aisb):
    done = aisb("--block", "cost", "cots", code=2)
    assert done.stderr.startswith("error: no command named 'cots'\n  known: audit, capacity, compare, ")
    assert "  plugin cost is blocked\n" in done.stderr
    assert "no command named 'cots'; did you mean 'cost'?\n" in aisb("cots", code=2).stderr


def test_a_third_partys_importer_makes_a_run_that_is_scored(aisb, tmp_path):
    (tmp_path / "gsm8k.quiz").write_text(
        "3 pens and 4 pens?;7;The answer is 7.\n5 less 2?;3;The answer is 4.\n"
    )
    done = aisb("import", "gsm8k.quiz")
    assert "gsm8k · pen-8b: 2 rows of quiz from gsm8k.quiz" in done.stderr
    assert "50.00" in done.stdout


def test_a_broken_file_of_a_third_party_is_an_error_of_the_user(aisb, tmp_path):
    (tmp_path / "gsm8k.quiz").write_text("3 pens and 4 pens?;7\n")
    done = aisb("import", "gsm8k.quiz", code=2)
    assert done.stderr == "error: gsm8k.quiz, line 1: three fields are wanted, and it has 2\n"


def test_what_can_be_read_names_every_importer(aisb, tmp_path):
    (tmp_path / "x.txt").write_text("x")
    done = aisb("import", "x.txt", code=2)
    assert "x.txt holds nothing that can be imported\n  what can be read:\n" in done.stderr
    assert "    quiz: a .quiz file\n" in done.stderr
    assert "    lm-eval: samples_*.jsonl, or a folder with them\n" in done.stderr


def test_an_importer_that_fails_is_named_and_the_others_go_on_with_exit_code_1(aisb, tmp_path):
    (tmp_path / "gsm8k.quiz").write_text("3 pens and 4 pens?;7;The answer is 7.\n")
    done = aisb("import", "gsm8k.quiz", block="helpless,late,lost,misplaced,rash", code=1)
    assert (
        "importer 'careless' of plugin twins failed on gsm8k.quiz and is left out: AttributeError: "
        in done.stderr
    )
    (place,) = re.findall(r"^  its traceback is in (.+)$", done.stderr, re.MULTILINE)
    assert "no_such_attribute" in Path(place).read_text()
    assert "100.00" in done.stdout
