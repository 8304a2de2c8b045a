"""A model whose answers were imported from another tool: they can be scored, but nothing can be sent."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal, NoReturn

from aisb._backend import Backend
from aisb._errors import UsageError
from aisb._types import Chunk, Request, Row, ServiceInfo


@dataclass(kw_only=True, eq=False)
class Imported(Backend):
    """Answers imported from another tool; nothing can be sent."""

    params: ClassVar[frozenset[str] | Literal["any"]] = frozenset()

    source: Annotated[str, "origin of the answers"] = ""

    async def probe(self) -> ServiceInfo:
        """Refuse to run."""
        self._refuse()

    async def generate(self, request: Request) -> AsyncIterator[Chunk]:
        """Refuse to run."""
        del request
        self._refuse()
        yield Chunk("content")

    def _refuse(self) -> NoReturn:
        raise imported_error(self.source)


def imported(path: Annotated[str, "origin of the answers"]) -> Iterable[Row]:
    """Rows that were imported with their answers; the run keeps them, and they cannot be read again."""
    raise imported_error(path)


def imported_error(source: str) -> UsageError:
    """Return the error for sending requests to imported answers."""
    return UsageError(
        f"these answers were imported from {source or 'another tool'}: nothing can be sent\n"
        "  aisb score RUN scores them again; to send requests, start a new run with --models"
    )
