"""The latencies of one attempt, as prediction files have them; docs/performance.md says what each means."""

from __future__ import annotations

from typing import NamedTuple

from aisb._types import TOKEN_KINDS, ChunkKind, Timing

VISIBLE_KINDS: frozenset[ChunkKind] = frozenset(("content", "tool"))
"""The kinds of chunk that a reader sees."""


class Latency(NamedTuple):
    """The latencies of one request, in milliseconds from `sent`."""

    ttfb: float | None
    ttft: float | None
    ttfc: float | None
    e2el: float | None


def latency(timing: Timing) -> Latency:
    """Return the latencies of one attempt.

    TTFB is the first streamed event; TTFT the first chunk with tokens (reasoning, content or tool): a chunk
    with a role only, an empty or a keep-alive one is no token; TTFC the first visible one (content or tool);
    E2EL the last chunk with tokens, so that a late usage chunk does not lengthen it. A reply that is not
    streamed has an E2EL only.
    """
    sent = timing.sent_ns
    if sent is None:
        return Latency(None, None, None, None)
    stamps = list(zip(timing.chunk_ns, timing.chunk_kinds, strict=True))
    tokens = [stamp for stamp, kind in stamps if kind in TOKEN_KINDS]
    visible = next((stamp for stamp, kind in stamps if kind in VISIBLE_KINDS), None)

    def since(stamp: int | None) -> float | None:
        return None if stamp is None else (stamp - sent) / 1e6

    if not timing.streamed:
        return Latency(None, None, None, since(tokens[-1] if tokens else timing.done_ns))
    return Latency(
        ttfb=since(stamps[0][0] if stamps else None),
        ttft=since(tokens[0] if tokens else None),
        ttfc=since(visible),
        e2el=since(tokens[-1] if tokens else None),
    )
