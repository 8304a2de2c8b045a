"""Say which tool wrote a file or folder, and read it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import orjson

from aisb._errors import DataError
from aisb_cli.importers import Subtask, inspect_logs, lm_eval, opencompass

Format = Literal["lm-eval", "opencompass", "inspect"]
FORMATS: Mapping[Format, str] = {
    "lm-eval": "samples_*.jsonl, or a folder with them",
    "opencompass": "an output folder of OpenCompass or AISBench, its predictions folder, or a file in it",
    "inspect": "a .json log, or a folder with them",
}


def read_foreign(path: Path) -> list[Subtask]:
    """Return what a file or folder of another tool holds.

    Raises:
        DataError: nothing in it is known, or a file is broken; the message says what can be read.
    """
    if not path.exists():
        raise DataError(f"there is no {path}")
    found = list(_folder(path) if path.is_dir() else _file(path))
    if not found:
        raise DataError(f"{path} holds nothing that can be imported\n{_known()}")
    return found


def _folder(path: Path) -> Iterator[Subtask]:
    if (path / "predictions").is_dir():
        yield from opencompass.read_predictions_folder(path / "predictions")
        return
    runs = sorted(path.glob("*/predictions"))
    if runs and runs[-1].is_dir():  # an output folder with runs in it: the latest
        yield from opencompass.read_predictions_folder(runs[-1])
        return
    if path.name == "predictions" or path.parent.name == "predictions":
        yield from opencompass.read_predictions_folder(path)
        return
    samples = sorted(path.rglob("samples_*.jsonl"))
    for file in samples:
        yield from _file(file)
    if not samples:
        for file in sorted(path.glob("*.json")):
            data = _json(file)
            if inspect_logs.is_log(data):
                yield from inspect_logs.read_log(file, data)


def _file(path: Path) -> Iterator[Subtask]:
    if path.suffix == ".eval":
        raise DataError(
            f"{path} is a log of Inspect in its own form; make JSON of it first, with\n"
            f"  inspect log convert {path} --to json --output-dir json-logs"
        )
    if path.suffix == ".jsonl":
        lines = _lines(path)
        if lines and lm_eval.is_samples(lines[0][1]):
            yield from lm_eval.read_samples_file(path, lines)
        elif lines and opencompass.is_predictions(lines[0][1]):
            yield from opencompass.read_predictions([path], path.parent.name, path.stem)
        return
    data = _json(path)
    if inspect_logs.is_log(data):
        yield from inspect_logs.read_log(path, data)
    elif isinstance(data, dict) and opencompass.is_predictions(next(iter(data.values()), None)):
        yield from opencompass.read_predictions([path], path.parent.name, path.stem)


def _lines(path: Path) -> list[tuple[int, dict[str, Any]]]:
    found = []
    try:
        for number, line in enumerate(path.read_bytes().splitlines(), 1):
            if line.strip():
                found.append((number, orjson.loads(line)))
    except ValueError as error:
        raise DataError(f"{path}, line {number}: not JSON: {error}") from error
    if not all(isinstance(line, dict) for _, line in found):
        raise DataError(f"{path}: its lines are not JSON objects\n{_known()}")
    return found


def _json(path: Path) -> Any:
    try:
        return orjson.loads(path.read_bytes())
    except ValueError as error:
        raise DataError(f"{path} is not JSON: {error}\n{_known()}") from error


def _known() -> str:
    return "\n".join(["  what can be read:", *(f"    {name}: {what}" for name, what in FORMATS.items())])
