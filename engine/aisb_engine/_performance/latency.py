"""Compute the latencies of every request from the stamps in a log; unknown ones are null.

`aisb_engine._record.latency` computes them for a single attempt, by the same rules.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aisb_engine._performance.columns import ALL, LogColumns
from aisb_engine._record.latency import VISIBLE_KINDS

if TYPE_CHECKING:
    from aisb_engine._performance.columns import Floats

SOURCES = ("usage", "chunks", "tokenizer")
"""The sources of a reply's token count, in order of preference: the server, its chunks, a tokenizer."""


@dataclass(frozen=True, slots=True)
class Requests:
    """Latencies and token counts of each request as columns, in the order of `Columns`; ms and per second.

    `source` is the index in SOURCES of the source of the output tokens, −1 if they are unknown. `one_each`
    tells that each chunk of a request except the first had one token, NaN if its chunks do not report tokens.
    `at_once` marks streams in which all chunks with tokens, two or more, have the same stamp: something on
    the way held them back, so the time between tokens is unknown.
    """

    ttfb: Floats
    ttft: Floats
    ttfc: Floats
    e2el: Floats
    e2el_close: Floats
    tpot: Floats
    ttft_planned: Floats
    e2el_planned: Floats
    lateness: Floats
    input_tokens: Floats
    output_tokens: Floats
    source: Any
    one_each: Floats
    at_once: Any
    ok: Any

    @property
    def output_rate(self) -> Floats:
        """Output tokens ÷ E2EL."""
        return _ratio(1000 * self.output_tokens, self.e2el)

    @property
    def prefill_rate(self) -> Floats:
        """Input tokens ÷ TTFT."""
        return _ratio(1000 * self.input_tokens, self.ttft)


def each_request(columns: LogColumns) -> Requests:
    """Compute the latencies and token counts of each request."""
    import numpy as np

    sent, planned = columns["sent"], columns["planned"]
    first, last, done = columns.first(), columns.last(), columns["done"]
    streamed = columns["streamed"] == 1
    nan = np.full(len(columns), np.nan)

    def only_streamed(stamps: Floats, since: Floats) -> Floats:
        return np.where(streamed, (stamps - since) / 1e6, nan)

    ended = np.where(~streamed & np.isnan(last), done, last)
    output, source = output_tokens(columns)
    chunks = columns.count()
    at_once = streamed & (chunks > 1) & (first == last)
    streamed_tokens = output - _hidden_tokens(columns, output)
    difference = streamed_tokens - chunks
    guessed = np.where((difference >= 0) & (difference <= 1), 1.0, nan)
    return Requests(
        ttfb=only_streamed(columns.first(ALL), sent),
        ttft=only_streamed(first, sent),
        ttfc=only_streamed(columns.first(VISIBLE_KINDS), sent),
        e2el=(ended - sent) / 1e6,
        e2el_close=(done - sent) / 1e6,
        tpot=np.where(streamed, _tpot(columns, streamed_tokens), nan),
        ttft_planned=only_streamed(first, planned),
        e2el_planned=(ended - planned) / 1e6,
        lateness=(sent - planned) / 1e6,
        input_tokens=columns["input_tokens"],
        output_tokens=output,
        source=source,
        one_each=np.where(at_once, nan, np.where(np.isnan(columns["lone"]), guessed, columns["lone"])),
        at_once=at_once,
        ok=columns["ok"] == 1,
    )


def _tpot(columns: LogColumns, tokens: Floats) -> Floats:
    """Return the milliseconds per token after the first chunk, for the streamed `tokens` of each request.

    If chunks report their tokens, it is the time from the first chunk with tokens to the last. Otherwise each
    chunk counts as one token. One token more than in the chunks is the end token of a reply that stopped by
    itself; tokens after the last text that N omits are not subtracted again. With a single stamp there is no
    time between tokens.
    """
    import numpy as np

    counted = ~np.isnan(columns["first_tokens"])
    stopped = np.array([reason not in (None, "length") for reason in columns.finish], bool)
    before = np.where(counted, columns["first_tokens"], 1)
    pace = np.where(counted, columns["pace_ns"], columns.last() - columns.first())
    missing = tokens - np.where(counted, columns["counted_tokens"], columns.count())
    textless = np.where(counted, columns["end_tokens"], 0)
    end = np.fmax(textless + np.where((missing < 0) | (stopped & (missing == 1)), missing, 0), 0)
    after = tokens - before - end
    known = (after > 0) & (pace > 0)
    per_token: Floats = np.where(known, pace / 1e6 / np.where(known, after, 1), np.nan)
    return per_token


def _hidden_tokens(columns: LogColumns, output: Floats) -> Floats:
    """Return the reasoning tokens of each request that the service counts but does not stream.

    If reasoning is streamed as text, it is in the chunks, and these leave no room for hidden tokens.
    """
    import numpy as np

    told = np.where(
        columns.count(frozenset(("reasoning",))) > 0, 0, np.nan_to_num(columns["reasoning_tokens"])
    )
    counted = columns["counted_tokens"]
    missing = np.nan_to_num(output - counted)
    fits = told <= output - columns.count()
    hidden: Floats = np.where(np.isnan(counted), np.where(fits, told, 0), np.clip(missing, 0, told))
    return hidden


def output_tokens(columns: LogColumns, order: Sequence[str] = SOURCES) -> tuple[Floats, Any]:
    """Return each request's output tokens by the first source that knows them, and its index."""
    import numpy as np

    names = {"usage": "usage_tokens", "chunks": "counted_tokens", "tokenizer": "retold_tokens"}
    tokens = np.full(len(columns), np.nan)
    source = np.full(len(columns), -1)
    for name in order:
        found = columns[names[name]]
        new = np.isnan(tokens) & ~np.isnan(found)
        tokens = np.where(new, found, tokens)
        source[new] = SOURCES.index(name)
    return tokens, source


def _ratio(value: Floats, total: Floats) -> Floats:
    import numpy as np

    with np.errstate(divide="ignore", invalid="ignore"):
        ratio: Floats = np.where(total > 0, value / total, np.nan)
    return ratio
