"""Frames between a worker and the collector of its node: length, kind, payload."""

from __future__ import annotations

import asyncio

HELLO, MESSAGE, END, ALIVE = b"h", b"m", b"e", b"a"


def make_frame(kind: bytes, payload: bytes = b"") -> bytes:
    """Return a frame of a kind."""
    return len(payload).to_bytes(4, "big") + kind + payload


async def read_frame(reader: asyncio.StreamReader) -> tuple[bytes, bytes] | None:
    """Return the next frame as kind and payload; None if the other side has disconnected."""
    try:
        head = await reader.readexactly(5)
        return head[4:], await reader.readexactly(int.from_bytes(head[:4], "big"))
    except (asyncio.IncompleteReadError, OSError):
        return None
