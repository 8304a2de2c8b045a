"""Ask a few questions that any model can answer, to see whether the service gives sensible answers."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from aisb_cli.services import make_backend
from aisb_engine import ServiceClient, sends

if TYPE_CHECKING:
    from aisb import HttpBackend, Prediction
    from aisb_cli.services import Service
    from aisb_engine import Plugins

QUESTIONS: Mapping[str, str] = {
    "What is 7 + 5? Answer with the number only.": r"\b12\b|twelve",
    "What is the capital of France? Answer with one word.": r"paris",
    "Which day comes after Monday? Answer with one word.": r"tuesday",
}
"""Each question with the pattern of its answer."""
TOKENS = 64
SECONDS = 15.0
SHOWN = 60


class AnswerCheck(NamedTuple):
    """How many of the questions were answered right, and a reply to one that was not.

    `asked` counts those that can be judged: a reply that was still reasoning when it was cut off cannot.
    """

    asked: int
    right: int
    question: str = ""
    reply: str = ""
    failure: str = ""


async def ask_questions(service: Service, plugins: Plugins, options: Mapping[str, Any]) -> AnswerCheck:
    """Ask all questions one after another, within a time limit."""
    backend = make_backend(service.url, plugins, service.asked_as, {**options, "model": service.model})
    client = ServiceClient(backend)
    check = AnswerCheck(0, 0)
    try:
        async with asyncio.timeout(SECONDS):
            for question, pattern in QUESTIONS.items():
                check = _judged(check, question, pattern, await _ask(client, backend, question))
                if check.failure:
                    break
    except TimeoutError:
        pass  # a slow service is judged by its answers so far
    finally:
        await client.aclose()
        await backend.aclose()
    return check


def _judged(check: AnswerCheck, question: str, pattern: str, prediction: Prediction) -> AnswerCheck:
    if prediction.failure is not None:
        return check._replace(failure=f"{prediction.failure.kind}: {prediction.failure.message}")
    reply = prediction.text or ""
    if re.search(pattern, reply, re.IGNORECASE):
        return check._replace(asked=check.asked + 1, right=check.right + 1)
    reasons = bool(prediction.reasoning) or "<think>" in reply
    if reasons and prediction.finish_reason == "length":
        return check
    return check._replace(asked=check.asked + 1, question=question, reply=" ".join(reply.split())[:SHOWN])


async def _ask(client: ServiceClient, backend: HttpBackend, question: str) -> Prediction:
    from aisb import Message, Request

    chat = backend.prompt_form == "chat"
    params = {
        name: value
        for name, value in {"temperature": 0, "max_tokens": TOKENS}.items()
        if sends(backend, name)
    }
    return await client.ask(
        Request(
            "quick",
            messages=(Message("user", question),) if chat else None,
            text=None if chat else question,
            params=params,
        )
    )
