"""Write a measured performance: the two tables, a row a request, and everything for other programs."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from io import BytesIO, StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aisb_engine._performance.performance import PARAMETERS, Performance
from aisb_engine._record.runfolder import RunFolder, write_atomically
from aisb_reporter_performance._tables import COMMON, UNITS, exact, headers, values

if TYPE_CHECKING:
    from aisb_engine._performance.dialects import Dialect

REQUEST_COLUMNS = (
    "id", "repeat", "turn", "ok", "planned_ms", "sent_ms", "ttfb_ms", "ttft_ms", "ttfc_ms", "tpot_ms",
    "e2el_ms", "input_tokens", "output_tokens", "output_tokens_source", "chunks", "attempts", "failure",
)  # fmt: skip


def write(folder: RunFolder, found: Performance, tools: Sequence[Dialect] = ()) -> list[Path]:
    """Write all files of one subtask; return them."""
    base = folder.performances(found.model, found.task)
    content = {
        ".csv": _csv(parameters_rows(found)),
        ".json": _json(common_metrics(found)),
        "_requests.csv": _csv(request_rows(found)),
        "_details.json": _json(details(found, tools)),
        "_details.npz": columns_file(found),
    }
    files = []
    for ending, data in content.items():
        file = base.with_name(base.name + ending)
        write_atomically(file, data)
        files.append(file)
    return files


def parameters_rows(found: Performance) -> Iterator[Sequence[str]]:
    """Yield the table "Performance Parameters": units in the cells, unknown cells empty."""
    yield headers(found.percentiles)
    for name in PARAMETERS:
        for stage in found.stages:
            spread = stage.parameters[name]
            cells = [exact(value, UNITS[name]) for value in values(spread, found.percentiles)]
            yield [name, stage.name, *cells, str(spread.n if spread else 0)]


def common_metrics(found: Performance) -> dict[str, dict[str, Any]]:
    """Return the table "Common Metric" by name and stage: numbers where there is no unit, null if unknown."""
    table: dict[str, dict[str, Any]] = {}
    for name, (key, unit) in COMMON.items():
        for stage in found.stages:
            value = getattr(stage.common, key)
            if isinstance(value, float):
                value = round(value, 4) if not value.is_integer() or unit else int(value)
            table.setdefault(name, {})[stage.name] = f"{value}{unit}" if unit and value is not None else value
    return table


def request_rows(found: Performance) -> Iterator[Sequence[object]]:
    """Yield a row a request, in the order of sending; times in milliseconds, unknown cells empty."""
    from aisb_engine._performance.latency import SOURCES

    columns, requests = found.columns, found.requests
    yield REQUEST_COLUMNS
    whole = [columns[name] for name in ("repeat", "turn")]
    times = [
        columns["planned"] / 1e6, columns["sent"] / 1e6,
        requests.ttfb, requests.ttft, requests.ttfc, requests.tpot, requests.e2el,
    ]  # fmt: skip
    counts = [requests.input_tokens, requests.output_tokens]
    told = [SOURCES[source] if source >= 0 else "" for source in requests.source]
    ends = [columns.count(), columns["attempts"]]
    rows = zip(
        columns.ids, *map(_counts, whole), ["true" if ok else "false" for ok in requests.ok],
        *map(_times, times), *map(_counts, counts), told, *map(_counts, ends), strict=True,
    )  # fmt: skip
    for number, row in enumerate(rows):
        yield [*row, ": ".join(found.columns.failures.get(number, ()))]


def details(found: Performance, tools: Sequence[Dialect]) -> dict[str, Any]:
    """Return every number, without units: milliseconds, tokens, and rates a second; null is unknown."""
    from aisb_engine._performance.dialects import speak

    return {
        "model": found.model,
        "task": found.task,
        "stages": {
            stage.name: {
                "parameters": {name: _spread(spread) for name, spread in stage.parameters.items()},
                "common": asdict(stage.common),
            }
            for stage in found.stages
        },
        "stable_window": None if found.window is None else asdict(found.window),
        "not_steady": found.unsteady or None,
        "asked": dict(found.load.asked),
        "achieved": asdict(found.achieved),
        "goodput": None if found.goodput is None else asdict(found.goodput),
        "certificate": {
            "verdict": found.certificate.verdict,
            "signals": [asdict(signal) for signal in found.certificate.signals],
        },
        "vitals": None if found.load.vitals is None else asdict(found.load.vitals),
        "counters": None if found.counters is None else asdict(found.counters),
        "notes": list(found.notes),
        "dialects": {
            tool.name: {
                name: _spread(spread)
                for name, spread in speak(found.columns, tool, found.percentiles).spreads.items()
            }
            for tool in tools
        },
    }


def columns_file(found: Performance) -> bytes:
    """Return numpy's .npz with an entry a request in each array; NaN and "" are unknown."""
    import numpy as np

    columns, requests = found.columns, found.requests
    arrays: dict[str, Any] = {
        "id": np.array(columns.ids, str),
        "finish_reason": np.array([reason or "" for reason in columns.finish], str),
        "failure": np.array([columns.failures.get(n, ("",))[0] for n in range(len(columns))], str),
        "ok": requests.ok,
        "first_event_ns": columns["sent"] + requests.ttfb * 1e6,
        "first_token_ns": columns.first(),
        "last_token_ns": columns.last(),
        "chunks": columns.count(),
        "output_tokens": requests.output_tokens,
    }
    arrays |= {f"{name}_ns": columns[name] for name in ("planned", "connected", "sent", "headers", "done")}
    arrays |= {
        name: columns[name]
        for name in (
            "repeat",
            "turn",
            "attempts",
            "streamed",
            "input_tokens",
            "cached_tokens",
            "asked_tokens",
        )
    }
    buffer = BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def _spread(spread: Any) -> dict[str, Any] | None:
    if spread is None:
        return None
    table = asdict(spread)
    table["percentiles"] = {f"{percent:g}": value for percent, value in spread.percentiles.items()}
    return table


def _times(column: Any) -> list[str]:
    return ["" if value != value else f"{value:.6f}" for value in column.tolist()]  # noqa: PLR0124 - NaN


def _counts(column: Any) -> list[str]:
    return ["" if value != value else str(int(value)) for value in column.tolist()]  # noqa: PLR0124 - NaN


def _csv(rows: Iterable[Sequence[object]]) -> bytes:
    text = StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()


def _json(table: Mapping[str, Any]) -> bytes:
    import orjson

    return orjson.dumps(table, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
