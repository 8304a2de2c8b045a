"""Write the files of a measured performance: two tables, a row for each request, JSON, and numpy arrays."""

from __future__ import annotations

import csv
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

from aisb import DialectResult, Distribution, PerformanceResult, Stage
from aisb.helpers import csv_cell, write_file
from aisb_reporter_performance._headline import headline
from aisb_reporter_performance._tables import COMMON, PARAMETERS, UNITS, exact, headers, values

REQUEST_COLUMNS = (
    "id", "repeat", "turn", "ok", "planned_ms", "sent_ms", "ttfb_ms", "ttft_ms", "ttfc_ms", "tpot_ms",
    "e2el_ms", "input_tokens", "output_tokens", "output_tokens_source", "chunks", "attempts", "failure",
)  # fmt: skip


ARRAYS = (
    "first_token_ns", "last_token_ns", "chunks", "output_tokens",
    "planned_ns", "connected_ns", "sent_ns", "headers_ns", "done_ns",
    "repeat", "turn", "attempts", "streamed", "input_tokens", "cached_tokens",
)  # fmt: skip
"""The arrays of the `.npz` file that are columns as they are, in its order."""


def write_files(
    folder: Path, result: PerformanceResult, dialects: Sequence[DialectResult] = ()
) -> list[Path]:
    """Write all files of one subtask into a run folder; return them."""
    base = folder / "performances" / result.model / result.task
    content = {
        ".csv": _csv(map(csv_cell, row) for row in parameters_rows(result)),
        ".json": _json(common_metrics(result)),
        "_headline.txt": ("\n".join(headline(result)) + "\n").encode(),
        "_requests.csv": _csv(request_rows(result)),
        "_details.json": _json(details(result, dialects)),
        "_details.npz": columns_file(result),
    }
    files = []
    for ending, data in content.items():
        file = base.with_name(base.name + ending)
        write_file(file, data)
        files.append(file)
    return files


def parameters_rows(
    result: PerformanceResult, stages: Collection[str] | None = None
) -> Iterator[Sequence[str]]:
    """Yield the table "Performance Parameters": units in the cells, unknown cells empty.

    `stages` are the names of those that are in it, None for all.
    """
    yield headers(result.percentiles)
    for name in PARAMETERS:
        for stage in _chosen(result, stages):
            distribution = stage.parameters[name]
            cells = [exact(value, UNITS[name]) for value in values(distribution, result.percentiles)]
            yield [name, stage.name, *cells, str(distribution.n if distribution else 0)]


def common_metrics(
    result: PerformanceResult, stages: Collection[str] | None = None
) -> dict[str, dict[str, Any]]:
    """Return the table "Common Metric" by name and stage: numbers if there is no unit, null if unknown."""
    table: dict[str, dict[str, Any]] = {}
    for name, (key, unit) in COMMON.items():
        for stage in _chosen(result, stages):
            value = getattr(stage.totals, key)
            if isinstance(value, float):
                value = round(value, 4) if not value.is_integer() or unit else int(value)
            table.setdefault(name, {})[stage.name] = f"{value}{unit}" if unit and value is not None else value
    return table


def _chosen(result: PerformanceResult, stages: Collection[str] | None) -> list[Stage]:
    return [stage for stage in result.stages if stages is None or stage.name in stages]


def request_rows(result: PerformanceResult) -> Iterator[Sequence[object]]:
    """Yield a row a request, in the order of sending; times in milliseconds, unknown cells empty.

    Only the three columns of texts can look like a formula; the other cells are numbers.
    """
    columns = result.requests()
    yield REQUEST_COLUMNS
    times = [columns["planned_ns"] / 1e6, columns["sent_ns"] / 1e6]
    times += [columns[name] for name in ("ttfb", "ttft", "ttfc", "tpot", "e2el")]

    def counts(*names: str) -> list[list[str]]:
        return [_counts(columns[name]) for name in names]

    def texts(name: str) -> Iterator[object]:
        return map(csv_cell, columns[name])

    yield from zip(
        texts("id"), *counts("repeat", "turn"), ["true" if ok else "false" for ok in columns["ok"]],
        *map(_times, times), *counts("input_tokens", "output_tokens"), texts("output_tokens_source"),
        *counts("chunks", "attempts"), texts("failure"), strict=True,
    )  # fmt: skip


def details(result: PerformanceResult, dialects: Sequence[DialectResult] = ()) -> dict[str, Any]:
    """Return every number, without units: milliseconds, tokens, and rates a second; null is unknown."""
    return {
        "model": result.model,
        "task": result.task,
        "stages": {
            stage.name: {
                "parameters": _parameters(stage.parameters),
                "common": asdict(stage.totals),
            }
            for stage in result.stages
        },
        "stable_window": None if result.window is None else asdict(result.window),
        "not_steady": result.unsteady or None,
        "requested": dict(result.requested.options),
        "achieved": asdict(result.achieved),
        "goodput": None if result.goodput is None else asdict(result.goodput),
        "sessions": None if result.sessions is None else dict(result.sessions),
        "certificate": {
            "verdict": result.certificate.verdict,
            "signals": [asdict(signal) for signal in result.certificate.signals],
        },
        "client_health": None if result.client_health is None else dict(result.client_health),
        "counters": None if result.counters is None else asdict(result.counters),
        "notes": list(result.notes),
        "dialects": {dialect.name: _parameters(dialect.parameters) for dialect in dialects},
    }


def columns_file(result: PerformanceResult) -> bytes:
    """Return numpy's .npz with an entry a request in each array; NaN and "" are unknown."""
    import numpy as np

    columns = result.requests()
    arrays: dict[str, Any] = {
        "id": np.array(columns["id"], str),
        "finish_reason": np.array(columns["finish_reason"], str),
        "failure": np.array(columns["failure_kind"], str),
        "ok": columns["ok"],
        "first_event_ns": columns["sent_ns"] + columns["ttfb"] * 1e6,
    }
    arrays |= {name: columns[name] for name in ARRAYS}
    arrays["max_tokens"] = columns["max_tokens"]
    buffer = BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def _parameters(parameters: Mapping[str, Distribution | None]) -> dict[str, dict[str, Any] | None]:
    return {name: None if one is None else _distribution(one) for name, one in parameters.items()}


def _distribution(distribution: Distribution) -> dict[str, Any]:
    def by_text(values: Mapping[float, float]) -> dict[str, float]:
        return {f"{percent:g}": value for percent, value in values.items()}

    percentiles, certified = by_text(distribution.percentiles), by_text(distribution.certified)
    return {**asdict(distribution), "percentiles": percentiles, "certified": certified}


def _times(column: Any) -> list[str]:
    return ["" if value != value else f"{value:.6f}" for value in column.tolist()]  # noqa: PLR0124 - NaN


def _counts(column: Any) -> list[str]:
    return ["" if value != value else str(int(value)) for value in column.tolist()]  # noqa: PLR0124 - NaN


def _csv(rows: Iterable[Iterable[object]]) -> bytes:
    text = StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()


def _json(table: Mapping[str, Any]) -> bytes:
    import orjson

    return orjson.dumps(table, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
