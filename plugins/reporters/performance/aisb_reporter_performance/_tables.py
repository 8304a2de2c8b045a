"""The rows, units and number formats that the terminal and the files have in common."""

from __future__ import annotations

import math
from collections.abc import Sequence

from aisb import Distribution

PARAMETERS = (
    "E2EL", "TTFT", "TPOT", "ITL", "InputTokens", "OutputTokens", "OutputTokenThroughput",
    "PrefillTokenThroughput",
)  # fmt: skip
"""The rows of the table "Performance Parameters"."""
FURTHER_PARAMETERS = ("TTFB", "TTFC", "ICL", "E2EL(close)", "TTFT(planned)", "E2EL(planned)", "Lateness")
"""Rows that the terminal shows below them; same form."""
UNKNOWN = "–"
MS, RATE = " ms", " token/s"
UNITS = {
    "E2EL": MS, "TTFT": MS, "TPOT": MS, "ITL": MS, "InputTokens": "", "OutputTokens": "",
    "OutputTokenThroughput": RATE, "PrefillTokenThroughput": RATE,
    "TTFB": MS, "TTFC": MS, "ICL": MS, "E2EL(close)": MS, "TTFT(planned)": MS, "E2EL(planned)": MS,
    "Lateness": MS,
}  # fmt: skip
COMMON = {
    "Benchmark Duration": ("duration_ms", " ms"),
    "Total Requests": ("requests", ""),
    "Failed Requests": ("failed", ""),
    "Success Requests": ("succeeded", ""),
    "Concurrency": ("concurrency", ""),
    "Max Concurrency": ("max_concurrency", ""),
    "Request Throughput": ("request_rate", " req/s"),
    "Total Input Tokens": ("input_tokens", ""),
    "Prefill Token Throughput": ("prefill_rate", RATE),
    "Total Generated Tokens": ("output_tokens", ""),
    "Input Token Throughput": ("input_rate", RATE),
    "Output Token Throughput": ("output_rate", RATE),
    "Total Token Throughput": ("total_rate", RATE),
}


def headers(percentiles: Sequence[float]) -> list[str]:
    """Return the columns of "Performance Parameters"."""
    fixed = ["Performance Parameters", "Stage", "Average", "Min", "Max", "Median"]
    return [*fixed, *(f"P{percent:g}" for percent in percentiles), "N"]


def values(distribution: Distribution | None, percentiles: Sequence[float]) -> list[float | None]:
    """Return the numbers of a row between its stage and its N."""
    if distribution is None:
        return [None] * (4 + len(percentiles))
    fixed = [distribution.average, distribution.minimum, distribution.maximum, distribution.median]
    found = [*fixed, *(distribution.percentiles[percent] for percent in percentiles)]
    return [None if math.isnan(value) else value for value in found]  # as an imported result may have


def exact(value: float | None, unit: str) -> str:
    """Return a number as files have it: four places and its unit; empty when it is not known."""
    return "" if value is None else f"{round(value, 4)}{unit}"


def short(value: float | None) -> str:
    """Return a number in about six columns: four digits that count, and a dash when it is not known."""
    if value is None or math.isnan(value):
        return UNKNOWN
    size = abs(value)
    if size >= 999_999.5:
        digits, _, power = f"{value:.2e}".partition("e")
        return f"{digits}e{int(power)}"
    if size >= 999.95 or value == int(value):
        return f"{value:.0f}"
    for least, places in ((99.995, 1), (9.9995, 2)):
        if size >= least:
            return f"{value:.{places}f}"
    return f"{value:.3f}"


def grid(rows: Sequence[Sequence[str]], *, left: int, gap: int = 1) -> str:
    """Return rows as aligned text, the first one ruled off; a cell may have several lines."""
    cells = [[cell.split("\n") for cell in row] for row in rows]
    widths = [max(len(line) for row in cells for line in row[n]) for n in range(len(cells[0]))]
    lines = []
    for number, row in enumerate(cells):
        for level in range(max(map(len, row))):
            parts = [cell[level] if level < len(cell) else "" for cell in row]
            aligned = [
                part.ljust(width) if n < left else part.rjust(width)
                for n, (part, width) in enumerate(zip(parts, widths, strict=True))
            ]
            lines.append((" " * gap).join(aligned).rstrip())
        if number == 0:
            lines.append((" " * gap).join("-" * width for width in widths))
    return "\n".join(lines)
