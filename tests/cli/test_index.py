"""The index of names that are not installed: it equals the repository, and its install lines are right."""

import importlib.util
import json
import os
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ABSENT = (
    "aisb-compat-aisbench",
    "aisb-dataset-exams",
    "aisb-backend-tgi",
    "aisb-backend-triton",
    "aisb-reporter-html",
)


ANSWER = """
import contextlib, gc, importlib.metadata, json, os, sys
import aisb_cli.main
for group in ("aisb", "aisb.commands"):
    for entry in importlib.metadata.entry_points(group=group):
        with contextlib.suppress(ImportError):  # it needs what is absent, which each command finds out itself
            entry.load()
gc.freeze()
for line in sys.stdin:
    if (process := os.fork()) == 0:
        words, out, err = json.loads(line)
        for number, file in ((1, out), (2, err)):
            os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
        sys.argv[1:] = words
        try:
            aisb_cli.main.main()
            code = 0
        except SystemExit as ended:
            code = ended.code or 0
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    print(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), flush=True)
"""
"""A program that runs each command it reads in a fork of its own, and tells the exit code."""


@pytest.fixture(scope="module")
def tool():
    """The program that writes the index."""
    spec = importlib.util.spec_from_file_location("index_tool", ROOT / "tools" / "index.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def aisb(tmp_path_factory):
    """Run `aisb` in a process that sees all that is installed here, except the distributions of ABSENT."""
    packages = tmp_path_factory.mktemp("packages")
    names = tuple(name.replace("-", "_") for name in ABSENT)
    for file in Path(sysconfig.get_path("purelib")).iterdir():
        if not file.name.startswith(names):
            (packages / file.name).symlink_to(file)
    projects = [*ROOT.glob("*/pyproject.toml"), *ROOT.glob("plugins/*/*/pyproject.toml")]
    folders = [
        str(project.parent)
        for project in projects
        if tomllib.loads(project.read_text("utf-8"))["project"]["name"] not in ABSENT
    ]
    path = os.pathsep.join([str(packages), *folders])

    out, err = (tmp_path_factory.mktemp("printed") / name for name in ("out", "err"))

    def aisb(*words):
        program.stdin.write(json.dumps([words, str(out), str(err)]) + "\n")
        program.stdin.flush()
        code = int(program.stdout.readline())
        return subprocess.CompletedProcess(words, code, out.read_text("utf-8"), err.read_text("utf-8"))

    with subprocess.Popen(
        [sys.executable, "-S", "-c", ANSWER],  # -S: no .pth file adds what is absent
        env={**os.environ, "PYTHONPATH": path, "AISB_BLOCK": ""},
        cwd=packages,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as program:
        yield aisb


def test_the_index_is_what_the_tool_writes_for_this_repository(tool):
    text = tool.FILE.read_text("utf-8")
    assert tool.index_text(text) == text, "run: python tools/index.py"


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (
            ("plugins", "show", "html"),
            "html comes with aisb-reporter-html; in a checkout of aisb: pip install ./plugins/reporters/html",
        ),
        (
            ("tasks", "show", "mmlu"),
            "mmlu comes with aisb-dataset-exams; in a checkout of aisb: pip install ./plugins/datasets/exams",
        ),
        (
            ("tasks", "show", "mmlu_redux"),
            "the family mmlu comes with aisb-dataset-exams; in a checkout of aisb: pip install ./plugins/datasets/exams",
        ),
        (
            ("tasks", "show", "ceval_gen_0_shot_cot_chat_prompt"),
            (
                "ceval_gen_0_shot_cot_chat_prompt comes with aisb-dataset-exams; in a checkout of aisb: "
                "pip install ./plugins/datasets/exams"
            ),
        ),
    ],
)
def test_a_name_whose_distribution_is_absent_is_answered_with_its_install_line(aisb, words, line):
    done = aisb(*words)
    assert done.returncode == 2
    assert done.stderr.endswith(f"\n  {line}\n")


def test_an_install_line_has_what_the_distribution_needs_and_is_not_there(aisb):
    needs = tomllib.loads((ROOT / "plugins/backends/triton/pyproject.toml").read_text("utf-8"))["project"]
    also = " ./plugins/backends/tgi" if any("backend-tgi" in line for line in needs["dependencies"]) else ""
    assert f"pip install ./plugins/backends/triton{also}\n" in aisb("plugins", "show", "triton-stream").stderr


