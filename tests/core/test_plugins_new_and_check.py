"""`aisb plugins new` writes plugins that pass their own tests, and `aisb plugins check` finds what is wrong."""

import json
import os
import re
import subprocess
import sys
import tomllib

import pytest
from forked import run_forked
from unpacked import install

from aisb_testing._new import SKELETONS

FAST = ("backend", "dataset", "postprocessor", "environment", "evaluator", "reporter", "importer",
        "command")  # fmt: skip
"""All kinds but the launcher, whose suite waits for processes."""


def run(*words, path=None, cwd=None):
    """Run a Python module; return its exit code and what it printed."""
    ended = run_forked(
        [sys.executable, "-m", *words],
        env={**os.environ, "PYTHONPATH": str(path or ""), "COLUMNS": "80", "AISB_BLOCK": ""},
        cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=240, check=False,
    )  # fmt: skip
    return ended.returncode, ended.stdout


def aisb(*words, path=None, cwd=None):
    return run("aisb_cli.main", *words, path=path, cwd=cwd)


def write_and_install(folder, name, kinds):
    """Write a plugin with the command, install it into a folder of its own, and return both folders."""
    options = [word for kind in kinds for word in ("--kind", kind)]
    code, output = aisb("plugins", "new", name, *options, "--into", str(folder))
    assert code == 0, output
    root, installed = folder / f"aisb-{name}", folder / "installed"
    return root, install(installed, root)


@pytest.fixture(scope="module")
def lorikeet(tmp_path_factory):
    """A written and installed plugin with a component of nearly each kind: its folder, and where it is."""
    return write_and_install(tmp_path_factory.mktemp("new"), "rainbow-lorikeet", FAST)


def test_a_new_plugin_passes_its_own_tests(lorikeet):
    root, installed = lorikeet
    code, output = run("pytest", "-q", str(root), "-p", "no:cacheprovider", path=installed, cwd=root)
    assert (code, re.search(r"\d+ passed", output)[0]) == (0, "10 passed"), output


def test_a_new_plugin_offers_what_was_asked_for(lorikeet):
    _, installed = lorikeet
    code, output = aisb("plugins", "list", "--json", path=installed)
    (record,) = [one for one in json.loads(output) if one["distribution"] == "aisb-rainbow-lorikeet"]
    assert (code, record["state"]) == (0, "loaded")
    assert set(record["offers"]) == set(FAST)
    assert record["tasks"] == ["rainbow_lorikeet"]
    assert aisb("rainbow-lorikeet", "hello", path=installed) == (0, "hello hello\n")


def test_a_new_task_runs(lorikeet, tmp_path):
    _, installed = lorikeet
    words = ("run", "--models", "sim", "--datasets", "rainbow_lorikeet", "--num-prompts", "3")
    code, output = aisb(*words, path=installed, cwd=tmp_path)
    assert code == 0, output
    assert re.search(r"rainbow_lorikeet +\w{6} +accuracy +gen +\d+\.\d\d", output), output


def test_each_check_is_named_and_a_failure_says_why_it_is_looked_at(lorikeet, tmp_path):
    _, installed = lorikeet
    code, output = aisb("plugins", "check", "aisb-rainbow-lorikeet", path=installed)
    assert code == 0, output
    assert "backend rainbow-lorikeet\n  ok  parameters\n  ok  plain\n" in output
    assert re.search(r"^\d+ checks: \d+ ok$", output, re.MULTILINE)
    broken = copied(installed, tmp_path / "broken")
    module = broken / "aisb_rainbow_lorikeet" / "backend.py"
    module.write_text(module.read_text().replace('event.get("output_tokens")', "99"))
    code, output = aisb("plugins", "check", "aisb-rainbow-lorikeet", "--failures", path=broken)
    assert code == 1
    assert "  FAILED: no usage\n      99 output tokens in the usage, not none\n" in output
    assert "      why: not every service counts tokens\n" in output
    assert "dataset rainbow-lorikeet" not in output


def test_an_exception_of_a_plugin_is_a_failed_check_with_its_line(lorikeet, tmp_path):
    _, installed = lorikeet
    broken = copied(installed, tmp_path / "broken")
    package = broken / "aisb_rainbow_lorikeet"
    for file, before, after in (
        ("conformance/dialect.py", 'prompt = data["prompt"]', 'prompt = data["question"]'),
        ("dataset.py", "random = Random(seed)", "random = Random(sead)"),
        ("command.py", "@click.command()\n", ""),
        ("importer.py", "            return None", '            raise DataError(f"{path} is no sheet")'),
    ):
        module = package / file
        module.write_text(module.read_text().replace(before, after))
    code, output = aisb("plugins", "check", "aisb-rainbow-lorikeet", "--failures", path=broken)
    text = " ".join(output.split())
    assert code == 1, output
    assert "FAILED: raises no exception it raises KeyError: 'question' (dialect.py, line " in text
    assert "FAILED: has rows it raises NameError: name 'sead' is not defined (dataset.py, line " in text
    assert "FAILED: click command it is a function, not a click command" in text
    assert "FAILED: another tool's file" in text
    assert "other.csv is no sheet (importer.py, line " in text
    assert "evaluator rainbow-lorikeet" not in text


