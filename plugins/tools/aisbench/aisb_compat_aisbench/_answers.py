"""Write predictions, results and summary in AISBench's formats: one file for each data set."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from aisb import FinishedRun, Metric, Result, Row
from aisb.helpers import write_file
from aisb_compat_aisbench._abbrs import abbr_of, has_own_groups
from aisb_compat_aisbench._known import known_datasets
from aisb_compat_aisbench._summary import SummaryLine, print_summary, write_summary

if TYPE_CHECKING:
    from aisb_compat_aisbench._reporter import AisBench

AISBENCH_ROLES = {"user": "HUMAN", "assistant": "BOT", "system": "SYSTEM"}
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
INDENTED = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE


@dataclass(slots=True)
class AnswerPart:
    """One data set of AISBench: a group of a task, or a whole task. `places` are its samples' positions."""

    abbr: str
    group: str | None
    places: dict[str, int] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)


def write_answers(reporter: AisBench, run: FinishedRun, folder: Path) -> list[Path]:
    """Write the files of an accuracy run, and print its summary."""
    written: list[Path] = []
    lines: list[SummaryLine] = []
    results = {(result.model, result.task): result for result in run.results}
    for model, task in [*results, *(pair for pair in run.unscored if pair not in results)]:
        table = run.configuration.get("tasks", {}).get(task, {})
        parts = parts_of(run, model, task, table, reporter.abbrs.get(task))
        for part in parts:
            written += _predictions(folder, model, part)
        result = results.get((model, task))
        if result is None:
            lines += [SummaryLine(part.abbr, "-", "-", "-", model, None) for part in parts]
        else:
            scored = _Scored(reporter, run, result, parts)
            written += scored.write(folder)
            lines += scored.lines(table)
    written += write_summary(folder, run, lines)
    if reporter.show:
        print_summary(run, lines)
    return written


def parts_of(
    run: FinishedRun, model: str, task: str, table: Mapping[str, Any], given: Any = None
) -> list[AnswerPart]:
    """Return AISBench's data sets of a task, each with its samples and requests."""
    apart = has_own_groups(task, table)
    parts: dict[str | None, AnswerPart] = {}
    of_sample: dict[str, AnswerPart] = {}
    for sample in run.samples(model, task):
        group = sample["group"] if apart else None
        part = parts.get(group)
        if part is None:
            part = parts[group] = AnswerPart(abbr_of(task, table, group, given), group)
        part.places[sample["id"]] = len(part.places)
        of_sample[sample["id"]] = part
    for row in run.requests(model, task):
        if row["id"] in of_sample:
            of_sample[row["id"]].rows.append(row)
    return list(parts.values())


def _predictions(folder: Path, model: str, part: AnswerPart) -> Iterator[Path]:
    """Write the answers of a data set as JSON by number and as JSON lines, and its failures separately."""
    base = folder / "predictions" / model / part.abbr
    answered = {number: entry for number, entry in _numbered(part) if entry["success"]}
    failed = [(number, entry) for number, entry in _numbered(part) if not entry["success"]]
    plain = ("origin_prompt", "prediction", "gold")
    by_number = {
        str(number): {key: entry[key] for key in plain if key in entry} for number, entry in answered.items()
    }
    lines = [{"data_abbr": part.abbr, "id": number, **entry} for number, entry in answered.items()]
    failures = [
        {
            "data_abbr": part.abbr,
            "id": number,
            "input": entry["origin_prompt"],
            "error_info": entry["error_info"],
        }
        for number, entry in failed
    ]
    yield _write(base, ".json", orjson.dumps(by_number, option=INDENTED))
    yield _write(base, ".jsonl", _lines(lines))
    path = base.with_name(f"{base.name}_failed.jsonl")
    if failures:
        yield _write(base, "_failed.jsonl", _lines(failures))
    else:
        path.unlink(missing_ok=True)  # an earlier failure was sent again


def _numbered(part: AnswerPart) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield a numbered entry for each request: repeats follow all samples; all turns form one entry."""
    turns: dict[tuple[int, str], list[Row]] = {}
    for row in part.rows:
        turns.setdefault((row["repeat"], row["id"]), []).append(row)
    order = sorted(turns, key=lambda key: (key[0], part.places[key[1]]))
    for repeat, name in order:
        rows = turns[repeat, name]
        number = repeat * len(part.places) + part.places[name]
        failure = next((row["failure"] for row in rows if row["failure"]), None)
        predictions = [_prediction(row) for row in rows]
        entry: dict[str, Any] = {
            "success": failure is None,
            "uuid": hashlib.sha256(f"{part.abbr}/{name}/{repeat}".encode()).hexdigest()[:32],
            "origin_prompt": _prompt(rows[0]["origin_prompt"]),
            "prediction": predictions[0] if len(rows) == 1 else predictions,
            **_likelihoods(rows[0]),
        }
        if rows[0]["gold"] not in (None, "", []):
            entry["gold"] = rows[0]["gold"]
        if failure is not None:
            entry["error_info"] = _why(failure)
        yield number, entry


def _likelihoods(row: Row) -> dict[str, Any]:
    """Return the fields of a likelihood task: each option's perplexity, and the likeliest as the answer."""
    perplexities = [_perplexity(one) for one in row.get("logprobs") or ()]
    if not perplexities:
        return {}
    labels = [LETTERS[place] if place < len(LETTERS) else str(place) for place in range(len(perplexities))]
    return {
        "prediction": labels[perplexities.index(min(perplexities))],
        "ppl_list": [
            {"label": label, "ppl": value} for label, value in zip(labels, perplexities, strict=True)
        ],
    }


