"""Read the multi-turn categories of the Berkeley Function Calling Leaderboard, with their answers."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from aisb import DataFile, DataFiles, Row
from aisb.helpers import read_jsonl
from aisb_dataset_tools._literal_calls import reference_calls
from aisb_dataset_tools._rows import tool

CATEGORIES = ("base", "miss_func", "miss_param", "long_context")
MODULES = {
    "GorillaFileSystem": "gorilla_file_system",
    "MathAPI": "math_api",
    "MessageAPI": "message_api",
    "TicketAPI": "ticket_api",
    "TradingBot": "trading_bot",
    "TravelAPI": "travel_booking",
    "TwitterAPI": "posting_api",
    "VehicleControlAPI": "vehicle_control",
}
"""The module of each simulated service, by its class; its functions are described in a file of that name."""


def bfcl_multi_turn(*, files: DataFiles) -> Iterator[Row]:
    """Rows of `BFCL_v*_multi_turn_{category}.json`, with `possible_answer` and `multi_turn_func_doc`.

    Fields: `category`, `turns` (each a list of messages), `functions` (as in the files), `tools` (the same in
    OpenAI's form), `later_functions` (those that a later turn adds, by its number), `classes` (the simulated
    services with their modules), `config` (their initial state), `answer` (the reference calls of each turn).
    """
    found = {(file.path.parent.name, _name(file)): file for file in files}
    described = {module: _described(found, module) for module in MODULES.values()}
    for category in CATEGORIES:
        answered = next((f for (at, name), f in found.items() if (at, name) == _answers(category)), None)
        asked = [
            f for (at, name), f in found.items() if name == category and (at, name) != _answers(category)
        ]
        for file in asked:
            if answered is None:
                raise file.error(f"its answers are missing: there is no possible_answer/{file.path.name}")
            answers = {row["id"]: row["ground_truth"] for row in _rows(answered, "ground_truth")}
            for row in _rows(file, "question", "initial_config", "involved_classes"):
                yield _row(file, category, row, answers, described)


def _row(
    file: DataFile,
    category: str,
    row: Row,
    answers: Mapping[str, list[list[str]]],
    described: Mapping[str, list[Mapping[str, Any]] | None],
) -> Row:
    classes = {name: MODULES.get(name, "") for name in row["involved_classes"]}
    functions: list[Mapping[str, Any]] = []
    for name, module in classes.items():
        known = described.get(module)
        if known is None:
            raise file.error(f"{name} of {row['id']} has no description: multi_turn_func_doc is incomplete")
        functions += known
    missed = {turn: frozenset(names) for turn, names in row.get("missed_function", {}).items()}
    held_back = frozenset[str]().union(*missed.values())
    if row["id"] not in answers:
        raise file.error(f"possible_answer/{file.path.name} has no answer to {row['id']}")
    answer = answers[row["id"]]
    for calls in answer:
        reference_calls(calls)
    if len(answer) != len(row["question"]):
        raise file.error(f"{row['id']} has {len(row['question'])} turns, and {len(answer)} answers")
    available = [one for one in functions if one["name"] not in held_back]
    return {
        "name": row["id"],
        "category": category,
        "turns": row["question"],
        "functions": available,
        "tools": [tool_of(one) for one in available],
        "later_functions": {
            turn: [one for one in functions if one["name"] in names] for turn, names in missed.items()
        },
        "classes": classes,
        "config": row["initial_config"],
        "long_context": category == "long_context",
        "answer": answer,
    }


def _answers(category: str) -> tuple[str, str]:
    return ("possible_answer", category)


def _described(found: Mapping[tuple[str, str], DataFile], module: str) -> list[Mapping[str, Any]] | None:
    file = found.get(("multi_turn_func_doc", module))
    return None if file is None else list(_rows(file, "parameters", key="name"))


def tool_of(function: Mapping[str, Any]) -> dict[str, Any]:
    """Return a function in OpenAI's form, with the schema of its result in the description."""
    declaration = {name: value for name, value in function.items() if name != "response"}
    if "response" in function:
        declaration["description"] = (
            f"{declaration['description']} The result has the schema {json.dumps(function['response'])}"
        )
    return tool(declaration)


def _name(file: DataFile) -> str:
    name = file.path.name.removesuffix(".gz").removesuffix(".json")
    return re.sub(r"^BFCL_v\d+_multi_turn_", "", name)


def _rows(file: DataFile, *names: str, key: str = "id") -> Iterator[Row]:
    for row in read_jsonl(files=DataFiles([file])):
        missing = [name for name in (key, *names) if name not in row]
        if missing:
            raise file.error(f"the row has no {missing[0]!r}; it needs {key}, {', '.join(names)}")
        yield row
