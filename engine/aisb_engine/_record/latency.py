"""The latencies of one attempt in prediction files; docs/performance.md defines them."""

from __future__ import annotations

from typing import NamedTuple

from aisb._types import TOKEN_KINDS, ChunkKind, Timing
from aisb_engine._record.kinds import runs_of

VISIBLE_KINDS: frozenset[ChunkKind] = frozenset(("content", "tool"))
"""The kinds of chunks that users see."""


class Latency(NamedTuple):
    """The latencies of one request, in milliseconds since `sent`."""

    ttfb: float | None
    ttft: float | None
    ttfc: float | None
    e2el: float | None


def latency(timing: Timing) -> Latency:
    """Return the latencies of one attempt.

    TTFB is the time of the first streamed event. TTFT is that of the first chunk with tokens (reasoning,
    content or tool), which excludes chunks with only a role, empty chunks and keep-alives. TTFC is that of
    the first visible chunk (content or tool). E2EL is that of the last chunk with tokens, so a late usage
    chunk does not count. A reply that is not streamed has only E2EL.
    """
    sent = timing.sent_ns
    if sent is None:
        return Latency(None, None, None, None)
    stamps = timing.chunk_ns
    first = last = visible = None
    at = 0
    for kind, count in runs_of(timing.chunk_kinds):
        if kind in TOKEN_KINDS:
            first = stamps[at] if first is None else first
            last = stamps[at + count - 1]
        if kind in VISIBLE_KINDS and visible is None:
            visible = stamps[at]
        at += count

    def since(stamp: int | None) -> float | None:
        return None if stamp is None else (stamp - sent) / 1e6

    if not timing.streamed:
        return Latency(None, None, None, since(timing.done_ns if last is None else last))
    return Latency(
        ttfb=since(stamps[0] if stamps else None),
        ttft=since(first),
        ttfc=since(visible),
        e2el=since(last),
    )
