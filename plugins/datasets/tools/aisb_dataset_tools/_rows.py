"""Read the single-turn categories of the Berkeley Function Calling Leaderboard, questions and answers."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from aisb import DataFile, DataFiles, Row
from aisb.helpers import read_jsonl

CATEGORIES = (
    *("simple", "multiple", "parallel", "parallel_multiple", "java", "javascript", "irrelevance"),
    *("live_simple", "live_multiple", "live_parallel", "live_parallel_multiple"),
    *("live_irrelevance", "live_relevance"),
)
WITHOUT_ANSWERS = {"irrelevance": "no call", "live_irrelevance": "no call", "live_relevance": "any call"}
FUNCTION_LANGUAGES = {"java": "java", "javascript": "javascript"}
"""The language of a category's functions, if it is not Python."""

_TYPES = {
    **dict.fromkeys(("dict", "HashMap", "Hashtable"), "object"),
    **dict.fromkeys(("list", "tuple", "ArrayList", "Array", "Queue", "Stack"), "array"),
    **dict.fromkeys(("float", "double"), "number"),
    **dict.fromkeys(("byte", "short", "long", "Bigint"), "integer"),
    **dict.fromkeys(("any", "Any", "char", "String", ""), "string"),
    **dict.fromkeys(("bool", "Boolean"), "boolean"),
}
_OTHER_NAMES = {"simple_python": "simple", "simple_java": "java", "simple_javascript": "javascript"}


def bfcl(*, files: DataFiles) -> Iterator[Row]:
    """Rows of `BFCL_v*_{category}.json` files, with the answers of `possible_answer`.

    Fields: `category`, `question`, `system` (the row's system message), `functions`, `tools` (the same in
    OpenAI's form), `declared` (the functions as in the file), `language`, `answer`. Multi-turn categories are
    skipped.
    """
    answers: dict[str, dict[str, Any]] = {}
    for file in files:
        if file.path.parent.name == "possible_answer" and _category(file) in CATEGORIES:
            answers[_category(file)] = {row["id"]: row["ground_truth"] for row in _rows(file, "ground_truth")}
    for file in files:
        category = _category(file)
        if file.path.parent.name == "possible_answer" or category not in CATEGORIES:
            continue
        for row in _rows(file, "question", "function"):
            if category in WITHOUT_ANSWERS:
                answer = WITHOUT_ANSWERS[category]
            elif category not in answers:
                raise file.error(f"its answers are missing: there is no possible_answer/{file.path.name}")
            elif row["id"] not in answers[category]:
                raise file.error(f"possible_answer/{file.path.name} has no answer to {row['id']}")
            else:
                answer = answers[category][row["id"]]
            (turn,) = row["question"]
            texts = {role: [m["content"] for m in turn if m["role"] == role] for role in ("system", "user")}
            language = FUNCTION_LANGUAGES.get(category, "python")
            functions = [with_text_parameters(one, language) for one in row["function"]]
            yield {
                "category": category,
                "question": "\n\n".join(texts["user"]),
                "system": "".join(f"{text}\n\n" for text in texts["system"]),
                "functions": functions,
                "declared": row["function"],
                "language": language,
                "tools": [tool(one) for one in functions],
                "answer": answer,
                "name": row["id"],
            }


def with_text_parameters(function: Mapping[str, Any], language: str) -> Mapping[str, Any]:
    """Return a function of Java or JavaScript with its parameters as texts in the language's syntax.

    Source: the documentation for models in utils.py of bfcl-eval.
    """
    if language == "python":
        return function
    called = {"java": "Java", "javascript": "JavaScript"}[language]
    syntax = {"java": "Java 8 SDK", "javascript": "JavaScript"}[language]
    parameters = function["parameters"]
    return {
        **function,
        "description": f"{function['description']} Note that the provided function is in {syntax} syntax.",
        "parameters": {
            **parameters,
            "properties": {name: _text(one, called) for name, one in parameters["properties"].items()},
        },
    }


def _text(parameter: Mapping[str, Any], language: str) -> dict[str, Any]:
    """Return a parameter as a text whose description explains its format."""
    kind, items, properties = parameter["type"], parameter.get("items"), parameter.get("properties")
    words = [text] if (text := str(parameter.get("description", "")).strip()) else []
    if kind == "any":
        words.append(f"It can be any {language} object, written as text.")
    else:
        words.append(f"It is a {language} value of the type {kind}, written as text.")
    if items:
        words.append(
            f"Its elements are of the type {items.get('type')}, and not written as texts of their own."
        )
    if properties:
        words.append(f"Its entries have this schema, and are not written as texts: {json.dumps(properties)}")
    rest = {name: one for name, one in parameter.items() if name not in ("type", "items", "properties")}
    return {**rest, "type": "string", "description": " ".join(words)}


def tool(function: Mapping[str, Any]) -> dict[str, Any]:
    """Return a function in OpenAI's form: JSON Schema's types, and no dots in the name.

    Types are translated as in type_mappings.py of the leaderboard.
    """
    name = str(function["name"]).replace(".", "_")
    return {
        "type": "function",
        "function": {**function, "name": name, "parameters": _schema(function["parameters"])},
    }


def _schema(part: Any) -> Any:
    """Return a part of a schema with the type names of JSON Schema."""
    if not isinstance(part, Mapping):
        return part
    schema = dict(part)
    kind = schema.get("type")
    if isinstance(kind, str):
        schema["type"] = _TYPES.get(kind, kind)
        if schema["type"] == "array" and "items" not in schema:
            schema["items"] = {}  # services that validate schemas require it
    if isinstance(properties := schema.get("properties"), Mapping):
        schema["properties"] = {name: _schema(one) for name, one in properties.items()}
    if "items" in schema:
        schema["items"] = _schema(schema["items"])
    return schema


def _category(file: DataFile) -> str:
    name = re.sub(r"^BFCL_v\d+_", "", file.path.name.removesuffix(".gz").removesuffix(".json"))
    return _OTHER_NAMES.get(name, name)


def _rows(file: DataFile, *names: str) -> Iterator[Row]:
    for row in read_jsonl(files=DataFiles([file])):
        missing = [name for name in ("id", *names) if name not in row]
        if missing:
            raise file.error(f"the row has no {missing[0]!r}; it needs id, {', '.join(names)}")
        yield row
