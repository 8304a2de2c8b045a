"""Cache the events that many replies share except for their id: the role, common tokens, and the end."""

from __future__ import annotations

from typing import Final

from aisb._types import Chunk

ID: Final = b'{"id":"'
LF: Final = 10
CR: Final = 13
BACKSLASH: Final = 92
LAST_PIECE: Final = b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n"
"""The end of most streams: the last event, and the end of the chunked body."""
MAX_EVENT_BYTES: Final = 1_024  # longer events are not stored
MAX_EVENTS: Final = 256


class KnownEvents:
    """The decoded chunks of earlier replies' events, for a backend that `copies_text`.

    Most services put the id of the reply first in every event. It differs between replies, and is not part
    of a chunk, so the comparison ignores it. A piece of the connection is often exactly one such event in an
    HTTP chunk; then the piece is compared as a whole, and its framing needs no parsing.
    """

    def __init__(self) -> None:
        self._chunks: dict[bytes, Chunk] = {}
        # By length and the bytes after the id; with the bytes before the event.
        self._pieces: dict[tuple[int, bytes], tuple[bytes, Chunk]] = {}
        self._latest: bytes = b""  # the latest event that `get` found

    def get(self, payload: bytes) -> Chunk | None:
        """Return the chunk of an event; None if the event is new."""
        chunk = self._chunks.get(_without_id(payload))
        if chunk is not None:
            self._latest = payload
        return chunk

    def piece(self, data: bytes, start: bytes) -> Chunk | None:
        """Return the chunk of a piece that is one HTTP chunk with one event; None if it is new.

        `start` is the `event_start` of this piece, or of an earlier one of the same reply.
        """
        if not start:
            return None
        before, _, rest = data.partition(start)
        found = self._pieces.get((len(data), rest))
        return found[1] if found is not None and found[0] == before else None

    def keep_piece(self, data: bytes) -> None:
        """Store a piece for later replies if it is one HTTP chunk with just the event of the latest `get`."""
        payload, self._latest = self._latest, b""
        if not payload.startswith(ID) or data != b"%x\r\ndata: %b\n\n\r\n" % (len(payload) + 8, payload):
            return
        if len(self._pieces) >= MAX_EVENTS:
            self._pieces.clear()
        rest = _without_id(payload)
        before = data[: data.find(ID)]
        self._pieces[len(data), data[len(data) - len(rest) - 4 :]] = (before, self._chunks[rest])

    def keep(self, payload: bytes, chunk: Chunk) -> None:
        """Store the chunk of an event for later replies."""
        if len(payload) > MAX_EVENT_BYTES or chunk.tool_calls or chunk.whole is not None:
            return
        if len(self._chunks) >= MAX_EVENTS:
            self._chunks.clear()
        self._chunks[_without_id(payload)] = chunk


def event_start(data: bytes) -> bytes:
    """Return the first bytes of the event in a piece, up to the end of its id; empty if it has no plain id.

    All events of a reply begin with these bytes.
    """
    _, found, rest = data.partition(ID)
    name, quote, _ = rest.partition(b'"')
    # A line end in the id would end the event.
    if not found or not quote or BACKSLASH in name or LF in name or CR in name:
        return b""
    return ID + name


def _without_id(payload: bytes) -> bytes:
    """Return the bytes of an event after its id; all of them if it does not begin with an id."""
    if payload.startswith(ID):
        end = payload.find(b'"', len(ID))
        if end > 0 and payload[end - 1] != BACKSLASH:
            return payload[end:]
    return payload
