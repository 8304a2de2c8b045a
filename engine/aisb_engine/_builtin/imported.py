"""A model whose answers another tool asked for: they can be scored, and nothing more can be asked."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from typing import Annotated, NoReturn

from aisb._backend import Backend
from aisb._errors import UsageError
from aisb._types import Chunk, Request, Row, ServiceInfo


@dataclass(kw_only=True, eq=False)
class Imported(Backend):
    """Answers that were imported from another tool; nothing can be asked."""

    source: Annotated[str, "where the answers come from"] = ""

    async def probe(self) -> ServiceInfo:
        """Refuse to be asked."""
        self._refuse()

    async def generate(self, request: Request) -> AsyncIterator[Chunk]:
        """Refuse to be asked."""
        del request
        self._refuse()
        yield Chunk("content")

    def _refuse(self) -> NoReturn:
        raise imported_error(self.source)


def imported(path: Annotated[str, "where the answers come from"]) -> Iterable[Row]:
    """Rows that were imported with their answers; they are kept in the run and cannot be read again."""
    raise imported_error(path)


def imported_error(source: str) -> UsageError:
    """Return the error for asking once more what was imported."""
    return UsageError(
        f"these answers were imported from {source or 'another tool'}: nothing can be asked again\n"
        "  aisb score scores them again; to ask a service, start a run of its own with --models"
    )
