"""Programs of others run with the user's permission, within a deadline, and see no keys."""

import os
import sys
import time

import pytest

from aisb import UsageError
from aisb_processes import ALLOW_CODE, LineProcess, SlowProcessError, check_code_allowed, run_program

PROGRAM = """\
import json, os, sys, time
for line in sys.stdin:
    command = json.loads(line)
    if command == "variables":
        answer = sorted(os.environ)
    elif command == "leave":
        sys.exit(3)
    elif command == "wait":
        time.sleep(600)
    else:
        answer = {"heard": command}
    print(json.dumps(answer), flush=True)
"""


async def talk(*commands, seconds=60.0, limit=None):
    process = LineProcess((sys.executable, "-I", "-c", PROGRAM), seconds)
    await process.start()
    try:
        return [await process.ask(command, seconds=limit) for command in commands]
    finally:
        await process.close()
        await process.close()  # closing again does nothing


async def test_a_process_answers_each_command():
    assert await talk({"number": 1}, "näher") == [{"heard": {"number": 1}}, {"heard": "näher"}]


async def test_a_process_sees_no_key(monkeypatch):
    monkeypatch.setenv("SERVICE_API_KEY", "not-for-others")
    [names] = await talk("variables")
    assert "PATH" in names
    assert "SERVICE_API_KEY" not in names


async def test_a_process_that_ends_is_named_by_its_exit_code():
    with pytest.raises(RuntimeError, match="the process ended with exit code 3"):
        await talk("leave")


async def test_a_command_after_the_end_is_an_error_too():
    process = LineProcess((sys.executable, "-I", "-c", "import sys; sys.exit(4)"), 60.0)
    await process.start()
    for _ in range(2):
        with pytest.raises(RuntimeError, match="the process ended with exit code 4"):
            await process.ask("hello")


@pytest.mark.parametrize(
    ("seconds", "limit", "said"), [(1.0, None, "within 1 s"), (60.0, 0.5, "within 0.5 s")]
)
async def test_a_slow_process_is_killed(seconds, limit, said):
    began = time.monotonic()
    with pytest.raises(SlowProcessError, match=said):
        await talk("wait", seconds=seconds, limit=limit)
    assert time.monotonic() - began < 60


async def test_a_process_has_to_be_started():
    with pytest.raises(RuntimeError, match="was not started"):
        await LineProcess((sys.executable,), 1.0).ask("hello")


async def test_a_program_runs_to_its_end(tmp_path):
    code = "import os, sys; print(os.getcwd()); print('wrong', file=sys.stderr); sys.exit(2)"
    ended, output = await run_program([sys.executable, "-c", code], 60.0, folder=tmp_path)
    assert (ended, sorted(output.split())) == (2, sorted([str(tmp_path.resolve()), "wrong"]))


async def test_a_program_that_takes_too_long_is_killed(tmp_path):
    code = "import os, time; open('id', 'w').write(str(os.getpid())); time.sleep(600)"
    ended, output = await run_program([sys.executable, "-c", code], 2.0, folder=tmp_path)
    assert (ended, output) == (None, "it took longer than 2 s")
    number = int((tmp_path / "id").read_text())
    with pytest.raises(ProcessLookupError):
        os.kill(number, 0)


@pytest.mark.parametrize("value", ["", "0", "false", "No", None])
def test_code_runs_only_if_the_user_allows_it(monkeypatch, value):
    monkeypatch.delenv(ALLOW_CODE, raising=False)
    if value is not None:
        monkeypatch.setenv(ALLOW_CODE, value)
    with pytest.raises(
        UsageError, match=r"the tests run the patch, which is off by default\n.*--allow-code-execution"
    ):
        check_code_allowed("the tests run the patch")


def test_code_runs_if_the_user_allows_it(monkeypatch):
    monkeypatch.setenv(ALLOW_CODE, "1")
    check_code_allowed("the tests run the patch")
