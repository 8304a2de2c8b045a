"""Read the function calls of a reply, written as Python writes them or as JSON."""

from __future__ import annotations

import ast
import json
import keyword
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

LONGEST = 20_000
"""No reply that calls functions is longer; a parser would take long over one that is."""

_FENCE = re.compile(r"```[^\n`]*\n(.*?)(?:```|\Z)", re.DOTALL)
_TAG = re.compile(r"<tool_call>(.*?)(?:</tool_call>|\Z)", re.DOTALL)
_TAIL = "__kept"
_KEYWORD = re.compile(rf"(?<=[(,\s])({'|'.join(keyword.kwlist)})(?=\s*=[^=])")
_LITERALS = {"true": True, "false": False, "null": None, "none": None, "undefined": None}


class Call(NamedTuple):
    """A function's name, dots and all, and its arguments by name; those without a name by position."""

    name: str
    arguments: Mapping[str | int, Any]


def calls(text: str) -> list[Call]:
    """Return the calls that a reply consists of; none for prose, whatever it mentions.

    They may stand alone, in a list, in a fence, or between `<tool_call>` tags, or on the last lines.
    """
    text = text.strip()
    if len(text) > LONGEST:
        return []
    tagged = [call for inner in _TAG.findall(text) for call in _whole(inner)]
    if tagged:
        return tagged
    for piece in _pieces(text):
        if found := _whole(piece):
            return found
    return []


def _pieces(text: str) -> Iterator[str]:
    yield text
    yield from reversed(_FENCE.findall(text))
    lines = text.split("\n")
    for start in range(len(lines) - 1, max(0, len(lines) - 40) - 1, -1):
        if lines[start].lstrip().startswith(("[", "{")):
            yield "\n".join(lines[start:])


def _whole(text: str) -> list[Call]:
    """Return the calls of a text that is nothing else."""
    text = text.strip().strip("`").strip()
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return _from_python(text)
    return _from_json(found)


def _from_json(found: Any) -> list[Call]:
    """Return calls such as `{"name": …, "arguments": {…}}` or `{"function": {…}}`, alone or in a list."""
    made = []
    for one in found if isinstance(found, list) else [found]:
        if not isinstance(one, dict):
            return []
        if isinstance(one.get("function"), dict):
            one = one["function"]  # noqa: PLW2901 - it holds the call
        name = one.get("name")
        arguments = one.get("arguments", one.get("parameters", {}))
        if isinstance(arguments, str):
            try:
                arguments = json.loads(arguments or "{}")
            except ValueError:
                return []
        if name is None and len(one) == 1:
            ((name, arguments),) = one.items()
        if not isinstance(name, str) or not isinstance(arguments, dict):
            return []
        made.append(Call(name, arguments))
    return made


def _from_python(text: str) -> list[Call]:
    if "(" not in text:
        return []
    try:
        tree = _parsed(text.strip())
        made = []
        for statement in tree.body:
            if not isinstance(statement, ast.Expr):
                return []
            value = statement.value
            nodes: Sequence[ast.expr] = value.elts if isinstance(value, ast.List | ast.Tuple) else [value]
            made += [_call(node) for node in nodes]
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    return made


def _parsed(text: str) -> ast.Module:
    """Parse Python; where words that Python keeps for itself are parameters (`from=1`), give them a tail."""
    try:
        return ast.parse(text)
    except SyntaxError:
        return ast.parse(_KEYWORD.sub(rf"\1{_TAIL}", text))


def _call(node: ast.expr) -> Call:
    if not isinstance(node, ast.Call):
        raise ValueError("no call")  # noqa: TRY004 - for the reader
    arguments: dict[str | int, Any] = {at: _value(one) for at, one in enumerate(node.args)}
    for given in node.keywords:
        if given.arg is None:
            raise ValueError("**")
        arguments[given.arg.removesuffix(_TAIL)] = _value(given.value)
    return Call(_name(node.func), arguments)


def _name(node: ast.expr) -> str:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{_name(node.value)}.{node.attr}"
    raise ValueError("no name")


def _value(node: ast.expr) -> Any:
    """Return a literal's value; a bare name is its own text, as other languages' variables are."""
    if isinstance(node, ast.Name):
        return _LITERALS.get(node.id.lower(), node.id)
    if isinstance(node, ast.List | ast.Tuple | ast.Set):
        return [_value(one) for one in node.elts]
    if isinstance(node, ast.Dict):
        if any(key is None for key in node.keys):
            raise ValueError("**")
        pairs = zip(node.keys, node.values, strict=True)
        return {str(_value(key)): _value(value) for key, value in pairs if key is not None}
    if isinstance(node, ast.Constant):
        return node.value
    try:
        return ast.literal_eval(node)  # -5, 1 + 2j
    except ValueError:
        return ast.unparse(node)
