"""Events that many replies share but for their id: those of the role, of common tokens, and of the end."""

from __future__ import annotations

from typing import Final

from aisb._types import Chunk

ID: Final = b'{"id":"'
BACKSLASH: Final = 92
LONGEST: Final = 1_024  # bytes of an event that is kept
MOST: Final = 256  # events that are kept


class KnownEvents:
    """The chunks that events of earlier replies were decoded to, for a backend that `copies_text`.

    Most services give all events of a reply one id, as the first value in the event. Other replies differ
    in it from event to event; what it says is no part of a chunk.
    """

    def __init__(self) -> None:
        self._chunks: dict[bytes, Chunk] = {}

    def get(self, payload: bytes) -> Chunk | None:
        """Return the chunk of an event; None where no such event is known."""
        return self._chunks.get(_without_id(payload))

    def keep(self, payload: bytes, chunk: Chunk) -> None:
        """Keep the chunk of an event for later replies."""
        if len(payload) > LONGEST or chunk.tool_calls or chunk.whole is not None:
            return
        if len(self._chunks) >= MOST:
            self._chunks.clear()
        self._chunks[_without_id(payload)] = chunk


def _without_id(payload: bytes) -> bytes:
    """Return the bytes of an event from the end of its id on; all of them where no id comes first."""
    if payload.startswith(ID):
        end = payload.find(b'"', len(ID))
        if end > 0 and payload[end - 1] != BACKSLASH:
            return payload[end:]
    return payload
