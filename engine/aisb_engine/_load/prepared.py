"""A prepared subtask: its samples, and their requests in the form that its backend takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from aisb._backend import Backend
from aisb._environment import Environment
from aisb._types import Prediction, Request, Sample
from aisb_engine._data.conversations import next_turn
from aisb_engine._data.loading import LoadedSamples
from aisb_engine._data.prompts import Renderer, convert_prompt
from aisb_engine._data.samples import BrokenRow
from aisb_engine._faults import ComponentError, PluginFaults
from aisb_engine._load.loads import ends_by_time
from aisb_engine._load.prefix_cache import PrefixCacheBuster, in_round, pool_of, with_mark
from aisb_engine._progress import Progress
from aisb_engine._resolve.params import sends
from aisb_engine._spec import Model, Subtask, Task

AnswerFunction = Mapping[tuple[str, int, int], Prediction]


@dataclass(frozen=True, slots=True)
class PreparedSubtask:
    """What is asked of one model for one task.

    `rows` are those that the load asks for, in the order in which they are asked, and with those that could
    not be made. `wanted` is how many rows are asked in all, where that may be more than there are: they are
    asked again then, in further rounds. `workers` is the number of processes that send. Each prompt begins
    with `nonce` where one is set. `notes` are remarks on the load. `broken` says why samples cannot be asked,
    by id: their row or their prompt could not be made. It grows as prompts are rendered. `environment` is
    where the model acts, if the task has one.
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

    @property
    def name(self) -> str:
        """The subtask as messages name it."""
        return f"{self.subtask.task} · {self.subtask.model}"

    @property
    def samples(self) -> list[Sample]:
        """The samples that can be asked, as far as it is known."""
        return [row for row in self.rows if isinstance(row, Sample) and row.id not in self.broken]

    @property
    def row_count(self) -> int:
        """How many rows are asked, those of further rounds included."""
        samples = len(self.samples)
        return max(samples, self.wanted or 0) if samples else 0

    @property
    def ends_by_time(self) -> bool:
        """Whether it depends on the service how many requests the time of the load lets begin."""
        load = self.subtask.load
        return ends_by_time(load) or (load.duration is not None and self._has_conversations)

    def cache_buster(self) -> PrefixCacheBuster | None:
        """Return what keeps prompts of other rounds out of prefix caches; None where nothing does."""
        if not self.nonce:
            return None
        # The text of token ids is not made of the pool that these were drawn from.
        return PrefixCacheBuster(None if self.renderer.decodes else pool_of(self.samples))

    def render(self, sample: Sample, repeat: int = 0) -> Request | None:
        """Render the request for a sample; None, and recorded in `broken`, where a plugin raises."""
        if sample.id in self.broken:
            return None
        try:
            return self._request(sample, repeat)
        except ComponentError as error:
            self.broken[sample.id] = error
            self.record_fault(error, sample.id)
            return None

    def record_fault(self, error: ComponentError, sample: str) -> None:
        """Record what a plugin raised at a sample."""
        self.faults.add(error, f"sample {sample} of {self.subtask.task}")

    def check(self) -> None:
        """Render the first prompt, so that what the backend cannot be sent is refused before anything is.

        Raises:
            ConfigError: see `convert_prompt`.
        """
        if samples := self.samples:
            self.render(samples[0])

    def broken_line(self) -> str | None:
        """Say how many samples cannot be asked, and why the first of them; None where all can."""
        if not self.broken:
            return None
        first, why = next(iter(self.broken.items()))
        others = len(self.broken) - 1
        more = f" (and {others:,} more)" if others else ""
        return f"sample {first}{more} could not be prepared, and is skipped: {why}"

    def count(self) -> int:
        """Return how many requests there are in all; each turn of a conversation is one."""
        samples, repeats = self.samples, self.subtask.repeats
        if not self._has_conversations:
            return self.row_count * repeats
        requests = (self.render(sample) for sample in samples)
        turns = [1 + len(request.followups) if request else 0 for request in requests]
        rounds, rest = divmod(self.row_count, max(1, len(turns)))
        return (rounds * sum(turns) + sum(turns[:rest])) * repeats

    def requests(
        self,
        answers: AnswerFunction | None = None,
        progress: Progress | None = None,
        is_done: Callable[[str, int], bool] | None = None,
    ) -> Iterator[Request]:
        """Yield the requests that have no answer yet, in sample order, repeat after repeat.

        Where more rows are wanted than there are, they come again in further rounds. A conversation goes on
        from its first turn without an answer. With an environment, each request begins an episode, and
        `is_done` says which episodes (sample id, repeat) have ended. A sample whose prompt turns out to be
        broken is passed over, and no longer counts in the total of `progress`.
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
        """Yield the rows that are asked, each with its round."""
        samples = self.samples
        for position in range(self.row_count):
            number, place = divmod(position, len(samples))
            yield number, samples[place]

    def _request(self, sample: Sample, repeat: int) -> Request:
        """Return the request for a sample as the backend takes it; repeats differ by their seed."""
        rendered = self.renderer.request(sample, repeat)
        request = convert_prompt(rendered, self._form(rendered), self.model.system)
        if rendered.continuations and rendered.messages is not None and request.messages is None:
            request = replace(request, text=f"{request.text}\n")
        has_repeats = self.subtask.repeats > 1
        if has_repeats and "seed" not in request.params and sends(self.backend, "seed"):
            seed = self.subtask.load.seed + repeat
            request = replace(request, params={**request.params, "seed": seed})
        return with_mark(request, self.nonce) if self.nonce else request

    def _form(self, rendered: Request) -> Literal["chat", "text"]:
        """Return whether a request is sent as messages or as one text.

        A local model compares the options of a text as they stand, without its chat template. In a chat task
        an option is the assistant's turn, as it always is for a chat API.
        """
        backend = self.backend
        if rendered.messages is not None and backend.renders:
            return "chat"
        if rendered.continuations and rendered.messages is None and backend.local:
            return "text"
        return backend.takes

    @property
    def _has_conversations(self) -> bool:
        return bool(self.task.prompt.followups) and self.task.prompt.conversation != "last"


def _without_answered_turns(request: Request, answers: AnswerFunction) -> Request | None:
    """Return the first request of a conversation that has no answer yet; None when all have one."""
    while _is_answered(answers, request.key):
        if not request.followups:
            return None
        request = next_turn(request, answers[request.key].text)
    return request


def _is_answered(answers: AnswerFunction, key: tuple[str, int, int]) -> bool:
    answer = answers.get(key)
    return answer is not None and answer.failure is None
