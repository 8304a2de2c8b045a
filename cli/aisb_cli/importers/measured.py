"""A tool's own numbers as a stage: unknown totals are None, unknown numbers of a distribution NaN."""

from __future__ import annotations

from collections.abc import Mapping
from math import nan

from aisb import Distribution, Stage, StageTotals

PARAMETERS = (
    "E2EL", "TTFT", "TPOT", "ITL", "InputTokens", "OutputTokens", "OutputTokenThroughput",
    "PrefillTokenThroughput", "TTFB", "TTFC", "ICL", "E2EL(close)", "TTFT(planned)", "E2EL(planned)",
    "Lateness",
)  # fmt: skip


def spread(
    count: int | None,
    average: float | None,
    *,
    median: float | None = None,
    low: float | None = None,
    high: float | None = None,
    percentiles: Mapping[float, float] | None = None,
    scale: float = 1.0,
) -> Distribution | None:
    """Return a distribution with what is known of it, each value times `scale`; None without an average."""
    if average is None:
        return None

    def known(value: float | None) -> float:
        return nan if value is None else float(value) * scale

    return Distribution(
        n=int(count or 0),
        average=known(average),
        minimum=known(low),
        maximum=known(high),
        median=known(median),
        percentiles={percent: known(value) for percent, value in (percentiles or {}).items()},
    )


def stage(
    parameters: Mapping[str, Distribution | None],
    *,
    duration_s: float | None,
    succeeded: int,
    failed: int,
    concurrency: float | None = None,
    limit: int | None = None,
    input_tokens: float | None = None,
    output_tokens: float | None = None,
) -> Stage:
    """Return the stage of all requests; rates follow from the duration."""

    def rate(value: float | None) -> float | None:
        return value / duration_s if value is not None and duration_s else None

    both = None if input_tokens is None or output_tokens is None else input_tokens + output_tokens
    latency = parameters.get("E2EL")
    if concurrency is None and latency is not None and duration_s:
        concurrency = latency.average * succeeded / 1000 / duration_s
    return Stage(
        "total",
        {name: parameters.get(name) for name in PARAMETERS},
        StageTotals(
            duration_ms=None if duration_s is None else duration_s * 1000,
            requests=succeeded + failed,
            failed=failed,
            succeeded=succeeded,
            concurrency=concurrency,
            max_concurrency=limit,
            request_rate=rate(succeeded),
            input_tokens=input_tokens,
            prefill_rate=None,
            output_tokens=output_tokens,
            input_rate=rate(input_tokens),
            output_rate=rate(output_tokens),
            total_rate=rate(both),
        ),
    )
