"""Parse function calls with literal arguments; text of a model is never evaluated."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from aisb import DataError

MAX_REPLY_LENGTH = 20_000
"""The maximum length of a reply with calls: parsing longer texts takes too long."""


class LiteralCall(NamedTuple):
    """A function's name with its positional and named arguments."""

    name: str
    arguments: list[Any]
    named: dict[str, Any]

    def __str__(self) -> str:
        arguments = [*map(repr, self.arguments), *(f"{name}={value!r}" for name, value in self.named.items())]
        return f"{self.name}({', '.join(arguments)})"


def written_calls(text: str) -> list[LiteralCall]:
    """Return the calls of a text such as `[cd(folder='temp'), ls()]`; empty for any other text.

    The brackets are optional, and backticks around the text are ignored.
    """
    text = text.strip("`\n ")
    if not text or len(text) > MAX_REPLY_LENGTH:
        return []
    text = text if text.startswith("[") else f"[{text}"
    text = text if text.endswith("]") else f"{text}]"
    try:
        tree = ast.parse(text, mode="eval").body
        return [_call(node) for node in tree.elts] if isinstance(tree, ast.List) else []
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []


def reference_calls(texts: Iterable[str]) -> list[LiteralCall]:
    """Return the calls of a row's answer.

    Raises:
        DataError: a text is not a call with literal arguments.
    """
    calls = []
    for text in texts:
        found = written_calls(text)
        if len(found) != 1:
            raise DataError(f"the answer {text[:80]!r} is not one call with literal arguments")
        calls += found
    return calls


def tool_call(call: Mapping[str, Any]) -> LiteralCall | None:
    """Return a call of a reply's `tool_calls`; None if its arguments are not a JSON object."""
    try:
        named = json.loads(call.get("arguments") or "{}")
    except (ValueError, RecursionError):
        return None
    return LiteralCall(call.get("name") or "", [], named) if isinstance(named, dict) else None


def _call(node: ast.expr) -> LiteralCall:
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
        raise ValueError("no call of a name")  # noqa: TRY004 - the caller handles ValueError only
    if any(one.arg is None for one in node.keywords):
        raise ValueError("**")
    named = {one.arg: ast.literal_eval(one.value) for one in node.keywords if one.arg is not None}
    return LiteralCall(node.func.id, [ast.literal_eval(one) for one in node.args], named)
