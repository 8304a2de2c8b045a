"""Render the requests of samples: few-shot examples, the question, and the form that the endpoint needs."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from aisb._errors import ConfigError, DataError
from aisb._templates import Template, as_text, optional
from aisb._types import Message, Request, Sample
from aisb_engine._data.conversations import next_turn
from aisb_engine._data.forms import NO_TOKENS
from aisb_engine._data.loading import load_samples
from aisb_engine._data.media import Attached, Media, MediaFolders, attach
from aisb_engine._data.samples import LETTERS, row_at, row_max_tokens
from aisb_engine._data.shots import Shots
from aisb_engine._data.tools import row_tools
from aisb_engine._data.turns import SessionTurn, session_turns
from aisb_engine._faults import RAISED, ComponentError
from aisb_engine._resolve.params import ENGINE_PARAMS

if TYPE_CHECKING:
    from aisb._plugins import Plugins
    from aisb_engine._data.datafiles import DataFolders
    from aisb_engine._spec import Task

MADE = frozenset({"target", "choices", "choice_lines"})
"""The names of a sample's target and choices in prompts; they override fields of the row."""

FACTS = ("input_tokens_asked", "input_tokens", "input_exact")
"""The fields of a row that are copied to the log: the requested and actual length of a generated prompt."""


class Example(NamedTuple):
    """A rendered few-shot example: its question, its answer, and the media of the question."""

    question: str
    answer: str
    attached: Sequence[Attached]


def _check_text(request: Request) -> None:
    """Raise `UnicodeEncodeError` for a text that cannot be sent, since it has a lone surrogate."""
    texts = [request.text or "", *request.followups, *request.replies, *request.continuations]
    for message in request.messages or ():
        parts = message.content
        texts += [parts] if isinstance(parts, str) else [part.value for part in parts]
    for text in texts:
        text.encode()


