"""Replies that are rendered once and sent again: bytes and times are prepared.

A mock must be faster than the client under test, so it cannot build events while hundreds of streams wait. If
latencies and faults are not random, a repeated request gets the same reply except for its id, which is then
rendered once.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import accumulate
from typing import TYPE_CHECKING

from aisb_mock._delivery import DeliveryEnd, Plan
from aisb_mock._record import RecordedRequest, RequestRecorder

if TYPE_CHECKING:
    from aisb_mock._connection import MockConnection

NEVER = 1 << 62
DIGITS = 16
MOST_FRAMES = 500_000
"""The maximum number of stored frames of all replies, about 150 MB."""
SAME = ("model", "adapter", "question", "seed", "stream", "prompt_tokens", "finish_reason", "status")
"""The fields of the record that are equal for every request with the reply."""


class Rehearsed:
    """A streamed reply as frames, each with its time after the request's arrival and its number of tokens."""

    def __init__(self, plan: Plan, entry: RecordedRequest) -> None:
        parts = [(due, data, tokens) for due, data, tokens in plan if not isinstance(data, DeliveryEnd)]
        self.frames = [data for _, data, _ in parts]
        self.due = [*(due for due, _, _ in parts), NEVER]
        self.holds = [tokens for _, _, tokens in parts]
        # Cumulative by frame: the tokens, and the chunks with tokens.
        self.tokens = [0, *accumulate(self.holds)]
        self.chunks = [0, *accumulate(map(bool, self.holds))]
        self.id = entry.id or ""
        self.facts = {name: getattr(entry, name) for name in SAME}


class Repertoire:
    """The rendered replies by path and body of their requests."""

    def __init__(self) -> None:
        self._ready: dict[tuple[str, bytes], Rehearsed] = {}
        self._asked: set[int] = set()
        self._frames = 0

    def get(self, path: str, body: bytes) -> Rehearsed | None:
        """Return the rendered reply to a request; None if there is none."""
        return self._ready.get((path, body))

    def wants(self, path: str, body: bytes) -> bool:
        """Return whether a request was seen before, so that its reply is worth storing."""
        key = hash((path, body))
        if key in self._asked:
            return self._frames < MOST_FRAMES
        if len(self._asked) < MOST_FRAMES:
            self._asked.add(key)
        return False

    def keep(self, path: str, body: bytes, reply: Rehearsed) -> None:
        """Store a reply for later requests."""
        self._ready[path, body] = reply
        self._frames += len(reply.frames)


class Rerun:
    """A rendered reply in progress; it records the times of sending like a `Delivery`."""

    __slots__ = (
        "_at",
        "_connection",
        "_ended",
        "_entry",
        "_id",
        "_mark",
        "_record",
        "_reply",
        "_start",
        "gone",
    )

    def __init__(
        self,
        connection: MockConnection,
        reply: Rehearsed,
        entry: RecordedRequest,
        record: RequestRecorder,
        ended: Callable[[RecordedRequest, str], None],
    ) -> None:
        self._connection = connection
        self._reply = reply
        # Every id ends with the request's number, with a fixed number of digits.
        entry.id = reply.id[:-DIGITS] + f"{entry.number:0{DIGITS}x}"
        self._mark, self._id = reply.id.encode(), entry.id.encode()
        self._entry = entry
        self._record = record
        self._ended = ended
        self._start = entry.arrival_ns
        self._at = 0
        self.gone = False

    def step(self, now: int) -> int | None:
        """Send the parts that are due; return the time of the next part."""
        if self.gone:
            return None
        reply, at = self._reply, self._at
        due, passed = reply.due, now - self._start
        if due[at] <= passed:
            begun, entry = at, self._entry
            while due[at] <= passed:
                if reply.holds[at]:
                    self._record.count(entry, passed - due[at])
                at += 1
            self._at = at
            data = reply.frames[begun] if at == begun + 1 else b"".join(reply.frames[begun:at])
            self._connection.write(data.replace(self._mark, self._id))
            if reply.chunks[at] > reply.chunks[begun]:
                entry.last_ns = now
                if entry.first_ns is None:
                    entry.first_ns = now
                entry.chunks = reply.chunks[at]
                entry.output_tokens = reply.tokens[at]
                self._record.output_tokens += reply.tokens[at] - reply.tokens[begun]
            if at == len(reply.frames):
                self._close("complete")
                self._connection.finished()
                return None
        return None if self._connection.paused else self._start + due[at]

    def abort(self) -> None:
        """Stop, because the client has disconnected."""
        if not self.gone:
            self._close("client")

    def _close(self, how: str) -> None:
        self.gone = True
        self._ended(self._entry, how)
