"""Read and validate traces line by line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from math import inf
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from aisb import DataFile, DataFiles, Row, UsageError
from aisb.helpers import read_csv, read_jsonl

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
        file = _current(files)
        milliseconds = _field(file, row, "timestamp")
        if isinstance(milliseconds, bool) or not isinstance(milliseconds, int | float) or milliseconds < 0:
            raise file.error(f"timestamp is {milliseconds!r}, not a number of milliseconds")
        tokens = _whole(file, row, "input_length")
        blocks = _field(file, row, "hash_ids")
        if not isinstance(blocks, list) or any(type(one) is not int for one in blocks):
            raise file.error(f"hash_ids is {str(blocks)[:60]}, not a list of whole numbers")
        needed = -(-tokens // block)
        if len(blocks) != needed:
            raise file.error(
                f"{len(blocks)} hash_ids do not fit input_length {tokens}: with blocks of {block} tokens "
                f"{needed} are needed (block = N sets the block size of the trace)"
            )
        yield TraceLine(
            milliseconds / 1000, number, tokens, _whole(file, row, "output_length"), tuple(blocks)
        )


def _azure_lines(files: DataFiles) -> Iterator[TraceLine]:
    for number, row in enumerate(read_csv(files=files)):
        file = _current(files)
        text = _field(file, row, "TIMESTAMP")
        try:
            when = datetime.fromisoformat(text)
        except ValueError as error:
            raise file.error(
                f"TIMESTAMP is {text!r}, not a time such as 2023-11-16 18:15:46.6805900"
            ) from error
        at = (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()
        yield TraceLine(at, number, _whole(file, row, "ContextTokens"), _whole(file, row, "GeneratedTokens"))


def _current(files: DataFiles) -> DataFile:
    return cast("DataFile", files.current)  # a row was read, so a file is open


def _field(file: DataFile, row: Mapping[str, Any], name: str) -> Any:
    if name not in row:
        raise file.error(f"no field {name!r}; the fields are: {', '.join(row)}")
    return row[name]


def _whole(file: DataFile, row: Mapping[str, Any], name: str) -> int:
    value = _field(file, row, name)
    if isinstance(value, str) and value.strip().isdecimal():
        value = int(value)
    if type(value) is not int or value < 1:
        raise file.error(f"{name} is {value!r}, not a whole number of at least 1")
    return value
