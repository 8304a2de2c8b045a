"""The answers of a subtask as samples of an evaluation log of Inspect: one for each sample and epoch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath
from string import ascii_uppercase
from typing import Any
from urllib.parse import urlsplit

import orjson

from aisb import AisbError, Part, Row
from aisb.helpers import as_text, data_url
from aisb_reporter_exchange._conversations import conversation, part_text, prompt_messages
from aisb_reporter_exchange._subtasks import Answer, ScoredSubtask, token_usage

STOP_REASONS = {
    "stop": "stop",
    "length": "max_tokens",
    "tool_calls": "tool_calls",
    "content_filter": "content_filter",
}
NO_ANSWER = ("unparsed", "refused", "error")
FORMATS = {
    "audio": {"wav": "wav", "mp3": "mp3", "mpeg": "mp3", "x-wav": "wav"},
    "video": {"mp4": "mp4", "mpeg": "mpeg", "mpg": "mpeg", "mov": "mov", "quicktime": "mov"},
}


class SampleWriter:
    """Writes answers as samples; with `media`, images, audio and video are part of them."""

    def __init__(self, subtask: ScoredSubtask, *, media: bool) -> None:
        self._subtask = subtask
        self._media = media
        backend = str(subtask.model.get("backend") or "aisb")
        self.model = f"{backend.partition('-')[0]}/{subtask.served}"  # as Inspect: vllm/NAME, hf/NAME

    def sample(self, answer: Answer) -> dict[str, Any]:
        """Return one sample of the log."""
        prompt = answer.turns[0]["origin_prompt"]
        key = f"{answer.id}.{answer.repeat}"
        messages = [
            self._message(message, f"{key}.{number}") for number, message in enumerate(self._whole(answer))
        ]
        asked = messages[: len(prompt_messages(answer))]
        choices = [as_text(choice) for choice in answer.sample.get("choices") or ()]
        references = answer.references
        usage = token_usage(answer)
        seconds = [turn["e2el_ms"] / 1000 for turn in answer.turns if turn.get("e2el_ms") is not None]
        return {
            "id": answer.id,
            "epoch": answer.repeat + 1,
            "input": prompt if isinstance(prompt, str) else asked,
            **({"choices": choices} if choices else {}),
            "target": references[0] if len(references) == 1 else references,
            "messages": messages,
            "output": self._output(answer, usage),
            "scores": {score["evaluator"]: _score(score) for score in answer.grades},
            "metadata": {**answer.fields, "aisb": _own(answer)},
            "model_usage": {self.model: usage} if usage else {},
            **({"total_time": sum(seconds), "working_time": sum(seconds)} if seconds else {}),
            **({"error": _error(answer.failure)} if answer.failure else {}),
        }

    def _whole(self, answer: Answer) -> list[dict[str, Any]]:
        """Return all messages; the reply to a comparison of likelihoods is the letter of the best option."""
        messages = conversation(self._subtask, answer)
        if answer.most_likely is not None:
            messages[-1]["content"] = ascii_uppercase[answer.most_likely % len(ascii_uppercase)]
        return messages

    def _message(self, message: Mapping[str, Any], key: str) -> dict[str, Any]:
        role = message["role"] if message["role"] in ("user", "assistant", "tool") else "system"
        content = message.get("content") or ""
        parts = [] if isinstance(content, str) else [self._part(part) for part in content]
        if message.get("reasoning"):
            text = [{"type": "text", "text": content}] if content and isinstance(content, str) else []
            parts = [{"type": "reasoning", "reasoning": message["reasoning"]}, *text, *parts]
        calls = [_call(call, f"{key}.{place}") for place, call in enumerate(message.get("tool_calls") or ())]
        return {
            "id": key,
            "content": parts or content,
            "role": role,
            **({"tool_calls": calls} if role == "assistant" and calls else {}),
            **({"tool_call_id": str(message["tool_call_id"])} if message.get("tool_call_id") else {}),
        }

    def _part(self, part: Mapping[str, Any]) -> dict[str, Any]:
        """Return a part of a message; a medium that is not wanted or cannot be shown becomes a text."""
        kind = str(part.get("type", "text"))
        value = str(part.get(kind, ""))
        shape = {} if kind == "image" else _format(kind, value)
        if kind == "text" or not self._media or shape is None:
            return {"type": "text", "text": part_text(part)}
        try:
            return {"type": kind, kind: data_url(Part(kind, value)), **shape}  # type: ignore[arg-type]
        except AisbError:  # the file is no longer there
            return {"type": "text", "text": part_text(part)}

    def _output(self, answer: Answer, usage: Mapping[str, int] | None) -> dict[str, Any]:
        if answer.last.get("failure"):
            return {"model": self.model, "choices": [], "error": answer.failure}
        last = self._whole(answer)[-1]
        if last["role"] != "assistant":  # an environment had the last word
            last = {"role": "assistant", "content": answer.last["prediction"] or ""}
        message = self._message(last, f"{answer.id}.{answer.repeat}.output")
        reason = STOP_REASONS.get(answer.last.get("finish_reason") or "", "unknown")
        return {
            "model": self.model,
            "choices": [{"message": {**message, "source": "generate"}, "stop_reason": reason}],
            **({"usage": usage} if usage else {}),
        }


def _score(score: Row) -> dict[str, Any]:
    value, outcome = score["value"], score["outcome"]
    letter = {0.0: "I", 1.0: "C"}.get(value)
    if outcome in NO_ANSWER and value == 0:
        letter = "N"
    return {
        "value": letter or value,
        **({"answer": str(score["answer"])} if score["answer"] is not None else {}),
        "explanation": f"{outcome}, found by {score['rule']}" if score["rule"] else outcome,
        "metadata": {"outcome": outcome, "rule": score["rule"], **(score["details"] or {})},
    }


def _own(answer: Answer) -> dict[str, Any]:
    """Return what `aisb import` needs to read the answer back as it was."""
    return {
        "id": answer.id,
        "group": answer.sample.get("group"),
        **({"logprobs": answer.last["logprobs"]} if answer.last.get("logprobs") else {}),
    }


def _call(call: Mapping[str, Any], fallback: str) -> dict[str, Any]:
    given, problem = call.get("arguments"), None
    try:
        arguments = orjson.loads(given or "{}") if isinstance(given, str | None) else given
    except ValueError as error:
        arguments, problem = {"arguments": given}, f"the arguments are not JSON: {error}"
    if not isinstance(arguments, Mapping):
        arguments, problem = {"arguments": arguments}, "the arguments are not a JSON object"
    return {
        "id": str(call.get("id") or fallback),
        "function": str(call.get("name") or ""),
        "arguments": dict(arguments),
        "type": "function",
        **({"parse_error": problem} if problem else {}),
    }


def _error(message: str) -> dict[str, str]:
    return {"message": message, "traceback": message, "traceback_ansi": message}


def _format(kind: str, url: str) -> dict[str, str] | None:
    """Return the format of audio or video in Inspect's terms; None if it has no name for it."""
    if url.startswith("data:"):
        named = url[len("data:") :].partition(";")[0].rpartition("/")[2]
    else:
        named = PurePosixPath(urlsplit(url).path).suffix[1:].lower()
    found = FORMATS.get(kind, {}).get(named)
    return {"format": found} if found else None
