"""Let a model mend a repository of SWE-bench with a shell in a container of the instance.

Each command is one `exec` in a container of docker or podman, as mini-swe-agent runs them. The model submits
with a function; the patch is then what `git diff` finds.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from aisb import DataError, Environment, Episode, Message, Prediction, Sample, UsageError
from aisb_processes import check_code_allowed, run_program

SHOWN = 10_000
"""The maximum number of characters of a command's output that the model sees: half from each end."""
INSTRUCTIONS = """\
The folder {folder} holds a repository. Change its source files so that the issue below is solved. Do not
change tests.

<issue>
{issue}
</issue>

Use the function `bash` for each step: it runs a command in a new shell that starts in {folder}. Look at the
code, reproduce the issue, change the code, and check the change. When the work is done, call `submit`: it
takes all changes of files that git knows or that you have added with `git add`, and ends your work."""
REMINDER = "Call a function: `bash` for the next step, or `submit` when the work is done."
BASH = {
    "type": "function",
    "function": {
        "name": "bash",
        "description": "Run a command with bash, and return its exit code and its output.",
        "parameters": {
            "type": "object",
            "properties": {"command": {"type": "string", "description": "the command"}},
            "required": ["command"],
        },
    },
}
SUBMIT = {
    "type": "function",
    "function": {
        "name": "submit",
        "description": "Submit the changes and end the work.",
        "parameters": {"type": "object", "properties": {}},
    },
}


def swe_bench_shell(
    *,
    runtime: Annotated[str, "program that runs containers; default: docker, or else podman"] = "",
    image: Annotated[
        str, "image of an instance; {id} is its id in the spelling of SWE-bench's images"
    ] = "docker.io/swebench/sweb.eval.x86_64.{id}:latest",
    folder: Annotated[str, "folder of the repository in the container"] = "/testbed",
    network: Annotated[bool, "let commands use the network"] = False,
    seconds: Annotated[float, "timeout of a command, in seconds"] = 60.0,
    start_seconds: Annotated[float, "timeout of the start of a container, its download included"] = 1800.0,
) -> Environment:
    """A shell in a container of an instance of SWE-bench."""
    check_code_allowed("the model's commands run in a container")
    found = runtime or next((name for name in ("docker", "podman") if shutil.which(name)), "")
    if not found or not shutil.which(found):
        raise UsageError(f"no program runs containers here ({found or 'docker, podman'}): install one")

    def episode(sample: Sample, repeat: int) -> Shell:
        del repeat
        if missing := [name for name in ("instance_id", "problem_statement") if name not in sample.fields]:
            raise DataError(f"the row has no {missing[0]!r}; rows of SWE-bench have it")
        own = sample.fields.get("image_name") or sample.fields.get("docker_image")
        spelled = str(sample.fields["instance_id"]).replace("__", "_1776_").lower()
        start = ["run", "--detach", "--rm", "--workdir", folder]
        start += [] if network else ["--network", "none"]
        container = Container(found, [*start, str(own or image.format(id=spelled))], folder)
        return Shell(sample, container, folder, seconds, start_seconds)

    return episode


class Container:
    """A container of one episode. An exception means that it could not be run, for no fault of the model."""

    def __init__(self, runtime: str, start: Sequence[str], folder: str) -> None:
        self._runtime, self._start, self._folder = runtime, start, folder
        self._name = ""

    async def start(self, seconds: float) -> None:
        """Start the container.

        Raises:
            RuntimeError: it cannot be started.
        """
        code, said = await self._run([*self._start, "sleep", "14400"], seconds)
        if code:
            raise RuntimeError(f"no container of {self._start[-1]} can be started: {said.strip()[-300:]}")
        self._name = said.split()[-1]

    async def execute(self, command: str, seconds: float) -> tuple[int | None, str]:
        """Run a command; return its exit code, None if it took too long, and its output.

        Raises:
            RuntimeError: the container is gone.
        """
        words = ["exec", "--workdir", self._folder, "--env", "PAGER=cat", "--env", "BASH_ENV=/root/.bashrc"]
        code, said = await self._run([*words, self._name, "bash", "-c", command], seconds)
        if code != 0:
            alive, state = await self._run(["inspect", "--format", "{{.State.Running}}", self._name], 60.0)
            if alive != 0 or state.strip() != "true":
                raise RuntimeError(f"the container is gone: {said.strip()[-300:]}")
        return code, said

    async def stop(self) -> None:
        """Remove the container."""
        if self._name:
            await self._run(["rm", "--force", self._name], 60.0)

    async def _run(self, words: Sequence[str], seconds: float) -> tuple[int | None, str]:
        return await run_program([self._runtime, *words], seconds)


class Shell(Episode):
    """One instance: the model runs commands until it submits."""

    tools = (BASH, SUBMIT)

    def __init__(
        self, sample: Sample, container: Container, folder: str, seconds: float, start_seconds: float
    ) -> None:
        self._sample, self._container, self._folder = sample, container, folder
        self._seconds, self._start_seconds = seconds, start_seconds
        self._patch: str | None = None
        self._commands = 0

    async def begin(self) -> Sequence[Message]:
        """Start the container, and tell the issue."""
        await self._container.start(self._start_seconds)
        issue = self._sample.fields["problem_statement"]
        return [Message("user", INSTRUCTIONS.format(folder=self._folder, issue=issue))]

    async def respond(self, reply: Prediction) -> Sequence[Message] | None:
        """Run the commands of a reply, or take the patch."""
        if not reply.tool_calls:
            return [Message("user", REMINDER)]
        results = []
        for call in reply.tool_calls:
            if call.get("name") == "submit":
                self._patch = await self._changes()
                return None
            results.append(Message("tool", await self._answer(call), tool_call_id=call["id"]))
        return results

    def state(self) -> Mapping[str, Any]:
        """Return the patch, None if the model submitted nothing, and the number of commands."""
        return {"patch": self._patch, "commands": self._commands}

    async def close(self) -> None:
        """Remove the container."""
        await self._container.stop()

    async def _answer(self, call: Mapping[str, Any]) -> str:
        if call.get("name") != "bash":
            return f"There is no function {call.get('name')!r}. {REMINDER}"
        try:
            command = json.loads(call.get("arguments") or "{}")["command"]
        except (ValueError, TypeError, KeyError, RecursionError):
            return "The argument `command` is missing."
        self._commands += 1
        code, said = await self._container.execute(str(command), self._seconds)
        if len(said) > SHOWN:
            left = len(said) - SHOWN
            said = f"{said[: SHOWN // 2]}\n[{left} characters left out]\n{said[-SHOWN // 2 :]}"
        return f"exit code {'unknown' if code is None else code}\n{said}"

    async def _changes(self) -> str:
        code, said = await self._container.execute("git add --update && git diff --cached HEAD", 300.0)
        if code != 0:
            raise RuntimeError(f"git finds no changes: {said.strip()[-300:]}")
        return said
