"""Programs in containers: with a stand-in for docker, and what is said where there is none that works.

The stand-in is a program called `docker` that takes the real command line, keeps it, and runs the thing as a process
of this machine, without any wall: what is shown is the command line and the ends, not that docker contains.
"""

import json
import os
import shutil
import sys
from pathlib import Path

import pytest

from aisb import Sample, UsageError
from aisb_evaluator_code._container import check_image
from aisb_evaluator_code._running import CodeRun
from aisb_evaluator_code._sandbox import Limits, run_tests

STAND_IN = """#!{python}
import json, os, signal, sys, tempfile
words = sys.argv[1:]
here = os.path.dirname(os.path.abspath(__file__))
with open(here + "/commands.jsonl", "a") as file:
    file.write(json.dumps(words) + "\\n")
if words[:2] == ["rm", "--force"]:
    with open(here + "/" + words[2]) as file:
        os.killpg(int(file.read()), signal.SIGKILL)
    sys.exit(0)
if "absent:1" in words:
    sys.stderr.write("docker: Error response from daemon: No such image: absent:1\\n")
    sys.exit(125)
sys.stderr.write("WARNING: this is a stand-in\\n")
sys.stderr.flush()
at = words.index("image:1")
argv = words[at + 1:]
if "--volume" in words:
    folder = words[words.index("--volume") + 1].partition(":")[0]
    argv = [word.replace("/given", folder, 1) for word in argv]
    with open(here + "/" + words[words.index("--name") + 1], "w") as file:
        file.write(str(os.getpid()))
os.chdir(tempfile.mkdtemp(dir=here))
os.execv({python!r}, [{python!r}, *argv[1:]])
"""


@pytest.fixture
def docker(tmp_path, monkeypatch):
    """A folder with the stand-in, alone on PATH besides the system's; returns the commands it was given."""
    program = tmp_path / "docker"
    program.write_text(STAND_IN.format(python=sys.executable))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}/usr/bin:/bin")
    check_image.cache_clear()
    yield lambda: [json.loads(line) for line in (tmp_path / "commands.jsonl").read_text().splitlines()]
    check_image.cache_clear()


def test_the_command_line_leaves_a_program_nothing(docker):
    assert outcome("def f(n):\n    return 2 * n\n")["passed"]
    program, checker = (command for command in docker() if "--volume" in command)
    for command in (program, checker):
        text = " ".join(command)
        for words in (
            "run --rm --interactive --pull never", "--network none", "--read-only", "--cap-drop ALL",
            "--security-opt no-new-privileges", "--user 65534:65534", "--ulimit cpu=5", "--pids-limit 32",
            "--tmpfs /box:rw,exec,nosuid,nodev,size=64m,mode=1777 --workdir /box", "--log-driver none",
            "--ipc none",
        ):  # fmt: skip
            assert words in text
        assert command[-6:] == ["image:1", "python3", "-I", "-S", "/given/inside.py", "/given"]
    assert {command[command.index("--memory") + 1] for command in (program, checker)} == {"256m", "1024m"}
    assert program[program.index("--volume") + 1] != checker[checker.index("--volume") + 1]


def outcome(program):
    return run_tests(
        program,
        ["assert f(3) == 6"],
        entry=None,
        prelude="",
        limits=Limits(seconds=5, memory=256, image="image:1"),
    )


def test_right_and_wrong_programs_and_those_that_end_early_are_told_apart(docker):
    assert outcome("def f(n):\n    print('noise')\n    return 2 * n\n") == {"passed": True}
    wrong = outcome("def f(n):\n    return n\n")
    assert (wrong["passed"], wrong["test"]) == (False, "assert f(3) == 6")
    early = outcome("import os\n\ndef f(n):\n    os._exit(0)\n")
    assert early == {"passed": False, "problem": "the program ended before the tests did"}


def test_a_program_that_does_not_end_is_removed_with_its_container(docker):
    limits = Limits(seconds=0.5, image="image:1")
    found = run_tests("def f():\n    while True: pass\n", ["f()"], entry=None, prelude="", limits=limits)
    assert found["passed"] is False
    assert found["problem"] == "timeout after 1.5 s"
    assert any(command[:2] == ["rm", "--force"] for command in docker())


async def test_the_evaluator_takes_the_image_as_an_option_or_from_the_environment(docker, monkeypatch):
    row = Sample("0", {"test": "assert double(2) == 4"})
    answer = "def double(n):\n    return n + n\n"
    assert (await CodeRun(allow=True, container="image:1").score(answer, row)).value == 1
    monkeypatch.setenv("AISB_CODE_CONTAINER", "image:1")
    assert (await CodeRun(allow=True).score(answer.replace("+", "*"), row)).value == 1
    assert (await CodeRun(allow=True).score(answer.replace("+", "-"), row)).value == 0
    cases = Sample("1", {"cases": [{"input": "3\n", "output": "6"}]})
    assert len([command for command in docker() if "--volume" in command]) == 6
    reads = "print(2 * int(input()))"
    (tool,) = [p for p in (Path("/usr/bin/python3"), Path("/bin/python3")) if p.exists()][:1] or [None]
    if tool:
        assert (await CodeRun(allow=True).score(reads, cases)).value == 1


def test_an_image_that_is_not_there_is_said_with_how_to_fetch_it(docker):
    with pytest.raises(UsageError) as error:
        CodeRun(allow=True, container="absent:1")
    assert str(error.value) == (
        "container = 'absent:1': docker cannot run Python in it: docker: Error response from daemon: "
        "No such image: absent:1\n"
        "  start the docker service, fetch the image with `docker pull absent:1`, or use one that has python3"
    )


def test_where_there_is_neither_docker_nor_podman_that_is_said(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    check_image.cache_clear()
    with pytest.raises(UsageError) as error:
        CodeRun(allow=True, container="python:3.12-slim")
    assert str(error.value) == (
        "container: neither docker nor podman is installed here\n"
        "  install one, or omit the option: programs then run in boxes of Linux namespaces"
    )


@pytest.mark.skipif(not shutil.which("node"), reason="node is not installed")
async def test_programs_in_other_languages_run_in_two_containers_too(docker):
    row = {"language": "js", "entry_point": "twice", "prelude": "const twice = (n) => {\n"}
    sample = Sample("0", {**row, "test": "console.assert(twice(2) === 4)\n"})
    run = CodeRun(allow=True, container="image:1")
    right = await run.score("const twice = (n) => 2 * n\nconsole.log('noise')\n", sample)
    assert (right.value, right.details) == (1, {"box": "container of image:1"})
    wrong = await run.score("const twice = (n) => process.exit(0)\n", sample)
    assert (wrong.value, wrong.details["problem"]) == (0, "the program ended before its tests did")
    assert (await run.score("const twice = (n) =>\n", sample)).details["problem"].startswith("SyntaxError: ")
