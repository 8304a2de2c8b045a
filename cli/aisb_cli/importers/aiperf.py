"""Read results of aiperf: `profile_export.jsonl` has every request, `profile_export_aiperf.json` its numbers.

Times are `request_start_ns` and others in nanoseconds since 1970, and metrics with a value and a unit.
https://docs.nvidia.com/aiperf/tutorials/metrics-analysis/working-with-profile-export-files
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from aisb import DataError, Distribution, Failure, ImportedRow, Importer, Stage, Usage
from aisb_cli.importers.files import first_object, parse_json, parse_lines
from aisb_cli.importers.measured import spread, stage
from aisb_cli.importers.timing import NS_PER_MS, NS_PER_S, stamps, timing
from aisb_engine import ImportedPerformance, TimedAnswer

TOOL = "aiperf"
REQUESTS, NUMBERS = "profile_export.jsonl", "profile_export_aiperf.json"
QUANTITIES = {
    "TTFT": "time_to_first_token", "TPOT": "inter_token_latency", "ICL": "inter_chunk_latency",
    "E2EL": "request_latency", "InputTokens": "input_sequence_length",
    "OutputTokens": "output_sequence_length",
}  # fmt: skip
"""aiperf's names of our quantities: what it calls inter-token latency is the average of a request."""
NS_IN = {"ns": 1.0, "us": 1e3, "ms": NS_PER_MS, "s": NS_PER_S, "sec": NS_PER_S}


class Aiperf(Importer):
    """Reads results of aiperf."""

    reads = "profile_export.jsonl or profile_export_aiperf.json of aiperf, or their folder"

    def read(self, path: Path) -> Iterator[ImportedPerformance] | None:
        """Return the results in a file, or in a folder and those below it; None if there are none.

        Raises:
            DataError: a line is not a request of aiperf; it is named.
        """
        if not path.is_dir():
            found = [path] if _is_ours(path) else []
        else:
            lines = [file for file in sorted(path.rglob(REQUESTS)) if _is_ours(file)]
            known = {file.parent for file in lines}
            numbers = [file for file in sorted(path.rglob(NUMBERS)) if file.parent not in known]
            found = [*lines, *(file for file in numbers if _is_ours(file))]
        return map(_result, found) if found else None


def _is_ours(file: Path) -> bool:
    if file.suffix == ".jsonl":
        line = first_object(file)
        return line is not None and {"metadata", "metrics"} <= line.keys() and _has_start(line)
    table = parse_json(file) if file.suffix == ".json" else None
    return isinstance(table, Mapping) and {"aiperf_version", "request_latency"} <= table.keys()


def _has_start(line: Mapping[str, Any]) -> bool:
    return isinstance(line["metadata"], Mapping) and "request_start_ns" in line["metadata"]


def _result(file: Path) -> ImportedPerformance:
    if file.suffix == ".json":
        return _numbers(file, parse_json(file))
    numbers_file = file.with_name(NUMBERS)
    table = parse_json(numbers_file) if numbers_file.exists() else None
    notes: tuple[str, ...] = ("input and output tokens are those that aiperf counted",)
    if not isinstance(table, Mapping):
        table = {}
        notes += (f"{NUMBERS} is not next to the file, so the model and the requested load are unknown",)
    lines = [(number, line) for number, line in parse_lines(file) if _is_measured(line)]
    complete = all(_has_all_chunks(line.get("metrics") or {}) for _, line in lines)
    if not complete:
        notes += ("the file does not have the times of all chunks, so ITL and ICL are unknown",)
    rows = tuple(_rows(file, lines))
    return _with_load(file, table, rows, None, notes, chunk_times=complete)


def _numbers(file: Path, table: Mapping[str, Any]) -> ImportedPerformance:
    notes = (f"{REQUESTS} is not next to the file, so there are no single requests",)
    try:
        return _with_load(file, table, (), _stage(table), notes)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"{file} is not as aiperf writes it: {error!r}") from error


def _is_measured(line: Mapping[str, Any]) -> bool:
    """Return whether a request is not part of a warm-up."""
    return (line.get("metadata") or {}).get("benchmark_phase") != "warmup"


def _has_all_chunks(metrics: Mapping[str, Any]) -> bool:
    """Return whether the gaps between chunks are there, if the reply was streamed in several."""
    if "time_to_first_token" not in metrics or "inter_chunk_latency" in metrics:
        return True
    return _ns(metrics, "request_latency") == _ns(metrics, "time_to_first_token")


