"""Read records of Every Eval Ever: an evaluation in a JSON file, its answers in `…_samples.jsonl` next to it.

https://github.com/evaleval/every_eval_ever
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any

import orjson

from aisb import DataError, Failure, ImportedAnswer, ImportedRow, ImportedTask, Importer, Logprob
from aisb_cli.importers.files import check_json, parse_json, parse_lines, token_usage

SAMPLES = "_samples.jsonl"


class EveryEvalEver(Importer):
    """Reads records of Every Eval Ever."""

    reads = "a .json record with its _samples.jsonl, or a folder with them"

    def read(self, path: Path) -> Iterator[ImportedTask] | None:
        """Return what a record, or the records in a folder, hold; None if they are no records.

        Raises:
            DataError: a record has no answers next to it, or one of them lacks something.
        """
        if path.is_dir():
            files = sorted(file.with_name(record_name(file)) for file in path.rglob(f"*{SAMPLES}"))
        else:
            files = [path.with_name(record_name(path)) if path.name.endswith(SAMPLES) else path]
        records = [(file, parse_json(file)) for file in files if file.suffix == ".json" and file.is_file()]
        found = [(file, record) for file, record in records if _is_record(record)]
        if found and (broken := [file for file, record in records if record is None]):
            check_json(broken[0])
        return chain.from_iterable(_read_record(*one) for one in found) if found else None


def record_name(samples: Path) -> str:
    """Return the name of the record that a file of answers belongs to."""
    return f"{samples.name.removesuffix(SAMPLES)}.json"


def _is_record(data: Any) -> bool:
    return (
        isinstance(data, Mapping) and {"schema_version", "evaluation_id", "evaluation_results"} <= data.keys()
    )


@dataclass(slots=True)
class _Question:
    """One sample, with its answers by repeat."""

    row: ImportedRow
    answers: dict[int, ImportedAnswer] = field(default_factory=dict)


def _read_record(path: Path, record: Mapping[str, Any]) -> Iterator[ImportedTask]:
    samples = path.with_name(f"{path.stem}{SAMPLES}")
    if not samples.exists():
        raise DataError(
            f"{path} has no answers: there is no {samples.name} next to it\n"
            "  a record without answers has only scores, which cannot be computed again"
        )
    is_of_aisb = _library(record) == "aisb"
    tasks: dict[str, dict[str, _Question]] = {}
    seen: dict[tuple[str, str, str], int] = {}
    for number, line in parse_lines(samples):
        try:
            name = str(line["evaluation_id"] if is_of_aisb else line["evaluation_name"]).partition("/")[0]
            questions = tasks.setdefault(name, {})
            key = str(line["sample_id"])
            question = questions.get(key) or _Question(_row(line, _position(key, len(questions))))
            questions[key] = question
            repeat = _repeat(line, seen)
            for offset, answer in enumerate(_answers(line)):
                question.answers.setdefault(repeat + offset, answer)
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            reason = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
            raise DataError(
                f"{samples}, line {number}: not an answer of Every Eval Ever: {reason}\n"
                "  every_eval_ever validate of the package every-eval-ever says what it needs"
            ) from error
    model = str(record.get("model_info", {}).get("id") or "model").rpartition("/")[2]
    for name, questions in tasks.items():
        rows = tuple(
            replace(one.row, answers=tuple(answer for _, answer in sorted(one.answers.items())))
            for one in questions.values()
        )
        yield ImportedTask("Every Eval Ever", samples, model, name, rows, dict(_scores(record, name)))


def _library(record: Mapping[str, Any]) -> str:
    return str((record.get("eval_library") or {}).get("name"))


def _position(key: str, place: int) -> int:
    """Return the position of a sample: the number that its id ends in after a slash, else its place."""
    last = key.rpartition("/")[2]
    return int(last) if last.isdecimal() else place


def _repeat(line: Mapping[str, Any], seen: dict[tuple[str, str, str], int]) -> int:
    """Return the repeat of an answer: as the record has it, else how often this result had the sample."""
    repeat = (line.get("metadata") or {}).get("repeat")
    key = (str(line["evaluation_name"]), str(line.get("evaluation_result_id")), str(line["sample_id"]))
    count = seen[key] = seen.get(key, -1) + 1
    return int(repeat) if repeat is not None else count


def _row(line: Mapping[str, Any], position: int) -> ImportedRow:
    """Return the question of a line, without answers."""
    question, metadata = line["input"], line.get("metadata") or {}
    references = [str(text) for text in question.get("reference") or ()]
    gold: Any = references[0] if len(references) == 1 else references or None
    choices = tuple(map(str, question.get("choices") or ()))
    fields: dict[str, Any] = {"question": question["raw"], "answer": gold}
    if choices:
        fields["choices"] = list(choices)
    if own := metadata.get("fields"):
        fields = dict(orjson.loads(own))
    prompt = _prompt(question.get("formatted") or question["raw"])
    return ImportedRow(position, prompt, gold, (), fields, choices)


def _prompt(text: str) -> str | list[dict[str, Any]]:
    """Return a prompt: messages if the text is a list of them in JSON, else the text."""
    if not text.startswith("[{"):
        return text
    try:
        turns = orjson.loads(text)
    except ValueError:
        return text
    if all(isinstance(turn, dict) and "role" in turn and "content" in turn for turn in turns):
        return [dict(turn) for turn in turns]
    return text


def _answers(line: Mapping[str, Any]) -> Sequence[ImportedAnswer]:
    """Return the answers of a line: one, or one for each text of the output."""
    metadata = line.get("metadata") or {}
    common: dict[str, Any] = {"usage": token_usage(line.get("token_usage"))}
    common["finish_reason"] = metadata.get("finish_reason")
    if logprobs := metadata.get("logprobs"):
        return [ImportedAnswer(logprobs=tuple(Logprob(**one) for one in orjson.loads(logprobs)), **common)]
    texts, reasoning = _texts(line)
    if line.get("error") and not any(texts):
        return [ImportedAnswer(failure=Failure("refused", str(line["error"])))]
    return [
        ImportedAnswer(text, reasoning=reasoning[place] if place < len(reasoning) else "", **common)
        for place, text in enumerate(texts)
    ]


def _texts(line: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Return the texts and the reasoning of an answer; of a conversation, those of the last reply."""
    if output := line.get("output"):
        return list(output["raw"]) or [""], list(output.get("reasoning_trace") or ())
    replies = [message for message in line.get("messages") or () if message["role"] == "assistant"]
    last = replies[-1] if replies else {}
    return [last.get("content") or ""], [last.get("reasoning_trace") or ""]


def _scores(record: Mapping[str, Any], task: str) -> Iterator[tuple[str, float]]:
    """Yield the scores of the record for a task, in percent if they are shares."""
    for result in record["evaluation_results"]:
        name, metric = str(result.get("evaluation_name")), result.get("metric_config") or {}
        score = (result.get("score_details") or {}).get("score")
        if name.partition("/")[0] != task or not isinstance(score, int | float):
            continue
        words = [str(metric.get("metric_name") or metric.get("metric_id") or "score")]
        words += [name.partition("/")[2]] if "/" in name else []
        is_share = metric.get("max_score") == 1 or metric.get("metric_unit") == "proportion"
        yield ",".join(words), 100 * score if is_share else float(score)
