"""Read `benchmarks.json` of guidellm: the requests of each benchmark with the times of first and last token.

Times are seconds since 1970. The file does not have the times of the tokens in between.
https://github.com/vllm-project/guidellm
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from aisb import DataError, Distribution, Failure, ImportedRow, Importer, Stage, Usage
from aisb_cli.importers.files import parse_json
from aisb_cli.importers.measured import spread, stage
from aisb_cli.importers.timing import NS_PER_S, timing
from aisb_engine import ImportedPerformance, TimedAnswer

TOOL = "guidellm"
STATES = ("successful", "errored", "incomplete")
QUANTITIES = {
    "TTFT": ("time_to_first_token_ms", 1.0),
    "TPOT": ("inter_token_latency_ms", 1.0),
    "E2EL": ("request_latency", 1000.0),
    "InputTokens": ("prompt_token_count", 1.0),
    "OutputTokens": ("output_token_count", 1.0),
}
"""guidellm's names of our quantities, and the factor to our unit. Its inter-token latency is the average of a
request, without the first token."""
OPEN_LOOPS = ("constant", "poisson", "async")


class GuideLlm(Importer):
    """Reads results of guidellm."""

    reads = "benchmarks.json of guidellm, or a folder with such files"

    def read(self, path: Path) -> Iterator[ImportedPerformance] | None:
        """Return each benchmark in a file, or in the files of a folder; None if there are none.

        Raises:
            DataError: a benchmark is not as guidellm 0.8 writes it.
        """
        files = sorted(path.glob("*.json")) if path.is_dir() else [path] if path.suffix == ".json" else []
        found = [(file, table) for file in files if _is_report(table := parse_json(file))]
        if not found:
            return None
        return (one for file, table in found for one in _benchmarks(file, table))


def _is_report(table: Any) -> bool:
    if not isinstance(table, Mapping) or not isinstance(table.get("benchmarks"), list):
        return False
    return isinstance(table.get("metadata"), Mapping) and "guidellm_version" in table["metadata"]


def _benchmarks(file: Path, table: Mapping[str, Any]) -> Iterator[ImportedPerformance]:
    for number, benchmark in enumerate(table["benchmarks"], 1):
        try:
            yield _benchmark(file, table, benchmark)
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            version = table["metadata"]["guidellm_version"]
            raise DataError(
                f"{file}: benchmark {number} is not as guidellm 0.8 writes it: {error!r}\n"
                f"  the file is of guidellm {version}"
            ) from error


def _benchmark(file: Path, table: Mapping[str, Any], benchmark: Mapping[str, Any]) -> ImportedPerformance:
    counts = benchmark["metrics"]["request_totals"]
    requests = [
        (state, one)
        for state in STATES
        if counts.get(state)
        for one in benchmark["requests"].get(state) or ()
    ]
    complete = len(requests) == sum(counts.get(state) or 0 for state in STATES)
    strategy = benchmark["config"]["strategy"]
    load = _load(benchmark, strategy)
    notes: tuple[str, ...] = ("input and output tokens are those that guidellm counted",)
    if complete:
        notes += ("the file has only the times of first and last token, so ITL and ICL are unknown",)
    else:
        notes += (
            f"the file has {len(requests)} of {counts.get('total')} requests, so its own numbers are used",
        )
    return ImportedPerformance(
        TOOL,
        file,
        str(table["config"]["spec"]["backend"].get("model") or "model").rpartition("/")[2],
        TOOL,
        tuple(_rows(requests, planned=strategy["type_"] in OPEN_LOOPS)) if complete else (),
        load=load,
        planned=load.get("num_prompts"),
        stage=None if complete else _stage(benchmark, load),
        chunk_times=False,
        notes=notes,
    )


def _load(benchmark: Mapping[str, Any], strategy: Mapping[str, Any]) -> dict[str, Any]:
    limit = (benchmark["config"].get("constraints") or {}).get("max_requests") or {}
    kind = strategy["type_"]
    load = {
        "concurrency": 1
        if kind == "synchronous"
        else strategy.get("max_concurrency") or strategy.get("streams"),
        "request_rate": strategy.get("rate"),
        "arrival": kind if kind in ("constant", "poisson") else None,
        "num_prompts": (limit.get("args") or {}).get("count"),
    }
    return {name: value for name, value in load.items() if value is not None}


def _rows(requests: Sequence[tuple[str, Mapping[str, Any]]], *, planned: bool) -> Iterator[ImportedRow]:
    starts = [one["info"]["timings"].get("request_start") for _, one in requests]
    begin = min(start for start in starts if start is not None)
    for position, (state, one) in enumerate(requests):
        if starts[position] is not None:  # it was never sent
            answer = _answer(state, one, begin, planned=planned)
            yield ImportedRow(position, "", None, (answer,))


def _answer(state: str, one: Mapping[str, Any], begin: float, *, planned: bool) -> TimedAnswer:
    times = one["info"]["timings"]

    def at(name: str) -> float | None:
        value = times.get(name)
        return None if value is None else (value - begin) * NS_PER_S

    first, last = at("first_token_iteration"), at("last_token_iteration")
    several = (times.get("token_iterations") or 0) > 1
    ok = state == "successful"
    chunks = [] if first is None or not ok else [first, *([last] if several and last is not None else [])]
    why = one["info"].get("error") or ("the benchmark ended first" if state == "incomplete" else "failed")
    words = str(why).strip().splitlines()[-1]  # of a traceback the last line says what happened
    return TimedAnswer(
        one.get("output") or "",
        reasoning=one.get("reasoning_output") or "",
        usage=Usage(one.get("prompt_tokens"), one.get("output_tokens"), one.get("cached_tokens")),
        failure=None if ok else Failure("cut" if state == "incomplete" else "protocol", words),
        timing=timing(
            at("request_start") or 0.0,
            chunks,
            planned=at("targeted_start") if planned else None,
            headers=at("first_request_iteration"),
            done=at("request_end"),
            streamed=first is not None or not ok,
        ),
    )


def _stage(benchmark: Mapping[str, Any], load: Mapping[str, Any]) -> Stage:
    metrics = benchmark["metrics"]
    counts = metrics["request_totals"]
    found = {name: _spread(metrics.get(key), scale) for name, (key, scale) in QUANTITIES.items()}
    sums = {
        key: ((metrics.get(key) or {}).get("successful") or {}).get("total_sum")
        for key in ("prompt_token_count", "output_token_count")
    }
    return stage(
        found,
        duration_s=benchmark.get("duration"),
        succeeded=counts.get("successful") or 0,
        failed=(counts.get("errored") or 0) + (counts.get("incomplete") or 0),
        limit=load.get("concurrency"),
        input_tokens=sums["prompt_token_count"],
        output_tokens=sums["output_token_count"],
    )


def _spread(metric: Mapping[str, Any] | None, scale: float) -> Distribution | None:
    """Return the distribution over successful requests; percentiles are named `p99`, `p999` is P99.9."""
    found = (metric or {}).get("successful")
    if not found or not found.get("count"):
        return None
    percentiles = {
        float(name[1:3]) + (float(f"0.{name[3:]}") if name[3:] else 0): value
        for name, value in (found.get("percentiles") or {}).items()
        if not name.startswith("p00")
    }
    return spread(
        found["count"],
        found["mean"],
        median=found["median"],
        low=found["min"],
        high=found["max"],
        percentiles=percentiles,
        scale=scale,
    )
