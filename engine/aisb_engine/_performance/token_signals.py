"""Yield the signals about tokens: counts that disagree, other lengths, buffered streams, cache hits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from aisb import Counters, Signal
from aisb_engine._performance.limits import (
    CACHE_POINTS,
    END_TOKENS,
    INPUT_FEWER,
    INPUT_MORE,
    INPUT_TOLERANCE,
    LAG_MS,
    MAX_DIFFERING_SHARE,
    MIN_STREAM_TOKENS,
    TEXT_KINDS,
)

if TYPE_CHECKING:
    from aisb_engine._performance.columns import LogColumns
    from aisb_engine._performance.latency import Requests
    from aisb_engine._record.loadfiles import LoadFiles


def token_signals(
    columns: LogColumns, requests: Requests, load: LoadFiles, counters: Counters | None
) -> Iterator[Signal]:
    """Yield the signals that depend on the tokens of the requests and replies."""
    yield from _token_counts(columns, requests)
    yield from _input_lengths(columns, requests, load)
    yield from _output_lengths(columns, requests, load)
    yield from _buffered_streams(columns, requests, load)
    yield from _cache(columns, requests, load, counters)


def _token_counts(columns: LogColumns, requests: Requests) -> Iterator[Signal]:
    import numpy as np

    ok = requests.ok
    for name, column in (("the chunks", "counted_tokens"), ("the tokenizer", "retold_tokens")):
        difference = np.abs(columns["usage_tokens"] - columns[column])[ok]
        known = ~np.isnan(difference)
        differ = int((difference[known] > END_TOKENS).sum())
        if differ > MAX_DIFFERING_SHARE * known.sum():
            reason = (
                f"the server's count and {name} disagree on the output tokens of {differ} of {known.sum()}"
            )
            yield Signal("token counts", "SUSPECT", f"{reason} replies")
    usage = columns["usage_tokens"]
    # Tool calls may be sent in more chunks than they have tokens.
    fewer = ok & (columns["streamed"] == 1) & (usage < columns.count(TEXT_KINDS) - END_TOKENS)
    if fewer.sum() > MAX_DIFFERING_SHARE * (ok & ~np.isnan(usage)).sum():
        row = int(fewer.argmax())
        reason = (
            f"the server counts fewer output tokens than chunks with text in {fewer.sum()} of {ok.sum()} "
            f"replies (the first: {usage[row]:.0f} tokens in {columns.count(TEXT_KINDS)[row]:.0f} chunks)"
        )
        yield Signal("token counts", "SUSPECT", reason)
    unknown = int((np.isnan(requests.output_tokens) & ok).sum())
    if 0 < unknown < ok.sum():
        reason = f"the output tokens of {unknown} of {ok.sum()} replies are unknown and not in any sum"
        yield Signal("token counts", "SUSPECT", reason)


def _input_lengths(columns: LogColumns, requests: Requests, load: LoadFiles) -> Iterator[Signal]:
    """Yield a signal if generated prompts have another length by the server's count.

    A chat template adds tokens, but removes none.
    """
    import numpy as np

    requested, counted = columns["requested_input"], requests.input_tokens
    # Later turns contain the conversation so far.
    known = requests.ok & ~np.isnan(requested) & ~np.isnan(counted) & (columns["turn"] == 0)
    if load.input_exact is None or not known.any():
        return
    tolerance = INPUT_TOLERANCE[load.input_exact] * requested
    wrong = known & (
        (counted < requested - tolerance - INPUT_FEWER) | (counted > requested + tolerance + INPUT_MORE)
    )
    if wrong.sum() > MAX_DIFFERING_SHARE * known.sum():
        row = int(wrong.argmax())
        reason = (
            f"the server counts another length than requested for {wrong.sum()} of {known.sum()} prompts "
            f"(the first: {counted[row]:.0f} of {requested[row]:.0f} tokens): "
            "is the tokenizer that of the model?"
        )
        yield Signal("input lengths", "SUSPECT", reason)


def _output_lengths(columns: LogColumns, requests: Requests, load: LoadFiles) -> Iterator[Signal]:
    import numpy as np

    requested, counted = columns["max_tokens"], requests.output_tokens
    known = requests.ok & ~np.isnan(requested) & ~np.isnan(counted)
    # A reply may end before its limit, unless ignore_eos is set; it may never be longer.
    forced = bool(load.requested.get("ignore_eos"))
    cut = np.array([reason == "length" for reason in columns.finish], bool)
    wrong = known & ((counted > requested) | ((counted < requested) & (cut | forced)))
    if wrong.sum() > MAX_DIFFERING_SHARE * known.sum():
        counts, limits = counted[wrong], requested[wrong]
        reason = (
            f"{wrong.sum()} of {known.sum()} replies have another length than requested "
            f"(the first: {counts[0]:.0f} of {limits[0]:.0f} tokens)"
        )
        yield Signal("output lengths", "SUSPECT", reason)


def _buffered_streams(columns: LogColumns, requests: Requests, load: LoadFiles) -> Iterator[Signal]:
    """Yield a signal for streams that arrived in one piece, held on the way or by a client that lagged."""
    import numpy as np

    long = requests.ok & (np.fmax(requests.output_tokens, columns.count()) >= MIN_STREAM_TOKENS)
    at_once = int((long & requests.at_once).sum())
    if at_once > MAX_DIFFERING_SHARE * long.sum():
        lag = load.client_health.lag if load.client_health else None
        remedy = "look for a proxy or gateway that buffers streams"
        if lag is not None and lag > LAG_MS[0]:
            remedy = "this client lagged, which may be the cause; otherwise " + remedy
        reason = (
            f"all chunks of {at_once} of {long.sum()} replies came at one moment, so TPOT, ITL and "
            f"ICL leave these out: {remedy}"
        )
        yield Signal("buffered streams", "SUSPECT", reason)


def _cache(
    columns: LogColumns, requests: Requests, load: LoadFiles, counters: Counters | None
) -> Iterator[Signal]:
    import numpy as np

    cached, inputs = columns["cached_tokens"], requests.input_tokens
    known = requests.ok & ~np.isnan(cached) & ~np.isnan(inputs)
    hits: float | None = None
    if known.any() and inputs[known].sum() > 0:
        hits = float(cached[known].sum() / inputs[known].sum())
    elif counters is not None:
        hits = counters.prefix_hit_rate
    declared = load.number("cache_share") or 0.0
    least = load.number("min_cache_share")
    low = declared if least is None else least
    if hits is not None and not low - CACHE_POINTS <= hits <= declared + CACHE_POINTS:
        reason = f"{100 * hits:.0f} % of the input tokens came from the server's prefix cache, "
        reason += f"{100 * declared:.0f} % were declared" if declared else "and none were declared"
        reason += " (load.cache_share)"
        yield Signal("cache hits", "SUSPECT", reason)
