"""Map a prompt template of a config file to the table `[prompt]` of a task, if possible."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from aisb import ConfigError
from aisb_compat_aisbench._models import toml_value
from aisb_compat_aisbench._values import Symbol

PROMPT_FIELD = re.compile(r"\{([^\W\d]\w*)\}")
EXAMPLES_MARK = "</E>"
ROLES = {"HUMAN": "user", "SYSTEM": "system"}
WRITE_OWN = "write it as [prompt] of a task in aisb.toml (see docs/tasks.md)"


def map_prompt(
    infer: Mapping[str, Any], reader: Mapping[str, Any], table: dict[str, Any], where: str
) -> None:
    """Convert the prompt of `infer_cfg` to keys of a task: one question, with an optional system text.

    Raises:
        ConfigError: it has examples, turns of the model, or several questions.
    """
    retriever = infer.get("retriever") or {}
    kind = retriever.get("type")
    name = kind.name if isinstance(kind, Symbol) else str(kind or "ZeroRetriever").rpartition(".")[2]
    if name != "ZeroRetriever" or infer.get("ice_template"):
        raise ConfigError(
            f"{where}.retriever", f"a changed prompt with examples ({name}) cannot be converted: {WRITE_OWN}"
        )
    template = infer.get("prompt_template") or {}
    text = template.get("template") if isinstance(template, Mapping) else template
    names = _names(reader)
    fields = [str(name) for name in names] if names else None
    prompt: dict[str, Any] = {"shots": 0, "system": "", "intro": ""}
    if isinstance(text, str):
        prompt |= {"user": _fields(text, fields), "style": "text"}
    elif isinstance(text, Mapping) and ("round" in text or "begin" in text):
        turns = _turns([*(text.get("begin") or []), *(text.get("round") or [])], where)
        prompt |= {role: _fields(words, fields) for role, words in turns.items()} | {"style": "chat"}
    else:
        raise ConfigError(f"{where}.prompt_template", f"this template cannot be converted: {WRITE_OWN}")
    table["prompt"] = prompt


def _turns(turns: Sequence[Any], where: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for turn in turns:
        if turn == EXAMPLES_MARK:
            continue
        if not isinstance(turn, Mapping):
            raise ConfigError(f"{where}.prompt_template", f"this turn cannot be converted: {WRITE_OWN}")
        role, words = ROLES.get(str(turn.get("role"))), toml_value(turn.get("prompt", ""), where)
        if not words and role is None:
            continue  # an empty turn, which the model is to fill
        if role is None or role in found or not isinstance(words, str):
            raise ConfigError(
                f"{where}.prompt_template",
                f"a changed prompt with several questions cannot be converted: {WRITE_OWN}",
            )
        found[role] = words
    if "user" not in found:
        raise ConfigError(f"{where}.prompt_template", f"there is no turn HUMAN: {WRITE_OWN}")
    return found


def _names(reader: Mapping[str, Any]) -> list[Any]:
    columns = reader.get("input_columns") or []
    output = reader.get("output_column")
    return [*(columns if isinstance(columns, (list, tuple)) else [columns]), *([output] if output else [])]


def _fields(text: str, names: Sequence[str] | None) -> str:
    """Return a template in which only columns of the data are fields, as in AISBench.

    If the columns are unknown (None), each name in braces is a field: a task without it raises an error
    before anything is sent.
    """
    text = text.replace(EXAMPLES_MARK, "")
    if names is None:
        return text
    return PROMPT_FIELD.sub(lambda found: found[0] if found[1] in names else f"{{{{{found[1]}}}}}", text)
