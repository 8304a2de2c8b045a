"""The template of a stream: the bytes around the text of its events, which nearly all of them share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson

from aisb._types import Chunk
from aisb_engine._faults import RAISED

_OTHER = "~another text~"
_MOST_KNOWN = 64  # beginnings of pieces that one reply keeps: pieces of many tokens have hundreds of lengths


def find_template(
    payload: bytes, chunk: Chunk, decode: Callable[[dict[str, Any]], Chunk | None]
) -> tuple[bytes, bytes] | None:
    """Return what stands before and after an event's text, quotes included; None where it is unclear.

    `chunk` is what the event decodes to. It must hold one text, of content or of reasoning, and nothing else.
    Another text in its place must decode to that text: so it is the text that stands there.
    """
    text = chunk.text or chunk.reasoning
    other = Chunk("content", _OTHER) if chunk.text else Chunk("reasoning", "", _OTHER)
    alone = Chunk("content", text) if chunk.text else Chunk("reasoning", "", text)
    if not text or chunk != alone or b"\n" in payload:
        return None
    try:
        before, after = payload.split(orjson.dumps(text))
        is_text = decode(orjson.loads(b'%b"%b"%b' % (before, _OTHER.encode(), after))) == other
    except RAISED:  # the text stands there otherwise, or twice, or it is no text but a name
        return None
    return (before + b'"', b'"' + after) if is_text else None


def piece_start(before: bytes, length: int, size_format: bytes | None, known: dict[int, bytes]) -> bytes:
    """Return what a piece of this length begins with when it is one whole event that matches.

    With a `size_format` (`%x` or `%X`, and a line end) the event is one chunk of HTTP; then the size of the
    chunk comes first, which does not count itself and the two line ends. `known` keeps what was returned.
    """
    if len(known) >= _MOST_KNOWN:
        known.clear()
    start = known[length] = _made_start(b"data: " + before, length, size_format)
    return start


def _made_start(start: bytes, length: int, size_format: bytes | None) -> bytes:
    if size_format is None:
        return start
    for digits in range(1, 9):
        size = size_format % max(0, length - digits - 4)
        if len(size) == digits + 2:
            return size + start
    return b"\n"  # no chunk of HTTP has this length, and nothing begins like this
