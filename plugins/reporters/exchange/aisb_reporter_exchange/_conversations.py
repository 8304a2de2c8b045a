"""The conversation of an answer as messages, and messages as texts."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from aisb import AisbError, Row
from aisb.helpers import Template, as_text
from aisb_reporter_exchange._subtasks import Answer, ScoredSubtask

UNKNOWN = "(the run does not have this turn)"


def conversation(subtask: ScoredSubtask, answer: Answer) -> list[dict[str, Any]]:
    """Return all messages of an answer: those of the prompt, then each reply with what followed it.

    A message is a mapping with role and content, which is a text or a list of parts. It may have reasoning,
    tool_calls and tool_call_id.
    """
    if answer.last.get("messages"):
        return [dict(message) for message in answer.last["messages"]]
    messages = prompt_messages(answer)
    later = _later_turns(subtask, answer)
    for number, turn in enumerate(answer.turns):
        if number:
            messages.append({"role": "user", "content": next(later, UNKNOWN)})
        messages.append(reply_message(turn))
    return messages


def prompt_messages(answer: Answer) -> list[dict[str, Any]]:
    """Return the messages of the prompt; a text is one message of the user."""
    prompt = answer.turns[0]["origin_prompt"]
    return (
        [{"role": "user", "content": prompt}]
        if isinstance(prompt, str)
        else [dict(message) for message in prompt]
    )


def prompt_text(answer: Answer) -> str:
    """Return the prompt as one text: as it was sent, or its messages as JSON, as lm-eval has them."""
    prompt = answer.turns[0]["origin_prompt"]
    if isinstance(prompt, str):
        return prompt
    return json.dumps(without_media(prompt_messages(answer)), ensure_ascii=False)


def reply_message(turn: Row) -> dict[str, Any]:
    """Return the reply to one request as a message."""
    message = {"role": "assistant", "content": turn["prediction"] or ""}
    return message | {key: turn[key] for key in ("reasoning", "tool_calls") if turn.get(key)}


def is_conversation(answer: Answer) -> bool:
    """Return whether the answer took several requests."""
    return len(answer.turns) > 1


def calls_tools(answer: Answer) -> bool:
    """Return whether the model called tools, or acted in an environment."""
    return any(turn.get("tool_calls") or turn.get("messages") for turn in answer.turns)


def question(answer: Answer) -> str:
    """Return the text of the last user message of the prompt, with media as short marks."""
    messages = prompt_messages(answer)
    own = [message for message in messages if message["role"] == "user"]
    return content_text((own or messages or [{"content": ""}])[-1]["content"])


def content_text(content: Any) -> str:
    """Return the text of a message; an image or another medium becomes a mark such as `[image: 3.png]`."""
    if content is None or isinstance(content, str):
        return content or ""
    return "".join(part_text(part) for part in content)


def part_text(part: Mapping[str, Any]) -> str:
    """Return the text of a part of a message, or the mark of a medium."""
    kind = str(part.get("type", "text"))
    value = part.get(kind, "")
    return str(value) if kind == "text" else f"[{kind}: {medium_name(str(value))}]"


def medium_name(url: str) -> str:
    """Return the name of a medium for readers, without the folders of this machine and without data."""
    if url.startswith("data:"):
        return url[len("data:") :].partition(";")[0] or "data"
    if url.startswith(("http://", "https://")):
        return url
    return PurePosixPath(unquote(urlsplit(url).path)).name or "file"


def without_media(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return messages whose contents are texts, with media as short marks."""
    return [{**message, "content": content_text(message["content"])} for message in messages]


def _later_turns(subtask: ScoredSubtask, answer: Answer) -> Iterator[str]:
    """Yield the user's turns after the first, made from the sample as the run made them."""
    given = subtask.task.get("prompt", {}).get("followups") or []
    fields = answer.sample.get("fields") or {}
    try:
        if isinstance(given, str):
            yield from map(as_text, Template(given, "followups").value(fields) or ())
        else:
            yield from (as_text(Template(text, "followups").value(fields)) for text in given)
    except AisbError:  # a run of an old version lacks the fields
        return
