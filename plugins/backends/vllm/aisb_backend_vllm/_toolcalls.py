"""Extract tool calls from the text of a reply, for services that do not do so themselves."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

_TAGGED = re.compile(r"<tool_call>\s*(.*?)\s*(?:</tool_call>|\Z)", re.DOTALL)
_MISTRAL = "[TOOL_CALLS]"
_PYTHON_TAG = "<|python_tag|>"
_FENCE = re.compile(r"\A```(?:json)?\s*(.*?)\s*```\Z", re.DOTALL)


def find_tool_calls(text: str) -> tuple[tuple[Mapping[str, Any], ...], str]:
    """Return the tool calls of a reply, and the remaining text.

    Forms: `<tool_call>{…}</tool_call>` (Hermes, Qwen), `[TOOL_CALLS] […]` (Mistral), and a reply that
    consists of a call or a list of calls in JSON (Llama 3, with or without its tag). A call has a `name`, and
    `arguments` or `parameters`.
    """
    tagged = _TAGGED.findall(text)
    if tagged:
        calls = [call for piece in tagged for call in _calls(piece)]
        return (tuple(calls), _TAGGED.sub("", text).strip()) if calls else ((), text)
    before, mark, after = text.partition(_MISTRAL)
    if mark:
        calls = list(_calls(after))
        return (tuple(calls), before.strip()) if calls else ((), text)
    whole = text.strip().removeprefix(_PYTHON_TAG).strip()
    if fenced := _FENCE.match(whole):
        whole = fenced[1]
    calls = list(_calls(whole))
    return (tuple(calls), "") if calls else ((), text)


def _calls(piece: str) -> Iterator[Mapping[str, Any]]:
    try:
        data = json.loads(piece)
    except (ValueError, RecursionError):
        return
    for call in data if isinstance(data, list) else [data]:
        if not isinstance(call, Mapping) or not isinstance(call.get("name"), str):
            continue
        given = call.get("arguments", call.get("parameters"))
        if given is None:
            continue
        arguments = given if isinstance(given, str) else json.dumps(given, ensure_ascii=False)
        yield {"id": call.get("id"), "name": call["name"], "arguments": arguments}
