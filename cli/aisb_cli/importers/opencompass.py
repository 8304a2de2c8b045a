"""Read the prediction folders of OpenCompass and AISBench: `predictions/<model>/<dataset>.json` or `.jsonl`.

A `.json` file is one object, `{"0": {"origin_prompt": …, "prediction": …, "gold": …}, …}`, whole or in parts
`<dataset>_0.json`, `<dataset>_1.json` …; a `.jsonl` file has a line a request with its `id`, and what failed
stands in `<dataset>_failed.jsonl`.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from aisb import DataError, Failure, ImportedAnswer, ImportedRow, ImportedTask, Importer
from aisb_cli.importers.abbreviations import task_of
from aisb_cli.importers.files import first_object, parse_json

OPENAI_ROLES = {"HUMAN": "user", "BOT": "assistant", "SYSTEM": "system"}
JUDGE = "-judge"
PART = re.compile(r"(?P<name>.+)_(?P<number>\d+)")


class OpenCompass(Importer):
    """Reads the predictions of OpenCompass and AISBench."""

    reads = "an output folder of OpenCompass or AISBench, its predictions folder, or a file in it"

    def read(self, path: Path) -> Iterator[ImportedTask] | None:
        """Return what a file of predictions, or the folders in an output folder, hold; None if it is none.

        An output folder may have several runs; the latest is read.

        Raises:
            DataError: a file has an entry that is no prediction; it is named.
        """
        if path.is_dir():
            folder = _predictions_folder(path)
            return _read_folder(folder) if folder else None
        if _is_predictions(_first_entry(path)):
            return iter([_read_files([path], path.parent.name, path.stem)])
        return None


def _predictions_folder(path: Path) -> Path | None:
    if (path / "predictions").is_dir():
        return path / "predictions"
    runs = [run for run in sorted(path.glob("*/predictions")) if run.is_dir()]
    if runs:
        return runs[-1]
    return path if "predictions" in (path.name, path.parent.name) else None


def _first_entry(path: Path) -> Any:
    if path.suffix == ".jsonl":
        return first_object(path)
    data = parse_json(path) if path.suffix == ".json" else None
    return next(iter(data.values()), None) if isinstance(data, dict) else None


def _is_predictions(entry: Any) -> bool:
    return isinstance(entry, Mapping) and "prediction" in entry


def _read_folder(folder: Path) -> Iterator[ImportedTask]:
    """Yield a subtask for each dataset of each model below `predictions`, or of one model's folder."""
    models = [path for path in sorted(folder.iterdir()) if path.is_dir()] or [folder]
    for model in models:
        for name, files in _datasets(model).items():
            yield _read_files(files, model.name, name)


def _read_files(files: Sequence[Path], model: str, task: str) -> ImportedTask:
    """Return the subtask from all its files.

    Raises:
        DataError: a file is not of this kind; the message names it and the entry.
    """
    tool = "OpenCompass"
    found: defaultdict[int, list[ImportedAnswer]] = defaultdict(list)
    questions: dict[int, tuple[Any, Any]] = {}
    offset = 0
    for path in files:
        for position, entry in _entries(path):
            if not _is_predictions(entry) and not (isinstance(entry, Mapping) and "error_info" in entry):
                raise DataError(
                    f"{path}: entry {position} has no prediction; "
                    "wanted are entries with origin_prompt, prediction and gold"
                )
            tool = "AISBench" if "data_abbr" in entry else tool
            place = offset + position
            questions.setdefault(
                place, (entry.get("origin_prompt", entry.get("input", "")), entry.get("gold"))
            )
            found[place] += _answers(entry)
        if PART.fullmatch(path.stem) and path.suffix == ".json" and len(files) > 1:
            offset = max(found, default=-1) + 1
    return ImportedTask(
        tool,
        files[0],
        model,
        task,
        tuple(
            ImportedRow(place, _prompt(questions[place][0]), questions[place][1], tuple(found[place]))
            for place in sorted(found)
        ),
        graded_by=task_of(task),
    )


def _datasets(model: Path) -> dict[str, list[Path]]:
    """Return the files of each dataset: its parts in order, then the file of failures."""
    names = {path.stem for path in model.glob("*.json*")}
    datasets: defaultdict[str, list[Path]] = defaultdict(list)
    for path in sorted(model.glob("*.json*"), key=_in_order):
        if path.stem.endswith("_details"):  # of a performance run
            continue
        name = path.stem.removesuffix("_failed")
        if name.endswith(JUDGE) and name.removesuffix(JUDGE) in names:  # a judge's replies
            continue
        part = PART.fullmatch(name)
        if part and path.suffix == ".json" and f"{part['name']}_0" in names and part["name"] not in names:
            name = part["name"]
        if path.suffix == ".json" and (model / f"{name}.jsonl").exists():
            continue  # a copy of the same predictions
        datasets[name].append(path)
    return dict(datasets)


def _in_order(path: Path) -> tuple[str, int, str]:
    part = PART.fullmatch(path.stem)
    return (part["name"], int(part["number"]), path.name) if part else (path.stem, -1, path.name)


def _entries(path: Path) -> Iterable[tuple[int, Mapping[str, Any]]]:
    try:
        if path.suffix == ".jsonl":
            lines = [orjson.loads(line) for line in path.read_bytes().splitlines() if line.strip()]
            return [(int(line.get("id", number)), line) for number, line in enumerate(lines)]
        return [(int(key), entry) for key, entry in orjson.loads(path.read_bytes()).items()]
    except (OSError, ValueError, AttributeError) as error:
        raise DataError(
            f'{path} is not a predictions file: {error}\n  expected: {{"0": {{"origin_prompt": …, '
            '"prediction": …, "gold": …}, …}, or such entries as lines with their id'
        ) from error


def _answers(entry: Mapping[str, Any]) -> list[ImportedAnswer]:
    if not entry.get("success", "error_info" not in entry):
        return [ImportedAnswer(failure=Failure("refused", str(entry.get("error_info") or "it failed")))]
    predictions = entry["prediction"]
    return [
        ImportedAnswer(str(text))
        for text in (predictions if isinstance(predictions, list) else [predictions])
    ]


def _prompt(prompt: Any) -> str | list[dict[str, Any]]:
    if not isinstance(prompt, list):
        return str(prompt)
    return [
        {
            "role": OPENAI_ROLES.get(str(turn.get("role")), "user"),
            "content": turn.get("prompt", turn.get("content", "")),
        }
        if isinstance(turn, Mapping)
        else {"role": "user", "content": str(turn)}
        for turn in prompt
    ]
