"""Conversations of the Berkeley Function Calling Leaderboard: a user's turns over simulated services.

In each turn of the user, the model calls functions until a reply has no call; then the next turn begins. The
services are those of the package bfcl-eval (Apache-2.0), in a separate process for each conversation. At the
end of each turn they are compared with services that executed the reference calls, as in
multi_turn_checker.py of that package.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from aisb import DataError, Environment, Episode, Message, Prediction, Sample, UsageError
from aisb_dataset_tools._conversation_rows import tool_of
from aisb_dataset_tools._literal_calls import LiteralCall, reference_calls, tool_call, written_calls
from aisb_processes import LineProcess, SlowProcessError

SIMULATOR = Path(__file__).with_name("_simulator.py")
MAX_STEPS = 20
"""The maximum number of steps with function calls in one turn; a further step ends the conversation."""
MORE_FUNCTIONS = "More functions are there now. Use them for what could not be done before."
INSTALL = (
    "the simulated services are those of the package bfcl-eval: "
    "pip install --no-deps --target FOLDER bfcl-eval, and set task.environment.package to that folder"
)


def bfcl_services(
    *,
    calls: Annotated[Literal["text", "tools"], "form of calls: in the text, or as tool calls"] = "text",
    package: Annotated[Path | None, "folder with the package bfcl_eval; default: the installed one"] = None,
    python: Annotated[str, "Python interpreter of the services; default: aisb's own"] = "",
    seconds: Annotated[float, "timeout of the calls of one reply, in seconds"] = 10.0,
) -> Environment:
    """Simulated services with a user's turns: file system, trading, travel, messages, vehicle and others."""
    if package is not None and not (package / "bfcl_eval").is_dir():
        raise UsageError(f"package = {str(package)!r} has no folder bfcl_eval in it; {INSTALL}")

    def episode(sample: Sample, repeat: int) -> Conversation:
        del repeat
        simulator = Simulator(python or sys.executable, package, seconds)
        return Conversation(sample.fields, simulator, by_tools=calls == "tools")

    return episode


class SlowCallError(Exception):
    """The calls of a reply took too long."""


class Simulator:
    """The process with the services of one conversation."""

    def __init__(self, python: str, package: Path | None, seconds: float) -> None:
        command = (python, "-I", str(SIMULATOR), "" if package is None else str(package.resolve()))
        self._process = LineProcess(command, seconds)
        self._seconds = seconds

    async def start(self, classes: Mapping[str, str], config: Mapping[str, Any], *, long: bool) -> None:
        """Start the process, and create the services.

        Raises:
            UsageError: the services cannot be imported.
        """
        await self._process.start()
        begin = {"load": classes, "config": config, "long_context": long}
        reply = await self._process.ask(begin, seconds=60.0)
        if "error" in reply:
            raise UsageError(f"{reply['error']}; {INSTALL}")

    async def call(self, side: Literal["model", "reference"], calls: Sequence[LiteralCall]) -> list[str]:
        """Call functions, and return their results.

        Raises:
            SlowCallError: they take too long; the process is stopped.
        """
        try:
            reply = await self._process.ask({"call": side, "calls": repr([tuple(call) for call in calls])})
        except SlowProcessError as error:
            raise SlowCallError(f"the calls took longer than {self._seconds:g} s") from error
        results: list[str] = reply["results"]
        return results

    async def differences(self) -> dict[str, list[str]]:
        """Return the attributes in which the model's services differ from the reference's, by class."""
        reply: dict[str, dict[str, list[str]]] = await self._process.ask({"compare": True})
        return reply["differences"]

    async def close(self) -> None:
        """Stop the process."""
        await self._process.close()


class Conversation(Episode):
    """One row: the turns of a user, each with the steps that the model takes in it."""

    def __init__(self, row: Mapping[str, Any], simulator: Simulator, *, by_tools: bool) -> None:
        if missing := [name for name in ("turns", "classes", "config", "answer") if name not in row]:
            raise DataError(f"the row has no {missing[0]!r}; rows of the dataset bfcl-multi-turn have it")
        self._row = row
        self._simulator = simulator
        self._by_tools = by_tools
        self._reference = [reference_calls(calls) for calls in row["answer"]]
        self._turns: list[dict[str, Any]] = []
        self._steps = 0
        self._failed = ""
        if by_tools:
            self.tools = list(row["tools"])

    async def begin(self) -> Sequence[Message]:
        """Start the services, and return the user's first turn."""
        row = self._row
        await self._simulator.start(row["classes"], row["config"], long=bool(row.get("long_context")))
        return self._next_turn()

    async def respond(self, reply: Prediction) -> Sequence[Message] | None:
        """Execute the calls of a reply; end the turn if there are none."""
        calls = self._calls(reply)
        if not calls:
            return await self._end_turn()
        known = [call for call in calls if call is not None]
        try:
            executed = iter(await self._simulator.call("model", known))
        except SlowCallError as error:
            self._failed = str(error)
            return None
        results = [
            "Error: the arguments are no JSON object" if call is None else next(executed) for call in calls
        ]
        turn = self._turns[-1]
        turn["calls"].append([str(call) for call in known])
        turn["results"] += [text for call, text in zip(calls, results, strict=True) if call is not None]
        self._steps += 1
        if self._steps > MAX_STEPS:
            self._failed = f"more than {MAX_STEPS} steps in turn {len(self._turns)}"
            await self._finish_turn()
            return None
        return self._result_messages(reply, calls, results)

    def state(self) -> Mapping[str, Any]:
        """Return for each turn: calls, results, reference results, and differences of services."""
        return {"turns": self._turns, "failed": self._failed}

    async def close(self) -> None:
        """Stop the services."""
        await self._simulator.close()

    def _calls(self, reply: Prediction) -> list[LiteralCall | None]:
        if self._by_tools:
            return [tool_call(call) for call in reply.tool_calls]
        return list(written_calls(reply.text))

    def _result_messages(
        self, reply: Prediction, calls: Sequence[LiteralCall | None], results: Sequence[str]
    ) -> list[Message]:
        if self._by_tools:
            named = zip(reply.tool_calls, results, strict=True)
            return [Message("tool", text, tool_call_id=call["id"]) for call, text in named]
        messages = [
            {"role": "tool", "name": str(call), "content": text}
            for call, text in zip(calls, results, strict=True)
        ]
        return [Message("user", repr(messages))]

    async def _end_turn(self) -> list[Message] | None:
        await self._finish_turn()
        return self._next_turn() if len(self._turns) < len(self._row["turns"]) else None

    async def _finish_turn(self) -> None:
        """Execute the reference calls of this turn, and record the differences of the services."""
        calls = self._reference[len(self._turns) - 1]
        turn = self._turns[-1]
        turn["reference_results"] = await self._simulator.call("reference", calls) if calls else []
        turn["differences"] = await self._simulator.differences()

    def _next_turn(self) -> list[Message]:
        """Return the user's next turn, with the functions that it adds."""
        number = len(self._turns)
        self._turns.append({"calls": [], "results": [], "reference": self._row["answer"][number]})
        self._steps = 0
        messages = [Message(message["role"], message["content"]) for message in self._row["turns"][number]]
        more = self._row.get("later_functions", {}).get(str(number), [])
        if not more:
            return messages
        if self._by_tools:
            self.tools = [*self.tools, *map(tool_of, more)]
            return [*messages, Message("user", MORE_FUNCTIONS)]
        return [*messages, Message("user", f"{json.dumps(more, ensure_ascii=False)}\n{MORE_FUNCTIONS}")]
