"""Write a performance run in AISBench's formats: one stage, and only the files that AISBench has."""

from __future__ import annotations

import csv
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from aisb import FinishedRun, PerformanceResult
from aisb.helpers import write_file
from aisb_compat_aisbench._abbrs import abbr_of, has_own_groups
from aisb_compat_aisbench._known import known_datasets
from aisb_reporter_performance import common_metrics, parameters_rows

if TYPE_CHECKING:
    from aisb_compat_aisbench._reporter import AisBench

SCHEME = re.compile(r"^[a-z]+://")


def write_speeds(reporter: AisBench, run: FinishedRun, folder: Path) -> list[Path]:
    """Write the files of a performance run, and print its tables."""
    written: list[Path] = []
    for (model, task), result in run.performance.items():
        table = run.configuration.get("tasks", {}).get(task, {})
        abbr = merged_abbr(task, table, reporter.abbrs.get(task))
        base = folder / "performances" / model / abbr
        stages = [stage.name for stage in result.stages if stage.name == reporter.stage] or ["total"]
        parameters = list(parameters_rows(result, stages))
        common = common_metrics(result, stages)
        if reporter.show:
            _print(f"{model}/{abbr}", parameters, common)
        written += [
            _write(base, ".csv", _csv(parameters)),
            _write(base, ".json", orjson.dumps(common, option=orjson.OPT_INDENT_2)),
            _write(base, "_details.jsonl", _requests(result, abbr)),
            *_plots(result, run.timestamp, base),
        ]
    if reporter.spec_decode:
        written += _speculation(run, folder)
    return written


def merged_abbr(task: str, table: Mapping[str, Any], chosen: Any = None) -> str:
    """Return AISBench's name for all data sets of a task together: the name of their class."""
    if not has_own_groups(task, table):
        return abbr_of(task, table, None, chosen)
    base = str(table.get("base") or task).split(":")[0]
    classes = [name for name, known_task in known_datasets()["types"].items() if known_task == base]
    return classes[0].lower() if len(classes) == 1 else task


def _requests(result: PerformanceResult, abbr: str) -> Iterator[bytes]:
    """Yield a line for each request: its times in seconds, and its tokens."""
    columns = result.requests()
    for place, ok in enumerate(columns["ok"]):
        start = _number(columns["sent_ns"][place], 1e9)
        latency = _number(columns["e2el"][place], 1e3)
        line: dict[str, Any] = {
            "data_abbr": abbr,
            "id": place,
            "success": bool(ok),
            "uuid": str(columns["id"][place]),
            "start_time": start,
            "end_time": None if start is None or latency is None else start + latency,
            "latency": latency,
            "ttft": _number(columns["ttft"][place], 1e3),
            "tpot": _number(columns["tpot"][place], 1e3),
            "input_tokens": _number(columns["input_tokens"][place]),
            "output_tokens": _number(columns["output_tokens"][place]),
        }
        if not ok:
            line["error_info"] = str(columns["failure"][place])
        yield orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)


def _number(value: Any, unit: float = 0) -> float | int | None:
    number = float(value)
    if number != number:  # noqa: PLR0124 - NaN
        return None
    return number / unit if unit else int(number)


def _plots(result: PerformanceResult, timestamp: str, base: Path) -> Iterator[Path]:
    """Write the charts of requests and rates, if the reporter plots is installed."""
    try:
        from aisb_reporter_plots import pages
    except ImportError:
        return
    for ending, page in pages(result, timestamp, base.name):
        yield _write(base, ending, page)


def _speculation(run: FinishedRun, folder: Path) -> Iterator[Path]:
    """Write the counters of speculative decoding, one file for each service."""
    of_service: dict[str, PerformanceResult] = {}
    for (model, _), result in run.performance.items():
        url = str(run.manifest.get("models", {}).get(model, {}).get("url") or model)
        of_service.setdefault(url, result)
    for url, result in of_service.items():
        counters = result.counters
        known = counters is not None and counters.drafts is not None
        table = {
            "status": "ok" if known else "na",
            "url": f"{url.rstrip('/')}/metrics",
            "error": None if known else "the service has no counters of speculative decoding",
            "data": None
            if counters is None or not known
            else {
                "num_drafts": counters.drafts,
                "draft_tokens": counters.drafted,
                "accepted_tokens": counters.accepted,
                "acceptance_rate": None
                if counters.acceptance_rate is None
                else counters.acceptance_rate * 100,
                "acceptance_length": counters.acceptance_length,
                "per_position_acceptance_rates": {
                    str(place): rate for place, rate in enumerate(counters.acceptance_by_position)
                },
            },
            "raw": {"before": None, "after": None},
        }
        name = re.sub(r"[^a-zA-Z0-9._-]", "_", SCHEME.sub("", url).split("/")[0])
        path = folder / "performances" / f"spec_decode_{name}.json"
        write_file(path, orjson.dumps(table, option=orjson.OPT_INDENT_2))
        yield path


def _print(title: str, parameters: Sequence[Sequence[str]], common: Mapping[str, Mapping[str, Any]]) -> None:
    from tabulate import tabulate

    rows = [
        ["Common Metric", "Stage", "Value"],
        *([name, stage, value] for name, stages in common.items() for stage, value in stages.items()),
    ]
    tables = [
        tabulate(table, headers="firstrow", tablefmt="fancy_grid", missingval="N/A")
        for table in (parameters, rows)
    ]
    text = "\n".join([f"Performance Results of task [{title}]: ", *tables, ""])
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(text.encode(encoding, "replace").decode(encoding))
    sys.stdout.flush()


def _csv(rows: Iterable[Sequence[str]]) -> bytes:
    text = StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()


def _write(base: Path, ending: str, data: bytes | Iterable[bytes] | str) -> Path:
    path = base.with_name(base.name + ending)
    write_file(path, data.encode() if isinstance(data, str) else data)
    return path
