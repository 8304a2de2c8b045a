"""Parse the function calls of a reply, in Python syntax or as JSON."""

from __future__ import annotations

import ast
import json
import keyword
import operator
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from aisb_evaluator_calls._foreign import source_calls

MAX_REPLY_LENGTH = 20_000
"""The maximum length of a reply with calls; a parser would take long for a longer one."""

_FENCE = re.compile(r"```[^\n`]*\n(.*?)(?:```|\Z)", re.DOTALL)
_TAG = re.compile(r"<tool_call>(.*?)(?:</tool_call>|\Z)", re.DOTALL)
_KEYWORD_SUFFIX = "__kept"
_KEYWORD = re.compile(rf"(?<=[(,\s])({'|'.join(keyword.kwlist)})(?=\s*=[^=])")
_OPERATORS: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_LITERALS = {"true": True, "false": False, "null": None, "none": None, "undefined": None}


class Call(NamedTuple):
    """A function's full name, and its arguments by name, or by position without a name.

    `is_json` means that the call is written as JSON, in which services replace the dots of names.
    """

    name: str
    arguments: Mapping[str | int, Any]
    is_json: bool = False


def calls(text: str) -> list[Call]:
    """Return the calls in a reply; empty for prose, whatever it mentions.

    Calls may be bare, in a list, in a fence, between `<tool_call>` tags, or on the last lines.
    `true` and `null` are Python's values.
    """
    text = text.strip()
    if len(text) > MAX_REPLY_LENGTH:
        return []
    if tagged := _tagged(text, "python", _LITERALS):
        return tagged
    for piece in _pieces(text):
        if found := _whole_text(piece, "python", _LITERALS):
            return found
    return []


def strict_calls(text: str, language: str = "python") -> list[Call]:
    """Return the calls that a reply consists of: alone, in a list, in a fence, or between tags."""
    text = text.strip()
    if len(text) > MAX_REPLY_LENGTH:
        return []
    fence = _FENCE.fullmatch(text)
    return _tagged(text, language, {}) or _whole_text(fence[1] if fence else text, language, {})


def _tagged(text: str, language: str, names: Mapping[str, Any]) -> list[Call]:
    return [call for inner in _TAG.findall(text) for call in _whole_text(inner, language, names)]


def _pieces(text: str) -> Iterator[str]:
    yield text
    yield from reversed(_FENCE.findall(text))
    lines = text.split("\n")
    for start in range(len(lines) - 1, max(0, len(lines) - 40) - 1, -1):
        if lines[start].lstrip().startswith(("[", "{")):
            yield "\n".join(lines[start:])


def _whole_text(text: str, language: str, names: Mapping[str, Any]) -> list[Call]:
    """Return the calls of a text that consists of nothing else."""
    text = text.strip().strip("`").strip()
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        if language == "python":
            return _from_python(text, names)
        return [Call(name, arguments) for name, arguments in source_calls(text)]
    return _from_json(found)


def _from_json(found: Any) -> list[Call]:
    """Return calls such as `{"name": …, "arguments": {…}}` or `{"function": {…}}`, alone or in a list."""
    calls = []
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
        calls.append(Call(name, arguments, is_json=True))
    return calls


def _from_python(text: str, names: Mapping[str, Any]) -> list[Call]:
    if "(" not in text:
        return []
    try:
        tree = _parsed(text.strip())
        calls = []
        for statement in tree.body:
            if not isinstance(statement, ast.Expr):
                return []
            value = statement.value
            nodes: Sequence[ast.expr] = value.elts if isinstance(value, ast.List | ast.Tuple) else [value]
            calls += [_call(node, names) for node in nodes]
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    return calls


def _parsed(text: str) -> ast.Module:
    """Parse Python; keywords used as parameters (`from=1`) get a suffix."""
    try:
        return ast.parse(text)
    except SyntaxError:
        return ast.parse(_KEYWORD.sub(rf"\1{_KEYWORD_SUFFIX}", text))


def _call(node: ast.expr, names: Mapping[str, Any]) -> Call:
    if not isinstance(node, ast.Call):
        raise ValueError("no call")  # noqa: TRY004 - the caller handles ValueError only
    arguments: dict[str | int, Any] = {at: _value(one, names) for at, one in enumerate(node.args)}
    for argument in node.keywords:
        if argument.arg is None:
            raise ValueError("**")
        arguments[argument.arg.removesuffix(_KEYWORD_SUFFIX)] = _value(argument.value, names)
    return Call(_name(node.func), arguments)


def _name(node: ast.expr) -> str:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{_name(node.value)}.{node.attr}"
    raise ValueError("no name")


def _value(node: ast.expr, names: Mapping[str, Any]) -> Any:
    """Return a literal's value; a bare name becomes its text, like variables of other languages."""
    if isinstance(node, ast.Name):
        return names.get(node.id.lower(), node.id)
    if isinstance(node, ast.List | ast.Set | ast.Tuple):
        items = [_value(one, names) for one in node.elts]
        return tuple(items) if isinstance(node, ast.Tuple) else items
    if isinstance(node, ast.Dict):
        if any(key is None for key in node.keys):
            raise ValueError("**")
        pairs = zip(node.keys, node.values, strict=True)
        return {str(_value(key, names)): _value(value, names) for key, value in pairs if key is not None}
    if isinstance(node, ast.Constant):
        return node.value
    try:
        return ast.literal_eval(node)  # -5, 1 + 2j
    except ValueError:
        return result if (result := _result(node)) is not None else ast.unparse(node)


def _result(node: ast.expr) -> float | None:
    """Evaluate arithmetic on numbers (`2 * 3.5`); None for anything else."""
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        return node.value  # type: ignore[return-value]
    if not isinstance(node, ast.BinOp) or type(node.op) not in _OPERATORS:
        return None
    left, right = _result(node.left), _result(node.right)
    if left is None or right is None:
        return None
    try:
        return _OPERATORS[type(node.op)](left, right)
    except (ArithmeticError, ValueError):
        return None
