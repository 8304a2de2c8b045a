"""Find the program in an answer: the last complete block that defines the function, or that parses."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from typing import Annotated, NamedTuple

from aisb import Extract, Postprocessor, Sample
from aisb_evaluator_code._other_source import other_helpers, says_definition
from aisb_evaluator_code._python_source import (
    defines,
    has_definition,
    helpers,
    is_body,
    missing_names,
    outdented,
    parsed,
)

PYTHON = frozenset({"", "py", "python", "python3", "py3", "pycon", "ipython"})
OTHERS = {"cpp": {"c++", "cpp", "cc", "cxx", "c"}, "java": {"java"}, "go": {"go", "golang"}}
OTHERS |= {"js": {"js", "javascript", "node", "jsx", "mjs"}, "rust": {"rust", "rs"}}
_FENCE = re.compile(
    r"^(?P<indent>[ \t]*(?:>[ \t]?)*)(?P<marks>`{3,}|~{3,})[ \t]*(?P<info>[^\n`]*?)[ \t]*\r?$"
)
_BEGIN = re.compile(r"(?:def|class|import|from|async def|@\w|if __name__)\b|@\w")


class Block(NamedTuple):
    """A part of a text that may be the program. `rule` is how it was found, `indent` that of its fence."""

    start: int
    end: int
    complete: bool
    rule: str
    indent: str = ""


def code(
    *,
    entry_point: Annotated[str, "the field with the name of the requested function"] = "entry_point",
    language: Annotated[str, "the language, or the field with its name"] = "python",
    markers: Annotated[bool, "also accept a program between [BEGIN] and [DONE]"] = True,
) -> Postprocessor:
    """Find the program: the last complete block that defines the requested function, or else that parses.

    A block may be fenced with backquotes or tildes, with or without a language, with Windows line ends, and
    without an end if the reply was truncated. It may be only the function's body. Functions and imports that
    it needs from other blocks are added. Without a fence, the program is the whole text, or its longest part
    that is a program.
    """

    def step(text: str, sample: Sample) -> Extract | None:
        entry = sample.fields.get(entry_point)
        name = entry if isinstance(entry, str) and entry else None
        kind = str(sample.fields.get(language, language))
        found = fenced(text, kind) or (fenced(text, "") if kind != "python" else [])
        if markers and (marked := between_markers(text)):
            start, end = marked
            if not fenced(text[start:end], kind):
                found.append(Block(start, end, "[DONE]" in text[end:], "marked"))
        if not found:
            return _bare(text, name) if kind == "python" else Extract(text, "whole text", (0, len(text)))
        context = str(sample.fields.get("prelude") or sample.fields.get("prompt") or "")
        return (
            _chosen_python(text, found, name, context)
            if kind == "python"
            else _chosen(text, found, name, kind)
        )

    return step


def fenced(text: str, kind: str = "python") -> list[Block]:
    """Return the fenced blocks of a text in this language or without one, in order."""
    languages = PYTHON if kind == "python" else {"", *OTHERS.get(kind, {kind})} if kind else None
    found: list[Block] = []
    opened: tuple[int, str, str, str] | None = None
    at = 0
    for line in text.splitlines(keepends=True):
        fence = _FENCE.match(line.rstrip("\n"))
        after = at + len(line)
        if fence and not found and not opened and not fence["info"] and _is_program(text[:at], kind):
            found.append(Block(0, at, True, "block"))  # the prompt opened this block
        elif fence and opened is None:
            words = fence["info"].strip("{}. ").lower().split()
            word = words[0].strip("{}.:,") if words else ""
            opened = (after, fence["marks"], word, fence["indent"])
        elif fence and opened and _closes(fence, opened[1], opened[3]):
            if languages is None or opened[2] in languages:
                found.append(Block(opened[0], at, True, "block", opened[3]))
            opened = None
        at = after
    if opened and (languages is None or opened[2] in languages) and text[opened[0] :].strip():
        found.append(Block(opened[0], len(text), False, "unclosed block", opened[3]))
    return found


def _is_program(text: str, kind: str) -> bool:
    return kind == "python" and (is_body(text) or any(has_definition(tree) for _, tree in outdented(text)))


def _closes(fence: re.Match[str], marks: str, indent: str) -> bool:
    """Return whether a fence ends the block that `marks` opened at `indent`.

    As in Markdown, a fence that is four columns further right is text: a docstring may show an example.
    """
    deeper = len(fence["indent"].expandtabs(4)) - len(indent.expandtabs(4))
    return not fence["info"] and fence["marks"].startswith(marks) and deeper < 4


def between_markers(text: str) -> tuple[int, int] | None:
    """Return the span between the last [BEGIN] and the [DONE] after it, or the text's end."""
    begin = text.rfind("[BEGIN]")
    start = begin + len("[BEGIN]") if begin >= 0 else 0
    end = text.find("[DONE]", start)
    if begin < 0 and end < 0:
        return None
    end = end if end >= 0 else len(text)
    piece = text[start:end].strip()
    if len(piece) > 1 and piece[0] == piece[-1] and piece[0] in "'\"" and piece[:3] not in ("'''", '"""'):
        start = text.index(piece, start) + 1  # the prompt's examples enclose their programs in quotes
        end = start + len(piece) - 2
    return start, end


