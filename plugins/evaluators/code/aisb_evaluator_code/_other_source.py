"""Analyze C++, Java and JavaScript source roughly: its definitions, and the heads of its functions."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

_WORD = r"[A-Za-z_$][\w$]*"
_NOT_A_TYPE = r"(?!return|else|using|if|for|while|new)"
_DEFINED = {
    "js": re.compile(
        rf"^[ \t]*(?:export\s+)?(?:async\s+)?(?:function\s*\*?|const|let|var|class)\s+({_WORD})",
        re.MULTILINE,
    ),
    "cpp": re.compile(
        rf"^[ \t]*(?:(?:class|struct|enum)\s+({_WORD})"
        rf"|{_NOT_A_TYPE}[\w:<>,&*\s]+?[\s&*>]({_WORD})\s*\([^;{{}}]*\)[\w\s]*\{{)",
        re.MULTILINE,
    ),
    "java": re.compile(
        rf"\b(?:(?:class|interface|enum|record)\s+({_WORD})"
        rf"|{_NOT_A_TYPE}[\w<>\[\],?.]+\s+({_WORD})\s*\([^;{{}}()]*\)[\w\s,.]*\{{)"
    ),
}
_TOP_LEVEL = {
    "java": re.compile(
        r"^[ \t]*(?:(?:public|final|abstract|static)\s+)*(?:class|interface|enum|record)\s", re.MULTILINE
    ),
}
_NOT_CODE = re.compile(r"//[^\n]*|/\*.*?\*/|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'", re.DOTALL)


class SourceHead(NamedTuple):
    """A function's head: its text, the source before it, its return type, and its parameter names."""

    text: str
    before: str
    result: str = ""
    parameters: tuple[str, ...] = ()


_HEADS = {
    "cpp": r"(?P<text>(?P<result>[\w:<>,&* \t]+?[\s&*>]){name}\s*\((?P<given>[\w:<>,&*\[\]\s=.]*)\))\s*\{{",
    "java": (
        r"(?P<text>(?:(?:public|static|final|protected|private)\s+)*(?P<result>[\w.]+(?:<[\w<>\[\],?.\s]+>)?(?:\[\])*)\s+"
        r"{name}\s*\((?P<given>[\w<>\[\],?.\s]*)\)(?:\s*throws\s+[\w,.\s]+)?)\s*\{{"
    ),
    "js": r"(?P<text>(?:const|let|var|function\*?|async\s+function)\s+{name}\b)",
}


def head_of(language: str, source: str, name: str, *, before: bool = True) -> SourceHead | None:
    """Return the last head of a function in a source; without `before`, only the head itself.

    A head can hold only words and the characters of types, so it is safe to compile with the tests.
    """
    pattern = _HEADS[language].replace("{name}", re.escape(name)).replace("{{", "{")
    found = list(re.finditer(pattern, _without_comments(source)))
    if not found:
        return None
    last = found[-1]
    result = last.groupdict().get("result") or ""
    first = _without_comments(source)[: last.start()] if before else ""
    return SourceHead(
        last["text"].strip(), first, result.strip(), _parameters(last.groupdict().get("given") or "")
    )


def _parameters(head: str) -> tuple[str, ...]:
    """Return the names of Java parameters."""
    flat = re.sub(r"\[\]", "", head)
    while "<" in flat and (inner := re.sub(r"<[^<>]*>", "", flat)) != flat:
        flat = inner
    return tuple(one.split()[-1] for one in flat.split(",") if one.strip())


def _without_comments(source: str) -> str:
    return re.sub(r"/\*.*?\*/|//[^\n]*", "", source, flags=re.DOTALL)


def balance(source: str) -> int:
    """Return the number of braces that a source leaves open."""
    code = _NOT_CODE.sub(" ", source)
    return code.count("{") - code.count("}")


def defined_names(language: str, source: str) -> set[str]:
    """Return the names of functions, classes and (in JavaScript) variables that a source defines."""
    pattern = _DEFINED.get(language)
    return (
        {name for found in pattern.finditer(source) for name in found.groups() if name} if pattern else set()
    )


def says_definition(language: str, source: str, name: str) -> bool:
    """Return whether a source defines a name; in a language that is not known, whether it mentions it."""
    return name in (defined_names(language, source) if language in _DEFINED else source)


def other_helpers(language: str, source: str, others: Sequence[str], name: str | None) -> str:
    """Return the blocks that define names which a source uses but does not define.

    A block that mentions the requested function is another version of it or an example, so it is excluded.
    """
    known, needed = defined_names(language, source), _used(source)
    chosen: list[str] = []
    for other in reversed(others):
        defined = defined_names(language, other)
        top = _TOP_LEVEL.get(language)
        is_about = name is not None and re.search(rf"\b{re.escape(name)}\b", other)
        if is_about or defined & known or not defined & (needed - known) or (top and not top.search(other)):
            continue
        chosen.insert(0, other)
        known |= defined
        needed |= _used(other)
    return "\n".join(chosen)


def _used(source: str) -> set[str]:
    """Return the words of a source outside comments and strings."""
    return set(re.findall(_WORD, _NOT_CODE.sub(" ", source)))