class Renderer:
    """Renders the requests of one task. Its creation reads the rows for few-shot examples.

    `params` are the generation parameters (default: the task's). A row's own `max_tokens` and tools override
    them, and `forced` overrides both. `left_out` are parameters that the backend does not send. If it does
    not take token ids (`sends_tokens`), a task of token ids is sent as text, by the template `user`. `files`
    are those of the task's rows: media are searched next to them first.
    """

    def __init__(
        self,
        task: Task,
        plugins: Plugins,
        folders: DataFolders,
        *,
        params: Mapping[str, Any] | None = None,
        forced: Mapping[str, Any] | None = None,
        left_out: Collection[str] = (),
        sends_tokens: bool = True,
        files: Sequence[Path] = (),
    ) -> None:
        table, where = task.prompt, "task.prompt."
        self.task = task
        self._plugins = plugins
        self._params = _sent(task.params if params is None else params)
        self._forced = _sent(forced or {})
        own = None if "max_tokens" in left_out else task.sample.max_tokens
        self._max_tokens = optional(own, "task.sample.max_tokens")
        self._at = optional(task.sample.at, "task.sample.at")
        self.decodes = table.tokens is not None and not sends_tokens
        self._tokens = _one_field(table.tokens, f"{where}tokens", "token ids: '{token_ids}'")
        self._turns = _one_field(table.turns, f"{where}turns", "the turns of a session: '{turns}'")
        self._sends_max_tokens = "max_tokens" not in left_out
        self._tools = _one_field(table.tools, f"{where}tools", "a list of tools: '{tools}'")
        self._followups = _turn_templates(table.followups, f"{where}followups")
        self._replies = None
        if table.conversation != "every":
            self._replies = _turn_templates(table.replies, f"{where}replies")
        self._user = Template(table.user, f"{where}user")
        self._shot_user = Template(
            table.user if table.shot_user is None else table.shot_user, f"{where}shot_user"
        )
        self._shot = optional(table.shot, f"{where}shot")
        self._system = optional(table.system or None, f"{where}system")
        self._intro = optional(table.intro or None, f"{where}intro")
        self._line = Template(task.sample.choice_line, "task.sample.choice_line")
        compares = task.mode == "logprob"
        self._continuation = optional(
            task.logprob.continuation if compares else None, "task.logprob.continuation"
        )
        templates = (
            self._continuation,
            *(self._user, self._shot_user, self._shot, self._system, self._intro),
            *(self._followups if isinstance(self._followups, list) else [self._followups]),
            *(self._replies if isinstance(self._replies, list) else [self._replies]),
        )
        self._more = bool(MADE & {name for template in templates if template for name in template.names})
        self._rendered: dict[str, Example] = {}
        self.shots: Shots | None = None
        if table.shots:
            pool = load_samples(task, plugins, folders, split=table.shots_from.split, selected=False)
            self.shots = Shots(task, pool, lambda sample: self._user.render(self._fields(sample)))
            files = (*files, *pool.files)
        self.media: list[Media] = []
        if table.media:
            places = MediaFolders.of(files, folders.roots)
            self.media = [Media(one, f"{where}media.{at}", places) for at, one in enumerate(table.media)]

    def request(self, sample: Sample, repeat: int = 0) -> Request:
        """Return the request of one sample.

        Raises:
            ConfigError: a template names a field that the sample does not have, or there are too few
                examples.
            DataError: the value of a field does not have the required form.
            ComponentError: a value of the row raised, or an example could not be prepared.
        """
        try:
            params, content = self._request_params(sample, repeat), self._content(sample)
            request = Request(
                sample.id,
                repeat,
                **content,
                params=params,
                at=row_at(self._at, sample.fields) if self._at else None,
                continuations=self._options(sample) if self._continuation else (),
                facts={} if self.decodes or self._turns else _facts(sample.fields),
            )
            if self._replies is not None:
                request = self._with_replies(request, self._replies, sample)
            _check_text(request)
        except (ConfigError, DataError) as error:
            error.args = (f"{error}\n  at sample {sample.id}",)
            raise
        except ComponentError:
            raise
        except RAISED as error:
            use = self.task.dataset.use
            raise ComponentError.of(self._plugins, "dataset", use, "a prompt", error) from error
        return request

    def turns(self, sample: Sample) -> list[SessionTurn]:
        """Return the turns of a session; raise DataError if the row does not state them as documented."""
        assert self._turns  # noqa: S101 - only tasks with prompt.turns have sessions
        return session_turns(self._turns.value(sample.fields), f"{self._turns.where} of row {sample.id}")

    def turn_count(self, sample: Sample) -> int:
        """Return the number of turns of a session."""
        return len(self._turns.value(sample.fields)) if self._turns else 1

    def turn_params(self, params: Mapping[str, Any], max_tokens: int | None) -> Mapping[str, Any]:
        """Return the parameters of a turn: those of its session, with its own length of the reply."""
        if max_tokens is None or not self._sends_max_tokens:
            return params
        return {**params, "max_tokens": max_tokens, **self._forced}

    def _content(self, sample: Sample) -> dict[str, Any]:
        """Return the content of a request, by the names of the fields of `Request`."""
        if self.decodes and not sample.fields.keys() >= set(self._user.names):
            raise ConfigError("", NO_TOKENS)
        if self._turns:
            return {"messages": ()}
        if self._tokens and not self.decodes:
            return {"tokens": _token_ids(self._tokens, sample.fields)}
        examples = [self._example(shot) for shot in self.shots.choose(sample)] if self.shots else []
        fields = self._fields(sample)
        followups = _turns(self._followups, fields)
        if self.task.prompt.style == "text":
            return {"text": self._text(fields, examples), "followups": followups}
        return {"messages": self._messages(fields, examples), "followups": followups}

    def _with_replies(self, request: Request, replies: Template | list[Template], sample: Sample) -> Request:
        """Return a conversation in which the row's replies stand in place of the model's answers."""
        given = _turns(replies, self._fields(sample))
        needed = len(request.followups)
        if len(given) < needed:
            raise DataError(f"task.prompt.replies: there are {len(given)}, and {needed} stand before a turn")
        request = replace(request, replies=given[:needed])
        if self.task.prompt.conversation == "last":
            while request.followups:
                request = next_turn(request, "")
        return replace(request, turn=0)

    def _options(self, sample: Sample) -> tuple[str, ...]:
        """Return the continuation of the prompt for each of a sample's options."""
        fields = self._fields(sample)
        lettered = zip(LETTERS, sample.choices, strict=False)
        assert self._continuation  # noqa: S101 - asked before
        return tuple(self._continuation.render({**fields, "letter": a, "choice": b}) for a, b in lettered)

    def _fields(self, sample: Sample) -> Mapping[str, Any]:
        """Return the fields that prompts may use: those of the sample, its target, choices and group."""
        if not self._more:
            return sample.fields
        made: dict[str, Any] = {}
        if sample.target is not None:
            made["target"] = sample.target
        if sample.choices:
            lettered = zip(LETTERS, sample.choices, strict=False)
            shared = {} if {"letter", "choice"}.issuperset(self._line.names) else sample.fields
            lines = [self._line.render({**shared, "letter": a, "choice": choice}) for a, choice in lettered]
            made |= {"choices": sample.choices, "choice_lines": "\n".join(lines)}
        return {**sample.fields, **made}

    def _example(self, shot: Sample) -> Example:
        found = self._rendered.get(shot.id)
        if found is None:
            fields = self._fields(shot)
            answer = self._shot.render(fields) if self._shot else ""
            question = self._shot_user.render(fields)
            found = self._rendered[shot.id] = Example(question, answer, self._attached(fields))
        return found

    def _attached(self, fields: Mapping[str, Any]) -> Sequence[Attached]:
        return [one for entry in self.media for one in entry.attached(fields)] if self.media else ()

    def _messages(self, fields: Mapping[str, Any], examples: Iterable[Example]) -> tuple[Message, ...]:
        turns: list[Message] = []
        # A row's own system text may be empty, as in conversations without one.
        if self._system and (system := self._system.render(fields)):
            turns.append(Message("system", system))
        first = f"{self._intro.render(fields)}{self.task.prompt.separator}" if self._intro else ""
        for question, answer, attached in examples:
            turns += (Message("user", attach(first + question, attached)), Message("assistant", answer))
            first = ""
        said = first + self._user.render(fields)
        if said or self.media or self.task.environment is None:  # which may begin the conversation itself
            turns.append(Message("user", attach(said, self._attached(fields)) if self.media else said))
        return tuple(turns)

    def _text(self, fields: Mapping[str, Any], examples: Iterable[Example]) -> str:
        above = [text for part in (self._system, self._intro) if part and (text := part.render(fields))]
        joiner = self.task.prompt.joiner
        shown = [f"{one.question}{joiner}{one.answer}" for one in examples]
        return self.task.prompt.separator.join([*above, *shown, self._user.render(fields)])

    def _request_params(self, sample: Sample, repeat: int) -> dict[str, Any]:
        params = dict(self._params)
        if self._max_tokens and (own := row_max_tokens(self._max_tokens, sample.fields)):
            params["max_tokens"] = own
        if self._tools and (tools := row_tools(self._tools, sample.fields)):
            params["tools"] = tools
        params.update(self._forced)
        if repeat and isinstance(params.get("seed"), int):
            params["seed"] += repeat
        return params


