"""Evaluate the expressions of a config file in a subset of Python.

Nothing is imported, no function of the file is called, and no attribute of a value is read.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, ClassVar, TypeAlias

from aisb_compat_aisbench._language import BINARY, FUNCTIONS, compare_values, format_value, items
from aisb_compat_aisbench._methods import method
from aisb_compat_aisbench._values import Budget, Opaque, Symbol, UnreadableError, is_key

Scope: TypeAlias = dict[str, Any]
WRONG = (TypeError, ValueError, LookupError, ArithmeticError, AttributeError, RuntimeError, MemoryError)

GENERIC = ("dict", "list", "tuple")
"""Types that take others in brackets."""


class Expressions:
    """Evaluates expressions. `scope` has the names of `file`; comprehensions have their own."""

    def __init__(self, budget: Budget, file: str) -> None:
        self.budget = budget
        self.file = file
        self.scope: Scope = {}
        self._inner: list[Scope] = []

    def _store(self, target: ast.expr, value: Any) -> None:
        if isinstance(target, ast.Name):
            (self._inner[-1] if self._inner else self.scope)[_plain_name(target.id)] = value
        elif isinstance(target, (ast.Tuple, ast.List)):
            self._unpack(target.elts, items(self.budget, value))
        elif isinstance(target, ast.Subscript):
            self._store_item(self._value(target.value), target.slice, value)
        else:
            raise UnreadableError("an attribute is not set", target.lineno)

    def _unpack(self, targets: list[ast.expr], values: Iterable[Any]) -> None:
        found = list(values)
        if len(targets) != len(found):
            raise UnreadableError(f"{len(found)} values for {len(targets)} names")
        for target, value in zip(targets, found, strict=True):
            self._store(target, value)

    def _store_item(self, container: Any, place: ast.expr, value: Any) -> None:
        key = self._value(place)
        if isinstance(container, dict) and is_key(key):
            container[key] = value
            self.budget.checked(container)
        elif isinstance(container, list) and isinstance(key, int) and -len(container) <= key < len(container):
            container[key] = value
        else:
            raise UnreadableError("an item is set that is not there")

    def _value(self, node: ast.expr) -> Any:
        self.budget.spend()
        self.budget.enter()
        handler = self._handlers.get(type(node).__name__)
        try:
            value = self.budget.checked((handler or Expressions._unknown)(self, node))
        except UnreadableError as error:
            error.line = error.line or node.lineno
            raise
        except WRONG as error:
            raise UnreadableError("this value or call does not fit", node.lineno) from error
        self.budget.leave()
        return value

    def _unknown(self, node: ast.expr) -> Any:
        raise UnreadableError(f"`{_short(node)}` is not supported in a config file")

    def _truth(self, node: ast.expr) -> bool:
        value = self._value(node)
        if isinstance(value, Opaque):
            raise UnreadableError(f"{value.what} as a condition")
        return bool(value)

    def _constant(self, node: ast.Constant) -> Any:
        if isinstance(node.value, (bytes, complex)) or node.value is ...:
            raise UnreadableError(f"the value {node.value!r}")
        return node.value

    def _name(self, node: ast.Name) -> Any:
        if node.id in ("__name__", "__file__"):
            return "config" if node.id == "__name__" else self.file
        name = _plain_name(node.id)
        for scope in (*reversed(self._inner), self.scope):
            if name in scope:
                value = scope[name]
                if isinstance(value, Opaque) and not value.why:
                    raise UnreadableError("")
                return value
        if name in FUNCTIONS or name in ("locals", "globals"):
            return Symbol(name)
        raise UnreadableError(f"there is no name {name}")

    def _attribute(self, node: ast.Attribute) -> Any:
        value = self._value(node.value)
        if isinstance(value, Symbol) and not node.attr.startswith("_"):
            return Symbol(f"{value.path}.{node.attr}")
        raise UnreadableError(f"the attribute .{node.attr} is not supported")

    def _call(self, node: ast.Call) -> Any:
        if any(keyword.arg is None for keyword in node.keywords):
            extra = [self._value(keyword.value) for keyword in node.keywords if keyword.arg is None]
        else:
            extra = []
        function = self._callee(node)
        values: list[Any] = []
        for argument in node.args:
            if isinstance(argument, ast.Starred):
                values += items(self.budget, self._value(argument.value))
            else:
                values.append(self._value(argument))
        named = {keyword.arg: self._value(keyword.value) for keyword in node.keywords if keyword.arg}
        for table in extra:
            if not isinstance(table, dict) or not all(isinstance(key, str) for key in table):
                raise UnreadableError("** of something other than a dict with names")
            self.budget.spend(len(table) // 16)
            named |= table
        return function(*values, **named)

    def _callee(self, node: ast.Call) -> Callable[..., Any]:
        if isinstance(node.func, ast.Attribute):
            target = self._value(node.func.value)
            if not isinstance(target, Symbol):
                found = method(target, node.func.attr)
                if found is None:
                    raise UnreadableError(f"the method .{node.func.attr}() is not called")
                return lambda *values, **named: found(self.budget, target, *values, **named)
        called = self._value(node.func)
        return self._function(called)

    def _function(self, called: Any) -> Callable[..., Any]:
        if isinstance(called, Opaque):
            raise UnreadableError(f"{called.what} (line {called.line}) is not called: {called.why}")
        if not isinstance(called, Symbol):
            raise UnreadableError("a value is called")
        if called.path in ("locals", "globals"):
            return lambda: self.scope
        if called.path not in FUNCTIONS:
            raise UnreadableError(f"{called.path}() is not called: a config file is read, not run")
        function = FUNCTIONS[called.path]
        return lambda *values, **named: function(self.budget, *values, **named)

    def _list(self, node: ast.List | ast.Tuple) -> Any:
        values: list[Any] = []
        for element in node.elts:
            if isinstance(element, ast.Starred):
                values += items(self.budget, self._value(element.value))
                self.budget.checked(values)
            else:
                values.append(self._value(element))
        return values if isinstance(node, ast.List) else tuple(values)

    def _dict(self, node: ast.Dict) -> dict[Any, Any]:
        table: dict[Any, Any] = {}
        for key, value in zip(node.keys, node.values, strict=True):
            if key is None:
                more = self._value(value)
                if not isinstance(more, dict):
                    raise UnreadableError("** of something other than a dict")
                self.budget.spend(len(more) // 16)
                table |= more
                self.budget.checked(table)
            else:
                table[self._key(key)] = self._value(value)
        return table

    def _key(self, node: ast.expr) -> Any:
        key = self._value(node)
        if not is_key(key):
            raise UnreadableError("a key that is neither a text nor a number", node.lineno)
        return key

    def _binary_node(self, node: ast.BinOp) -> Any:
        return self._binary(type(node.op).__name__, self._value(node.left), self._value(node.right))

    def _binary(self, name: str, left: Any, right: Any) -> Any:
        if name not in BINARY:
            raise UnreadableError("this operator is not supported in a config file")
        return self.budget.checked(BINARY[name](left, right, self.budget))

    def _unary(self, node: ast.UnaryOp) -> Any:
        if isinstance(node.op, ast.Not):
            return not self._truth(node.operand)
        value = self._value(node.operand)
        if not isinstance(value, (int, float)) or isinstance(node.op, ast.Invert):
            raise UnreadableError("this operator is not supported in a config file")
        return -value if isinstance(node.op, ast.USub) else +value

    def _logic(self, node: ast.BoolOp) -> Any:
        value: Any = None
        for operand in node.values:
            value = self._value(operand)
            if bool(value) is isinstance(node.op, ast.Or):
                return value
        return value

    def _compare(self, node: ast.Compare) -> bool:
        left = self._value(node.left)
        for operation, right_node in zip(node.ops, node.comparators, strict=True):
            right = self._value(right_node)
            if not compare_values(type(operation).__name__, left, right, self.budget):
                return False
            left = right
        return True

    def _choice(self, node: ast.IfExp) -> Any:
        return self._value(node.body if self._truth(node.test) else node.orelse)

    def _subscript(self, node: ast.Subscript) -> Any:
        return self._item(self._value(node.value), node.slice)

    def _item(self, container: Any, place: ast.expr) -> Any:
        if isinstance(place, ast.Slice):
            if not isinstance(container, (list, tuple, str)):
                raise UnreadableError("a slice of something other than a list or text")
            bounds = [self._value(part) if part else None for part in (place.lower, place.upper, place.step)]
            self.budget.spend(len(container) // 16)
            return container[slice(*bounds)]
        return self._item_of(container, self._value(place))

    def _item_of(self, container: Any, key: Any) -> Any:
        if isinstance(container, dict) and is_key(key):
            if key not in container:
                raise UnreadableError(f"there is no key {key!r}")
            return container[key]
        if isinstance(container, (list, tuple, str)) and isinstance(key, int):
            if not -len(container) <= key < len(container):
                raise UnreadableError(f"there is no item {key}")
            return container[key]
        if isinstance(container, Symbol) and container.path in GENERIC:
            return container  # a type such as list[str]
        raise UnreadableError("this subscript is not supported in a config file")

    def _f_string(self, node: ast.JoinedStr) -> str:
        parts = []
        for part in node.values:
            if isinstance(part, ast.FormattedValue):
                if part.conversion not in (-1, 115):
                    raise UnreadableError("!r and !a are not supported in a config file")
                spec = self._f_string(part.format_spec) if isinstance(part.format_spec, ast.JoinedStr) else ""
                parts.append(format_value(self._value(part.value), spec))
            else:
                parts.append(str(self._value(part)))
            self.budget.spend(len(parts[-1]) // 64)
        return "".join(parts)

    def _comprehension(self, node: ast.ListComp | ast.GeneratorExp) -> list[Any]:
        found = []
        for _ in self._rounds(node.generators):
            found.append(self._value(node.elt))
            self.budget.checked(found)
        return found

    def _dict_comprehension(self, node: ast.DictComp) -> dict[Any, Any]:
        found: dict[Any, Any] = {}
        for _ in self._rounds(node.generators):
            key = self._key(node.key)
            found[key] = self._value(node.value)
            self.budget.checked(found)
        return found

    def _rounds(self, generators: list[ast.comprehension]) -> Iterator[None]:
        """Iterate over a comprehension, with its names in a separate scope."""
        self._inner.append({})
        yield from self._nested(generators)
        self._inner.pop()

    def _nested(self, generators: list[ast.comprehension]) -> Iterator[None]:
        if not generators:
            yield
            return
        first, *others = generators
        if first.is_async:
            raise UnreadableError("`async` is not supported in a config file")
        for value in items(self.budget, self._value(first.iter)):
            self.budget.spend()
            self._store(first.target, value)
            if all(self._truth(test) for test in first.ifs):
                yield from self._nested(others)

    def _lambda(self, node: ast.Lambda) -> Opaque:
        return Opaque("a lambda", node.lineno, "code of a file is not run")

    _handlers: ClassVar[Mapping[str, Callable[[Any, Any], Any]]] = {
        "Constant": _constant,
        "Name": _name,
        "Attribute": _attribute,
        "Call": _call,
        "List": _list,
        "Tuple": _list,
        "Dict": _dict,
        "BinOp": _binary_node,
        "UnaryOp": _unary,
        "BoolOp": _logic,
        "Compare": _compare,
        "IfExp": _choice,
        "Subscript": _subscript,
        "JoinedStr": _f_string,
        "ListComp": _comprehension,
        "GeneratorExp": _comprehension,
        "DictComp": _dict_comprehension,
        "Lambda": _lambda,
    }


def _plain_name(name: str) -> str:
    if name.startswith("__"):
        raise UnreadableError(f"the name {name} is not supported in a config file")
    return name


def _short(node: ast.expr) -> str:
    text = type(node).__name__
    return {"Await": "await", "Yield": "yield", "Set": "a set", "NamedExpr": ":="}.get(text, text)
