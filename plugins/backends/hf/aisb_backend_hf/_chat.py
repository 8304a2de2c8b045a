"""Prompts for a model: a text unchanged, messages rendered by the tokenizer's own chat template."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aisb import Message, UsageError

_MARK = "THE ANSWER STANDS HERE"


def set_template(tokenizer: Any, given: str | None, path: str) -> None:
    """Set the tokenizer's chat template if one is given; refuse a tokenizer without any.

    Raises:
        UsageError: there is no template, or its file cannot be read.
    """
    if given is not None:
        text = given
        if "{" not in given:
            try:
                text = Path(given).expanduser().read_text("utf-8")
            except OSError as error:
                raise UsageError(f"chat_template = {given!r} cannot be read: {error.strerror}") from error
        tokenizer.chat_template = text
    if not tokenizer.chat_template:
        raise UsageError(
            f"the tokenizer of {path} has no chat template, so messages cannot be rendered for this model\n"
            "  for a base model use hf_base_model; else set a template: --set model.chat_template=FILE.jinja"
        )


def has_template(folder: str) -> bool:
    """Return whether a tokenizer's folder holds a chat template, without loading the tokenizer."""
    place = Path(folder).expanduser()
    if (place / "chat_template.jinja").is_file():
        return True
    try:
        config = json.loads((place / "tokenizer_config.json").read_text("utf-8"))
    except (OSError, ValueError):  # loading the tokenizer reports what is wrong
        return False
    return isinstance(config, dict) and bool(config.get("chat_template"))


def rendered(tokenizer: Any, messages: Sequence[Message], params: Mapping[str, Any]) -> str:
    """Render messages as the text that the model was trained on, up to the beginning of its turn.

    Raises:
        UsageError: the messages hold more than text, or the template rejects them.
    """
    turns = [{"role": message.role, "content": _text(message), **calls_in(message)} for message in messages]
    more = dict(params.get("chat_template_kwargs") or {})
    if params.get("tools"):
        more["tools"] = params["tools"]
    try:
        text = tokenizer.apply_chat_template(turns, tokenize=False, **{"add_generation_prompt": True, **more})
    except Exception as error:  # a template may raise anything
        words = " ".join(str(error).split())[:300]
        raise UsageError(
            f"the chat template refuses these messages: {type(error).__name__}: {words}"
        ) from error
    return str(text)


def end_of_turn(tokenizer: Any) -> frozenset[int]:
    """Return the special token that ends an answer in the template; some models declare no other end."""
    turns = [{"role": "user", "content": "x"}, {"role": "assistant", "content": _MARK}]
    try:
        _, mark, after = tokenizer.apply_chat_template(turns, tokenize=False).rpartition(_MARK)
    except Exception:  # noqa: BLE001 - a template may refuse this conversation, and is not asked then
        return frozenset()
    ids = tokenizer.encode(after.lstrip(), add_special_tokens=False) if mark and after.strip() else []
    special = set(tokenizer.all_special_ids) | set(getattr(tokenizer, "added_tokens_decoder", {}))
    return frozenset(ids[:1]) & special


def calls_in(message: Message) -> dict[str, Any]:
    """Return the calls that a message makes or answers, with arguments as objects for chat templates."""
    calls = [
        {
            "id": call["id"],
            "type": "function",
            "function": {"name": call["name"], "arguments": json.loads(call["arguments"])},
        }
        for call in message.tool_calls
    ]
    return {
        **({"tool_calls": calls} if calls else {}),
        **({"tool_call_id": message.tool_call_id} if message.tool_call_id else {}),
    }


def _text(message: Message) -> str:
    if isinstance(message.content, str):
        return message.content
    for part in message.content:
        if part.kind != "text":
            raise UsageError(f"the task has {part.kind} parts, which this backend does not support")
    return "\n".join(part.value for part in message.content)
