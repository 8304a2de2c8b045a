"""Events that many replies share except for their id: the role, common tokens, and the end."""

from __future__ import annotations

from typing import Final

from aisb._types import Chunk

ID: Final = b'{"id":"'
BACKSLASH: Final = 92
LONGEST: Final = 1_024  # maximum bytes of a stored event
MOST: Final = 256  # maximum number of stored events


class KnownEvents:
    """The decoded chunks of earlier replies' events, for a backend that `copies_text`.

    Most services put the id of the reply first in every event. It differs between replies, and is not part of
    a chunk, so the comparison ignores it.
    """

    def __init__(self) -> None:
        self._chunks: dict[bytes, Chunk] = {}

    def get(self, payload: bytes) -> Chunk | None:
        """Return the chunk of an event; None if the event is new."""
        return self._chunks.get(_without_id(payload))

    def keep(self, payload: bytes, chunk: Chunk) -> None:
        """Store the chunk of an event for later replies."""
        if len(payload) > LONGEST or chunk.tool_calls or chunk.whole is not None:
            return
        if len(self._chunks) >= MOST:
            self._chunks.clear()
        self._chunks[_without_id(payload)] = chunk


def _without_id(payload: bytes) -> bytes:
    """Return the bytes of an event after its id; all of them if it does not begin with an id."""
    if payload.startswith(ID):
        end = payload.find(b'"', len(ID))
        if end > 0 and payload[end - 1] != BACKSLASH:
            return payload[end:]
    return payload