def test_the_folders_of_an_install_line_hold_what_it_says():
    index = tomllib.loads((ROOT / "cli/aisb_cli/index.toml").read_text("utf-8"))
    for name, table in index["distributions"].items():
        project = tomllib.loads((ROOT / table["folder"] / "pyproject.toml").read_text("utf-8"))["project"]
        assert project["name"] == name


@pytest.mark.parametrize(
    "name", ["gsm8", "demo_gsm8", "math-anwser", "sim-txt", "mgsm_latest_xx", "exact-macth"]
)
def test_a_typo_of_an_installed_name_is_never_answered_with_an_install_line(aisb, name):
    done = aisb("plugins", "show", name)
    assert done.returncode == 2
    assert "pip install" not in done.stderr
    assert "pip install" not in aisb("tasks", "show", name).stderr


def test_a_typo_of_an_installed_name_is_answered_with_the_name(aisb):
    assert "did you mean 'gsm8k'?" in aisb("tasks", "show", "gsm8").stderr
    assert "did you mean 'exact-match'?" in aisb("plugins", "show", "exact-macth").stderr


def test_an_installed_plugin_that_is_blocked_is_named_and_not_to_be_installed(aisb):
    done = aisb("--block", "dataset-math", "tasks", "show", "gsm8k")
    assert "  plugin dataset-math is blocked\n" in done.stderr
    assert "pip install" not in done.stderr


@pytest.mark.parametrize("name", ["swebench_lite_gen", "tau2_bench_task", "terminal_bench_2", "vbench"])
def test_a_family_that_is_not_offered_yet_is_said_to_be_so(aisb, name):
    assert (
        aisb("tasks", "show", name)
        .stderr.splitlines()[-1]
        .startswith(f"  the task {name} is not offered yet: ")
    )


def test_a_task_that_is_not_offered_yet_is_said_to_be_so(aisb):
    assert aisb("tasks", "show", "gedit_gen_0_shot_llmjudge").stderr.endswith(
        "\n  the task gedit_gen_0_shot_llmjudge is not offered yet: it grades images or videos that a model makes, and "
        "aisb asks models that write text\n"
    )


def test_tasks_that_are_not_offered_yet_are_listed_with_the_reason(aisb):
    listed = aisb("tasks", "list", "--all").stdout.partition(
        "\nNot offered yet, by their names in other tools:\n"
    )[2]
    assert listed.startswith(
        "BFCL_gen_all: it joins two tasks: give BFCL_gen_single_turn and\n    BFCL_gen_multi_turn\nBFCL_gen_ids: "
    )
    rows = json.loads(aisb("tasks", "list", "--all", "--json").stdout)
    reasons = {row["task"]: row["not_offered_yet"] for row in rows if "not_offered_yet" in row}
    assert "agent_trials reads the results of its harness" in reasons["terminal*bench*"]
    assert "tau2_airline, tau2_retail and tau2_telecom" in reasons["tau2*"]
    assert "Not offered" not in aisb("tasks", "list").stdout


def test_a_command_of_a_group_that_is_not_installed_names_its_distribution(aisb):
    ended = aisb("config", "import", "run.py")
    assert ended.returncode == 2
    assert "no command named 'config import'" in ended.stderr
    said = "config import comes with aisb-compat-aisbench; in a checkout of aisb: pip install ./plugins/tools/aisbench"
    assert said in " ".join(ended.stderr.split())


def test_tasks_that_are_not_installed_are_listed_with_the_command_that_installs_them(aisb):
    listed = aisb("tasks", "list", "--all").stdout
    text = listed.partition("\nNot installed; run the commands in a checkout of aisb:\n")[2]
    assert "ceval" in text
    assert text.splitlines()[-1] == "  pip install ./plugins/datasets/exams"
    assert "Not installed" not in aisb("tasks", "list").stdout
    rows = json.loads(aisb("tasks", "list", "--all", "--json").stdout)
    install = "pip install ./plugins/datasets/exams"
    assert {"task": "ceval", "distribution": "aisb-dataset-exams", "install": install} in rows


def test_plugins_that_are_not_installed_are_listed_with_what_they_bring(aisb):
    text = aisb("plugins", "list", "--all").stdout.partition("\nNot installed")[2]
    assert "aisb-backend-tgi: components: tgi, tgi-stream; models: tgi_api_general" in text
    assert "  pip install ./plugins/backends/tgi" in text.splitlines()
    rows = json.loads(aisb("plugins", "list", "--all", "--json").stdout)
    missing = {row["distribution"] for row in rows if row["state"] == "not installed"}
    assert set(ABSENT) <= missing
