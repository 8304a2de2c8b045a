"""What each latency means: computed from the stamps of every request of a log, null when it is not known.

`aisb_engine._record.latency` does it for one attempt in hand; they agree.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aisb_engine._performance.columns import ALL, Columns
from aisb_engine._record.latency import VISIBLE

if TYPE_CHECKING:
    from aisb_engine._performance.columns import Floats

SOURCES = ("usage", "chunks", "tokenizer")
"""What tells how many tokens a reply has, the first that does: the server, its chunks, a tokenizer."""


@dataclass(frozen=True, slots=True)
class Requests:
    """The numbers of each request, a column each, in the order of `Columns`; milliseconds and per second.

    `source` is the place in SOURCES of what told the output tokens, −1 where nothing did. `one_each` says
    that each chunk of a request held one token, NaN where its chunks' tokens are not known.
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
    ok: Any

    @property
    def output_rate(self) -> Floats:
        """Output tokens ÷ E2EL."""
        return _ratio(1000 * self.output_tokens, self.e2el)

    @property
    def prefill_rate(self) -> Floats:
        """Input tokens ÷ TTFT."""
        return _ratio(1000 * self.input_tokens, self.ttft)


def each_request(columns: Columns) -> Requests:
    """Compute the numbers of each request."""
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
    first_tokens = np.where(np.isnan(columns["first_tokens"]), 1, columns["first_tokens"])
    left = output - first_tokens
    # With one chunk there is no time between tokens: all of them came with the first.
    tpot = np.where((left > 0) & (chunks > 1), (last - first) / 1e6 / np.where(left > 0, left, 1), nan)
    apart = output - chunks
    guessed = np.where((apart >= 0) & (apart <= 1), 1.0, nan)
    return Requests(
        ttfb=only_streamed(columns.first(ALL), sent),
        ttft=only_streamed(first, sent),
        ttfc=only_streamed(columns.first(VISIBLE), sent),
        e2el=(ended - sent) / 1e6,
        e2el_close=(done - sent) / 1e6,
        tpot=np.where(streamed, tpot, nan),
        ttft_planned=only_streamed(first, planned),
        e2el_planned=(ended - planned) / 1e6,
        lateness=(sent - planned) / 1e6,
        input_tokens=columns["input_tokens"],
        output_tokens=output,
        source=source,
        one_each=np.where(np.isnan(columns["lone"]), guessed, columns["lone"]),
        ok=columns["ok"] == 1,
    )


def output_tokens(columns: Columns, order: Sequence[str] = SOURCES) -> tuple[Floats, Any]:
    """Return each request's output tokens by the first source that knows them, and which it was."""
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


def _ratio(value: Floats, whole: Floats) -> Floats:
    import numpy as np

    with np.errstate(divide="ignore", invalid="ignore"):
        ratio: Floats = np.where(whole > 0, value / whole, np.nan)
    return ratio
