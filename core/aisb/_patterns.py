"""Regular expressions that are compiled at their first use, since every command imports every plugin."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any


class _Pattern:
    """Behaves like `re.Pattern`. An attribute is cached at its first use, so later uses cost no call here."""

    def __init__(self, pattern: str, flags: int = 0) -> None:
        self._source = (pattern, flags)

    def __getattr__(self, name: str) -> Any:
        value = self.__dict__[name] = getattr(re.compile(*self._source), name)
        return value


def pattern(text: str, flags: int = 0) -> re.Pattern[str]:
    """Return a pattern like that of `re.compile`, but compile it at its first use."""
    if TYPE_CHECKING:
        return re.compile(text, flags)
    return _Pattern(text, flags)