def _one_field(text: str | None, where: str, what: str) -> Template | None:
    """Parse a template that must be a single placeholder, so that it returns the field's value."""
    template = optional(text, where)
    if template and not template.single:
        raise ConfigError(where, f"must be one field with {what}")
    return template


def _turn_templates(given: str | list[str] | None, where: str) -> Template | list[Template] | None:
    if isinstance(given, list):
        return [Template(text, f"{where}.{position}") for position, text in enumerate(given)]
    return _one_field(given, where, "the later turns ('{turns}'), or a list of templates")


def _turns(followups: Template | list[Template] | None, fields: Mapping[str, Any]) -> tuple[str, ...]:
    if followups is None or isinstance(followups, list):
        return tuple([template.render(fields) for template in followups or ()])
    found = followups.value(fields)
    if not isinstance(found, list | tuple):
        raise DataError(
            f"{followups.where}: {followups.text} is {as_text(found)[:60]!r}, not a list of turns"
        )
    return tuple([as_text(turn) for turn in found])


def _facts(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: fields[name] for name in FACTS if name in fields}


def _token_ids(template: Template, fields: Mapping[str, Any]) -> tuple[int, ...]:
    found = template.value(fields)
    ids = tuple(found) if isinstance(found, Sequence) and not isinstance(found, str) else ()
    if not ids or any(type(one) is not int or one < 0 for one in ids):
        raise DataError(
            f"{template.where}: {template.text} is {as_text(found)[:60]!r}, not a list of token ids"
        )
    return ids


def _sent(params: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in params.items() if key not in ENGINE_PARAMS}
