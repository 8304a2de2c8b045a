"""A prepared subtask: its samples, and their requests in the form that its backend takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from aisb._backend import Backend
from aisb._environment import Environment
from aisb._evaluator import Ask
from aisb._types import Prediction, Request, Sample
from aisb_engine._data.conversations import next_turn
from aisb_engine._data.forms import convert_prompt
from aisb_engine._data.loading import LoadedSamples
from aisb_engine._data.prompts import Renderer
from aisb_engine._data.samples import BrokenRow
from aisb_engine._faults import ComponentError, PluginFaults
from aisb_engine._load.loads import ends_by_time
from aisb_engine._load.prefix_cache import PrefixCacheBuster, in_round, pool_of, with_mark
from aisb_engine._progress import Progress
from aisb_engine._record.stored import summary_for
from aisb_engine._resolve.params import sends
from aisb_engine._spec import Model, Subtask, Task

AnswerFunction = Mapping[tuple[str, int, int], Prediction]


@dataclass(frozen=True, slots=True)
class PreparedSubtask:
    """The requests to one model for one task.

    `rows` are the selected rows in sending order, including broken ones. `wanted` is the number of rows to
    send in all, if that may exceed the number of rows, which then repeat in further rounds. `workers` is the
    number of sending processes. Each prompt begins with `nonce` if one is set. `notes` are remarks on the
    load. `broken` maps the id of a sample that cannot be sent to the reason (its row or its prompt could not
    be made), and grows as prompts are rendered. `environment` is where the model acts, if the task has one,
    and `ask` sends its requests to another model.
    """

    subtask: Subtask
    model: Model
    task: Task
    backend: Backend
    loaded: LoadedSamples
    renderer: Renderer
    rows: Sequence[Sample | BrokenRow]
    faults: PluginFaults
    wanted: int | None = None
    workers: int = 1
    nonce: str = ""
    notes: Sequence[str] = ()
    broken: dict[str, ComponentError] = field(default_factory=dict)
    environment: Environment | None = None
    ask: Ask | None = None

    @property
    def name(self) -> str:
        """The name of the subtask in messages."""
        return f"{self.subtask.task} · {self.subtask.model}"

    @property
    def samples(self) -> list[Sample]:
        """The samples that can be sent, as far as known: prompts not yet rendered may turn out broken."""
        return [row for row in self.rows if isinstance(row, Sample) and row.id not in self.broken]

    @property
    def row_count(self) -> int:
        """The number of rows that are sent, further rounds included."""
        samples = len(self.samples)
        return max(samples, self.wanted or 0) if samples else 0

    @property
    def ends_by_time(self) -> bool:
        """Whether the number of requests depends on how fast the service is within a fixed time."""
        load = self.subtask.load
        several = self._has_conversations or self.has_sessions
        return ends_by_time(load) or (load.duration is not None and several)

    @property
    def has_sessions(self) -> bool:
        """Whether each row is a session, whose turns depend on each other."""
        return self.task.prompt.turns is not None

    def cache_buster(self) -> PrefixCacheBuster | None:
        """Return what keeps prompts of other rounds out of prefix caches, if anything does."""
        if not self.nonce:
            return None
        # Token ids sent as text do not consist of items of the pool.
        return PrefixCacheBuster(None if self.renderer.decodes else pool_of(self.samples))

    def render(self, sample: Sample, repeat: int = 0) -> Request | None:
        """Render the request for a sample; None, with the reason in `broken`, if a plugin raises."""
        if sample.id in self.broken:
            return None
        try:
            return self._request(sample, repeat)
        except ComponentError as error:
            self.broken[sample.id] = error
            self.record_fault(error, sample.id)
            return None

    def record_fault(self, error: ComponentError, sample: str) -> None:
        """Record the exception that a plugin raised for a sample."""
        self.faults.add(error, f"sample {sample} of {self.subtask.task}")

    def check(self) -> None:
        """Render the first prompt, to refuse a prompt that the backend cannot take before anything is sent.

        Raises:
            ConfigError: see `convert_prompt`.
        """
        if samples := self.samples:
            request = self.render(samples[0])
            if self.has_sessions and request is not None:
                self.convert(replace(request, messages=self.renderer.turns(samples[0])[0].messages()))

    def broken_line(self) -> str | None:
        """Return a line on how many samples cannot be sent, and why the first cannot; None if all can."""
        if not self.broken:
            return None
        first, why = next(iter(self.broken.items()))
        others = len(self.broken) - 1
        more = f" (and {others:,} more)" if others else ""
        return f"sample {first}{more} could not be prepared, and is skipped: {why}"

    def count(self) -> int:
        """Return the number of requests; each turn of a conversation or a session counts as one."""
        samples, repeats = self.samples, self.subtask.repeats
        if self.has_sessions:
            turns = [self.renderer.turn_count(sample) for sample in samples]
        elif self._has_conversations:
            requests = (self.render(sample) for sample in samples)
            turns = [1 + len(request.followups) if request else 0 for request in requests]
        else:
            return self.row_count * repeats
        rounds, rest = divmod(self.row_count, max(1, len(turns)))
        return (rounds * sum(turns) + sum(turns[:rest])) * repeats

    def requests(
        self,
        answers: AnswerFunction | None = None,
        progress: Progress | None = None,
        is_done: Callable[[str, int], bool] | None = None,
    ) -> Iterator[Request]:
        """Yield the requests that have no answer yet, in sample order, repeat after repeat.

        If more rows are wanted than there are, they repeat in further rounds. A conversation continues from
        its first unanswered turn. With an environment, each request begins an episode, and `is_done` tells
        for (sample id, repeat) whether the episode has ended. A sample whose prompt turns out to be broken is
        skipped, and no longer counts in the total of `progress`.
        """
        answers = answers or {}
        cache_buster = self.cache_buster()
        for number, sample in self._rows_in_rounds():
            for repeat in range(self.subtask.repeats):
                if self.environment is not None:
                    if is_done is not None and is_done(sample.id, repeat + number * self.subtask.repeats):
                        continue
                elif not self._has_conversations and _is_answered(answers, (sample.id, repeat, 0)):
                    continue
                was_broken = sample.id in self.broken
                request = self.render(sample, repeat)
                is_new = not was_broken or (number > 0 and repeat == 0)
                if request is None and is_new and progress is not None:
                    progress.total -= self.subtask.repeats
                remaining = request
                if request is not None and self.environment is None:
                    remaining = _without_answered_turns(request, answers)
                if remaining is not None:
                    yield in_round(remaining, number, self.subtask.repeats, cache_buster)

    def _rows_in_rounds(self) -> Iterator[tuple[int, Sample]]:
        """Yield the rows to be sent, each with its round."""
        samples = self.samples
        for position in range(self.row_count):
            number, place = divmod(position, len(samples))
            yield number, samples[place]

    def _request(self, sample: Sample, repeat: int) -> Request:
        """Return the request for a sample in the backend's form; repeats differ by their seed."""
        rendered = self.renderer.request(sample, repeat)
        if self.has_sessions:
            return rendered  # its turns are converted when they are sent
        request = self.convert(rendered)
        return with_mark(request, self.nonce) if self.nonce else request

    def convert(self, rendered: Request) -> Request:
        """Return a request in the form that the backend takes, with its seed if repeats need one.

        Raises:
            ConfigError: see `convert_prompt`.
        """
        request = convert_prompt(rendered, self._form(rendered), self.model.system)
        if rendered.continuations and rendered.messages is not None and request.messages is None:
            request = replace(request, text=f"{request.text}\n")
        has_repeats = self.subtask.repeats > 1
        if has_repeats and "seed" not in request.params and sends(self.backend, "seed"):
            seed = self.subtask.load.seed + rendered.repeat % self.subtask.repeats
            request = replace(request, params={**request.params, "seed": seed})
        return request

    def _form(self, rendered: Request) -> Literal["chat", "text"]:
        """Return whether a request is sent as messages or as one text.

        A local model compares the options of a text as they are, without its chat template. In a chat task,
        an option is the assistant's turn, as it always is for a chat API.
        """
        backend = self.backend
        if rendered.messages is not None and backend.has_chat_template:
            return "chat"
        if rendered.continuations and rendered.messages is None and backend.local:
            return "text"
        return backend.prompt_form

    @property
    def _has_conversations(self) -> bool:
        return bool(self.task.prompt.followups) and self.task.prompt.conversation != "last"


def _without_answered_turns(request: Request, answers: AnswerFunction) -> Request | None:
    """Return the first unanswered request of a conversation; None if all are answered."""
    while _is_answered(answers, request.key):
        if not request.followups:
            return None
        request = next_turn(request, answers[request.key].text)
    return request


def _is_answered(answers: AnswerFunction, key: tuple[str, int, int]) -> bool:
    answer = summary_for(answers, key)
    return answer is not None and answer.failure is None
