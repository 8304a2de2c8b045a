"""The values that a config file may contain, and the budget for reading it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeAlias

Scalar: TypeAlias = str | int | float | bool | None
SCALARS = (str, int, float, bool, type(None))


@dataclass(frozen=True, slots=True)
class Symbol:
    """A name that a file imports, such as a class. It is never imported; only its path is known."""

    path: str

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition(".")[2]


@dataclass(frozen=True, slots=True)
class Opaque:
    """A value that is not evaluated, such as a function. `why` is empty if it was already reported."""

    what: str
    line: int
    why: str = ""


class UnreadableError(Exception):
    """A part of a config file that cannot be read. Without a reason, its cause was reported before."""

    def __init__(self, reason: str, line: int = 0) -> None:
        super().__init__(reason)
        self.reason = reason
        self.line = line


class TooMuchError(UnreadableError):
    """The budget is spent, so reading ends."""


@dataclass(slots=True)
class Budget:
    """The limits of reading a file with its includes, far above the needs of real config files."""

    steps: int = 400_000
    depth: int = 80
    size: int = 200_000
    text: int = 1_000_000
    bits: int = 512
    includes: int = 400
    level: int = field(default=0, init=False)

    def spend(self, steps: int = 1) -> None:
        """Count steps; raise UnreadableError beyond the limit."""
        self.steps -= steps
        if self.steps < 0:
            raise TooMuchError("the file takes too many steps to read")

    def enter(self) -> None:
        """Go one level deeper into an expression or statement."""
        self.level += 1
        if self.level > self.depth:
            raise UnreadableError(f"it is nested more than {self.depth} levels deep")

    def leave(self) -> None:
        """Leave a level."""
        self.level -= 1

    def checked(self, value: Any) -> Any:
        """Return the result of an operation; raise UnreadableError if it is too large."""
        if isinstance(value, bool):
            return value
        if isinstance(value, int) and value.bit_length() > self.bits:
            raise UnreadableError(f"a number of more than {self.bits} bits")
        if isinstance(value, str) and len(value) > self.text:
            raise UnreadableError(f"a text of more than {self.text} characters")
        if isinstance(value, (list, tuple, dict)) and len(value) > self.size:
            raise UnreadableError(f"more than {self.size} items")
        return value

    def weigh(self, value: Any) -> None:
        """Charge the size of a value with all nested values; shared parts count each time."""
        self.spend()
        if isinstance(value, str):
            self.spend(len(value) // 64)
        elif isinstance(value, (list, tuple, dict)):
            self.enter()
            for item in value.values() if isinstance(value, dict) else value:
                self.weigh(item)
            self.leave()

    def copied(self, value: Any) -> Any:
        """Return a deep copy in which no parts are shared."""
        self.spend()
        if not isinstance(value, (list, tuple, dict)):
            return value
        self.enter()
        if isinstance(value, dict):
            copy: Any = {key: self.copied(item) for key, item in value.items()}
        else:
            copy = type(value)(self.copied(item) for item in value)
        self.leave()
        return copy


def is_key(value: Any) -> bool:
    """Return whether a value can be a key of a dict."""
    return isinstance(value, SCALARS)
