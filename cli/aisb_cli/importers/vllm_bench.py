"""Read results of `vllm bench serve`: with `--save-detailed` every request, with `--save-result` its numbers.

Lists of the detailed file have an entry for each request: `ttfts` and `itls` in seconds, `start_times` on a
monotonic clock, `input_lens`, `output_lens`, `errors` ("" if there was none), `generated_texts`.
https://docs.vllm.ai/en/latest/benchmarking/cli/
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from aisb import DataError, Distribution, Failure, ImportedRow, Importer, Stage, Usage
from aisb_cli.importers.files import first_object, parse_json, parse_lines
from aisb_cli.importers.measured import spread, stage
from aisb_cli.importers.timing import NS_PER_S, stamps, timing
from aisb_engine import ImportedPerformance, TimedAnswer

TOOL = "vllm bench serve"
KEYS = {"completed", "total_input_tokens", "request_throughput", "duration", "model_id"}
DETAILS = ("start_times", "ttfts", "itls", "input_lens", "output_lens", "errors")
QUANTITIES = {"TTFT": "ttft", "TPOT": "tpot", "ITL": "itl", "E2EL": "e2el"}


class VllmBench(Importer):
    """Reads results of `vllm bench serve`."""

    reads = "the JSON of vllm bench serve --save-result, or a folder with such files"

    def read(self, path: Path) -> Iterator[ImportedPerformance] | None:
        """Return the results in a file, or in the files of a folder; None if there are none.

        Raises:
            DataError: a list of requests is not as long as the others, or an entry is not a number.
        """
        files = sorted(path.glob("*.json")) if path.is_dir() else [path] if path.suffix == ".json" else []
        found = [(file, table) for file in files for table in _tables(file)]
        return (_result(file, table) for file, table in found) if found else None


def _tables(file: Path) -> list[Mapping[str, Any]]:
    """Return the results in a file: one, or one in each line as `--append-result` writes them."""
    table = parse_json(file)
    if table is None and _is_result(first_object(file)):
        return [line for _, line in parse_lines(file) if _is_result(line)]
    return [table] if _is_result(table) else []


def _is_result(table: Any) -> bool:
    return isinstance(table, Mapping) and table.keys() >= KEYS


def _result(file: Path, table: Mapping[str, Any]) -> ImportedPerformance:
    detailed = all(isinstance(table.get(name), list) for name in DETAILS) and bool(table["start_times"])
    try:
        rows = tuple(_rows(file, table)) if detailed else ()
        measured = None if detailed else _stage(table)
    except (TypeError, ValueError, LookupError, AttributeError) as error:
        raise DataError(f"{file} is not as vllm bench serve writes it: {error!r}") from error
    notes = ["input and output tokens are those that vllm bench serve counted"]
    if detailed:
        notes.append("the file does not say when failed requests ended, nor when they were planned")
    else:
        why = "does not tell when each request was sent"
        if "ttfts" not in table:
            why = "has no single requests, as it was saved without --save-detailed"
        notes.append(f"the file {why}: nothing over time, and only the percentiles that it names")
    return ImportedPerformance(
        TOOL,
        file,
        str(table["model_id"]).rpartition("/")[2],
        "vllm-bench",
        rows,
        load=_load(table),
        planned=table.get("num_prompts"),
        stage=measured,
        notes=tuple(notes),
    )


def _load(table: Mapping[str, Any]) -> dict[str, Any]:
    """Return the requested load; a rate of "inf" means that requests are not paced."""
    rate = table.get("request_rate")
    paced = isinstance(rate, int | float) and rate != float("inf")
    burstiness = table.get("burstiness")
    load = {
        "concurrency": table.get("max_concurrency"),
        "request_rate": float(rate) if paced else None,  # type: ignore[arg-type]
        "arrival": ("poisson" if burstiness == 1 else "gamma") if paced else None,
        "burstiness": burstiness if paced else None,
        "num_prompts": table.get("num_prompts"),
    }
    return {name: value for name, value in load.items() if value is not None}


def _rows(file: Path, table: Mapping[str, Any]) -> Iterator[ImportedRow]:
    columns = [table[name] for name in DETAILS]
    if len({len(column) for column in columns}) > 1:
        lengths = ", ".join(f"{name} {len(table[name])}" for name in DETAILS)
        raise DataError(f"{file}: its lists of requests are not equally long: {lengths}")
    texts = table.get("generated_texts") or [""] * len(columns[0])
    begin = min(table["start_times"])
    for position, (start, ttft, gaps, input_tokens, answered, error) in enumerate(zip(*columns, strict=True)):
        sent = (start - begin) * NS_PER_S
        chunks = stamps(sent + ttft * NS_PER_S, gaps, NS_PER_S) if ttft and not error else []
        answer = TimedAnswer(
            str(texts[position]),
            usage=Usage(input_tokens, None if error else answered),
            failure=Failure("protocol", str(error).strip().splitlines()[-1]) if error else None,
            timing=timing(sent, chunks),
        )
        yield ImportedRow(position, "", None, (answer,))


def _stage(table: Mapping[str, Any]) -> Stage:
    succeeded = int(table["completed"])
    failed = int(table.get("failed") or 0)
    parameters = {name: _spread(table, key, succeeded) for name, key in QUANTITIES.items()}
    for name, key in (("InputTokens", "total_input_tokens"), ("OutputTokens", "total_output_tokens")):
        total = table.get(key)
        parameters[name] = spread(succeeded, total / succeeded) if total is not None and succeeded else None
    return stage(
        parameters,
        duration_s=table["duration"],
        succeeded=succeeded,
        failed=failed,
        limit=table.get("max_concurrency"),
        input_tokens=table.get("total_input_tokens"),
        output_tokens=table.get("total_output_tokens"),
    )


def _spread(table: Mapping[str, Any], key: str, count: int) -> Distribution | None:
    """Return a distribution from `mean_ttft_ms`, `median_ttft_ms`, `p99_ttft_ms`; gaps are not counted."""
    form = re.compile(rf"p(\d+(?:\.\d+)?)_{key}_ms")
    found = {float(match[1]): table[name] for name in table if (match := form.fullmatch(name))}
    return spread(
        0 if key == "itl" else count,
        table.get(f"mean_{key}_ms"),
        median=table.get(f"median_{key}_ms"),
        percentiles=found,
    )
