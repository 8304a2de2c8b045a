"""The contract suite for environments: no reply of a model may make an episode raise."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from aisb import Environment, Episode, Message, Prediction, Sample
from aisb_testing._cases import NONE_EXPECTED, CheckedCase, ExpectedFailures, exception_line, require
from aisb_testing._kinds import NOTHING, ODD_TEXTS

UNKNOWN = {"id": "call_0", "name": "no_such_function", "arguments": "{}"}
ODD_CALLS = {
    "a function that does not exist": (UNKNOWN,),
    "two calls in one reply": (UNKNOWN, {**UNKNOWN, "id": "call_1"}),
}
ODD_ARGUMENTS = {
    "arguments that are no JSON": '{"a": ',
    "arguments that are no object": "[1, 2]",
    "arguments that the function does not have": '{"no_such_argument": 1}',
    "no arguments": "",
}


class Played(NamedTuple):
    """A played episode: its messages after each reply, its state, and the problems found."""

    said: tuple[Any, ...]
    state: str
    problems: tuple[str, ...]


def check_environment(
    environment: Environment, sample: Sample = NOTHING, *, expected_failures: ExpectedFailures = NONE_EXPECTED
) -> list[str]:
    """Check an environment with the kinds of replies that models give.

    An episode must take each of them, return messages or None, have a state that JSON can hold, and do the
    same for the same replies.

    Raises:
        AssertionError: the environment does not keep the contract; the message has a line for each problem.
    """
    return require("environment", environment_cases(environment, sample), expected_failures)


def environment_cases(environment: Environment, sample: Sample = NOTHING) -> Iterator[CheckedCase]:
    """Yield the checks of an environment, one for each kind of reply."""
    reason = "an exception of the environment ends the sample as an error, which does not measure the model"
    first = _play(environment, sample, [])
    yield CheckedCase("the beginning", "it comes before the first request", first.problems)
    replies = {name: Prediction(sample.id, text=text) for name, text in ODD_TEXTS.items()}
    replies |= {name: Prediction(sample.id, tool_calls=calls) for name, calls in ODD_CALLS.items()}
    names = _function_names(environment, sample)
    for name, arguments in ODD_ARGUMENTS.items() if names else ():
        calls = ({"id": "call_0", "name": names[0], "arguments": arguments},)
        replies[name] = Prediction(sample.id, tool_calls=calls)
    for name, reply in replies.items():
        yield CheckedCase(name, reason, _play(environment, sample, [reply]).problems)
    every = list(replies.values())
    once, twice = _play(environment, sample, every), _play(environment, sample, every)
    is_same = (once.said, once.state) == (twice.said, twice.state)
    yield CheckedCase(
        "the same again",
        "a run that is resumed gives an unfinished episode its logged replies again",
        () if is_same else ("the same replies lead to other messages or another state",),
    )


def _function_names(environment: Environment, sample: Sample) -> list[str]:
    async def names() -> list[str]:
        episode = environment(sample, 0)
        try:
            await episode.begin()
            return [str(tool["function"]["name"]) for tool in episode.tools]
        finally:
            await episode.close()

    try:
        return asyncio.run(names())
    except Exception:  # noqa: BLE001 - the check of the beginning says it
        return []


def _play(environment: Environment, sample: Sample, replies: Sequence[Prediction]) -> Played:
    """Run an episode with these replies, up to the one that ends it."""
    said: list[Any] = []
    problems: list[str] = []

    async def play() -> str:
        episode = environment(sample, 0)
        if not isinstance(episode, Episode):
            raise TypeError(f"it makes {type(episode).__name__}; it must be an Episode")
        try:
            said.append(_checked(await episode.begin(), problems))
            _check_tools(episode, problems)
            for reply in replies:
                messages = await episode.respond(reply)
                if messages is None:
                    break
                said.append(_checked(messages, problems))
                _check_tools(episode, problems)
            return json.dumps(episode.state(), sort_keys=True)
        finally:
            await episode.close()

    state = ""
    try:
        state = asyncio.run(play())
    except Exception as error:  # noqa: BLE001 - whatever it raises is what is to be shown
        problems.append(exception_line(error))
    return Played(tuple(said), state, tuple(problems))


def _checked(messages: object, problems: list[str]) -> tuple[Any, ...]:
    if not isinstance(messages, Sequence) or not all(isinstance(one, Message) for one in messages):
        problems.append(f"it returns {messages!r:.60}; it must be a sequence of Message")
        return ()
    return tuple(messages)


def _check_tools(episode: Episode, problems: list[str]) -> None:
    for tool in episode.tools:
        function = tool.get("function")
        if tool.get("type") != "function" or not isinstance(function, dict) or "name" not in function:
            problems.append(f"the tool {str(tool)[:60]} is not in OpenAI's form")
