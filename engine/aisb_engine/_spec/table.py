"""What all tables of a configuration have in common."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict


class Table(BaseModel):
    """A table of a configuration file: frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class Use(Table):
    """A component by name with its options, which are checked against its factory's signature."""

    model_config = ConfigDict(frozen=True, extra="allow", defer_build=True)

    use: str

    @property
    def options(self) -> dict[str, Any]:
        """Everything beside the name."""
        return dict(self.model_extra or {})