def _perplexity(one: Row) -> float:
    """Return the mean negative log-likelihood per token: of prompt and option, else of the option."""
    total, tokens = (
        (one["whole"], one["whole_tokens"]) if one["whole_tokens"] else (one["total"], one["tokens"])
    )
    return -float(total) / max(int(tokens), 1)


def _prediction(row: Row) -> Any:
    return row["tool_calls"] if row.get("tool_calls") else row["prediction"]


def _why(failure: Any) -> str:
    return str(failure.get("message") or failure) if isinstance(failure, Mapping) else str(failure)


def _prompt(prompt: Any) -> Any:
    """Return a prompt in AISBench's form: a text, or turns with roles in capitals."""
    if not isinstance(prompt, list):
        return prompt
    return [
        {"role": AISBENCH_ROLES.get(turn.get("role"), turn.get("role")), "prompt": turn.get("content")}
        for turn in prompt
    ]


class _Scored:
    """The results of one model on one task, by data set."""

    def __init__(self, reporter: AisBench, run: FinishedRun, result: Result, parts: list[AnswerPart]) -> None:
        self.run = run
        self.result = result
        self.parts = parts
        base = str(run.configuration.get("tasks", {}).get(result.task, {}).get("base") or result.task)
        self.names: Mapping[str, str] = known_datasets()["metrics"].get(base.partition(":")[0], {})
        self.details = _details(result.file)
        self.found = _found(run, result) if reporter.extract_rate else None

    def metrics(self, part: AnswerPart) -> dict[str, float | None]:
        """Return the metrics of a data set by AISBench's names."""
        own = [metric for metric in self.result.metrics if metric.group == part.group]
        return {self._name(metric): metric.value for metric in own}

    def _name(self, metric: Metric) -> str:
        return self.names.get(metric.name, metric.name)

    def write(self, folder: Path) -> Iterator[Path]:
        """Write a result file for each data set."""
        for part in self.parts:
            table: dict[str, Any] = dict(self.metrics(part))
            if self.found is not None and part.places:
                table["extract_rate"] = (
                    100 * sum(self.found.get(name, 0) for name in part.places) / len(part.places)
                )
            if details := self._numbered_details(part):
                table["details"] = details
            if not table:  # none of its samples was sent
                continue
            yield _write(
                folder / "results" / self.result.model / part.abbr,
                ".json",
                orjson.dumps(table, option=INDENTED),
            )

    def _numbered_details(self, part: AnswerPart) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, place in part.places.items():
            entry = self.details.get(name)
            for repeat, one in enumerate(entry if isinstance(entry, list) else [entry] if entry else []):
                found[str(repeat * len(part.places) + place)] = {**one, "prompt": _prompt(one.get("prompt"))}
        return dict(sorted(found.items(), key=lambda pair: int(pair[0])))

    def lines(self, table: Mapping[str, Any]) -> Iterator[SummaryLine]:
        """Yield the lines of the summary: data sets, then averages over groups."""
        result, mode = self.result, "ppl" if self.result.mode == "logprob" else self.result.mode
        groups = {part.group: part.abbr for part in self.parts}
        apart = has_own_groups(result.task, table)
        whole = result.task if apart else next(iter(groups.values()), result.task)
        for _, metric in result.rows():
            if metric.group is not None and metric.group not in groups:
                continue
            abbr = whole if metric.group is None else groups[metric.group]
            yield SummaryLine(abbr, result.version, self._name(metric), mode, result.model, metric.value)


def _details(file: Path) -> Mapping[str, Any]:
    table = orjson.loads(file.read_bytes()) if file.is_file() else {}
    details = table.get("details")
    return details if isinstance(details, Mapping) else {}


def _found(run: FinishedRun, result: Result) -> dict[str, float]:
    """Return the share of replies with an extracted answer, by sample."""
    counts: dict[str, list[bool]] = {}
    scores = run.scores(result.model, result.task)
    for score in scores:
        if score["evaluator"] == scores[0]["evaluator"]:
            counts.setdefault(score["id"], []).append(score["answer"] not in (None, ""))
    return {name: sum(found) / len(found) for name, found in counts.items()}


def _lines(rows: Iterable[Mapping[str, Any]]) -> Iterator[bytes]:
    return (orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE, default=str) for row in rows)


def _write(base: Path, ending: str, data: bytes | Iterable[bytes]) -> Path:
    path = base.with_name(base.name + ending)
    write_file(path, data)
    return path
