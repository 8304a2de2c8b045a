"""The pages on plugins are followed from first to last, as a reader would: files are written, commands run."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from forked import run_forked
from unpacked import install

from aisb import _hookspecs as hookspecs

ROOT = Path(__file__).parents[1]
PAGES = ("index", "backend", "dataset", "postprocessor", "evaluator", "environment", "reporter", "command", "importer",
         "launcher", "testing")  # fmt: skip
"""The pages in the order in which they build on each other."""
BLOCK = re.compile(r"^```(\w+) ?(\S*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PORT = "9876"


def tutorial():
    """Return all pages as one text."""
    folder = ROOT / "docs" / "plugins"
    return "\n".join((folder / f"{page}.md").read_text(encoding="utf-8") for page in PAGES)


class Ran(NamedTuple):
    command: str
    expected: list[str]
    output: str


@pytest.fixture(scope="module")
def parrot_port():
    server = subprocess.Popen(
        [sys.executable, str(ROOT / "examples" / "parrot_server.py"), "0"], stdout=subprocess.PIPE, text=True
    )
    yield server.stdout.readline().rsplit(":", 1)[-1].strip()
    server.terminate()
    server.wait(10)
    server.stdout.close()


@pytest.fixture(scope="module")
def followed(tmp_path_factory, parrot_port):
    """Every command of the tutorial with what it should print and what it printed."""
    project, work = tmp_path_factory.mktemp("aisb-parrot"), tmp_path_factory.mktemp("work")
    installed, ran = None, []
    for language, name, text in BLOCK.findall(tutorial().replace(PORT, parrot_port)):
        if name == "aisb.toml":
            (work / name).write_text(text, encoding="utf-8")
        elif name:
            file = project / name
            file.parent.mkdir(parents=True, exist_ok=True)
            with file.open("a", encoding="utf-8") as stream:  # a later block adds to the file
                stream.write(("\n\n" if file.stat().st_size else "") + text)
            installed = None
        elif language == "console":
            if installed is None and (project / "pyproject.toml").exists():
                installed = tmp_path_factory.mktemp("installed")
                install(installed, project)
            for part in text.removeprefix("$ ").split("\n$ "):
                command, *expected = part.rstrip("\n").split("\n")
                ran.append(Ran(command, expected, run(command, project, work, installed)))
    return ran


def run(command, project, work, installed):
    """Run a command line of the tutorial, and return what it prints."""
    program, *arguments = shlex.split(command)
    if program == "python":
        return f"the parrot listens on http://127.0.0.1:{arguments[-1]}"  # it does already, see parrot_port
    if program == "cat":
        return "".join(path.read_text() for path in sorted(work.glob(arguments[0])))
    module = {"aisb": "aisb_cli.main", "pytest": "pytest"}[program]
    done = run_forked(
        [sys.executable, "-m", module, *arguments],
        env={**os.environ, "PYTHONPATH": str(installed), "COLUMNS": "80", "AISB_BLOCK": ""},
        cwd=project if program == "pytest" else work,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )
    return done.stdout


def test_every_command_prints_what_the_tutorial_says(followed):
    assert len(followed) >= 8
    for command, expected, output in followed:
        lines = iter(output.splitlines())
        for wanted in expected:
            pattern = ".*".join(
                re.escape(part).replace(r"\ \ ", r"\s+") for part in re.split(r" *… *", wanted.rstrip())
            )
            assert any(re.fullmatch(pattern, line.rstrip()) for line in lines), (
                f"$ {command}\nprints no line {wanted!r} (in that order):\n{output}"
            )


def test_the_first_plugin_and_its_task_are_under_forty_lines():
    blocks = {name: text for _, name, text in reversed(BLOCK.findall(tutorial()))}
    sizes = [
        len(blocks[name].splitlines())
        for name in ("aisb_parrot/__init__.py", "aisb_parrot/tasks/letters.toml")
    ]
    assert sum(sizes) < 40


@pytest.mark.parametrize("hook", [name for name in vars(hookspecs) if name.startswith("aisb_")])
def test_every_hook_is_in_the_tutorial_and_is_used_there(hook):
    text = tutorial()
    assert f"| `{hook}` |" in text
    assert f"\ndef {hook}():\n" in text


def test_the_reasons_in_the_tutorial_are_what_broken_plugins_are_told(installed):
    script = "from aisb._plugins import Plugins\nfor i in Plugins.load().infos: print(i.reason)"
    env = {**os.environ, "PYTHONPATH": str(installed), "AISB_BLOCK": ""}
    reasons = subprocess.run(
        [sys.executable, "-c", script], env=env, capture_output=True, text=True, check=True
    ).stdout
    section = tutorial().split("## When a plugin does not load")[1].split("\n## ")[0]
    told = re.findall(r"^\| `(.*?)` \|", section, re.MULTILINE)
    assert len(told) >= 6
    for reason in told:
        pattern = re.escape(reason).replace("…", ".*")
        for own in (r"aisb\-parrot\ 0\.1\.0", "parrot", "tritonclient"):
            pattern = pattern.replace(own, ".*")
        assert re.search(f"^{pattern}$", reasons, re.MULTILINE), reason
