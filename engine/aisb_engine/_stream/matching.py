"""Match the events of one reply that differ only in their text, and perhaps in a running count."""

from __future__ import annotations

from typing import Final

import orjson

from aisb._types import Chunk, ChunkKind
from aisb_engine._stream.template import CountedTail, piece_start

from .columns import Columns  # relative: aisb-speedups compiles these files in a package of another name

FOLD: Final = 32  # matches after which older chunks are packed, since ten thousand replies may be in flight
loads: Final = orjson.loads


class Template:
    """Adds the chunks of matching events to the columns of a reply, without decoding them.

    `parts` is what `find_template` returned for an event, and `chunk` is the chunk of that event. The columns
    do not count matching chunks until `count` is called; call it before any other chunk is added.
    """

    def __init__(
        self, columns: Columns, parts: tuple[bytes, bytes, CountedTail | None], chunk: Chunk
    ) -> None:
        before, after, counted = parts
        self._columns = columns
        self._before: bytes = before  # up to and including the quote that opens the text
        self._after: bytes = after
        self._counted: CountedTail | None = counted  # set if events have a running count
        self._kind: ChunkKind = chunk.kind
        self._texts: list[str] = columns.text if chunk.text else columns.reasoning
        self._stamps: list[int] = columns.stamps
        self._matches: int = 0  # chunks that the columns have not counted yet
        self._chunk_end: bytes = after + b"\n\n\r\n"
        self._event_end: bytes = after + b"\n\n"
        self._starts: dict[int, bytes] = {}  # the first bytes of a piece that is one event, by its length

    def add_event(self, payload: bytes, stamp: int) -> bool:
        """Add the chunk of an event. Return False if the event does not match."""
        if not (payload.startswith(self._before) and payload.endswith(self._after)):
            return False
        return self._add(payload[len(self._before) - 1 : len(payload) - len(self._after) + 1], stamp)

    def add_piece(self, data: bytes, stamp: int, size_format: bytes | None) -> bool:
        """Add the chunk of a piece that is exactly one event. Return False if it is not, or does not match.

        With a `size_format`, the event is one HTTP chunk, and the piece includes the chunk's framing.
        """
        length = len(data)
        start = self._starts.get(length)
        if start is None:
            start = piece_start(self._before, length, size_format, self._starts)
        ending = self._event_end if size_format is None else self._chunk_end
        text, end = len(start), length - len(ending)
        if end < text or not (data.startswith(start) and data.endswith(ending)):
            return False
        return self._add(data[text - 1 : end + 1], stamp)

    def _add(self, literal: bytes, stamp: int) -> bool:
        try:
            counted = self._counted
            text = loads(literal) if counted is None else counted.read(literal, self._columns.counts)
        except ValueError:  # the bytes in between are not one JSON string
            return False
        if text:
            self._stamps.append(stamp)
            self._texts.append(text)
            self._matches += 1
            if self._matches % FOLD == 0:
                self._columns.fold()
        return bool(text)

    def count(self) -> bool:
        """Count the chunks that were added since the last call. Return whether there were any."""
        if not self._matches:
            return False
        self._columns.add_run(self._kind, self._matches, self._counted is not None)
        self._matches = 0
        return True
