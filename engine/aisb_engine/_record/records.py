"""Encode and decode one attempt as a record of the log.

A record is

    b"aisb" | payload length (u32) | CRC-32 of the payload (u32) | payload
    payload = header length (u32) | header (JSON) | gaps between stamps (u32, i64) | tokens per chunk (i32)

in little-endian order. The header describes the bytes after it.
"""

from __future__ import annotations

import struct
import sys
from array import array
from collections.abc import Mapping, Sequence
from itertools import accumulate, chain, islice
from operator import sub
from typing import Any, NamedTuple
from zlib import crc32

import orjson

from aisb._types import Failure, Logprob, Prediction, Timing, Usage
from aisb_engine._record.kinds import Kinds, runs_of

RECORD_MARK = b"aisb"
RECORD_HEADER = struct.Struct("<4sII")
LENGTH = struct.Struct("<I")
_COUNTS = ("input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens")
STAMP_FIELDS = ("planned_ns", "connected_ns", "sent_ns", "headers_ns", "done_ns")
_NO_GAPS: array[int] = array("I")
_NO_TIMES = Timing()
_HEADER: dict[str, Any] = {
    "id": "",
    "repeat": 0,
    "turn": 0,
    "attempt": 1,
    "final": True,
    "session": 0,
    "text": "",
    "reasoning": None,
    "tool_calls": None,
    "finish_reason": None,
    "usage": None,
    "failure": None,
    "times": (),
    "first_chunk_ns": None,
    "kinds": (),
    "gaps": ("I", 0),
    "tokens": 0,
    "streamed": True,
    "logprobs": None,
    "extra": None,
}
"""The fields of a header in their order, with their most common values."""


class LogRecord(NamedTuple):
    """One attempt in the log. `final` tells that the engine did not retry after it."""

    prediction: Prediction
    final: bool
    session: int


def encode(
    prediction: Prediction, *, final: bool, session: int, extra: Mapping[str, Any] | None = None
) -> bytes:
    """Return the record of one attempt."""
    timing = prediction.timing
    stamps = timing.chunk_ns
    code, between = _gaps(stamps)
    header = _HEADER.copy()  # setting the fields of a copy takes half of the time of building a dict
    header["id"] = prediction.sample_id
    if prediction.repeat or prediction.turn:
        header["repeat"], header["turn"] = prediction.repeat, prediction.turn
    header["attempt"] = prediction.attempts
    header["final"] = final
    header["session"] = session
    header["text"] = prediction.text
    if prediction.reasoning:
        header["reasoning"] = prediction.reasoning
    if prediction.tool_calls:
        header["tool_calls"] = prediction.tool_calls
    header["finish_reason"] = prediction.finish_reason
    usage = prediction.usage
    if usage is not None:  # orjson writes a tuple in a tenth of the time of a dataclass
        header["usage"] = (
            usage.input_tokens, usage.output_tokens, usage.cached_tokens, usage.reasoning_tokens
        )  # fmt: skip
    if prediction.failure is not None:
        header["failure"] = prediction.failure
    header["times"] = (
        timing.planned_ns, timing.connected_ns, timing.sent_ns, timing.headers_ns, timing.done_ns
    )  # fmt: skip
    if stamps:
        header["first_chunk_ns"] = stamps[0]
        header["gaps"] = code, len(stamps) - 1
    header["kinds"] = runs_of(timing.chunk_kinds)
    header["tokens"] = len(timing.chunk_tokens)
    header["streamed"] = timing.streamed
    if prediction.logprobs:
        header["logprobs"] = [list(one) for one in prediction.logprobs]
    header["extra"] = extra or None
    text = orjson.dumps(header)
    tokens = timing.chunk_tokens.tobytes()
    if sys.byteorder == "big":  # pragma: no cover - no such machine runs the tests
        between, tokens = _swapped(code, between), _swapped("i", tokens)
    payload = b"".join((LENGTH.pack(len(text)), text, between, tokens))
    return RECORD_HEADER.pack(RECORD_MARK, len(payload), crc32(payload)) + payload


