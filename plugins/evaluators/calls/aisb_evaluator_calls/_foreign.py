"""Parse function calls and values in the syntax of Java or JavaScript.

Sources: java_parser.py, js_parser.py, java_type_converter.py and js_type_converter.py of bfcl-eval. A value
that is not in the syntax of its type (`5` for a `long`, which is `5L`) stays a text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

_CALL = re.compile(r"\s*([\w$]+(?:\.[\w$]+)*)\s*\(")
_NAMED = re.compile(r"\s*([\w$]+)\s*=(?!=)\s*")
_OPENING, _CLOSING = "([{", ")]}"
_DEEPEST = 20
"""The maximum nesting depth: no value of the leaderboard is nested deeper."""

_SCALARS = {
    "byte": r"-?\d+", "short": r"-?\d+", "integer": r"-?\d+", "long": r"-?\d+(?=[lL]$)[lL]",
    "Bigint": r"-?\d+(?=n$)n", "boolean": "true|false", "Boolean": "true|false",
}  # fmt: skip
_FLOATS = {
    ("java", "float"): r"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?[fF]",
    ("java", "double"): r"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?",
    ("javascript", "float"): r"-?\d+(?:\.\d+)?",
}
_AS_LIST = re.compile(r"new\s+ArrayList<.*?>\s*\(\s*(?:Arrays\.asList|List\.of)\((.*)\)\s*\)", re.DOTALL)
_ADDED = re.compile(r"new\s+ArrayList<.*?>\s*\(\)\s*\{\s*\{(.*)\}\s*\}", re.DOTALL)
_ARRAY = re.compile(r"new\s+[\w.]+\s*\[\]\s*\{(.*)\}", re.DOTALL)
_MAP = re.compile(r"new\s+HashMap<.*?>\s*\(\)\s*\{\s*\{(.*)\}\s*\}", re.DOTALL)
_EMPTY = re.compile(r"new\s+(ArrayList|HashMap)<.*?>\s*\(\)")
_JS_ARRAY = re.compile(r"\[(.*)\]|new\s+Array\((.*)\)", re.DOTALL)
_JS_OBJECT = re.compile(r"\{(.*)\}", re.DOTALL)


def source_calls(text: str) -> list[tuple[str, dict[str | int, Any]]]:
    """Return calls with named arguments, `[f(a=1, b="x"), g()]`, with each value as it is written.

    Empty for any other text. Quotation marks around a whole value are removed.
    """
    inner = text.strip().strip("`").strip().rstrip(";")
    if inner.startswith("[") and inner.endswith("]"):
        inner = inner[1:-1]
    found = []
    for part in _split(inner):
        call = _CALL.match(part)
        if call is None or not part.rstrip().endswith(")"):
            return []
        arguments: dict[str | int, Any] = {}
        for position, one in enumerate(_split(part[call.end() : part.rindex(")")])):
            named = _NAMED.match(one)
            arguments[named[1] if named else position] = _unquoted(one[named.end() if named else 0 :].strip())
        found.append((call[1], arguments))
    return found


def converted(text: str, kind: str, nested: str, language: str) -> Any:
    """Return the value of a text of a declared type, or the text if it is not written as that type."""
    if _nesting(text) > _DEEPEST:
        return text
    if (pattern := _SCALARS.get(kind)) and re.fullmatch(pattern, text):
        return text == "true" if kind.lower() == "boolean" else int(text.rstrip("lLn"))
    if (pattern := _FLOATS.get((language, kind))) and re.fullmatch(pattern, text):
        return float(text.rstrip("fF"))
    if kind == "String" and language == "javascript":
        return _unquoted(text)
    collection = _collection(text, kind, nested, language)
    return text if collection is None else collection


def _nesting(text: str) -> int:
    """Return the nesting depth of the brackets of a text."""
    depth = deepest = 0
    for character in text:
        depth += (character in _OPENING) - (character in _CLOSING)
        deepest = max(deepest, depth)
    return deepest


def _collection(text: str, kind: str, nested: str, language: str) -> Any:
    if language == "javascript":
        return _javascript_collection(text, kind, nested)
    if (empty := _EMPTY.fullmatch(text)) and empty[1] == kind:
        return [] if kind == "ArrayList" else {}
    if kind == "HashMap" and (found := _MAP.fullmatch(text)):
        return dict(_entries(found[1]))
    if kind == "ArrayList" and (found := _ADDED.fullmatch(text)):
        added = re.findall(r"add\((.*?)\)\s*;", found[1] + ";")
        return [_element(one, nested, language) for one in added]
    found = (
        {"ArrayList": _AS_LIST, "Array": _ARRAY}[kind].fullmatch(text)
        if kind in ("ArrayList", "Array")
        else None
    )
    return [_element(one, nested, language) for one in _split(found[1])] if found else None


def _javascript_collection(text: str, kind: str, nested: str) -> Any:
    if kind == "array" and (found := _JS_ARRAY.fullmatch(text)):
        elements = _split(found[1] if found[1] is not None else found[2])
        inner = any(one.strip().startswith("[") for one in elements)
        return [_element(one, "" if inner else nested, "javascript") for one in elements]
    if kind == "dict" and (found := _JS_OBJECT.fullmatch(text)):
        pairs = (one.partition(":") for one in _split(found[1]))
        return {_unquoted(key.strip()): _value(value.strip(), "javascript") for key, _, value in pairs}
    return None


def _element(text: str, kind: str, language: str) -> Any:
    text = text.strip()
    if kind in ("String", "char"):
        return _unquoted(text)
    return converted(text, kind, "", language) if kind and kind != "any" else _value(text, language)


def _entries(text: str) -> Iterator[tuple[str, Any]]:
    for arguments in re.findall(r"put\((.*?)\)\s*;", text + ";", re.DOTALL):
        key, *value = _split(arguments)
        yield _unquoted(key.strip()), _value(",".join(value).strip(), "java")


def _value(text: str, language: str) -> Any:
    """Return the value of a text whose type is not declared."""
    if text in ("true", "false"):
        return text == "true"
    if (bare := _unquoted(text)) != text:
        return bare
    if language == "javascript" and text[:1] in ("[", "{"):
        return _javascript_collection(text, "array" if text[0] == "[" else "dict", "")
    number = re.fullmatch(r"(-?\d+)[lL]?|(-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)[fF]?", text)
    if number is None:
        return text
    return int(number[1]) if number[1] else float(number[2])


def _unquoted(text: str) -> str:
    same = len(text) > 1 and text[0] == text[-1] and text[0] in "\"'"
    return text[1:-1] if same and text[0] not in text[1:-1].replace(f"\\{text[0]}", "") else text


def _split(text: str) -> list[str]:
    """Split a text at commas outside brackets, quotation marks and type arguments."""
    parts, depth, angles, start, quote = [], 0, 0, 0, ""
    for position, character in enumerate(text):
        if quote:
            quote = "" if character == quote and text[position - 1] != "\\" else quote
        elif character in "\"'":
            quote = character
        elif character in _OPENING:
            depth += 1
        elif character in _CLOSING:
            depth -= 1
        elif character == "<" and text[position - 1 : position].isalnum():
            angles += 1
        elif character == ">" and angles:
            angles -= 1
        elif character == "," and not depth and not angles:
            parts.append(text[start:position])
            start = position + 1
    parts.append(text[start:])
    return [part for part in parts if part.strip()]
