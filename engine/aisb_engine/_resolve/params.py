"""Generation parameters: which of them a backend sends, and which values are valid.

A parameter that a user sets must be sent: if the backend does not declare it, the run stops before the first
request. A parameter that a task or a row sets is omitted if the backend does not send it, unless it is
required.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, NamedTuple

from aisb._errors import ConfigError, did_you_mean
from aisb_engine._faults import calling

if TYPE_CHECKING:
    from aisb._backend import Backend
    from aisb._plugins import Plugins
    from aisb_engine._spec import RunSpec, Subtask, Task

ENGINE_PARAMS = frozenset({"num_return_sequences"})
"""Parameters that the engine implements itself: it sends one request for each answer."""

MISSPELLING_SIMILARITY = 0.85
"""The similarity above which an unknown name is taken for a misspelling. For comparison: `min_tokens` and
`max_tokens` have 0.8."""


class ParameterKind(NamedTuple):
    """The type of a well-known parameter, as a description and as a check."""

    words: str
    fits: Callable[[Any], bool]


class WellKnown(NamedTuple):
    """A parameter with the same meaning for most services, and a typical value."""

    kind: ParameterKind
    example: Any


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_whole(value: Any) -> bool:
    return _is_number(value) and value == int(value)


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple)


NUMBER = ParameterKind("a number", _is_number)
NOT_NEGATIVE = ParameterKind("a number of at least 0", lambda value: _is_number(value) and value >= 0)
SHARE = ParameterKind("a number from 0 to 1", lambda value: _is_number(value) and 0 <= value <= 1)
WHOLE = ParameterKind("a whole number", _is_whole)
# Some services accept 0 and 1 for false and true.
SWITCH = ParameterKind("true or false", lambda value: isinstance(value, bool) or value in (0, 1))
SWITCH_OR_WHOLE = ParameterKind(
    "true, false or a whole number", lambda v: isinstance(v, bool) or _is_whole(v)
)
TEXTS = ParameterKind(
    "a text or a list of texts",
    lambda value: isinstance(value, str) or (_is_list(value) and all(isinstance(v, str) for v in value)),
)
TOKEN_IDS = ParameterKind("a list of token ids", lambda value: _is_list(value) and all(map(_is_whole, value)))
LIST = ParameterKind("a list", _is_list)
TABLE = ParameterKind("a table", lambda value: isinstance(value, Mapping))
TEXT_OR_TABLE = ParameterKind("a text or a table", lambda value: isinstance(value, str | Mapping))
TABLE_OR_LIST = ParameterKind(
    "a table or a list", lambda value: isinstance(value, Mapping) or _is_list(value)
)
ANYTHING = ParameterKind("any value", lambda _: True)

_TOOL = {"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}
KNOWN_PARAMS: Mapping[str, WellKnown] = {
    "max_tokens": WellKnown(WHOLE, 17),
    "max_completion_tokens": WellKnown(WHOLE, 17),
    "max_new_tokens": WellKnown(WHOLE, 17),
    "min_tokens": WellKnown(WHOLE, 2),
    "min_new_tokens": WellKnown(WHOLE, 2),
    "temperature": WellKnown(NOT_NEGATIVE, 0.7),
    "top_p": WellKnown(SHARE, 0.9),
    "top_k": WellKnown(WHOLE, 20),
    "min_p": WellKnown(SHARE, 0.1),
    "typical_p": WellKnown(SHARE, 0.9),
    "presence_penalty": WellKnown(NUMBER, 0.5),
    "frequency_penalty": WellKnown(NUMBER, 0.5),
    "repetition_penalty": WellKnown(NUMBER, 1.1),
    "stop": WellKnown(TEXTS, ["\n\n"]),
    "stop_token_ids": WellKnown(TOKEN_IDS, [7]),
    "seed": WellKnown(WHOLE, 7),
    "ignore_eos": WellKnown(SWITCH, True),
    "do_sample": WellKnown(SWITCH, True),
    "skip_special_tokens": WellKnown(SWITCH, False),
    "logprobs": WellKnown(SWITCH_OR_WHOLE, 1),
    "top_logprobs": WellKnown(WHOLE, 2),
    "logit_bias": WellKnown(TABLE_OR_LIST, {"7": 1}),
    "tools": WellKnown(LIST, [_TOOL]),
    "tool_choice": WellKnown(TEXT_OR_TABLE, "auto"),
    "response_format": WellKnown(TABLE, {"type": "json_object"}),
    "chat_template_kwargs": WellKnown(TABLE, {"enable_thinking": False}),
    "reasoning_effort": WellKnown(ANYTHING, "low"),
    "num_return_sequences": WellKnown(WHOLE, 2),
}
"""Generation parameters that several services know, each with the kind of its value and an example."""


def refuse_unfit(params: Mapping[str, Any], where: str = "") -> None:
    """Refuse parameters that cannot work with any backend; `where` begins the path.

    Raises:
        ConfigError: the message names the parameter, the reason, and what to write instead.
    """
    for name in ("n", "best_of"):
        if params.get(name) not in (None, 1):
            raise ConfigError(
                f"{where}params.{name}",
                f"{params[name]!r}: several answers in one reply cannot be timed or resumed; "
                f"write num_return_sequences = {params[name]!r}, which sends a request for each",
            )
    if "lora_data_map_file" in params:
        raise ConfigError(
            f"{where}params.lora_data_map_file",
            "would be sent unchanged, and no adapter used; write lora_map = FILE under [options]",
        )
    if "stream" in params:
        raise ConfigError(
            f"{where}params.stream",
            "whether replies are streamed is an option of the model, not a parameter; "
            "write stream = true or false under [options]",
        )
    for name in ("max_tokens", "num_return_sequences"):
        value = params.get(name, 1)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise ConfigError(
                f"{where}params.{name}", f"must be a whole number of at least 1 (it is {value!r})"
            )


def check_values(params: Mapping[str, Any], where: str = "") -> None:
    """Refuse invalid values of well-known parameters; None means no value.

    Raises:
        ConfigError: the message names the parameter, its value, and what it must be.
    """
    for name, value in params.items():
        known = KNOWN_PARAMS.get(name)
        if known and value is not None and not known.kind.fits(value):
            raise ConfigError(f"{where}params.{name}", f"must be {known.kind.words} (it is {value!r})")


def sends(backend: Backend, name: str) -> bool:
    """Return whether a backend sends a generation parameter."""
    return backend.params == "any" or name in backend.params


def unknown_to(backend: Backend, names: Iterable[str]) -> list[str]:
    """Return the parameters that a backend does not send, sorted."""
    return sorted(name for name in set(names) - ENGINE_PARAMS if not sends(backend, name))


def misspellings(backend: Backend, names: Iterable[str]) -> list[str]:
    """Return a line for each passed-through name that is similar to a well-known one."""
    if backend.params != "any":
        return []
    lines = []
    for name in names:
        near = get_close_matches(
            name.lower().replace("-", "_"), KNOWN_PARAMS, n=1, cutoff=MISSPELLING_SIMILARITY
        )
        if name not in KNOWN_PARAMS and near:
            lines.append(f"params.{name} is sent unchanged; did you mean {near[0]!r}?")
    return lines


def refuse_not_sent(backend: Backend, use: str, params: Mapping[str, str], where: str = "") -> None:
    """Refuse parameters of a user that a backend does not send; `params` has the place of each.

    Raises:
        ConfigError: the message names the parameter, the backend `use`, what it sends, and the place.
    """
    for name in unknown_to(backend, params):
        lines = [f"the backend {use} does not send it{did_you_mean(name, backend.params)}"]
        lines += [_what_is_sent(backend), f"  it was set by {params[name]}"]
        raise ConfigError(f"{where}params.{name}", "\n".join(lines))


def fit_params(spec: RunSpec, plugins: Plugins, doubts: Iterable[str] = ()) -> RunSpec:
    """Return a run whose subtasks have exactly the parameters to send; omitted ones are in `not_sent`.

    `doubts` are existing notes; those on the models' parameters are added.

    Raises:
        ConfigError: a parameter that a user sets or a task requires is not sent, or a value is invalid.
        UsageError: a backend cannot be created, or refuses a value.
    """
    backends = {
        name: plugins.make("backend", model.backend, model.options, where=f"models.{model.name}.options")
        for name, model in spec.models.items()
    }
    subtasks: list[Subtask] = []
    not_sent: dict[str, list[str]] = {}
    lines = list(doubts)
    for original in spec.subtasks:
        backend, task = backends[original.model], spec.tasks[original.task]
        subtask = _with_stop(original, task, backend)
        use, where = spec.models[subtask.model].backend, f"{subtask.key}: "
        check_values(subtask.merged, where)
        refuse_not_sent(backend, use, spec.origins.get(subtask.key, {}), where)
        left_out = _left_out(subtask, task, backend, use)
        fitted = _without(subtask, left_out)
        with calling(plugins, "backend", use, "check_params"):
            backend.check_params(fitted.merged)
        subtasks.append(fitted)
        if left_out:
            not_sent[subtask.key] = left_out
        lines += [f"{subtask.model}: {line}" for line in misspellings(backend, fitted.merged)]
    update = {"subtasks": subtasks, "not_sent": not_sent, "doubts": list(dict.fromkeys(lines))}
    return spec.model_copy(update=update)


def _with_stop(subtask: Subtask, task: Task, backend: Backend) -> Subtask:
    """Return a subtask with the stop texts of its task, if the backend takes texts."""
    is_chat = backend.prompt_form == "chat" or (backend.has_chat_template and task.prompt.style == "chat")
    if not task.prompt.stop or is_chat or "stop" in subtask.merged:
        return subtask
    return subtask.model_copy(update={"params": {**subtask.params, "stop": list(task.prompt.stop)}})


def _left_out(subtask: Subtask, task: Task, backend: Backend, use: str) -> list[str]:
    """Return the parameters of a task and its rows that are not sent; raise if one of them is required."""
    names = set(subtask.merged)
    if task.sample.max_tokens:
        names.add("max_tokens")
    required = set(task.required_params)
    if task.prompt.tools or subtask.merged.get("tools"):
        names.add("tools")
        required.add("tools")
    if subtask.merged.get("ignore_eos"):
        required.add("ignore_eos")  # without it replies end early, which changes the load
    left_out = unknown_to(backend, names)
    for name in left_out:
        if name in required:
            unset = "" if name == "tools" else f", or unset it with --set params.{name}="
            raise ConfigError(
                f"{subtask.key}: params.{name}",
                f"the task requires it, and the backend {use} does not send it\n{_what_is_sent(backend)}\n"
                f"  use a backend that sends it{unset}",
            )
    return left_out


def _without(subtask: Subtask, names: Iterable[str]) -> Subtask:
    update = {
        key: {name: value for name, value in params.items() if name not in names}
        for key, params in (("params", subtask.params), ("forced", subtask.forced))
    }
    return subtask.model_copy(update=update) if names else subtask


def _what_is_sent(backend: Backend) -> str:
    return f"  it sends {', '.join(sorted(backend.params)) or 'no generation parameters'}"
