"""Replies that are rendered once and sent again: bytes and times are prepared.

A mock that is to be faster than the client under test cannot build events while hundreds of streams wait. If
nothing is random for a single reply (latencies, faults), a repeated request gets the same reply except for
its id, so that it is rendered once.
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
"""How many frames are kept, of all replies together: some 150 MB."""
SAME = ("model", "adapter", "question", "seed", "stream", "prompt_tokens", "finish_reason", "status")
"""What the record says of every request that gets the reply."""


class Rehearsed:
    """A streamed reply as frames, each with its time after the request's arrival and its number of tokens."""

    def __init__(self, plan: Plan, entry: RecordedRequest) -> None:
        parts = [(due, data, tokens) for due, data, tokens in plan if not isinstance(data, DeliveryEnd)]
        self.frames = [data for _, data, _ in parts]
        self.due = [*(due for due, _, _ in parts), NEVER]
        self.holds = [tokens for _, _, tokens in parts]
        # By how many frames were sent: tokens and token-bearing chunks up to there.
        self.tokens = [0, *accumulate(self.holds)]
        self.chunks = [0, *accumulate(map(bool, self.holds))]
        self.id = entry.id or ""
        self.facts = {name: getattr(entry, name) for name in SAME}


class Repertoire:
    """The replies that are ready, by path and body of their requests."""

    def __init__(self) -> None:
        self._ready: dict[tuple[str, bytes], Rehearsed] = {}
        self._asked: set[int] = set()
        self._frames = 0

    def get(self, path: str, body: bytes) -> Rehearsed | None:
        """Return the reply to a request, where it is ready."""
        return self._ready.get((path, body))

    def wants(self, path: str, body: bytes) -> bool:
        """Return whether a request comes again, so that its reply is worth keeping."""
        key = hash((path, body))
        if key in self._asked:
            return self._frames < MOST_FRAMES
        if len(self._asked) < MOST_FRAMES:
            self._asked.add(key)
        return False

    def keep(self, path: str, body: bytes, reply: Rehearsed) -> None:
        """Keep a reply for the requests that follow."""
        self._ready[path, body] = reply
        self._frames += len(reply.frames)


class Rerun:
    """A rehearsed reply on its way, which notes what was sent when as a `Delivery` does."""

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
        # Every id ends in the request's number, in so many digits.
        entry.id = reply.id[:-DIGITS] + f"{entry.number:0{DIGITS}x}"
        self._mark, self._id = reply.id.encode(), entry.id.encode()
        self._entry = entry
        self._record = record
        self._ended = ended
        self._start = entry.arrival_ns
        self._at = 0
        self.gone = False

    def step(self, now: int) -> int | None:
        """Send what is due; return when the next part is."""
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
        """Stop: the client has gone."""
        if not self.gone:
            self._close("client")

    def _close(self, how: str) -> None:
        self.gone = True
        self._ended(self._entry, how)
