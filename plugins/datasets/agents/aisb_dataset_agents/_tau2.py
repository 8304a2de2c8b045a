"""Conversations of τ²-bench: an agent serves a simulated user, and both call functions of a domain.

The domain is code of a checkout, in a separate process for each conversation. The judge model plays the user.
Turns, limits and ends follow orchestrator.py of the checkout (half duplex).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from aisb import Ask, DataError, Environment, Episode, Message, Prediction, Request, Sample, UsageError
from aisb_dataset_agents._tau2_rows import VARIABLE, checkout_at
from aisb_processes import LineProcess, check_code_allowed

PROGRAM = Path(__file__).with_name("_tau2_process.py")
GREETING = "Hi! How can I help you today?"
ENDINGS = ("###STOP###", "###TRANSFER###", "###OUT-OF-SCOPE###")
"""What the user says to end a conversation."""
NEEDS = "addict deepdiff docstring-parser loguru pydantic python-dotenv pyyaml toml"


def tau2_domain(
    *,
    ask: Ask,
    checkout: Annotated[Path | None, f"checkout of tau2-bench; default: the variable {VARIABLE}"] = None,
    python: Annotated[str, "Python interpreter of the domain; default: aisb's own"] = "",
    max_steps: Annotated[int, "maximum number of messages of agent, user and domain together"] = 200,
    max_errors: Annotated[int, "number of failed calls that ends a conversation"] = 10,
    seconds: Annotated[float, "timeout of one call, in seconds"] = 60.0,
) -> Environment:
    """A domain of τ²-bench and its user, who is played by the judge model."""
    check_code_allowed("a domain of tau2-bench is a program of its checkout")
    place = checkout_at(checkout)

    def episode(sample: Sample, repeat: int) -> Conversation:
        command = (python or sys.executable, "-I", str(PROGRAM), str(place))
        return Conversation(sample, repeat, ask, LineProcess(command, seconds), (max_steps, max_errors))

    return episode


class Conversation(Episode):
    """One task: agent and user take turns until the user ends it, or a limit is reached."""

    def __init__(
        self, sample: Sample, repeat: int, ask: Ask, process: LineProcess, limits: tuple[int, int]
    ) -> None:
        if missing := [name for name in ("domain", "task") if name not in sample.fields]:
            raise DataError(f"the row has no {missing[0]!r}; rows of the dataset tau2 have it")
        self._sample, self._repeat, self._ask, self._process = sample, repeat, ask, process
        self._most_steps, self._most_errors = limits
        self._heard: list[Message] = []  # what the user model sees: the agent's texts are those of its user
        self._user_tools: Sequence[Mapping[str, Any]] = ()
        self._calls: list[dict[str, Any]] = []
        self._said: list[str] = []
        self._steps = self._errors = 0
        self._end = ""
        self._checks: Mapping[str, Any] = {}

    async def begin(self) -> Sequence[Message]:
        """Start the domain, and let the user answer the agent's greeting."""
        task = self._sample.fields["task"]
        if (task.get("initial_state") or {}).get("message_history"):
            raise DataError(
                f"task {task['id']} begins in the middle of a conversation, which aisb does not do"
            )
        await self._process.start()
        found = await self._process.ask({"load": self._sample.fields["domain"], "task": task})
        if "raised" in found:
            raise UsageError(
                f"the domain cannot be started: {found['raised']}; it needs: pip install {NEEDS}"
            )
        self.tools, self._user_tools = found["tools"], found["user_tools"]
        self._heard = [Message("system", found["user"])]
        said = await self._user_turn(GREETING)
        if said is None:
            # The engine asks the agent once in any case; its reply changes nothing any more.
            said = self._end
        return [Message("system", found["agent"]), Message("assistant", GREETING), Message("user", said)]

    async def respond(self, reply: Prediction) -> Sequence[Message] | None:
        """Execute the calls of a reply, or pass its text to the user."""
        if self._end:
            return None
        self._steps += 1
        if reply.tool_calls:
            return await self._execute(reply)
        if not reply.text.strip():
            await self._finish("the agent sent an empty message")
            return None
        self._said.append(reply.text)
        if self._is_over():
            await self._finish(self._end)
            return None
        said = await self._user_turn(reply.text)
        return None if said is None else [Message("user", said)]

    def state(self) -> Mapping[str, Any]:
        """Return how it ended, the calls of both, the agent's texts, and the checks of the domain."""
        return {
            "ended": self._end or "max_turns",
            "calls": self._calls,
            "said": self._said,
            "checks": dict(self._checks),
            "steps": self._steps,
            "errors": self._errors,
        }

    async def close(self) -> None:
        """Stop the domain."""
        await self._process.close()

    async def _execute(self, reply: Prediction) -> list[Message] | None:
        results = [
            Message("tool", await self._call(call, "assistant"), tool_call_id=call["id"])
            for call in reply.tool_calls
        ]
        self._steps += 1
        if self._is_over():
            await self._finish(self._end)
            return None
        return results

    async def _call(self, call: Mapping[str, Any], by: str) -> str:
        """Call a function of the domain, and return the text of its result."""
        try:
            arguments = json.loads(call.get("arguments") or "{}")
        except (ValueError, RecursionError):
            arguments = None
        if not isinstance(arguments, dict):
            self._errors += 1
            return "Error: the arguments are no JSON object"
        name = str(call.get("name") or "")
        self._calls.append({"name": name, "arguments": arguments, "by": by})
        answer = await self._process.ask({"call": name, "arguments": arguments, "by": by})
        if "raised" in answer:
            raise RuntimeError(f"the domain failed in {name}: {answer['raised']}")
        self._errors += answer["error"]
        return str(answer["content"])

    async def _user_turn(self, heard: str) -> str | None:
        """Let the user answer the agent, perhaps after calls; return the text, or None at the end."""
        self._heard.append(Message("user", heard))
        while True:
            params: dict[str, Any] = {"temperature": 0.0}
            if self._user_tools:
                params["tools"] = list(self._user_tools)
            request = Request(self._sample.id, self._repeat, messages=tuple(self._heard), params=params)
            reply = await self._ask(request)
            if reply.failure is not None:
                raise RuntimeError(f"the user model failed: {reply.failure.message}")
            calls = [
                {"id": call.get("id") or f"user_{len(self._heard)}_{place}", "name": call.get("name") or "",
                 "arguments": call.get("arguments") or "{}"}
                for place, call in enumerate(reply.tool_calls)
            ]  # fmt: skip
            if not calls and not reply.text.strip():
                raise RuntimeError("the user model sent an empty message")
            self._steps += 1
            self._heard.append(Message("assistant", reply.text, tuple(calls)))
            if not calls:
                if any(ending in reply.text for ending in ENDINGS):
                    await self._finish("user_stop")
                    return None
                if self._is_over():
                    await self._finish(self._end)
                    return None
                return reply.text
            for call in calls:
                content = await self._call(call, "user")
                self._heard.append(Message("tool", content, tool_call_id=call["id"]))
            self._steps += 1
            if self._is_over():
                await self._finish(self._end)
                return None

    def _is_over(self) -> bool:
        """Return whether a limit is reached, and keep which."""
        if self._errors >= self._most_errors:
            self._end = "too_many_errors"
        elif self._steps >= self._most_steps:
            self._end = "max_steps"
        return bool(self._end)

    async def _finish(self, why: str) -> None:
        """End the conversation; check the domain only where the user ended it, as the reward needs it."""
        self._end = why
        if why == "user_stop":
            checks = await self._process.ask({"finish": True})
            if "raised" in checks:
                raise RuntimeError(f"the domain cannot be compared: {checks['raised']}")
            self._checks = checks
