"""What an environment offers a model that acts over several requests: messages, tools, and a final state."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from aisb._types import Message, Prediction, Sample


class Episode(ABC):
    """One sample in an environment: it answers each reply of the model, until one of them ends it.

    The engine keeps the conversation. It appends what `begin` and `respond` return, and the model's replies.
    An exception is a failure of the environment, not of the model: the sample ends in the outcome `error`.
    When a run is resumed, an episode that had not ended begins anew and is given the logged replies again,
    so it must do the same for the same replies. What blocks belongs in a thread (`asyncio.to_thread`).
    """

    tools: Sequence[Mapping[str, Any]] = ()
    """The functions that the next request offers, in the form of OpenAI's parameter `tools`."""

    @abstractmethod
    async def begin(self) -> Sequence[Message]:
        """Return the messages that follow the task's prompt; there may be none."""

    @abstractmethod
    async def respond(self, reply: Prediction) -> Sequence[Message] | None:
        """Act on a reply, and return the messages that follow it; None ends the episode.

        The text of the reply is without reasoning. Its `tool_calls` have `id`, `name` and `arguments` (JSON).
        """

    @abstractmethod
    def state(self) -> Mapping[str, Any]:
        """Return what evaluators are to see of the end, as data that JSON can hold."""

    async def close(self) -> None:  # noqa: B027 - most episodes hold nothing
        """Release what the episode holds, such as a container. It is called once, whatever happened."""


Environment: TypeAlias = Callable[[Sample, int], Episode]
"""Makes the episode of a sample and a repeat (0, 1, …). Episodes of many samples run at the same time."""
