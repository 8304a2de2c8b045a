"""One subtask made ready: its requests, in order, in the form that its backend takes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from aisb._backend import Backend
from aisb._types import Part, Prediction, Request, Sample
from aisb_engine._data.prompts import Renderer, cross
from aisb_engine._data.samples import BrokenRow, LoadedSamples
from aisb_engine._faults import ComponentError, PluginFaults
from aisb_engine._load.engine import next_turn
from aisb_engine._progress import Progress
from aisb_engine._resolve.params import sends
from aisb_engine._spec import Model, Subtask, Task

Answers = Mapping[tuple[str, int, int], Prediction]


@dataclass(slots=True)
class Piece:
    """One subtask made ready to be asked. `nonce`, where it is set, begins every prompt.

    `rows` are those that are selected, as they stand in the data; `samples` can be asked, in order.
    `apart` says that its local model is in worker processes, and none in this one.
    """

    subtask: Subtask
    model: Model
    task: Task
    backend: Backend
    loaded: LoadedSamples
    renderer: Renderer
    progress: Progress
    samples: Sequence[Sample]
    rows: Sequence[Sample | BrokenRow]
    workers: int = 1
    nonce: str = ""
    apart: bool = False
    notes: list[str] = field(default_factory=list)
    faults: PluginFaults = field(default_factory=PluginFaults)
    broken: dict[str, ComponentError] = field(default_factory=dict)
    """Why samples cannot be asked, by id: their row, or their prompt, could not be made."""

    def attempt(self, sample: Sample, repeat: int = 0) -> Request | None:
        """Render what is sent for a sample; None, and recorded, where a plugin raises."""
        if sample.id in self.broken:
            return None
        try:
            return self.request(sample, repeat)
        except ComponentError as error:
            self.broken[sample.id] = error
            self.faults.add(error, f"sample {sample.id} of {self.subtask.task}")
            return None

    def broken_line(self) -> str | None:
        """Say how many samples cannot be asked, and why the first of them; None where all can."""
        if not self.broken:
            return None
        first, why = next(iter(self.broken.items()))
        others = len(self.broken) - 1
        more = f" (and {others:,} more)" if others else ""
        return f"sample {first}{more} could not be made ready, and is not asked: {why}"

    def request(self, sample: Sample, repeat: int = 0, *, nonce: str | None = None) -> Request:
        """Render what is sent for a sample, in the form the backend takes; repeats differ by their seed."""
        nonce = self.nonce if nonce is None else nonce
        rendered = self.renderer.request(sample, repeat)
        # Likelihoods are asked of texts: in style chat the options are what the assistant's turn would be,
        # which a local model renders with its chat template.
        renders = rendered.messages is not None and (
            self.backend.renders or (self.backend.local and self.backend.takes == "chat")
        )
        wants = "text" if rendered.continuations else self.backend.takes
        request = cross(rendered, "chat" if renders else wants, self.model.system)
        if rendered.continuations and rendered.messages is not None and not renders:
            request = replace(request, text=f"{request.text}\n")
        repeats = self.subtask.repeats > 1
        if repeats and "seed" not in request.params and sends(self.backend, "seed"):
            seed = self.subtask.load.seed + repeat
            request = replace(request, params={**request.params, "seed": seed})
        return marked(request, nonce) if nonce else request

    def count(self) -> int:
        """Return how many requests there are in all, every turn of a conversation for itself."""
        if not self._talks():
            return len(self.samples) * self.subtask.repeats
        requests = (self.attempt(sample) for sample in self.samples)
        return sum(1 + len(request.followups) for request in requests if request) * self.subtask.repeats

    def requests(self, answers: Answers | None = None) -> Iterator[Request]:
        """Yield the requests that have no answer yet, in sample order, repeat after repeat.

        A conversation goes on from its first turn without an answer. A sample whose prompt cannot be made is
        passed over.
        """
        answers = answers or {}
        talks = self._talks()
        for sample in self.samples:
            for repeat in range(self.subtask.repeats):
                if not talks and _answered(answers, (sample.id, repeat, 0)):
                    continue
                known = sample.id in self.broken
                request = self.attempt(sample, repeat)
                if request is None and not known:
                    self.progress.total -= self.subtask.repeats
                left = _without_answered(request, answers) if request else None
                if left is not None:
                    yield left

    def _talks(self) -> bool:
        return bool(self.samples) and bool(self.task.prompt.followups)


def marked(request: Request, nonce: str) -> Request:
    """Put a nonce before the first user text, so that no prefix cache has seen this prompt before.

    A prompt that was made to an exact length, or of token ids, stays as it is.
    """
    if request.facts or request.tokens is not None:
        return request
    if request.messages is None:
        return replace(request, text=f"{nonce}\n{request.text or ''}")
    messages = list(request.messages)
    # A system text comes first in what a service caches, so the nonce stands in whatever comes first.
    first = messages[0]
    if isinstance(first.content, str):
        messages[0] = replace(first, content=f"{nonce}\n{first.content}")
    else:
        messages[0] = replace(first, content=(Part("text", nonce), *first.content))
    return replace(request, messages=tuple(messages))


def _without_answered(request: Request, answers: Answers) -> Request | None:
    """Return the first request of a conversation that has no answer yet; None when all have one."""
    while _answered(answers, request.key):
        if not request.followups:
            return None
        request = next_turn(request, answers[request.key].text)
    return request


def _answered(answers: Answers, key: tuple[str, int, int]) -> bool:
    found = answers.get(key)
    return found is not None and found.failure is None
