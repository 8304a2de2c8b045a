"""Read evaluation logs of Inspect in its JSON form: `eval`, `results`, and `samples` with their outputs.

https://inspect.aisi.org.uk/eval-logs.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from aisb._errors import DataError
from aisb._types import Failure, Usage
from aisb_cli.importers import Answer, Row, Subtask

STOPPED = {"max_tokens": "length", "model_length": "length"}


def is_log(data: Any) -> bool:
    """Say whether a file's content is of this kind."""
    return isinstance(data, Mapping) and isinstance(data.get("eval"), Mapping) and "status" in data


def read_log(path: Path, data: Mapping[str, Any]) -> Iterator[Subtask]:
    """Yield the one subtask of a log.

    Raises:
        DataError: it has no samples, or one lacks something.
    """
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
        rows = tuple(_row(_position(key, place), epochs) for place, (key, epochs) in enumerate(asked.items()))
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"{path}: a sample is not as Inspect writes it: {error!r}") from error
    facts = data["eval"]
    yield Subtask(
        "Inspect",
        path,
        str(facts.get("model") or "model").rpartition("/")[2],
        str(facts.get("task") or path.stem).rpartition("/")[2],
        rows,
        dict(_scores(data.get("results") or {})),
    )


def _position(key: Any, place: int) -> int:
    """Return a sample's place: Inspect counts from 1 where rows have no id of their own."""
    return key - 1 if isinstance(key, int) and key > 0 else place


def _row(position: int, epochs: Mapping[int, Mapping[str, Any]]) -> Row:
    first = epochs[min(epochs)]
    question = first["input"]
    prompt = question if isinstance(question, str) else [_turn(turn) for turn in question]
    target = first.get("target")
    choices = tuple(map(str, first.get("choices") or ()))
    asked = question if isinstance(question, str) else _text(question[-1].get("content"))[0]
    fields = {"question": asked, "answer": target, **(first.get("metadata") or {})}
    if choices:
        fields |= {"choices": list(choices)}
    return Row(
        position, prompt, target, tuple(_answer(epochs[epoch]) for epoch in sorted(epochs)), fields, choices
    )


def _answer(sample: Mapping[str, Any]) -> Answer:
    if error := sample.get("error"):
        words = error.get("message") if isinstance(error, Mapping) else error
        return Answer(failure=Failure("refused", str(words)))
    output = sample.get("output") or {}
    choices = output.get("choices") or []
    if not choices:
        return Answer(failure=Failure("refused", str(output.get("error") or "the log has no output for it")))
    text, reasoning = _text(choices[0]["message"].get("content"))
    stopped = choices[0].get("stop_reason")
    return Answer(
        text,
        reasoning=reasoning,
        finish_reason=STOPPED.get(stopped, stopped),
        usage=_usage(output.get("usage")),
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


def _usage(given: Any) -> Usage | None:
    if not isinstance(given, Mapping):
        return None
    return Usage(
        given.get("input_tokens"),
        given.get("output_tokens"),
        given.get("input_tokens_cache_read"),
        given.get("reasoning_tokens"),
    )


def _scores(results: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    for scorer in results.get("scores") or ():
        for name, metric in (scorer.get("metrics") or {}).items():
            value = metric.get("value")
            if name not in ("stderr", "std", "var") and isinstance(value, int | float):
                yield f"{scorer.get('name')}/{name}", 100 * float(value)
