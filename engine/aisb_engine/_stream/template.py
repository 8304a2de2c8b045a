"""The byte template of a stream: nearly all of its events share the bytes around their text."""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple, TypeAlias

import orjson

from aisb._types import Chunk, Usage
from aisb_engine._faults import RAISED

Decode: TypeAlias = Callable[[dict[str, Any]], Chunk | None]

_PROBE_TEXT = "~another text~"
_NUMBER = re.compile(rb"(?<=[:\s])\d{1,15}(?=[,}\s])")
_MAX_DIGITS = 9  # an event with a longer count is decoded
_MAX_STARTS = 64  # cached beginnings per reply: pieces with many tokens have hundreds of lengths


class CountedTail(NamedTuple):
    """The bytes after the text of an event that has a running count, and perhaps the total number of tokens.

    `after_text` are the bytes from the text to the first number, `between` those from there to the second;
    `count_first` tells whether the count comes before the total. The template ends after the last number.
    """

    after_text: bytes
    between: bytes | None
    count_first: bool

    def read(self, data: bytes, counts: array[int]) -> str:
        """Return the text of an event, and append its count to `counts`; empty if it does not match.

        `data` is the event from its text up to and including the first byte of the template's end.

        Raises:
            ValueError: the text is not one JSON string.
        """
        at = data.rfind(self.after_text)
        numbers = data[at + len(self.after_text) : -1]
        count = numbers
        if self.between is not None:
            first, _, second = numbers.partition(self.between)
            count, other = (first, second) if self.count_first else (second, first)
            if not other.isdigit():
                return ""
        if at < 0 or not count.isdigit() or len(count) > _MAX_DIGITS:
            return ""
        text: str = orjson.loads(data[: at + 1])
        if text:
            counts.append(int(count))
        return text


def find_template(
    payload: bytes, chunk: Chunk, decode: Decode
) -> tuple[bytes, bytes, CountedTail | None] | None:
    """Return the bytes before and after an event's text, with its quotes; None if ambiguous.

    `chunk` is the decoded event. It must hold one text (content or reasoning), and apart from that only a
    running count. As a check, the text's bytes are replaced by another text, and the event must decode to
    it; likewise for the count. With a count, the bytes after are those that follow the last number.
    """
    text, usage = chunk.text or chunk.reasoning, chunk.usage
    if not text or chunk != _chunk_with(chunk, text, usage) or b"\n" in payload:
        return None
    try:
        before, after = payload.split(orjson.dumps(text))
        start = b'%b"%b"' % (before, _PROBE_TEXT.encode())
        if decode(orjson.loads(start + after)) != _chunk_with(chunk, _PROBE_TEXT, usage):
            return None
        if usage is None:
            return before + b'"', b'"' + after, None
        tail = _counted_tail(start, after, chunk, usage, decode)
    except RAISED:  # the text is escaped in another way, occurs twice, or is a key
        return None
    return tail and (before + b'"', *tail)


def _chunk_with(chunk: Chunk, text: str, usage: Usage | None) -> Chunk:
    """Return a chunk of the same kind that holds only a text and a usage."""
    return Chunk("content", text, usage=usage) if chunk.text else Chunk("reasoning", "", text, usage=usage)


def _counted_tail(
    start: bytes, after: bytes, chunk: Chunk, usage: Usage, decode: Decode
) -> tuple[bytes, CountedTail] | None:
    """Return the bytes at the end of the template, and those between text and end; None if ambiguous."""
    count, total = usage.output_tokens, (usage.input_tokens or 0) + (usage.output_tokens or 0)
    holes = []
    for number in _NUMBER.finditer(after):
        if int(number[0]) in {count, total}:
            other = int(number[0]) + 1
            event = b"%b%b%d%b" % (start, after[: number.start()], other, after[number.end() :])
            decoded = decode(orjson.loads(event))
            if decoded == _chunk_with(chunk, _PROBE_TEXT, replace(usage, output_tokens=other)):
                holes.append((number, True))
            elif decoded == _chunk_with(chunk, _PROBE_TEXT, usage) and int(number[0]) == total:
                holes.append((number, False))
    if not 1 <= len(holes) <= 2 or sum(is_count for _, is_count in holes) != 1:
        return None
    (first, count_first), (last, _) = holes[0], holes[-1]
    between = None if first is last else after[first.end() : last.start()]
    return after[last.end() :], CountedTail(b'"' + after[: first.start()], between, count_first)


def piece_start(before: bytes, length: int, size_format: bytes | None, known: dict[int, bytes]) -> bytes:
    """Return the first bytes of a piece that is exactly one matching event and has this length.

    With a `size_format` (`%x` or `%X`, and a line end) the event is one HTTP chunk, which begins with its
    size: the length without the size line and the line end of the chunk. `known` caches the results.
    """
    if len(known) >= _MAX_STARTS:
        known.clear()
    start = known[length] = _build_start(b"data: " + before, length, size_format)
    return start


def _build_start(start: bytes, length: int, size_format: bytes | None) -> bytes:
    if size_format is None:
        return start
    for digits in range(1, 9):
        size = size_format % max(0, length - digits - 4)
        if len(size) == digits + 2:
            return size + start
    return b"\n"  # no HTTP chunk has this length; these bytes match no piece
