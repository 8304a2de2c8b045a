"""Attributes that have a new name: the old one works for one more minor version, and warns."""

import warnings
from typing import Any


class Renamed:
    """The old name of an attribute of a public class, as in `look = Renamed("probe_path")`."""

    def __init__(self, new: str) -> None:
        self.new = new

    def __set_name__(self, owner: type, name: str) -> None:
        self.old = f"{owner.__name__}.{name}"

    def __get__(self, instance: object, owner: type) -> Any:
        warnings.warn(f"{self.old} is now {self.new}; 0.4 removes it", DeprecationWarning, stacklevel=2)
        return getattr(owner if instance is None else instance, self.new)
