"""Read and validate traces line by line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from math import inf
from typing import TYPE_CHECKING, Any, NamedTuple

from aisb import DataFiles, Row, UsageError
from aisb.helpers import read_csv, read_jsonl
from aisb_dataset_traces._fields import block_ids, current_file, field_of, seconds, whole_number

if TYPE_CHECKING:
    from aisb_dataset_traces._prompts import Prompts


class TraceLine(NamedTuple):
    """A request of a trace: `at` in seconds of the trace, `number` from 0 over all files."""

    at: float
    number: int
    input_tokens: int
    output_tokens: int
    blocks: tuple[int, ...] = ()


class Window(NamedTuple):
    """The replayed part of a trace, in seconds of the trace.

    Requests between `start` and `end` are kept, both included. `origin` is the second at which the load
    begins; None selects that of the first kept request.
    """

    start: float | None = None
    end: float | None = None
    origin: float | None = None

    def kept(self, lines: Iterable[TraceLine]) -> Iterator[TraceLine]:
        """Yield the lines of this part.

        Raises:
            UsageError: there are none.
        """
        start = -inf if self.start is None else self.start
        end = inf if self.end is None else self.end
        empty = True
        for line in lines:
            if start <= line.at <= end:
                empty = False
                yield line
        if empty and (self.start is not None or self.end is not None):
            raise UsageError(f"the trace has no request between the seconds {start:g} and {end:g}")


def mooncake(files: DataFiles, prompts: Prompts, window: Window, *, block: int, sort: bool) -> Iterator[Row]:
    """Yield the rows of JSON lines with timestamp (ms), input_length, output_length and hash_ids."""
    for line in _in_order(_mooncake_lines(files, block), files, window, sort=sort):
        keys = [f"block:{key}" for key in line.blocks]
        yield _row(line) | prompts.of(keys, line.input_tokens, block)


def azure(files: DataFiles, prompts: Prompts, *, sort: bool) -> Iterator[Row]:
    """Yield the rows of CSV files with TIMESTAMP, ContextTokens and GeneratedTokens."""
    for line in _in_order(_azure_lines(files), files, Window(), sort=sort):
        yield _row(line) | prompts.of([f"row:{line.number}"], line.input_tokens, line.input_tokens)


def _row(line: TraceLine) -> dict[str, Any]:
    return {"at": line.at, "input_length": line.input_tokens, "output_length": line.output_tokens}


def _in_order(
    lines: Iterator[TraceLine], files: DataFiles, window: Window, *, sort: bool
) -> Iterator[TraceLine]:
    """Yield the lines of a window with times relative to its origin.

    They are sorted; without `sort`, a line out of order raises an error.
    """
    if sort:
        lines = iter(sorted(lines))
    origin = window.origin
    last = 0.0
    for line in window.kept(lines):
        origin = line.at if origin is None else origin
        at = round(line.at - origin, 6)
        if at < last and files.current:
            raise files.current.error(
                f"the trace is out of order: this request is {last - at:g} s earlier than the previous one; "
                "set sort = true to sort it"
            )
        last = at
        yield line._replace(at=at)


def _mooncake_lines(files: DataFiles, block: int) -> Iterator[TraceLine]:
    for number, row in enumerate(read_jsonl(files=files)):
        file = current_file(files)
        field_of(file, row, "timestamp")
        at = seconds(file, row, "timestamp", 1000) or 0.0
        tokens = whole_number(file, row, "input_length")
        blocks = block_ids(file, row, tokens, block)
        yield TraceLine(at, number, tokens, whole_number(file, row, "output_length"), tuple(blocks))


def _azure_lines(files: DataFiles) -> Iterator[TraceLine]:
    for number, row in enumerate(read_csv(files=files)):
        file = current_file(files)
        text = field_of(file, row, "TIMESTAMP")
        try:
            when = datetime.fromisoformat(text)
        except ValueError as error:
            raise file.error(
                f"TIMESTAMP is {text!r}, not a time such as 2023-11-16 18:15:46.6805900"
            ) from error
        at = (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()
        yield TraceLine(
            at, number, whole_number(file, row, "ContextTokens"), whole_number(file, row, "GeneratedTokens")
        )
