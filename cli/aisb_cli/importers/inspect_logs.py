"""Read evaluation logs of Inspect in its JSON form: `eval`, `results`, and `samples` with their outputs.

https://inspect.aisi.org.uk/eval-logs.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from aisb import DataError, Failure, ImportedAnswer, ImportedRow, ImportedTask, Importer, Logprob
from aisb_cli.importers.files import check_json, parse_json, token_usage

STOPPED = {"max_tokens": "length", "model_length": "length"}


class InspectLogs(Importer):
    """Reads evaluation logs of Inspect."""

    reads = "a .json log, or a folder with them"

    def read(self, path: Path) -> Iterator[ImportedTask] | None:
        """Return what a log, or the logs in a folder, hold; None if they are no logs.

        Raises:
            DataError: a log has no samples, one of them lacks something, or it is in Inspect's .eval format.
        """
        if path.suffix == ".eval":
            raise DataError(
                f"{path} is a log in Inspect's .eval format; convert it to JSON first, with\n"
                f"  inspect log convert {path} --to json --output-dir json-logs"
            )
        files = sorted(path.glob("*.json")) if path.is_dir() else [path]
        logs = _read_logs([file for file in files if file.suffix == ".json"])
        first = next(logs, None)
        return chain([first], logs) if first else None


def _read_logs(files: Sequence[Path]) -> Iterator[ImportedTask]:
    """Yield the task of each log; a broken file among logs is an error, since it may be a log."""
    count, broken = 0, []
    for file in files:
        data = parse_json(file)
        if _is_log(data):
            count += 1
            yield _read_log(file, data)
        elif data is None:
            broken.append(file)
    if count and broken:
        check_json(broken[0])


def _is_log(data: Any) -> bool:
    return isinstance(data, Mapping) and isinstance(data.get("eval"), Mapping) and "status" in data


def _read_log(path: Path, data: Mapping[str, Any]) -> ImportedTask:
    samples = data.get("samples")
    if not samples:
        raise DataError(
            f"{path} has no samples, so there is nothing to score\n"
            "  write logs with them: inspect eval --log-samples --log-format json"
        )
    asked: dict[Any, dict[int, Mapping[str, Any]]] = {}
    try:
        for sample in samples:
            asked.setdefault(sample["id"], {})[int(sample.get("epoch", 1))] = sample
        rows = tuple(
            _row(_position(key, place, epochs[min(epochs)]), epochs)
            for place, (key, epochs) in enumerate(asked.items())
        )
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"{path}: a sample is not as Inspect writes it: {error!r}") from error
    facts = data["eval"]
    return ImportedTask(
        "Inspect",
        path,
        str(facts.get("model") or "model").rpartition("/")[2],
        str(facts.get("task") or path.stem).rpartition("/")[2],
        rows,
        dict(_scores(data.get("results") or {})),
    )


def _own(sample: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what the reporter `inspect` wrote to read a sample back; empty if another program wrote it."""
    found = (sample.get("metadata") or {}).get("aisb")
    return found if isinstance(found, Mapping) else {}


def _position(key: Any, place: int, sample: Mapping[str, Any]) -> int:
    """Return a sample's position: Inspect counts from 1 if rows have no id."""
    last = str(_own(sample).get("id", "")).rpartition("/")[2]
    if last.isdecimal():
        return int(last)
    return key - 1 if isinstance(key, int) and key > 0 else place


def _row(position: int, epochs: Mapping[int, Mapping[str, Any]]) -> ImportedRow:
    first = epochs[min(epochs)]
    question = first["input"]
    prompt = question if isinstance(question, str) else [_turn(turn) for turn in question]
    target = first.get("target")
    choices = tuple(map(str, first.get("choices") or ()))
    text = question if isinstance(question, str) else _text(question[-1].get("content"))[0]
    fields = {"question": text, "answer": target, **(first.get("metadata") or {})}
    fields.pop("aisb", None)
    if choices:
        fields |= {"choices": list(choices)}
    return ImportedRow(
        position, prompt, target, tuple(_answer(epochs[epoch]) for epoch in sorted(epochs)), fields, choices
    )


def _answer(sample: Mapping[str, Any]) -> ImportedAnswer:
    if error := sample.get("error"):
        words = error.get("message") if isinstance(error, Mapping) else error
        return ImportedAnswer(failure=Failure("refused", str(words)))
    output = sample.get("output") or {}
    if logprobs := _own(sample).get("logprobs"):
        return ImportedAnswer(
            logprobs=tuple(Logprob(**one) for one in logprobs), usage=token_usage(output.get("usage"))
        )
    choices = output.get("choices") or []
    if not choices:
        return ImportedAnswer(
            failure=Failure("refused", str(output.get("error") or "the log has no output for it"))
        )
    text, reasoning = _text(choices[0]["message"].get("content"))
    stopped = choices[0].get("stop_reason")
    return ImportedAnswer(
        text,
        reasoning=reasoning,
        finish_reason=STOPPED.get(stopped, stopped),
        usage=token_usage(output.get("usage")),
    )


def _text(content: Any) -> tuple[str, str]:
    """Return the text and the reasoning of a message, which may come in parts."""
    if isinstance(content, str):
        return content, ""
    parts = [part for part in content or () if isinstance(part, Mapping)]
    return (
        "".join(str(part.get("text", "")) for part in parts if part.get("type") == "text"),
        "".join(str(part.get("reasoning", "")) for part in parts if part.get("type") == "reasoning"),
    )


def _turn(turn: Mapping[str, Any]) -> dict[str, Any]:
    return {"role": turn["role"], "content": _text(turn.get("content"))[0]}


def _scores(results: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    for scorer in results.get("scores") or ():
        for name, metric in (scorer.get("metrics") or {}).items():
            value = metric.get("value")
            if name not in ("stderr", "std", "var") and isinstance(value, int | float):
                yield f"{scorer.get('name')}/{name}", 100 * float(value)