def _chosen_python(text: str, found: Sequence[Block], name: str | None, context: str) -> Extract:
    """Return the block that is the program; the later of two equally good ones."""
    sources = [_cleaned(text, block, name) for block in found]

    def worth(number: int) -> tuple[int, bool, int]:
        source, complete = sources[number], found[number].complete
        tree = parsed(source)
        if name and defines(tree, name):
            grade = 5
        elif name and re.search(rf"\b(?:def|class)\s+{re.escape(name)}\b", source):
            grade = 4
        elif name and _may_be_body(source):
            grade = 3
        elif has_definition(tree):
            grade = 2
        else:
            grade = 1 if tree is not None and tree.body else 0
        return grade, complete, number

    best = max(range(len(found)), key=worth)
    source = sources[best]
    others = [*sources[best + 1 :][::-1], *sources[:best]]  # earlier text is searched first
    extra = _helpers(source, others, name, context)
    if extra:
        is_complete = name is None or defines(parsed(source), name)
        source = f"{extra}\n\n\n{source}" if is_complete else f"{source}\n\n{extra}\n"
    rule = f"{found[best].rule} with helpers" if extra else found[best].rule
    starts_over = not found[-1].complete and bool(name) and worth(len(found) - 1)[0] >= 3
    return _extract(source, found[best], rule, complete=found[best].complete and not starts_over)


def _helpers(source: str, others: Sequence[str], name: str | None, context: str) -> str:
    """Return the definitions of other blocks that a program needs and the prompt does not give."""
    readings = outdented(source)
    if not readings:
        return ""
    needed = missing_names(readings[0][1])
    defined = {
        one for one in needed if re.search(rf"\b(?:def|class|import)\b[^\n(]*\b{re.escape(one)}\b", context)
    }
    arguments = set(re.findall(r"\w+", " ".join(re.findall(r"def[^:]*\(([^)]*)\)", context))))
    return helpers(needed - defined - arguments - {name}, others, without=name)


def _chosen(text: str, found: Sequence[Block], name: str | None, kind: str) -> Extract:
    """Return the block of another language that is the program."""
    sources = [_plain(text, block) for block in found]

    def worth(number: int) -> tuple[int, bool, bool, int]:
        source, block = sources[number], found[number]
        grade = 0 if not name or name not in source else 2 if says_definition(kind, source, name) else 1
        return grade, block.complete, block.rule == "block", number

    best = max(range(len(found)), key=worth)
    extra = other_helpers(kind, sources[best], sources[:best] + sources[best + 1 :], name)
    source = f"{extra}\n\n{sources[best]}" if extra else sources[best]
    rule = f"{found[best].rule} with helpers" if extra else found[best].rule
    starts_over = not found[-1].complete and worth(len(found) - 1)[0] == 2
    return _extract(source, found[best], rule, complete=found[best].complete and not starts_over)


def _extract(source: str, block: Block, rule: str, *, complete: bool) -> Extract:
    # A truncated block is not explicit, so that the outcome is `truncated`.
    return Extract(source, rule, (block.start, block.end), explicit=complete)


def _may_be_body(source: str) -> bool:
    """Return whether a block is a function's body alone."""
    begins = next((line for line in source.split("\n") if line.strip()), "")
    if is_body(source):
        return True
    return begins[:1].isspace() and any(not has_definition(tree) for _, tree in outdented(source)[:1])


def _plain(text: str, block: Block) -> str:
    """Return a block with Unix line ends, and without the indent of its fence."""
    lines = text[block.start : block.end].replace("\r\n", "\n").replace("\r", "\n").split("\n")
    if block.indent and all(line.startswith(block.indent) or not line.strip() for line in lines):
        lines = [line[len(block.indent) :] if line.strip() else line for line in lines]
    return "\n".join(lines)


def _cleaned(text: str, block: Block, name: str | None) -> str:
    """Return a block as a program: without the common indent of its lines, unless it is only a body."""
    plain = _plain(text, block)
    for source, tree in outdented(plain):
        if not (name and _may_be_body(plain) and not defines(tree, name)):
            return source if source.endswith("\n") or source == plain else f"{source}\n"
    return plain


def _bare(text: str, name: str | None) -> Extract | None:
    """Return the program of a text without fences."""
    if not text.strip():
        return None
    plain = text.replace("\r\n", "\n").lstrip("\ufeff\u200b")
    span = (0, len(text))
    readings = outdented(plain)
    for source, tree in readings:
        if source == plain or (name and defines(tree, name)):
            return Extract(source, "whole text", span)
    lines = plain.split("\n")
    if (readings and name and is_body(plain)) or (name and plain[:1] in " \t"):
        return Extract("\n".join(lines[: _end_of_body(lines)]), "whole text", span)
    starts = [n for n, line in enumerate(lines) if _BEGIN.match(line)]
    for first in starts[:20]:
        last = _longest(lines, first)
        piece = "\n".join(lines[first:last])
        if last > first and (not name or defines(parsed(piece), name)):
            return Extract(piece + "\n", "code lines", None)
    return Extract(plain, "whole text", span)


def _end_of_body(lines: list[str]) -> int:
    """Return the end line (exclusive) of a function's body before prose, or else of the text."""
    if parsed("\n".join(["def _():", *lines])) is None:
        end = _longest(["def _():", *lines], 0) - 1
        if end > 0 and lines[end][:1].strip() and any(line.strip() for line in lines[:end]):
            return end
    return len(lines)


def _longest(lines: list[str], first: int) -> int:
    """Return the end line (exclusive) of the longest program that begins at a line."""
    last = len(lines)
    for _ in range(40):
        try:
            ast.parse("\n".join(lines[first:last]))
        except SyntaxError as error:
            last = min(first + (error.lineno or 1) - 1, last - 1)
            if last <= first:
                return first
        except (ValueError, RecursionError, MemoryError):
            return first
        else:
            return last
    return first
