"""Read a Python config file without running it: interpret its syntax tree in a subset of Python.

Statements outside of this subset, or beyond the budget, are reported with their lines.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, Protocol, TypeAlias

from aisb_compat_aisbench._expressions import Expressions, Scope
from aisb_compat_aisbench._language import items
from aisb_compat_aisbench._methods import extend
from aisb_compat_aisbench._values import Budget, Opaque, Symbol, TooMuchError, UnreadableError

Problem: TypeAlias = tuple[int, str]
MOST_PROBLEMS = 20
READ_BASE = "read_base"


class Includes(Protocol):
    """Finds the files that `with read_base():` includes."""

    def include(self, module: str, level: int) -> Scope:
        """Return the names that an included file defines; raise UnreadableError if there is none."""


class _NextError(Exception):
    """`continue` in a loop."""


class _StopError(Exception):
    """`break` in a loop."""


def parse(text: str) -> ast.Module:
    """Parse a file; raise UnreadableError if it is not Python or is nested too deeply."""
    try:
        return ast.parse(text)
    except SyntaxError as error:
        raise UnreadableError(f"is not Python: {error.msg}", error.lineno or 0) from error
    except (ValueError, RecursionError, MemoryError) as error:
        raise UnreadableError("is nested too deeply, or holds bytes that are no text") from error


class Evaluator(Expressions):
    """Interprets the statements of a file. `problems` are unreadable statements, with their lines."""

    def __init__(self, includes: Includes, budget: Budget, file: str) -> None:
        super().__init__(budget, file)
        self.includes = includes
        self.problems: list[Problem] = []

    def run(self, tree: ast.Module) -> None:
        """Interpret a file as far as possible."""
        for statement in tree.body:
            level = self.budget.level
            try:
                self._execute(statement)
            except TooMuchError as error:
                self.problems.append((error.line or statement.lineno, error.reason))
                return
            except UnreadableError as error:
                if error.reason:
                    self.problems.append((error.line or statement.lineno, error.reason))
                if len(self.problems) >= MOST_PROBLEMS:
                    return
                self._forget(statement)
            except (_NextError, _StopError):
                self.problems.append((statement.lineno, "a loop's statement outside of a loop"))
            self.budget.level = level
            self._inner.clear()

    def _forget(self, statement: ast.stmt) -> None:
        """Mark the names that a statement would have set, so that their uses are not reported again."""
        for node in ast.walk(statement):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                self.scope[node.id] = Opaque("", statement.lineno)
            elif isinstance(node, ast.alias):
                self.scope.setdefault(node.asname or node.name, Opaque("", statement.lineno))

    def _execute(self, node: ast.stmt) -> None:
        self.budget.spend()
        self.budget.enter()
        handler = self._statements.get(type(node).__name__)
        if handler is None:
            raise UnreadableError(f"`{_first_word(node)}` is not supported in a config file", node.lineno)
        try:
            handler(self, node)
        except UnreadableError as error:
            error.line = error.line or node.lineno
            raise
        self.budget.leave()

    def _block(self, body: Iterable[ast.stmt]) -> None:
        for statement in body:
            self._execute(statement)

    def _import(self, node: ast.Import) -> None:
        for alias in node.names:
            name = alias.asname or alias.name.partition(".")[0]
            self.scope[name] = Symbol(alias.name if alias.asname else name)

    def _import_from(self, node: ast.ImportFrom) -> None:
        module = "." * node.level + (node.module or "")
        for alias in node.names:
            if alias.name == "*":
                raise UnreadableError(f"from {module} import * outside of `with read_base():`")
            self.scope[alias.asname or alias.name] = Symbol(f"{module}.{alias.name}")

    def _with(self, node: ast.With) -> None:
        call = node.items[0].context_expr
        named = isinstance(call, ast.Call) and not call.args and not call.keywords
        value = self._value(call.func) if isinstance(call, ast.Call) and named else None
        if len(node.items) != 1 or not isinstance(value, Symbol) or value.name != READ_BASE:
            raise UnreadableError("`with` is read as `with read_base():` alone")
        for statement in node.body:
            if not isinstance(statement, ast.ImportFrom):
                raise UnreadableError(
                    "only `from … import …` is read in `with read_base():`", statement.lineno
                )
            self._include(statement)

    def _include(self, node: ast.ImportFrom) -> None:
        self.budget.includes -= 1
        if self.budget.includes < 0:
            raise TooMuchError("too many files are included", node.lineno)
        module = "." * node.level + (node.module or "")
        try:
            found = self.includes.include(node.module or "", node.level)
        except UnreadableError as error:
            raise type(error)(error.reason, node.lineno) from error
        for alias in node.names:
            if alias.name == "*":
                self.scope.update({k: v for k, v in found.items() if not k.startswith("_")})
            elif alias.name in found:
                self.scope[alias.asname or alias.name] = self.budget.copied(found[alias.name])
            else:
                names = ", ".join(sorted(found)[:8])
                raise UnreadableError(f"{module} has no {alias.name}; it has {names}", node.lineno)

    def _assign(self, node: ast.Assign) -> None:
        value = self._value(node.value)
        for target in node.targets:
            self._store(target, value)

    def _annotated(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self._store(node.target, self._value(node.value))

    def _augmented(self, node: ast.AugAssign) -> None:
        target = node.target
        if isinstance(target, ast.Name):
            old = self._name(ast.Name(target.id, ast.Load(), lineno=node.lineno))
        elif isinstance(target, ast.Subscript):
            old = self._item(self._value(target.value), target.slice)
        else:
            raise UnreadableError("this assignment")
        value = self._value(node.value)
        if isinstance(old, list) and isinstance(node.op, ast.Add):  # += changes the list itself, as in Python
            extend(self.budget, old, value)
            return
        self._store(target, self._binary(type(node.op).__name__, old, value))

    def _for(self, node: ast.For) -> None:
        for value in items(self.budget, self._value(node.iter)):
            self.budget.spend()
            self._store(node.target, value)
            level = self.budget.level
            try:
                self._block(node.body)
            except _NextError:
                self.budget.level = level
            except _StopError:
                self.budget.level = level
                return
        self._block(node.orelse)

    def _if(self, node: ast.If) -> None:
        self._block(node.body if self._truth(node.test) else node.orelse)

    def _delete(self, node: ast.Delete) -> None:
        for target in node.targets:
            if isinstance(target, ast.Name) and target.id in self.scope:
                del self.scope[target.id]
            elif isinstance(target, ast.Subscript):
                container, key = self._value(target.value), self._value(target.slice)
                self._item_of(container, key)
                del container[key]
            else:
                raise UnreadableError("`del` of something that is not there")

    def _definition(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> None:
        what = "class" if isinstance(node, ast.ClassDef) else "function"
        self.scope[node.name] = Opaque(f"the {what} {node.name}", node.lineno, "code of a file is not run")

    def _expression(self, node: ast.Expr) -> None:
        self._value(node.value)

    def _assert(self, node: ast.Assert) -> None:
        if not self._truth(node.test):
            raise UnreadableError("the assertion is false")

    def _continue(self, _node: ast.stmt) -> None:
        raise _NextError

    def _break(self, _node: ast.stmt) -> None:
        raise _StopError

    def _pass(self, _node: ast.stmt) -> None:
        pass

    _statements: ClassVar[Mapping[str, Callable[[Any, Any], None]]] = {
        "Import": _import,
        "ImportFrom": _import_from,
        "With": _with,
        "Assign": _assign,
        "AnnAssign": _annotated,
        "AugAssign": _augmented,
        "For": _for,
        "If": _if,
        "Delete": _delete,
        "FunctionDef": _definition,
        "AsyncFunctionDef": _definition,
        "ClassDef": _definition,
        "Expr": _expression,
        "Assert": _assert,
        "Continue": _continue,
        "Break": _break,
        "Pass": _pass,
    }


def _first_word(node: ast.stmt) -> str:
    return {"While": "while", "Try": "try", "Return": "return", "Raise": "raise"}.get(
        type(node).__name__, type(node).__name__.lower()
    )
