"""The states of a reader within the framing of a reply (RFC 9112)."""

from __future__ import annotations

from typing import Final

HEAD: Final = 0
CHUNK_SIZE: Final = 1
CHUNK: Final = 2
CHUNK_END: Final = 3
TRAILERS: Final = 4
SIZED: Final = 5
UNTIL_CLOSE: Final = 6
ENDED: Final = 7
