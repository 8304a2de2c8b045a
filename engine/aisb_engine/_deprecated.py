"""Arguments that have a new name: the old one works for one more minor version, and warns."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

C = TypeVar("C", bound=type)


def renamed_argument(old: str, new: str) -> Callable[[C], C]:
    """Let the constructor of a class take an argument by its old name too, also in `dataclasses.replace`."""

    def accept(cls: C) -> C:
        create: Callable[..., None] = cls.__init__  # type: ignore[misc]  # it is this class, not a subclass

        @wraps(create)
        def init(self: Any, *args: Any, **options: Any) -> None:
            if old in options:
                warnings.warn(
                    f"the argument {old} of {cls.__name__} is now {new}; 0.4 removes it",
                    DeprecationWarning,
                    stacklevel=2,
                )
                options[new] = options.pop(old)
            create(self, *args, **options)

        cls.__init__ = init  # type: ignore[misc]
        return cls

    return accept
