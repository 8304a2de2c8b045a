"""Analyze Python source without running it: definitions, missing names, bare function bodies."""

from __future__ import annotations

import ast
import builtins
import re
import textwrap
import warnings
from collections.abc import Iterator, Sequence

_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_SCOPES = (*_DEFINITIONS, ast.Lambda)
_PROVIDERS = (*_DEFINITIONS, ast.Import, ast.ImportFrom, ast.Assign, ast.AnnAssign)


def parsed(text: str) -> ast.Module | None:
    """Return the syntax tree of a program; None if the text does not parse."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def defines(tree: ast.Module | None, name: str) -> bool:
    """Return whether a program defines a name at its top."""
    return any(name in _bound_by(one) for one in (tree.body if tree else ()) if not _is_import(one))


def has_definition(tree: ast.Module | None) -> bool:
    """Return whether a program defines a function or a class."""
    return tree is not None and any(isinstance(one, _DEFINITIONS) for one in tree.body)


def is_body(text: str) -> bool:
    """Return whether a text can only stand inside a function: it returns or yields outside of any."""
    return any(
        isinstance(node, ast.Return | ast.Yield | ast.YieldFrom)
        for candidate in outdented(text)[:1]
        for node in _own_nodes(candidate[1])
    )


def outdented(text: str) -> list[tuple[str, ast.Module]]:
    """Return the variants of a text that parse, with their trees, the most literal one first.

    The variants are the unchanged text, the text without the common indent, and the text with the first
    line's lost indent restored.
    """
    lines = text.strip("\n").split("\n")
    first, rest = lines[0].strip(), "\n".join(lines[1:])
    indent = _indent(rest)
    readings = [text, textwrap.dedent(text.strip("\n"))]
    if indent and not lines[0][:1].isspace():
        readings += [textwrap.dedent(f"{missing}{first}\n{rest}") for missing in (indent, indent[4:])]
    trees = ((reading, parsed(reading)) for reading in dict.fromkeys(readings))
    return [(reading, tree) for reading, tree in trees if tree is not None and tree.body]


def completed(prompt: str, answer: str, entry: str | None) -> str:
    """Return the complete program: the answer after the prompt, which it continues or repeats.

    An answer that continues the prompt's last function gets that function's indent if its own does not fit,
    or if its first line has lost it.
    """
    if not entry or defines(parsed(answer), entry):
        # The prompt's imports and helpers are kept in either case.
        return _joined(prompt, answer) if prompt and parsed(prompt) is not None else answer
    if not prompt:
        return answer
    literal = prompt + answer
    if _goes_on(literal, prompt, entry):
        return literal
    indent = _indent_of_last_function(prompt)
    start = prompt if prompt.endswith("\n") else f"{prompt}\n"
    for candidate in _bodies(answer, indent):
        if _goes_on(start + candidate, prompt, entry):
            return start + candidate
    return literal


def _joined(prompt: str, answer: str) -> str:
    """Return an answer after its prompt, below its imports from `__future__`, which must be first."""
    future = re.findall(r"^from __future__ import \w+(?:, *\w+)*(?=[ \t]*(?:#.*)?$)", answer, re.MULTILINE)
    if not future:
        return f"{prompt}\n{answer}"
    for line in future:  # a comment takes its place, so that line numbers in the answer stay the same
        answer = answer.replace(line, f"# {line}", 1)
    return "\n".join([*dict.fromkeys(future), prompt, answer])


def missing_names(tree: ast.Module) -> set[str]:
    """Return the names that a program reads but never binds, except builtins."""
    bound: set[str] = set(dir(builtins)) | {"__name__", "__file__"}
    read: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            (read if isinstance(node.ctx, ast.Load) else bound).add(node.id)
        elif isinstance(node, ast.arg):
            bound.add(node.arg)
        elif isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar):
            bound.add(node.name or "")
        elif isinstance(node, ast.stmt):
            bound |= _bound_by(node)
    return read - bound


def helpers(names: set[str], texts: Sequence[str], *, without: str | None) -> str:
    """Return the statements of other blocks that define these names, and their own dependencies.

    The later of two definitions of a name counts. A definition of the requested function is not a helper; nor
    is a statement that only calls something.
    """
    trees = [(text, tree) for text in texts if (tree := parsed(text)) is not None]
    chosen: dict[tuple[int, int], str] = {}
    needed, known = set(names), set[str]()
    while needed:
        name = needed.pop()
        known.add(name)
        found = _definition(name, trees, without)
        if found is None:
            continue
        place, source, node = found
        if place not in chosen:
            chosen[place] = source
            needed |= missing_names(ast.Module([node], [])) - known
    return "\n\n".join(chosen[place] for place in sorted(chosen))


def _definition(
    name: str, trees: Sequence[tuple[str, ast.Module]], without: str | None
) -> tuple[tuple[int, int], str, ast.stmt] | None:
    for number in range(len(trees) - 1, -1, -1):
        text, tree = trees[number]
        for node in reversed(tree.body):
            bound = _bound_by(node)
            if isinstance(node, _PROVIDERS) and name in bound and without not in bound:
                decorators = getattr(node, "decorator_list", [])
                first = min([node.lineno, *(one.lineno for one in decorators)])
                lines = text.split("\n")[first - 1 : node.end_lineno]
                return (number, first), "\n".join(lines), node
    return None


def _bound_by(node: ast.stmt) -> set[str]:
    """Return the names that one statement binds in its own scope."""
    if isinstance(node, _DEFINITIONS):
        return {node.name}
    if isinstance(node, ast.Import | ast.ImportFrom):
        return {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
    if isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        return {one.id for target in targets for one in ast.walk(target) if isinstance(one, ast.Name)}
    return set()


def _is_import(node: ast.stmt) -> bool:
    return isinstance(node, ast.Import | ast.ImportFrom)


def _own_nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """Walk a tree without entering functions and classes."""
    for node in ast.iter_child_nodes(tree):
        yield node
        if not isinstance(node, _SCOPES):
            yield from _own_nodes(node)


def _goes_on(program: str, prompt: str, entry: str) -> bool:
    """Return whether the requested function has statements in a program after its prompt's last line."""
    tree = parsed(program)
    last = len(prompt.rstrip().split("\n"))
    return any(
        isinstance(one, _DEFINITIONS) and one.name == entry and one.body[-1].lineno > last
        for one in (tree.body if tree else ())
    )


def _bodies(answer: str, indent: str) -> Iterator[str]:
    """Yield the variants of a text as a function body at an indent."""
    plain = answer.expandtabs(4) if "\t" in indent + answer else answer
    for reading, _ in outdented(plain):
        yield textwrap.indent(textwrap.dedent(reading), indent) + "\n"
    lines = plain.strip("\n").split("\n")
    if len(lines) > 1 and not lines[0][:1].isspace():  # only the first line has lost its indent
        yield "\n".join([indent + lines[0], *lines[1:]]) + "\n"


def _indent(text: str) -> str:
    """Return the smallest indent of a text's lines."""
    found = [line[: len(line) - len(line.lstrip())] for line in text.split("\n") if line.strip()]
    return min(found, key=len, default="")


def _indent_of_last_function(prompt: str) -> str:
    """Return the indent of the body of a prompt's last function."""
    lines = prompt.rstrip().split("\n")
    for line in reversed(lines):
        if head := re.match(r"[ \t]*(?=(?:async\s+)?def\b)", line):
            at = lines.index(line)
            inner = _indent("\n".join(one for one in lines[at + 1 :] if one.startswith((" ", "\t"))))
            return inner if len(inner) > len(head[0]) else f"{head[0]}    "
    return "    "
