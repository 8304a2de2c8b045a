"""The chunks of one reply as compact columns: ten thousand long replies may be in flight at once.

Short replies are kept as they arrive. The older part of longer ones is packed: stamps as gaps, usually of
three bytes, and text compressed.
"""

from __future__ import annotations

import sys
import zlib
from array import array
from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import accumulate, chain, islice
from operator import sub
from typing import Any

from aisb._types import TOKEN_KINDS, Chunk, ChunkKind, Usage
from aisb_engine._stream.counts import MAX_TOKENS, growth

STAMPS = 128
"""The number of stamps in a packed block."""
PIECES = 32
"""The number of text pieces from which they are joined: a string object takes ten times its characters."""
BLOCK = 2_048
"""The number of bytes from which text is compressed, to about half its size."""
MAX_COUNT = 2**53
"""Larger counts are ignored: every JSON parser keeps integers exact up to here, and no reply has so many."""
_NO_NUMBERS: array[int] = array("i")
_NO_STAMPS: array[int] = array("q")
"""Copying an empty array takes half of the time of creating one."""
_HIGHEST, *_OTHERS = (3, 0, 1, 2) if sys.byteorder == "little" else (0, 1, 2, 3)
"""The positions of the highest byte of a 32-bit number, and of the others, on this machine."""


