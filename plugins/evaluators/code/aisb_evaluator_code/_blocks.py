"""Find the program in an answer: the last whole block that defines what was asked for, or that parses."""

from __future__ import annotations

import ast
import re
import warnings
from typing import Annotated

from aisb import Extract, Postprocessor, Sample

PYTHON = frozenset({"", "py", "python", "python3", "py3", "pycon", "ipython"})
OTHERS = {"cpp": {"c++", "cpp", "cc", "cxx", "c"}, "java": {"java"}, "go": {"go", "golang"}}
OTHERS |= {"js": {"js", "javascript", "node", "jsx", "mjs"}, "rust": {"rust", "rs"}}
_FENCE = re.compile(
    r"^(?P<indent>[ \t]*(?:>[ \t]?)*)(?P<marks>`{3,}|~{3,})[ \t]*(?P<info>[^\n`]*?)[ \t]*\r?$"
)
_BEGIN = re.compile(r"(?:def|class|import|from|async def|@\w|if __name__)\b|@\w")


def code(
    *,
    entry_point: Annotated[str, "the field that names the function asked for"] = "entry_point",
    language: Annotated[str, "the language, or the field that names it"] = "python",
    markers: Annotated[bool, "the program may also stand between [BEGIN] and [DONE]"] = True,
) -> Postprocessor:
    """Find the program: the last complete block that defines the function asked for, or else that parses.

    A block may be fenced with backquotes or tildes, with or without a language, with Windows line ends, and
    without an end where the reply was cut off. Without a fence, the whole text is taken if it is a program,
    or else its longest part that is one.
    """

    def step(text: str, sample: Sample) -> Extract | None:
        asked = sample.fields.get(entry_point)
        name = asked if isinstance(asked, str) and asked else None
        kind = str(sample.fields.get(language, language))
        found = fenced(text, kind) or (fenced(text, "") if kind != "python" else [])
        if markers and (marked := between_markers(text)):
            inner = fenced(text[marked[0] : marked[1]], kind)
            if not inner:
                found.append((marked[0], marked[1], True, "marked"))
        if not found:
            return _bare(text, name) if kind == "python" else Extract(text, "whole text", (0, len(text)))
        return _chosen(text, found, name, kind)

    return step


Block = tuple[int, int, bool, str]
"""Start, end, whether it is complete, and the rule by which it was found."""


def fenced(text: str, kind: str = "python") -> list[Block]:
    """Return the fenced blocks of a text that may hold a program in this language (or in any), in order."""
    wanted = PYTHON if kind == "python" else {"", *OTHERS.get(kind, {kind})} if kind else None
    found: list[Block] = []
    opened: tuple[int, str, str] | None = None
    at = 0
    for line in text.splitlines(keepends=True):
        fence = _FENCE.match(line.rstrip("\n"))
        after = at + len(line)
        if fence and opened is None:
            words = fence["info"].strip("{}. ").lower().split()
            opened = (after, fence["marks"], words[0].strip("{}.:,") if words else "")
        elif fence and opened and not fence["info"] and fence["marks"].startswith(opened[1]):
            if wanted is None or opened[2] in wanted:
                found.append((opened[0], at, True, "block"))
            opened = None
        at = after
    if opened and (wanted is None or opened[2] in wanted) and text[opened[0] :].strip():
        found.append((opened[0], len(text), False, "unclosed block"))
    return found


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
        start = text.index(piece, start) + 1  # the examples of the prompt have quotes around their programs
        end = start + len(piece) - 2
    return start, end


def parsed(text: str) -> ast.Module | None:
    """Return the syntax tree of a program; None when the text is none."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def defines(tree: ast.Module | None, name: str) -> bool:
    """Say whether a program defines a name at its top."""
    for one in tree.body if tree else ():
        if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and one.name == name:
            return True
        if isinstance(one, ast.Assign) and any(isinstance(t, ast.Name) and t.id == name for t in one.targets):
            return True
    return False


def _chosen(text: str, found: list[Block], name: str | None, kind: str) -> Extract:
    """Return the block that is the program; the later of two that are equally good."""

    def worth(block: Block) -> tuple[int, bool, bool]:
        piece = _clean(text[block[0] : block[1]])
        if kind != "python":
            return (int(bool(name and name in piece)), block[2], block[3] == "block")
        tree = parsed(piece)
        good = tree is not None and bool(tree.body)
        if name and defines(tree, name):
            grade = 4
        elif name and re.search(rf"\b(?:def|class)\s+{re.escape(name)}\b", piece):
            grade = 3
        elif good and _has_definition(tree):
            grade = 2
        else:
            grade = 1 if good else 0
        return (grade, block[2], True)

    best = max(enumerate(found), key=lambda one: (worth(one[1]), one[0]))[1]
    start, end, _, rule = best
    raw = text[start:end]
    clean = _clean(raw)
    return Extract(clean, rule, (start, end), explicit=True)


def _has_definition(tree: ast.Module | None) -> bool:
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return tree is not None and any(isinstance(one, kinds) for one in tree.body)


def _clean(text: str) -> str:
    """Return a block with plain line ends, and without the indent that all its lines have."""
    import textwrap

    plain = text.replace("\r\n", "\n").replace("\r", "\n")
    if parsed(plain) is not None:
        return plain
    loose = textwrap.dedent(plain.strip("\n"))
    return loose + "\n" if parsed(loose) is not None else plain


def _bare(text: str, name: str | None) -> Extract | None:
    """Return the program of a text without fences."""
    if not text.strip():
        return None
    plain = text.replace("\r\n", "\n")
    if parsed(plain) is not None or (name and text[:1] in " \t"):
        return Extract(plain, "whole text", (0, len(text)))
    lines = plain.split("\n")
    starts = [n for n, line in enumerate(lines) if _BEGIN.match(line)]
    for first in starts[:20]:
        last = _longest(lines, first)
        piece = "\n".join(lines[first:last])
        if last > first and (not name or defines(parsed(piece), name)):
            return Extract(piece + "\n", "code lines", None)
    return Extract(plain, "whole text", (0, len(text)))


def _longest(lines: list[str], first: int) -> int:
    """Return the line before which the longest program that begins at a line ends."""
    last = len(lines)
    for _ in range(40):
        piece = "\n".join(lines[first:last])
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                ast.parse(piece)
        except SyntaxError as error:
            at = first + (error.lineno or 1) - 1
            last = min(at, last - 1)
            if last <= first:
                return first
        except (ValueError, RecursionError, MemoryError):
            return first
        else:
            return last
    return first
