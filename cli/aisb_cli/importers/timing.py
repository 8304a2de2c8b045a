"""Times of another tool's requests, as the stamps that a log has."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from itertools import accumulate

from aisb import ChunkKind, Timing

NS_PER_S = 1e9
NS_PER_MS = 1e6


def stamps(first: float, gaps: Iterable[float], unit: float) -> list[float]:
    """Return the times of chunks in nanoseconds: the first one, and one after each gap of `unit` ns."""
    return list(accumulate((gap * unit for gap in gaps), initial=first))


def timing(
    sent: float,
    chunks: Sequence[float],
    *,
    planned: float | None = None,
    headers: float | None = None,
    done: float | None = None,
    streamed: bool = True,
) -> Timing:
    """Return the times of a request, all in nanoseconds since the first request of the run."""
    kinds: list[ChunkKind] = ["content"] * len(chunks)
    return Timing(
        planned_ns=None if planned is None else round(planned),
        sent_ns=round(sent),
        headers_ns=None if headers is None else round(headers),
        chunk_ns=array("q", map(round, chunks)),
        chunk_kinds=kinds,
        done_ns=None if done is None else round(done),
        streamed=streamed,
    )