class Columns:
    """One reply's chunks: stamps, kinds, token counts, text, reasoning, tool calls, and finish reason.

    `stamps`, `text` and `reasoning` hold the data since the last `fold`. A caller may append a chunk that has
    only text to them directly, and its running count to `counts`; it then calls `add_run`.
    """

    __slots__ = (
        "_before", "_counted", "_kind", "_old_reasoning", "_old_stamps", "_old_text", "_places", "_runs",
        "_tokens", "_uncounted", "calls", "counts", "finish_reason", "has_surrogates", "reasoning",
        "run_length", "stamps", "text", "usage",
    )  # fmt: skip

    def __init__(self) -> None:
        self.stamps: list[int] = []  # a list: appending to an array takes three times as long
        self.text: list[str] = []
        self.reasoning: list[str] = []
        self.run_length: int = 0  # length of the latest run of chunks of one kind
        self.has_surrogates: bool = False  # some text may hold a lone surrogate
        self.finish_reason: str | None = None
        self.usage: Usage | None = None
        self.calls: dict[Any, dict[str, Any]] = {}
        self.counts: array[int] = _NO_NUMBERS[:]  # the running counts of output tokens, if events have them
        self._places: array[int] = _NO_NUMBERS[:]  # the position of the chunk of each count
        self._kind: ChunkKind = "keepalive"
        self._runs: list[tuple[ChunkKind, int]] = []
        self._before: int = 0  # chunks before the latest run
        self._tokens: array[int] | None = None  # the tokens in each chunk; None before the first that has any
        self._counted: bool = True  # the first chunk with tokens states their number
        self._uncounted: int = 0  # later chunks with tokens that do not
        self._old_stamps: PackedStamps | None = None
        self._old_text: PackedText | None = None
        self._old_reasoning: PackedText | None = None

    def add(self, stamp: int, chunk: Chunk) -> Chunk:
        """Add a chunk, and return it with only the new part of its text.

        Raises:
            TypeError: a text is not a string.
        """
        kind, text, reasoning, tokens, finish_reason, usage, calls, _, whole = chunk
        if whole is not None:
            chunk, text = self._take_whole(chunk), ""
        self.stamps.append(stamp)
        if kind == self._kind:
            self.run_length += 1
        else:
            self._begin_run(kind, 1)
        if text:
            self.text.append(text if text.__class__ is str else _checked_text(text))
        if reasoning:
            self.reasoning.append(_checked_text(reasoning))
        if self._counted:
            if tokens or self._tokens is not None:
                self._add_tokens(tokens or 0)
            if tokens is None and kind in TOKEN_KINDS:
                self._uncounted += 1
                self._counted = self._tokens is not None
        if finish_reason and self.finish_reason != "content_filter":  # services end a refusal with "stop"
            self.finish_reason = _checked_text(finish_reason)
        if usage is not None:
            self._take_usage(_known_counts(usage))
        if calls:
            self._merge_calls(calls)
        if not len(self.stamps) % PIECES:
            self.fold()
        return chunk

    def _take_whole(self, chunk: Chunk) -> Chunk:
        """Replace the text by that of a chunk that repeats it; return the chunk with what it adds."""
        before, whole = self.all_text(), _checked_text(chunk.whole)
        self._old_text = None
        self.text[:] = [whole]
        return chunk._replace(text=whole[len(before) :] if whole.startswith(before) else "")

    def add_run(self, kind: ChunkKind, count: int, counted: bool = False) -> None:
        """Count further chunks of one kind.

        With `counted`, each had a running count, which is in `counts` already.
        """
        if kind == self._kind:
            self.run_length += count
        else:
            self._begin_run(kind, count)
        if counted:
            end = self._before + self.run_length
            self._places.extend(range(end - count, end))
            self.usage = replace(self.usage or Usage(), output_tokens=self.counts[-1])

    def _begin_run(self, kind: ChunkKind, count: int) -> None:
        """Count the first chunks of another kind."""
        if self.run_length:
            self._runs.append((self._kind, self.run_length))
            self._before += self.run_length
        self._kind = kind
        self.run_length = count

    def _add_tokens(self, tokens: int) -> None:
        """Add the number of tokens in the latest chunk."""
        if self._tokens is None:
            self._tokens = array("i", bytes(4 * (self._before + self.run_length - 1)))
        self._tokens.append(tokens)

    def _take_usage(self, usage: Usage) -> None:
        """Update the token counts; a count that the event lacks stays unchanged."""
        output = usage.output_tokens
        if output is not None:
            self.counts.append(min(output, MAX_TOKENS))
            self._places.append(self._before + self.run_length - 1)
        if self.usage is not None and _lacks_known_count(self.usage, usage):
            both = zip(_counts_of(self.usage), _counts_of(usage), strict=True)
            usage = Usage(*(old if new is None else new for old, new in both))
        self.usage = usage

    def _merge_calls(self, deltas: Iterable[Mapping[str, Any]]) -> None:
        """Merge pieces of tool calls by their index."""
        for delta in deltas:
            index = delta.get("index")
            if index is None:
                # Without an index, a new id begins a call; any other piece belongs to the last call.
                is_new = not self.calls or (
                    delta.get("id") and delta["id"] != [*self.calls.values()][-1]["id"]
                )
                index = len(self.calls) if is_new else [*self.calls][-1]
            call = self.calls.setdefault(index, {"id": None, "name": None, "arguments": ""})
            call["id"] = call["id"] or _checked_text(delta.get("id") or "") or None
            call["name"] = call["name"] or _checked_text(delta.get("name") or "") or None
            call["arguments"] += delta.get("arguments") or ""

    def fold(self) -> None:
        """Pack the data since the last call, if there is enough of it."""
        if len(self.stamps) >= STAMPS:
            self._old_stamps = self._old_stamps or PackedStamps()
            self._old_stamps.take(self.stamps)
        if _is_worth_packing(self.text):
            self._old_text = self._old_text or PackedText()
            self._old_text.take(self.text)
        if _is_worth_packing(self.reasoning):
            self._old_reasoning = self._old_reasoning or PackedText()
            self._old_reasoning.take(self.reasoning)

    # The reply as a whole.

    def runs(self) -> list[tuple[ChunkKind, int]]:
        """Return the run-length encoded kinds of all chunks, in order."""
        return [*self._runs, (self._kind, self.run_length)] if self.run_length else []

    def has_events(self) -> bool:
        """Return whether there is any chunk other than comments."""
        if self.run_length and self._kind != "keepalive":  # true for nearly every complete reply
            return True
        return any(kind != "keepalive" for kind, _ in self._runs)

    def holds_answer(self) -> bool:
        """Return whether there is text, reasoning, a tool call, or a finish reason."""
        if (
            self.finish_reason
            or self._old_text
            or self._old_reasoning
            or any(self.text)
            or any(self.reasoning)
        ):
            return True
        return any(any(call.values()) for call in self.calls.values())

    def all_stamps(self) -> array[int]:
        """Return the stamp of every chunk."""
        if self._old_stamps is not None:
            return self._old_stamps.all(self.stamps)
        stamps = _NO_STAMPS[:]
        stamps.fromlist(self.stamps)
        return stamps

    def all_text(self) -> str:
        """Return the whole text."""
        recent = "".join(self.text)
        return self._old_text.all() + recent if self._old_text else recent

    def all_reasoning(self) -> str:
        """Return the whole reasoning."""
        recent = "".join(self.reasoning)
        return self._old_reasoning.all() + recent if self._old_reasoning else recent

    def replace_text(self, text: str, reasoning: str) -> None:
        """Replace the text and the reasoning."""
        self.text, self.reasoning = [text], [reasoning]
        self._old_text = self._old_reasoning = None

    def tokens(self) -> array[int]:
        """Return the tokens in each chunk; empty if the service does not report them.

        A running count includes tokens without text. Counts of single chunks are used even if some chunks
        have none, provided that they add up to all tokens of the reply.
        """
        if len(self.counts) > 1 and (grown := growth(self._places, self.counts, self.runs())):
            return grown
        tokens = self._tokens
        if tokens is None or len(tokens) != self._before + self.run_length:
            return _NO_NUMBERS[:]
        if self._uncounted and sum(tokens) != (self.usage.output_tokens if self.usage else None):
            return _NO_NUMBERS[:]
        return tokens


