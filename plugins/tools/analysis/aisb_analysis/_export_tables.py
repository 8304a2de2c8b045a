"""The tables of `aisb export`: one row for each answer, each request, or each number of a run.

A column has one type in all runs, so that tables of several runs can be put together. The unit of a number is
the end of its column's name; None means unknown.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, Literal, TypeAlias

from aisb import Distribution, FinishedRun, PerformanceResult, Row

ColumnType: TypeAlias = Literal["text", "int", "float", "bool"]
TableName: TypeAlias = Literal["samples", "requests", "results"]
Pair: TypeAlias = tuple[str, str]

COMMON: dict[str, ColumnType] = {"run": "text", "model": "text", "task": "text", "version": "text"}
SAMPLES: dict[str, ColumnType] = {
    "id": "text", "repeat": "int", "group": "text", "prompt": "text", "prediction": "text",
    "reasoning": "text", "reference": "text", "evaluator": "text", "answer": "text", "outcome": "text",
    "score": "float", "rule": "text", "finish_reason": "text", "failure": "text", "turns": "int",
    "attempts": "int", "input_tokens": "int", "output_tokens": "int", "cached_tokens": "int",
    "reasoning_tokens": "int", "sent_ns": "int", "ttft_ms": "float", "e2el_ms": "float",
}  # fmt: skip
STAMPS = ("planned", "connected", "sent", "headers", "first_token", "last_token", "done")
TIMES = ("ttfb", "ttft", "ttfc", "tpot", "e2el", "e2el_close", "ttft_planned", "e2el_planned", "lateness")
COUNTS = ("input_tokens", "output_tokens", "cached_tokens", "max_tokens", "chunks")
REQUESTS: dict[str, ColumnType] = {
    "id": "text", "repeat": "int", "turn": "int", "ok": "bool", "failure": "text", "finish_reason": "text",
    "attempts": "int", "streamed": "bool", **{f"{name}_ns": "int" for name in STAMPS},
    **{f"{name}_ms": "float" for name in TIMES}, **dict.fromkeys(COUNTS, "int"),
    "output_tokens_source": "text",
}  # fmt: skip
RESULTS: dict[str, ColumnType] = {
    "stage": "text", "group": "text", "metric": "text", "statistic": "text",
    "unit": "text", "value": "float", "low": "float", "high": "float", "n": "int", "better": "text",
}  # fmt: skip
TOTALS = {
    "duration_ms": "ms", "requests": "requests", "failed": "requests", "succeeded": "requests",
    "concurrency": "requests", "request_rate": "requests/s", "input_tokens": "tokens",
    "prefill_rate": "tokens/s", "output_tokens": "tokens", "input_rate": "tokens/s",
    "output_rate": "tokens/s", "total_rate": "tokens/s",
}  # fmt: skip
"""The totals of a stage, and the unit of each."""


@dataclass(frozen=True, slots=True)
class ExportTable:
    """A table: the type of each column by name, in order, and its rows, which can be read once."""

    columns: Mapping[str, ColumnType]
    rows: Iterable[Sequence[Any]]


def export_table(
    run: FinishedRun,
    name: TableName,
    *,
    models: Sequence[str] = (),
    tasks: Sequence[str] = (),
    prompts: bool = False,
) -> ExportTable:
    """Return a table of a run, restricted to some models and tasks; empty sequences select all.

    The column `prompt` of the table `samples` is there with `prompts`.
    """

    def wanted(pair: Pair) -> bool:
        return (not models or pair[0] in models) and (not tasks or pair[1] in tasks)

    columns, read = _TABLES[name]
    if name == "samples" and not prompts:
        columns = {key: kind for key, kind in columns.items() if key != "prompt"}
    names = tuple(columns)
    rows = (
        (run.timestamp, *pair, version, *(row.get(key) for key in names))
        for pair in _pairs(run)
        if wanted(pair)
        for version in (_version(run, pair),)
        for row in read(run, pair)
    )
    return ExportTable({**COMMON, **columns}, rows)


def _pairs(run: FinishedRun) -> list[Pair]:
    """Return the models and tasks of a run, in its order."""
    pairs = [(one["model"], one["task"]) for one in run.configuration.get("subtasks", ())]
    pairs += [(result.model, result.task) for result in run.results]
    return list(dict.fromkeys([*pairs, *run.performance]))


def _version(run: FinishedRun, pair: Pair) -> str | None:
    """Return the version of a task: that of its result, else the one that was sent."""
    found = [result.version for result in run.results if (result.model, result.task) == pair]
    sent = run.manifest.get("tasks", {}).get(pair[1], {}).get("version")
    return found[0] if found else sent


def _samples(run: FinishedRun, pair: Pair) -> Iterator[Row]:
    """Yield a row for each answer and evaluator; for each answer alone if nothing is scored."""
    scores: dict[tuple[str, int], list[Row]] = {}
    for score in run.scores(*pair):
        scores.setdefault((score["id"], score["repeat"]), []).append(score)
    for requests in _answers(run, pair):
        last = requests[-1]
        row = {
            **{key: last[key] for key in ("id", "repeat", "group", "finish_reason", "ttft_ms", "e2el_ms")},
            "prompt": as_text(last["origin_prompt"]),
            "prediction": last["prediction"],
            "reasoning": last["reasoning"],
            "reference": as_text(last["gold"]),
            "failure": _failure(last["failure"]),
            "turns": len(requests),
            "attempts": sum(one["attempts"] for one in requests),
            **{name: _sum(requests, name) for name in _USAGE},
            "sent_ns": None if last["sent_ms"] is None else round(last["sent_ms"] * 1e6),
        }
        for score in scores.get((last["id"], last["repeat"])) or [{}]:
            yield row | {
                "evaluator": score.get("evaluator"),
                "answer": as_text(score.get("answer")),
                "outcome": score.get("outcome"),
                "score": score.get("value"),
                "rule": score.get("rule"),
            }


_USAGE = ("input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens")


def _answers(run: FinishedRun, pair: Pair) -> Iterator[list[Row]]:
    """Yield the requests of each answer, which are several in a conversation."""
    turns: list[Row] = []
    requests: Iterable[Row] = run.requests(*pair)
    if run.is_performance:  # its requests are in the order of sending
        requests = sorted(requests, key=itemgetter("id", "repeat", "turn"))
    for request in requests:
        if turns and (turns[0]["id"], turns[0]["repeat"]) != (request["id"], request["repeat"]):
            yield turns
            turns = []
        turns.append(request)
    if turns:
        yield turns


def _sum(requests: Sequence[Row], name: str) -> int | None:
    counts = [(one["usage"] or {}).get(name) for one in requests]
    return None if None in counts else sum(count or 0 for count in counts)


def as_text(value: Any) -> str | None:
    """Return a text as it is, and any other value as JSON."""
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, default=str)


def _failure(failure: Any) -> str | None:
    return f"{failure['kind']}: {failure['message']}" if failure else None


def _requests(run: FinishedRun, pair: Pair) -> Iterator[Row]:
    """Yield a row for each request, in the order of sending."""
    if pair not in run.performance:
        return
    columns = run.performance[pair].requests()
    source = {f"{name}_ms": name for name in TIMES}
    known = {name: _plain(columns[source.get(name, name)], kind) for name, kind in REQUESTS.items()}
    for values in zip(*known.values(), strict=True):
        yield dict(zip(known, values, strict=True))


def _plain(column: Any, kind: ColumnType) -> list[Any]:
    """Return a column with plain values: None where it is unknown."""
    if kind == "text":
        return [value or None for value in column]
    makers: dict[str, Callable[[Any], Any]] = {"int": round, "float": float, "bool": bool}
    make = makers[kind]
    return [None if value != value else make(value) for value in column.tolist()]  # noqa: PLR0124 - NaN


def _results(run: FinishedRun, pair: Pair) -> Iterator[Row]:
    """Yield a row for each metric, and for each number of each stage of a performance run."""
    for result in run.results:
        if (result.model, result.task) == pair:
            for metric in result.metrics:
                yield {
                    "group": metric.group,
                    "metric": metric.name,
                    "statistic": "value",
                    "unit": metric.unit or None,
                    "value": metric.value,
                    "low": metric.low,
                    "high": metric.high,
                    "n": metric.count,
                    "better": metric.better,
                }
    if run.is_performance and pair in run.performance:
        yield from _stage_rows(run.performance[pair])


def _stage_rows(result: PerformanceResult) -> Iterator[Row]:
    for stage in result.stages:
        for name, spread in stage.parameters.items():
            better = "higher" if "Throughput" in name else None if "Tokens" in name else "lower"
            for statistic, value in _statistics(spread):
                yield {
                    "stage": stage.name,
                    "metric": name,
                    "statistic": statistic,
                    "unit": _unit(name),
                    "value": None if math.isnan(value) else value,
                    "n": spread.n if spread else 0,
                    "better": better,
                }
        for name, unit in TOTALS.items():
            yield {
                "stage": stage.name,
                "metric": name.removesuffix("_ms"),
                "statistic": "total",
                "unit": unit,
                "value": getattr(stage.totals, name),
                "n": stage.totals.requests,
                "better": "higher" if name.endswith("_rate") else None,
            }


def _statistics(spread: Distribution | None) -> Iterator[tuple[str, float]]:
    if spread is None:
        return
    yield "average", spread.average
    yield "min", spread.minimum
    yield "median", spread.median
    for percent, value in sorted(spread.percentiles.items()):
        yield f"p{percent:g}", value
    yield "max", spread.maximum


def _unit(parameter: str) -> str:
    """Return the unit of a quantity of requests."""
    if parameter.endswith("Throughput"):
        return "tokens/s"
    return "tokens" if parameter.endswith("Tokens") else "ms"


_TABLES: Mapping[TableName, tuple[dict[str, ColumnType], Callable[[FinishedRun, Pair], Iterator[Row]]]] = {
    "samples": (SAMPLES, _samples),
    "requests": (REQUESTS, _requests),
    "results": (RESULTS, _results),
}
