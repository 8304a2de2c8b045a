"""Transfer values between a program and its tests: plain data by value, everything else by reference.

Received values are rebuilt from plain data, so an object whose `__eq__` accepts everything cannot be sent.
Both ends run this file in a box where aisb is not installed.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Callable
from typing import Any

MAX_MESSAGE_BYTES = 64 << 20
"""The maximum size of a message in bytes; no test compares a larger answer."""

_INT = 1 << 60
_TYPES = (int, float, str, bool, list, dict, tuple, set, bytes, complex)
_BUILTIN_TYPES = {one.__name__: one for one in _TYPES}


class Closed(Exception):  # noqa: N818 - it is an event, not an error
    """The other end has closed."""


class SandboxChannel:
    """Messages over a socket or two pipes: four bytes of length, then JSON."""

    def __init__(self, descriptor: int | list[int]) -> None:
        self._in, self._out = os.read, os.write
        self.reading, self.writing = descriptor if isinstance(descriptor, list) else (descriptor, descriptor)

    def send(self, message: Any) -> None:
        """Send one message completely."""
        data = json.dumps(message).encode()
        if len(data) > MAX_MESSAGE_BYTES:
            raise ValueError(f"a value of {len(data):,} bytes is too large to be compared")
        data = struct.pack("<I", len(data)) + data
        view = memoryview(data)
        try:
            while view:
                view = view[self._out(self.writing, view) :]
        except OSError as error:
            raise Closed from error

    def receive(self) -> Any:
        """Return the next message; raise `Closed` at the end, or for an invalid message."""
        (size,) = struct.unpack("<I", self._exactly(4))
        if size > MAX_MESSAGE_BYTES:
            raise Closed
        try:
            return json.loads(self._exactly(size))
        except (ValueError, RecursionError) as error:
            raise Closed from error

    def _exactly(self, size: int) -> bytes:
        pieces = bytearray()
        while len(pieces) < size:
            try:
                piece = self._in(self.reading, min(size - len(pieces), 1 << 20))
            except OSError as error:
                raise Closed from error
            if not piece:
                raise Closed
            pieces += piece
        return bytes(pieces)


def encode_value(value: Any, refer: Callable[[Any], list[Any]]) -> Any:  # noqa: PLR0911 - a case each
    """Encode a value for JSON; `refer` encodes everything that is not plain data."""

    def many(values: Any) -> list[Any]:
        return [encode_value(one, refer) for one in values]

    if value is None or value is True or value is False:
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        plain = int.__int__(value)
        return plain if -_INT < plain < _INT else ["int", hex(plain)]
    if isinstance(value, float):
        return float.__float__(value)
    if isinstance(value, str):
        return str.__str__(value)
    for kind in (list, tuple, set, frozenset):
        if isinstance(value, kind):
            iterate: Any = kind.__iter__
            return [kind.__name__, many(iterate(value))]
    if isinstance(value, dict):
        return [
            "dict",
            [[encode_value(key, refer), encode_value(one, refer)] for key, one in dict.items(value)],
        ]
    if isinstance(value, bytes | bytearray):
        return ["bytes", bytes(value).hex()]
    if isinstance(value, complex):
        return ["complex", [value.real, value.imag]]
    if isinstance(value, range):
        return ["range", [value.start, value.stop, value.step]]
    return _library(value, refer)


def _library(value: Any, refer: Callable[[Any], list[Any]]) -> Any:
    """Encode the types of the standard library that answers use, and refer to anything else."""
    kind = type(value)
    if isinstance(value, type) and value in _TYPES:
        return ["type", value.__name__]
    place = f"{kind.__module__}.{kind.__qualname__}"
    if kind.__module__ == "numpy" and getattr(value, "shape", None) == ():
        return encode_value(value.item(), refer)  # a numpy number equals the plain one
    if place in ("decimal.Decimal", "fractions.Fraction"):
        return [place, str(value)]
    if place == "collections.deque":
        return [place, [encode_value(one, refer) for one in value]]
    if place in ("datetime.datetime", "datetime.date", "datetime.time"):
        return [place, value.isoformat()]
    return refer(value)


def unpack(value: Any, resolve: Callable[[list[Any]], Any]) -> Any:  # noqa: PLR0911 - a case each
    """Decode a value; `resolve` looks up references."""
    if not isinstance(value, list):
        return value
    kind, inner = value[0], value[1]
    if kind in ("list", "tuple", "set", "frozenset", "collections.deque"):
        items = [unpack(one, resolve) for one in inner]
        if kind == "collections.deque":
            from collections import deque

            return deque(items)
        return {"list": list, "tuple": tuple, "set": set, "frozenset": frozenset}[kind](items)
    if kind == "dict":
        return {unpack(key, resolve): unpack(one, resolve) for key, one in inner}
    plain: dict[str, Callable[[Any], Any]] = {
        "int": lambda text: int(text, 16),
        "bytes": bytes.fromhex,
        "complex": lambda parts: complex(*parts),
        "range": lambda parts: range(*parts),
        "type": lambda name: _BUILTIN_TYPES[name],
    }
    if kind in plain:
        return plain[kind](inner)
    if kind in ("decimal.Decimal", "fractions.Fraction"):
        import decimal
        import fractions

        return (decimal.Decimal if kind == "decimal.Decimal" else fractions.Fraction)(inner)
    if kind in ("datetime.datetime", "datetime.date", "datetime.time"):
        import datetime as dt

        return getattr(dt, kind.split(".")[1]).fromisoformat(inner)
    return resolve(value)


def describe_exception(error: BaseException) -> list[str | int]:
    """Return the name of an exception's nearest built-in class, its message, and its line in the program."""
    import builtins

    names = (one.__name__ for one in type(error).__mro__)
    known = next((name for name in names if hasattr(builtins, name)), "Exception")
    try:
        words = str(error)
    except Exception:  # noqa: BLE001 - the program's own class can do anything
        words = ""
    name = type(error).__name__
    words = words[:500] if name == known else f"{name}: {words[:500]}"
    line = _line_of(error)
    return [known, words, *([line] if line else [])]


def _line_of(error: BaseException) -> int | None:
    """Return the line of the program that raised an exception."""
    if isinstance(error, SyntaxError) and error.filename == "<program>":
        return None  # the message already has it
    line, trace = None, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == "<program>":
            line = trace.tb_lineno
        trace = trace.tb_next
    return line