def _with_load(
    file: Path,
    table: Mapping[str, Any],
    rows: tuple[ImportedRow, ...],
    measured: Stage | None,
    notes: tuple[str, ...],
    *,
    chunk_times: bool = True,
) -> ImportedPerformance:
    load = _load(table.get("input_config") or {})
    return ImportedPerformance(
        TOOL,
        file,
        _model(table.get("input_config") or {}).rpartition("/")[2],
        "aiperf",
        rows,
        load=load,
        planned=load.get("num_prompts"),
        stage=measured,
        chunk_times=chunk_times,
        notes=notes,
    )


def _model(config: Mapping[str, Any]) -> str:
    """Return the model; older versions have it at the endpoint."""
    items = (config.get("models") or {}).get("items") or []
    names = [one.get("name") for one in items if isinstance(one, Mapping)]
    names += (config.get("endpoint") or {}).get("model_names") or []
    return str(names[0]) if names and names[0] else "model"


def _load(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the requested load, from the phase that is measured; older versions have `loadgen`."""
    phases = [one for one in config.get("phases") or () if one.get("kind", "profiling") == "profiling"]
    phase = phases[0] if phases else config.get("loadgen") or {}
    rate = phase.get("rate") or phase.get("request_rate")
    load = {
        "concurrency": phase.get("concurrency"),
        "request_rate": float(rate) if isinstance(rate, int | float) else None,
        "num_prompts": phase.get("requests") or phase.get("request_count"),
    }
    return {name: value for name, value in load.items() if value is not None}


def _rows(file: Path, lines: Sequence[tuple[int, Mapping[str, Any]]]) -> Iterator[ImportedRow]:
    begin: int | None = None
    for position, (number, line) in enumerate(lines):
        try:
            if begin is None:
                begin = min(one["metadata"]["request_start_ns"] for _, one in lines)
            yield ImportedRow(position, "", None, (_answer(line, begin),))
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise DataError(f"{file}, line {number}: not a request of aiperf: {error!r}") from error


def _answer(line: Mapping[str, Any], begin: int) -> TimedAnswer:
    facts, metrics = line["metadata"], line.get("metrics") or {}
    sent = facts["request_start_ns"] - begin
    failure = _failure(line)
    first, latency = _ns(metrics, "time_to_first_token"), _ns(metrics, "request_latency")
    chunks: list[float] = []
    if first is not None and not failure:
        gaps = metrics.get("inter_chunk_latency")
        if gaps is not None:
            chunks = stamps(sent + first, gaps["value"], NS_IN[gaps["unit"]])
        else:
            chunks = [sent + first, *([sent + latency] if latency and latency > first else [])]
    ack = facts.get("request_ack_ns")
    return TimedAnswer(
        usage=Usage(_count(metrics, "input_sequence_length"), _count(metrics, "output_sequence_length")),
        failure=failure,
        timing=timing(
            sent,
            chunks,
            headers=None if ack is None else ack - begin,
            done=facts["request_end_ns"] - begin,
            streamed=first is not None or failure is not None,
        ),
    )


def _failure(line: Mapping[str, Any]) -> Failure | None:
    if error := line.get("error"):
        code, words = error.get("code"), str(error.get("message") or error.get("type") or "failed")
        known = isinstance(code, int) and 400 <= code < 600
        return Failure("status", f"HTTP {code}: {words}") if known else Failure("protocol", words)
    return Failure("cut", "the request was cancelled") if line["metadata"].get("was_cancelled") else None


def _ns(metrics: Mapping[str, Any], name: str) -> float | None:
    found = metrics.get(name)
    return None if found is None else float(found["value"]) * NS_IN[found["unit"]]


def _count(metrics: Mapping[str, Any], name: str) -> int | None:
    found = metrics.get(name)
    return None if found is None else int(found["value"])


def _stage(table: Mapping[str, Any]) -> Stage:
    def value(name: str) -> float | None:
        return (table.get(name) or {}).get("avg")

    succeeded = int(value("request_count") or 0)
    return stage(
        {name: _spread(table.get(key), succeeded) for name, key in QUANTITIES.items()},
        duration_s=value("benchmark_duration"),
        succeeded=succeeded,
        failed=int(value("error_request_count") or 0),
        limit=_load(table.get("input_config") or {}).get("concurrency"),
        input_tokens=value("total_isl"),
        output_tokens=value("total_osl") or value("total_output_tokens"),
    )


def _spread(found: Mapping[str, Any] | None, count: int) -> Distribution | None:
    if not found:
        return None
    scale = NS_IN.get(str(found.get("unit")), NS_PER_MS) / NS_PER_MS
    percentiles = {
        float(name[1:]): value for name, value in found.items() if name[0] == "p" and name[1:].isdecimal()
    }
    return spread(
        found.get("count", count),
        found.get("avg"),
        median=found.get("p50"),
        low=found.get("min"),
        high=found.get("max"),
        percentiles=percentiles,
        scale=scale,
    )
