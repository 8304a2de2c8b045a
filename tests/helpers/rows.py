"""Check many rows in one test, and report every row that fails."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from types import TracebackType
from typing import Self


class Rows:
    """Collects the failures of rows: `with Rows() as rows`, and in it `with rows.check(row)` for each."""

    def __enter__(self) -> Self:
        self._count = 0
        self._failures: list[str] = []
        return self

    @contextlib.contextmanager
    def check(self, row: object) -> Iterator[None]:
        """Run the checks of one row; a failure does not keep the other rows from being checked."""
        self._count += 1
        try:
            yield
        except Exception as error:  # noqa: BLE001 - whatever a row raises is its failure
            self._failures.append(f"{row!r}: {type(error).__name__}: {error}")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            assert self._count, "there are no rows"
            assert not self._failures, f"{len(self._failures)} of {self._count} rows fail:\n" + "\n".join(
                self._failures
            )