class PackedStamps:
    """Stamps in order of arrival, stored as the gaps between them."""

    __slots__ = ("_blocks", "_first", "_last")

    def __init__(self) -> None:
        self._first = self._last = 0
        # Blocks of fixed size, because arrays that grow in ten thousand replies fragment the memory.
        self._blocks: list[bytes | array[int]] = []

    def take(self, stamps: list[int]) -> None:
        """Remove complete blocks from the front of a list, and pack them."""
        while len(stamps) >= STAMPS:
            block = array("q", stamps[:STAMPS])
            if not self._blocks:
                self._first = self._last = block[0]
            self._blocks.append(_packed(array("q", map(sub, block, chain((self._last,), block)))))
            self._last = block[-1]
            del stamps[:STAMPS]

    def all(self, recent: list[int]) -> array[int]:
        """Return all packed stamps, followed by those in a list."""
        gaps = chain((self._first,), *map(_unpacked, self._blocks))
        stamps = array("q", islice(accumulate(gaps), 1, None))
        stamps.extend(array("q", recent))
        return stamps


def _packed(gaps: array[int]) -> bytes | array[int]:
    """Return gaps as four bytes each, as three if their highest bytes are equal, or else unpacked.

    The highest byte counts units of 16.8 ms, so the gaps of a steady reply share it.
    """
    try:
        data = array("I", gaps).tobytes()
    except OverflowError:  # a gap of more than four seconds, or a clock that ran backwards
        return gaps
    highest = data[_HIGHEST::4]
    if highest.count(highest[0]) < STAMPS:
        return data
    return highest[:1] + b"".join([data[place::4] for place in _OTHERS])


def _unpacked(block: bytes | array[int]) -> array[int]:
    """Return the gaps of a block."""
    if not isinstance(block, bytes):
        return block
    gaps = array("I")
    if len(block) == 4 * STAMPS:
        gaps.frombytes(block)
        return gaps
    data = bytearray(4 * STAMPS)
    data[_HIGHEST::4] = block[:1] * STAMPS
    for number, place in enumerate(_OTHERS):
        data[place::4] = block[1 + number * STAMPS : 1 + (number + 1) * STAMPS]
    gaps.frombytes(data)
    return gaps


class PackedText:
    """Text in order of arrival, compressed in blocks."""

    __slots__ = ("_blocks", "_joined")

    def __init__(self) -> None:
        self._blocks: list[bytes] = []
        # UTF-8, because one character beyond Latin-1 makes every character of a str two or four bytes.
        self._joined = bytearray()

    def take(self, pieces: list[str]) -> None:
        """Move all pieces out of a list."""
        self._joined += "".join(pieces).encode("utf-8", "surrogatepass")
        pieces.clear()
        if len(self._joined) >= BLOCK:
            self._blocks.append(zlib.compress(self._joined, 1))
            self._joined = bytearray()

    def all(self) -> str:
        """Return the whole text."""
        data = b"".join([*map(zlib.decompress, self._blocks), self._joined])
        return data.decode("utf-8", "surrogatepass")


def _is_worth_packing(pieces: list[str]) -> bool:
    return len(pieces) >= PIECES or sum(map(len, pieces)) >= BLOCK


def _checked_text(text: Any) -> str:
    """Return a backend's text; raise `TypeError` if it is not a string."""
    if text.__class__ is not str:
        raise TypeError(f"{text!r} is not a string"[:200])
    return text


def _known_counts(usage: Usage) -> Usage:
    """Return a usage in which every value that is not a token count is None."""
    for count in _counts_of(usage):
        if count is not None and not (type(count) is int and 0 <= count < MAX_COUNT):
            return Usage(*map(_known_count, _counts_of(usage)))
    return usage


def _known_count(count: Any) -> int | None:
    is_whole = type(count) is int or (type(count) is float and count.is_integer())  # some services write 10.0
    return int(count) if is_whole and 0 <= count < MAX_COUNT else None


def _lacks_known_count(known: Usage, usage: Usage) -> bool:
    """Return whether a usage lacks a count that an earlier one had."""
    return (
        usage.output_tokens is None
        or (usage.input_tokens is None and known.input_tokens is not None)
        or (usage.cached_tokens is None and known.cached_tokens is not None)
        or (usage.reasoning_tokens is None and known.reasoning_tokens is not None)
    )


def _counts_of(usage: Usage) -> tuple[Any, ...]:
    """Return the counts of a usage as the service wrote them, of any type."""
    return usage.input_tokens, usage.output_tokens, usage.cached_tokens, usage.reasoning_tokens
