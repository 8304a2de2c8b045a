"""The limits of the signals of a certificate."""

from __future__ import annotations

from aisb._types import ChunkKind

LAG_MS = (5.0, 50.0)
"""Event-loop lag that makes a result suspect, and invalid; in the stable stage, else in the whole run."""
LATE_MS = (5.0, 100.0)
"""The 99th percentile of lateness, unless the concurrency limit holds requests back."""
STALLED_SHARE = 0.01
"""The share of the time in which the event loop may stand still: that of the requests beyond P99."""
CPU_SHARE = 0.9
FAILED_SHARE = 0.1
LOST_SHARE = 0.1
"""The share of the planned requests that lost workers may have left unasked before a result is invalid."""
LOAD_TOLERANCE = (0.05, 0.2)
"""The relative difference allowed between achieved and requested rate or concurrency."""
RATE_REQUESTS = 20
"""With so few requests, the rate is not compared: the gaps between them are random."""
TRACE_REQUESTS = 20
TRACE_GAPS = (0.002, 600.0)
"""If the average seconds between the requests of a trace are outside of these limits, its times must be in
another unit. Published traces have up to some tens of requests per second; read 1000 times too fast, most
have more than 500."""
MAX_DIFFERING_SHARE = 0.01
"""The share of requests whose counts may disagree without a signal."""
CACHE_POINTS = 0.05
MIN_STREAM_TOKENS = 4
"""Replies with fewer tokens can arrive in one piece on any network."""
END_TOKENS = 1
"""Servers count the end token, which is in no chunk, so a difference of one token is no disagreement."""
TEXT_KINDS: frozenset[ChunkKind] = frozenset(("content", "reasoning"))
INPUT_TOLERANCE = {True: 0.05, False: 0.6}
"""The relative difference allowed between the input tokens that the server counts and those requested: for
prompts that a tokenizer made to an exact length, and for others."""
INPUT_FEWER, INPUT_MORE = 2, 64
"""The absolute difference that is always allowed: fewer tokens, and more, since a chat template adds some."""