def decode(payload: memoryview) -> LogRecord:
    """Return the attempt in a record's payload."""
    (size,) = LENGTH.unpack_from(payload)
    header: dict[str, Any] = orjson.loads(payload[4 : 4 + size])
    code, count = header["gaps"]
    offset = 4 + size
    between = _NO_GAPS
    if count or code != "I":
        between = array(code)
        end = offset + count * between.itemsize
        between.frombytes(payload[offset:end])
        offset = end
    tokens = array("i", payload[offset:].tobytes())
    if sys.byteorder == "big":  # pragma: no cover - no such machine runs the tests
        between = array(between.typecode, between)
        between.byteswap()
        tokens.byteswap()
    planned, connected, sent, headers, done = header["times"]
    timing = Timing(
        planned,
        connected,
        sent,
        headers,
        _stamps(header["first_chunk_ns"], between),
        Kinds([(kind, count) for kind, count in header["kinds"]]),
        tokens,
        done,
        header["streamed"],
    )
    prediction = Prediction(
        sample_id=header["id"],
        repeat=header["repeat"],
        turn=header["turn"],
        text=header["text"],
        reasoning=header["reasoning"] or "",
        tool_calls=tuple(header["tool_calls"] or ()),
        finish_reason=header["finish_reason"],
        usage=Usage(*counts_of(header["usage"])) if header["usage"] else None,
        timing=timing,
        attempts=header["attempt"],
        failure=Failure(**header["failure"]) if header["failure"] else None,
        logprobs=tuple(Logprob(*one) for one in header.get("logprobs") or ()),
    )
    return LogRecord(prediction, header["final"], header["session"])


def decode_outcome(payload: memoryview) -> LogRecord:
    """Return the attempt in a record's payload without its answer and times, in a third of the time."""
    (size,) = LENGTH.unpack_from(payload)
    header: dict[str, Any] = orjson.loads(payload[4 : 4 + size])
    prediction = Prediction(
        header["id"],
        header["repeat"],
        header["turn"],
        finish_reason=header["finish_reason"],
        usage=Usage(*counts_of(header["usage"])) if header["usage"] else None,
        timing=_NO_TIMES,
        attempts=header["attempt"],
        failure=Failure(**header["failure"]) if header["failure"] else None,
    )
    return LogRecord(prediction, header["final"], header["session"])


def counts_of(stored: list[int | None] | dict[str, int | None] | None) -> Sequence[int | None]:
    """Return input, output, cached and reasoning tokens from a record's usage; an older one is an object."""
    if not stored:
        return (None, None, None, None)
    return [stored.get(name) for name in _COUNTS] if isinstance(stored, dict) else stored


def _gaps(stamps: array[int]) -> tuple[str, bytes]:
    """Return the gaps between stamps as 32-bit numbers (`I`), or as 64-bit numbers (`q`) if one is large."""
    if len(stamps) < 2:
        return "I", b""
    gaps, before = _NO_GAPS[:], stamps[0]  # copying an empty array takes half of the time of creating one
    try:
        for stamp in stamps[1:]:  # a loop is cheaper than `map`, for few and for many stamps
            gaps.append(stamp - before)
            before = stamp
        return "I", gaps.tobytes()
    except OverflowError:  # a gap of more than four seconds, or a clock that went backwards
        return "q", array("q", map(sub, islice(stamps, 1, None), stamps)).tobytes()


def _swapped(code: str, data: bytes) -> bytes:
    numbers: array[int] = array(code)
    numbers.frombytes(data)
    numbers.byteswap()
    return numbers.tobytes()


def _stamps(first: int | None, between: Sequence[int]) -> array[int]:
    return array("q") if first is None else array("q", accumulate(chain((first,), between)))
