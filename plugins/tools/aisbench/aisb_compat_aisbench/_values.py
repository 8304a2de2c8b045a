"""What reading a config file may yield and may cost: values, names of code, and a budget."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeAlias

Scalar: TypeAlias = str | int | float | bool | None
SCALARS = (str, int, float, bool, type(None))


@dataclass(frozen=True, slots=True)
class Symbol:
    """A name that a file imports, such as a class. It is never imported; its path is all that is known."""

    path: str

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition(".")[2]


@dataclass(frozen=True, slots=True)
class Opaque:
    """A value that is not worked out, such as a function of the file. `why` is empty if it was said."""

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
    """Reading a file costs more than it may, so that nothing more of it is read."""


@dataclass(slots=True)
class Budget:
    """What reading a file with its includes may cost; each limit is far above what config files need."""

    steps: int = 400_000
    depth: int = 80
    size: int = 200_000
    text: int = 1_000_000
    bits: int = 512
    includes: int = 400
    level: int = field(default=0, init=False)

    def spend(self, steps: int = 1) -> None:
        """Count work; raise UnreadableError when there was too much of it."""
        self.steps -= steps
        if self.steps < 0:
            raise TooMuchError("the file takes too many steps to read")

    def enter(self) -> None:
        """Go one level deeper into an expression or statement."""
        self.level += 1
        if self.level > self.depth:
            raise UnreadableError(f"it is nested more than {self.depth} levels deep")

    def leave(self) -> None:
        """Come back from a level."""
        self.level -= 1

    def checked(self, value: Any) -> Any:
        """Return a value that an operation made, unless it is too large."""
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
        """Spend the size of a value, with all that is in it: shared parts count each time."""
        self.spend()
        if isinstance(value, str):
            self.spend(len(value) // 64)
        elif isinstance(value, (list, tuple, dict)):
            self.enter()
            for item in value.values() if isinstance(value, dict) else value:
                self.weigh(item)
            self.leave()

    def copied(self, value: Any) -> Any:
        """Return a deep copy; parts that were shared are not shared in it."""
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
    """Return whether a value may be a key of a table."""
    return isinstance(value, SCALARS)