def test_a_plugin_that_cannot_be_imported_is_a_failed_check(lorikeet, tmp_path):
    broken = copied(lorikeet[1], tmp_path / "broken")
    (broken / "aisb_rainbow_lorikeet" / "__init__.py").write_text("def (\n")
    code, output = aisb("plugins", "check", "aisb-rainbow-lorikeet", "--failures", path=broken)
    assert code == 1, output
    assert "FAILED: plugin rainbow-lorikeet failed: SyntaxError: invalid syntax" in " ".join(output.split())


def copied(folder, target):
    import shutil

    return shutil.copytree(folder, target)


def test_a_failure_may_be_expected_and_one_that_does_not_come_is_an_error(lorikeet, tmp_path):
    _, installed = lorikeet
    broken = copied(installed, tmp_path / "broken")
    module = broken / "aisb_rainbow_lorikeet" / "evaluator.py"
    module.write_text(module.read_text().replace("Score(1.0 if is_near else 0.0)", "Score(0.0)"))
    check = "evaluator rainbow-lorikeet: the right answer"
    words = ("plugins", "check", "aisb-rainbow-lorikeet", "--failures", "--expect-failure")
    code, output = aisb(*words, f"{check}=it is a strict one", path=broken)
    assert code == 0
    assert "  expected to fail: the right answer\n" in output
    assert "      why: it is a strict one\n" in output
    code, output = aisb(*words, f"{check}=it is a strict one", path=installed)
    assert code == 1
    assert "  not expected to pass: the right answer\n" in output
    setup = broken / "aisb_rainbow_lorikeet" / "conformance" / "conformance.toml"
    setup.write_text(setup.read_text() + f'[expected_failures]\n"{check}" = "it is a strict one"\n')
    assert aisb("plugins", "check", "aisb-rainbow-lorikeet", path=broken)[0] == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--expect-failure", "evaluator x: y"), "write 'COMPONENT: CHECK=REASON', with a reason"),
        (("--expect-failure", "backend x: y=z"), "'backend x: y' is expected to fail, but there is no such"),
    ],
)
def test_an_expected_failure_that_means_nothing_is_an_error(words, message):
    code, output = aisb("plugins", "check", "aisb-evaluator-instruct", *words)
    assert code == 2
    assert message in output


def test_what_is_not_installed_cannot_be_checked():
    code, output = aisb("plugins", "check", "aisb-nothing")
    assert code == 2
    assert "no installed distribution or module 'aisb-nothing'" in output


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[backend", "is not TOML"),
        ("[parrot.x]\n", "[parrot] is unknown; tables are backend"),
        ("[backend.x]\nfeathers = 3\n", "backend.x.feathers is unknown; keys are dialect"),
        ("[dataset.x]\nfiles = 'words.txt'\n", "dataset.x.files is 'words.txt'; it must be a list of names"),
        ("[backend.rainbow-lorikeet]\ndialect = 'a:B'\n", "the dialect 'a:B' cannot be imported"),
        ("[dataset.rainbow-lorikeet]\nfiles = ['no.csv']\n", "names this file, and it is not there"),
    ],
)
def test_an_error_in_conformance_toml_names_the_file(lorikeet, tmp_path, text, message):
    broken = copied(lorikeet[1], tmp_path / "broken")
    setup = broken / "aisb_rainbow_lorikeet" / "conformance" / "conformance.toml"
    setup.write_text(text)
    code, output = aisb("plugins", "check", "aisb-rainbow-lorikeet", path=broken)
    assert code in (1, 2)
    assert "conformance.toml" in output
    assert message in " ".join(output.split())


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Parrot", "'Parrot' cannot be a plugin's name; write lower-case letters, digits and dashes"),
        ("class", "'class' cannot be a plugin's name"),
        ("aisb-parrot", "the prefix aisb- is added automatically; write parrot"),
    ],
)
def test_a_name_that_no_distribution_can_have_is_an_error(tmp_path, name, message):
    code, output = aisb("plugins", "new", name, "--kind", "backend", "--into", str(tmp_path))
    assert (code, list(tmp_path.iterdir())) == (2, [])
    assert message in " ".join(output.split())


def test_a_folder_that_is_there_is_not_written_over(tmp_path):
    (tmp_path / "aisb-parrot").mkdir()
    code, output = aisb("plugins", "new", "parrot", "--kind", "dataset", "--into", str(tmp_path))
    assert code == 2
    assert "already exists; choose another name, or another folder with --into" in " ".join(output.split())


def test_the_versions_in_a_new_plugin_are_those_of_this_one(lorikeet):
    project = tomllib.loads((lorikeet[0] / "pyproject.toml").read_text())["project"]
    from importlib.metadata import version

    minor = int(version("aisb-core").split(".")[1])
    assert project["dependencies"] == [f"aisb-core>=0.{minor},<0.{minor + 1}", "click>=8.1"]


@pytest.mark.slow
@pytest.mark.parametrize("kind", sorted(SKELETONS))
def test_a_plugin_of_one_kind_passes_its_own_tests(tmp_path, kind):
    root, installed = write_and_install(tmp_path, "parrot", [kind])
    code, output = run("pytest", "-q", str(root), "-p", "no:cacheprovider", path=installed, cwd=root)
    assert code == 0, output
