"""The template of a stream: the bytes around the text of its events, which nearly all of them share."""

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

_OTHER = "~another text~"
_NUMBER = re.compile(rb"(?<=[:\s])\d{1,15}(?=[,}\s])")
_MOST_DIGITS = 9  # of a count: what has more is decoded
_MOST_KNOWN = 64  # beginnings of pieces that one reply keeps: pieces of many tokens have hundreds of lengths


class CountedTail(NamedTuple):
    """What stands after the text of an event that also says a running count, and perhaps the total of tokens.

    `after_text` stands up to the first number, `between` up to the second one; `count_first` says which of
    them is the count. What follows the last number is the end of the template.
    """

    after_text: bytes
    between: bytes | None
    count_first: bool

    def read(self, data: bytes, counts: array[int]) -> str:
        """Return the text of an event, and add its count to `counts`; empty where it does not match.

        `data` is the event from its text on, up to and with the first byte of the template's end.

        Raises:
            ValueError: what should be the text is not one JSON string.
        """
        at = data.rfind(self.after_text)
        numbers = data[at + len(self.after_text) : -1]
        count = numbers
        if self.between is not None:
            first, _, second = numbers.partition(self.between)
            count, other = (first, second) if self.count_first else (second, first)
            if not other.isdigit():
                return ""
        if at < 0 or not count.isdigit() or len(count) > _MOST_DIGITS:
            return ""
        text: str = orjson.loads(data[: at + 1])
        if text:
            counts.append(int(count))
        return text


def find_template(
    payload: bytes, chunk: Chunk, decode: Decode
) -> tuple[bytes, bytes, CountedTail | None] | None:
    """Return what stands before and after an event's text, quotes included; None where it is unclear.

    `chunk` is what the event decodes to. It must hold one text, of content or of reasoning, and nothing else
    but a running count. Another text in its place must decode to that text: so it is the text that stands
    there. The same holds for a count; then what stands after is what follows the last number.
    """
    text, usage = chunk.text or chunk.reasoning, chunk.usage
    if not text or chunk != _alone(chunk, text, usage) or b"\n" in payload:
        return None
    try:
        before, after = payload.split(orjson.dumps(text))
        start = b'%b"%b"' % (before, _OTHER.encode())
        if decode(orjson.loads(start + after)) != _alone(chunk, _OTHER, usage):
            return None
        if usage is None:
            return before + b'"', b'"' + after, None
        tail = _counted_tail(start, after, chunk, usage, decode)
    except RAISED:  # the text stands there otherwise, or twice, or it is no text but a name
        return None
    return tail and (before + b'"', *tail)


def _alone(chunk: Chunk, text: str, usage: Usage | None) -> Chunk:
    """Return a chunk of the same kind that holds a text, and a usage, alone."""
    return Chunk("content", text, usage=usage) if chunk.text else Chunk("reasoning", "", text, usage=usage)


def _counted_tail(
    start: bytes, after: bytes, chunk: Chunk, usage: Usage, decode: Decode
) -> tuple[bytes, CountedTail] | None:
    """Return the end of the template, and what stands between text and end; None where it is unclear."""
    count, total = usage.output_tokens, (usage.input_tokens or 0) + (usage.output_tokens or 0)
    holes = []
    for number in _NUMBER.finditer(after):
        if int(number[0]) in {count, total}:
            other = int(number[0]) + 1
            event = b"%b%b%d%b" % (start, after[: number.start()], other, after[number.end() :])
            decoded = decode(orjson.loads(event))
            if decoded == _alone(chunk, _OTHER, replace(usage, output_tokens=other)):
                holes.append((number, True))
            elif decoded == _alone(chunk, _OTHER, usage) and int(number[0]) == total:
                holes.append((number, False))
    if not 1 <= len(holes) <= 2 or sum(is_count for _, is_count in holes) != 1:
        return None
    (first, count_first), (last, _) = holes[0], holes[-1]
    between = None if first is last else after[first.end() : last.start()]
    return after[last.end() :], CountedTail(b'"' + after[: first.start()], between, count_first)


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
