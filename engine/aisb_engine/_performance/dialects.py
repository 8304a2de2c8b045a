"""Compute the numbers of a run by the rules of other tools, as each of them publishes them.

The rules determine the first chunk, the end of E2EL, the formulas of TPOT and "ITL", and the source of the
number of output tokens. The log is the same; only the rules differ.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from aisb import Distribution
from aisb._errors import UnknownName
from aisb._types import TOKEN_KINDS, ChunkKind
from aisb_engine._performance.columns import ALL, LogColumns
from aisb_engine._performance.latency import SOURCES, output_tokens
from aisb_engine._performance.spreads import Counted, distribution_of, pooled

if TYPE_CHECKING:
    from aisb_engine._performance.columns import Floats

Kinds = frozenset[ChunkKind]

WITH_CHOICES: Kinds = frozenset(("role", "reasoning", "content", "tool", "finish"))
"""The chunks with `choices`: all except usage chunks and keep-alives."""
DATA_EVENTS: Kinds = ALL - {"keepalive"}
GENERATED: Kinds = frozenset(("content", "reasoning"))
CONTENT: Kinds = frozenset(("content",))


@dataclass(frozen=True, slots=True)
class ToolRules:
    """The rules of one tool.

    `last` None means the end of the reply, including `[DONE]`. `tpot` and `itl` name a formula: `rest` is
    (E2EL − TTFT)/(N − 1), `rest or 0` is the same with 0 for N ≤ 1, `whole` is E2EL/N, `gaps` pools the gaps
    between chunks of the kinds `pooled`, `shares` pools these gaps per token, `between` is
    (last − first)/(N − 1) over these chunks, and None means that the tool does not have it. `tokens` are the
    sources of N in order; `otherwise` is N if none of them knows it; `summary` describes the rules in a line.
    With `certified`, the percentiles are upper bounds at 99 % confidence, and omitted if there are too few
    values.
    """

    name: str
    first: Kinds
    last: Kinds | None
    tpot: Literal["rest", "rest or 0", "whole"] | None
    itl: Literal["gaps", "shares", "rest", "between"] | None
    pooled: Kinds
    tokens: tuple[str, ...]
    otherwise: Literal["asked", "chunks"] | float | None
    summary: str
    certified: bool = False


DIALECTS: Mapping[str, ToolRules] = {
    dialect.name: dialect
    for dialect in (
        ToolRules(
            "vllm", WITH_CHOICES, WITH_CHOICES, "rest", "gaps", WITH_CHOICES, ("usage", "tokenizer"), 1,
            "first and last chunk with choices, role-only and finish included; TPOT (E2EL−TTFT)/(N−1)",
        ),
        ToolRules(
            "aisbench", WITH_CHOICES, DATA_EVENTS, "rest or 0", "gaps", DATA_EVENTS, ("usage",), 0,
            "first chunk, role-only included, to the usage chunk; TPOT (E2EL−TTFT)/(N−1), 0 where N ≤ 1",
        ),
        ToolRules(
            "aiperf", GENERATED, GENERATED, None, "rest", GENERATED, ("tokenizer",), None,
            "first to last content or reasoning; its ITL is (E2EL−TTFT)/(N−1); N by a tokenizer",
        ),
        ToolRules(
            "guidellm", TOKEN_KINDS, TOKEN_KINDS, "whole", "between", TOKEN_KINDS, ("usage",), "chunks",
            "first to last token; TPOT E2EL/N, TTFT inside; ITL (last−first)/(N−1) a request",
        ),
        ToolRules(
            "sglang", CONTENT, None, "rest", "shares", CONTENT, ("usage",), "asked",
            "first chunk with content to [DONE]; TPOT (E2EL−TTFT)/(N−1); ITL a token of each chunk",
        ),
        ToolRules(
            "evalscope", WITH_CHOICES, DATA_EVENTS, "rest", "gaps", WITH_CHOICES, ("usage", "tokenizer"),
            None,
            "first chunk with choices to the usage chunk; TPOT (E2EL−TTFT)/(N−1)",
        ),
        ToolRules(
            "mlperf", TOKEN_KINDS, TOKEN_KINDS, "rest", None, TOKEN_KINDS, ("usage", "chunks", "tokenizer"),
            None, "first to last token; TPOT (E2EL−TTFT)/(N−1); percentiles are early-stopping estimates",
            certified=True,
        ),
    )
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class DialectMetrics:
    """A run measured by the rules of a tool: the numbers of each successful request (ms), and distributions.

    A number that the tool does not have is None in `parameters`. Its ITL is pooled if the tool pools it.
    """

    dialect: ToolRules
    ttft: Floats
    e2el: Floats
    tpot: Floats
    tokens: Floats
    itl: Floats | None
    parameters: Mapping[str, Distribution | None]


def dialect(name: str) -> ToolRules:
    """Return the rules of a tool by its name. Raise `UnknownName` if it is unknown."""
    if name not in DIALECTS:
        raise UnknownName("dialect", name, DIALECTS)
    return DIALECTS[name]


def measure_by(columns: LogColumns, rules: ToolRules, percentiles: Sequence[float]) -> DialectMetrics:
    """Compute the numbers of a run by the rules of a tool."""
    import numpy as np

    ok = columns["ok"] == 1
    streamed = columns["streamed"] == 1
    sent = columns["sent"]
    nan = np.full(len(columns), np.nan)
    ttft = np.where(streamed, (columns.first(rules.first) - sent) / 1e6, nan)
    last = columns["done"] if rules.last is None else columns.last(rules.last)
    e2el = (np.where(np.isnan(columns.last(ALL)), nan, last) - sent) / 1e6
    tokens = _tokens(columns, rules)
    with np.errstate(divide="ignore", invalid="ignore"):
        rest = np.where(tokens > 1, (e2el - ttft) / (tokens - 1), nan)
        tpot = {
            "rest": rest,
            "rest or 0": np.where(streamed & (tokens <= 1), 0.0, rest),
            "whole": np.where(streamed & (tokens > 0), e2el / tokens, nan),
            None: nan,
        }[rules.tpot]
        between = np.where(
            streamed & (tokens > 1),
            (columns.last(rules.pooled) - columns.first(rules.pooled)) / 1e6 / (tokens - 1),
            nan,
        )
    itl = {"rest": rest, "between": between, None: nan}.get(rules.itl)

    def distribution(values: Floats) -> Distribution | None:
        found = distribution_of(values[ok], percentiles)
        return replace(found, percentiles=found.certified) if found and rules.certified else found

    return DialectMetrics(
        rules,
        ttft[ok],
        e2el[ok],
        tpot[ok],
        tokens[ok],
        None if itl is None else itl[ok],
        {
            "E2EL": distribution(e2el),
            "TTFT": distribution(ttft),
            "TPOT": distribution(tpot),
            "ITL": _pooled(columns, rules, percentiles) if itl is None else distribution(itl),
            "OutputTokens": distribution(tokens),
        },
    )


def _tokens(columns: LogColumns, rules: ToolRules) -> Floats:
    import numpy as np

    tokens, _ = output_tokens(columns, [name for name in SOURCES if name in rules.tokens])
    missing: Any = rules.otherwise
    if missing == "asked":
        missing = columns["max_tokens"]
    elif missing == "chunks":
        missing = columns.count()
    found: Floats = np.where(np.isnan(tokens), np.nan if missing is None else missing, tokens)
    return found


def _pooled(columns: LogColumns, rules: ToolRules, percentiles: Sequence[float]) -> Distribution | None:
    rows = ((columns["ok"] == 1) & (columns["streamed"] == 1)).nonzero()[0]

    def stream() -> Iterator[tuple[int, Any]]:
        if rules.itl == "gaps":
            for _, gaps in columns.gaps(rows, rules.pooled):
                yield 0, gaps
            return
        # A chunk that does not report its tokens counts as one token.
        several = (columns["lone"][rows] == 0).astype(bool)
        for _, gaps in columns.gaps(rows[~several], rules.pooled):
            yield 0, gaps
        for _, shares in columns.per_token(rows[several], rules.pooled):
            yield 0, shares

    return pooled(Counted(stream), {"ITL": frozenset({0})}, percentiles)["ITL"]
