"""The base of all tables of a configuration file."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict


class Table(BaseModel):
    """A table of a configuration file: frozen; unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class Use(Table):
    """The name of a component and its options, which are validated against its factory's signature."""

    model_config = ConfigDict(frozen=True, extra="allow", defer_build=True)

    use: str

    @property
    def options(self) -> dict[str, Any]:
        """All keys except `use`."""
        return dict(self.model_extra or {})
