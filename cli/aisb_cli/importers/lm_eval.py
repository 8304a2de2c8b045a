"""Read `samples_*.jsonl` of lm-evaluation-harness, as `--log_samples` writes them.

A line is one document under one filter: `doc_id`, `doc`, `target`, `arguments`, `resps`, `filter`, `metrics`
and a value for each metric. Answers are taken as they came (`resps`), and not as a filter left them.
https://github.com/EleutherAI/lm-evaluation-harness/blob/main/docs/interface.md
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from aisb import DataError, ImportedAnswer, ImportedRow, ImportedTask, Importer, Logprob
from aisb_cli.importers.files import first_object, parse_lines

LEADERBOARD = "leaderboard_"
"""The prefix of a group's tasks that repeat other tasks."""
SAMPLES_FILE = re.compile(r"samples_(?P<task>.+?)(_\d{4}-\d{2}-\d{2}T[\d.:-]+)?\.jsonl")


class LmEval(Importer):
    """Reads `samples_*.jsonl` of lm-evaluation-harness."""

    reads = "samples_*.jsonl, or a folder with them"

    def read(self, path: Path) -> Iterator[ImportedTask] | None:
        """Return what a file, or the files in a folder, hold; None if they are no samples.

        Raises:
            DataError: a line is incomplete, or of an unsupported kind; the message names it.
        """
        if (
            path.is_dir()
        ):  # a damaged file stays in the list, so that reading it raises an error with its name
            files = sorted(path.rglob("samples_*.jsonl"))
            samples = [file for file in files if (line := first_object(file)) is None or _is_samples(line)]
        else:
            samples = [path] if path.suffix == ".jsonl" and _is_samples(first_object(path)) else []
        return (_read_file(file) for file in samples) if samples else None


def _is_samples(line: Mapping[str, Any] | None) -> bool:
    return line is not None and {"doc_id", "doc", "resps"} <= line.keys()


def _read_file(path: Path) -> ImportedTask:
    match = SAMPLES_FILE.fullmatch(path.name)
    rows: dict[int, ImportedRow] = {}
    values: defaultdict[str, list[float]] = defaultdict(list)
    for number, line in parse_lines(path):
        try:
            position = int(line["doc_id"])
            if position not in rows:  # a line for each filter, with the same answers
                rows[position] = _row(position, line)
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise DataError(
                f"{path}, line {number}: not a sample of lm-eval: {error or type(error).__name__}\n"
                "  it is written by lm_eval --log_samples --output_path DIR"
            ) from error
        for name in line.get("metrics", ()):
            if isinstance(value := line.get(name), int | float):
                values[f"{name},{line.get('filter', 'none')}"].append(float(value))
    task = match["task"] if match else path.stem
    return ImportedTask(
        "lm-eval",
        path,
        path.parent.name.rpartition("__")[2] or "model",
        task,
        tuple(rows[position] for position in sorted(rows)),
        {name: 100 * sum(found) / len(found) for name, found in values.items()},
        graded_by=task.removeprefix(LEADERBOARD),
    )


def _row(position: int, line: Mapping[str, Any]) -> ImportedRow:
    arguments = _arguments(line["arguments"])
    responses = line["resps"]
    doc = line["doc"] if isinstance(line["doc"], Mapping) else {"doc": line["doc"]}
    context = str(arguments[0][0])
    if len(arguments[0]) > 1 and isinstance(arguments[0][1], str):
        options = tuple(str(one[1]) for one in arguments)
        return ImportedRow(
            position,
            context,
            line.get("target"),
            (
                ImportedAnswer(
                    logprobs=tuple(_logprob(*pair) for pair in zip(options, responses, strict=True))
                ),
            ),
            doc,
            tuple(option.strip() for option in options),
        )
    texts = responses[0] if isinstance(responses[0], list) else responses
    return ImportedRow(
        position, _prompt(context), line.get("target"), tuple(ImportedAnswer(str(t)) for t in texts), doc
    )


def _arguments(arguments: Any) -> list[Sequence[Any]]:
    """Return the arguments of each request: a list of lists, or tables `gen_args_0` with `arg_0`, `arg_1`."""
    if isinstance(arguments, Mapping):
        return [list(one.values()) for _, one in sorted(arguments.items(), key=lambda item: _number(item[0]))]
    return [list(one) for one in arguments]


def _number(name: str) -> int:
    return int(name.rpartition("_")[2])


def _logprob(option: str, response: Any) -> Logprob:
    """Read (log-likelihood, greedy), which may be in a list of one item, and as text."""
    pair = response[0] if isinstance(response[0], list) else response
    greedy = pair[1] if isinstance(pair[1], bool) else str(pair[1]) == "True"
    return Logprob(float(pair[0]), 1, greedy, length=len(option.encode()))


def _prompt(context: str) -> str | list[dict[str, Any]]:
    """Return a prompt; one made for a chat API is JSON in a text."""
    if context.startswith('[{"'):
        try:
            turns = orjson.loads(context)
        except ValueError:
            return context
        if all(isinstance(turn, dict) and "role" in turn and "content" in turn for turn in turns):
            return [{"role": turn["role"], "content": turn["content"]} for turn in turns]
    return context
