"""Grade function calls against the expected calls."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, TypeAlias

from aisb import Evaluator, Sample, Score
from aisb_evaluator_calls._reading import Call, calls, strict_calls
from aisb_evaluator_calls._strict import SCHEMA_TYPES, call_problem
from aisb_evaluator_calls._texts import normalize

NO_CALL, ANY_CALL = "no call", "any call"


class CallMatch(Evaluator):
    """Correct if the reply makes exactly the calls of the target, in any order, with accepted arguments.

    A target is a list of `{name: {parameter: [accepted values]}}`, where `""` among the values makes the
    parameter optional; or it is "no call", or "any call". Parameters and their types are those of the field
    `declared`, else `functions`; the field `language` is the syntax of calls (python, java, javascript).
    Strict grading follows ast_checker.py of the Berkeley Function Calling Leaderboard.
    """

    reads = "calls"

    grades_none = True

    def __init__(
        self,
        *,
        strict: Annotated[
            bool,
            "the leaderboard's rules; false also accepts text around the calls, positional arguments, `true` "
            "for `True`, and `_` for the dots of names",
        ] = True,
    ) -> None:
        self.strict = strict

    def score(self, answer: str | None, sample: Sample) -> Score:
        """Compare the calls of one answer with the target's."""
        language = str(sample.fields.get("language") or "python")
        found = strict_calls(answer or "", language)
        if not self.strict:
            found = found or calls(answer or "")
        if sample.target in (NO_CALL, ANY_CALL):
            return Score(float(bool(found) == (sample.target == ANY_CALL)), details={"calls": len(found)})
        references = [json.loads(one) if isinstance(one, str) else one for one in sample.target]
        functions = sample.fields.get("declared") or sample.fields.get("functions") or ()
        problem = _compared(found, references, _strict_problems(functions, language))
        if problem is not None and not self.strict:
            problem = _compared(calls(answer or ""), references, _lenient_problems(functions))
        return Score(float(problem is None), details={"problem": problem} if problem else {})


Problems: TypeAlias = Callable[[Call, str, Mapping[str, Sequence[Any]]], str | None]
"""Returns why a call differs from a name and parameters with accepted values; None if it matches."""


def _compared(
    calls: Sequence[Call], references: Sequence[Mapping[str, Any]], problem_of: Problems
) -> str | None:
    """Return why the calls differ from the expected ones; None if they match."""
    if len(calls) != len(references):
        return f"{len(calls)} calls instead of {len(references)}"
    left = list(calls)
    for one in references:
        ((name, parameters),) = one.items()
        problems = [problem_of(call, name, parameters) for call in left]
        if None not in problems:
            return problems[0] if len(problems) == 1 else f"no call matches {name}"
        left.pop(problems.index(None))
    return None


def _strict_problems(functions: Sequence[Mapping[str, Any]], language: str) -> Problems:
    """Return the leaderboard's comparison; functions that the row does not declare are compared leniently."""
    declared = {str(function.get("name")): function for function in functions}
    lenient = _lenient_problems(functions)

    def problem_of(call: Call, name: str, parameters: Mapping[str, Sequence[Any]]) -> str | None:
        if name not in declared or language not in SCHEMA_TYPES:
            return lenient(call, name, parameters)
        return call_problem(call, name, parameters, declared[name], language)

    return problem_of


def _lenient_problems(functions: Sequence[Mapping[str, Any]]) -> Problems:
    types = _types(functions)
    return lambda call, name, parameters: _call_problem(call, name, parameters, types.get(name, {}))


def _call_problem(
    call: Call, name: str, parameters: Mapping[str, Sequence[Any]], types: Mapping[str, str]
) -> str | None:
    if call.name.replace(".", "_") != name.replace(".", "_"):
        return f"{call.name} instead of {name}"
    names = list(types) or list(parameters)
    arguments: dict[str, Any] = {}
    for key, value in call.arguments.items():
        known = key if isinstance(key, str) else names[key] if key < len(names) else None
        if known is None or known not in parameters:
            return f"{name} has no parameter {key!r}"
        arguments[known] = value
    for key, fitting in parameters.items():
        if key not in arguments:
            if fitting and "" not in fitting:
                return f"{name} lacks {key}"
        elif not any(_fits(arguments[key], one, types.get(key, "")) for one in fitting):
            return f"{key} = {arguments[key]!r}"[:200]
    return None


def _fits(value: Any, reference: Any, kind: str) -> bool:
    """Return whether a value matches: 5 is neither "5" nor true; 5 is 5.0 if a float is declared."""
    if isinstance(reference, bool) or isinstance(value, bool):
        return value is reference or (kind in _BOOLEANS and str(value).lower() == str(reference).lower())
    if isinstance(reference, int | float):
        return _number_fits(value, reference, kind)
    if isinstance(reference, str):
        return isinstance(value, str) and normalize(value) == normalize(reference)
    if isinstance(reference, Mapping):
        return isinstance(value, Mapping) and _dict_fits(value, reference)
    if isinstance(reference, list) and isinstance(value, list | tuple):
        same = [_fits(one, other, "") for one, other in zip(value, reference, strict=False)]
        return len(value) == len(reference) and all(same)
    return bool(value == reference)


def _number_fits(value: Any, reference: float, kind: str) -> bool:
    if isinstance(value, str) and kind in _FOREIGN:
        value = _number(value)
    if isinstance(value, float) and isinstance(reference, int) and kind == "integer":
        return False
    return isinstance(value, int | float) and value == reference


_BOOLEANS = {"Boolean"}
_FOREIGN = {"long", "double", "any", "Integer", "Long"}


def _dict_fits(value: Mapping[str, Any], reference: Mapping[str, Any]) -> bool:
    """Compare a dict with a dict of accepted values."""
    if set(value) - set(reference):
        return False
    for key, fitting in reference.items():
        some = fitting if isinstance(fitting, list) else [fitting]
        if key not in value:
            if "" not in some:
                return False
        elif not any(_fits(value[key], one, "") for one in some) and not _fits(value[key], fitting, ""):
            return False
    return True


def _number(text: str) -> Any:
    try:
        return float(text.rstrip("LlfFdD"))
    except ValueError:
        return text


def _types(functions: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, str]]:
    """Return the type of each parameter of each function, in the order in which they are declared."""
    found = {}
    for function in functions:
        properties = function.get("parameters", {}).get("properties", {})
        found[str(function.get("name"))] = {
            name: str(one.get("type", "")) for name, one in properties.items()
        }
    return found
