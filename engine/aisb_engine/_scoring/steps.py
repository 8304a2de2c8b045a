"""Find the answer in a reply: select the part to read, and apply the task's postprocessors in order."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from aisb._refusal import is_refusal
from aisb._types import Extract, Prediction, Sample
from aisb_engine._faults import call_step, make
from aisb_engine._replies.marks import known_marks
from aisb_engine._replies.turns import OPTIONS, ReplyTurns, TurnCut, example_heads
from aisb_engine._scoring.rows import for_rows

if TYPE_CHECKING:
    from aisb._evaluator import Postprocessor
    from aisb._plugins import Plugins
    from aisb_engine._spec import MarksTable, Task, Use


class FoundAnswer(NamedTuple):
    """The answer in a reply, the text in which it was searched, and whether that text ends with the answer.

    `ended` is true if the reply went on with another turn after that text.
    """

    answer: Extract | None
    text: str
    ended: bool = False

    def with_read_text(self, prediction: Prediction) -> Prediction:
        """Return the prediction with the text that was read in place of the whole reply."""
        cut_off = prediction.finish_reason == "length"
        finish = "stop" if self.ended and cut_off else prediction.finish_reason
        if self.text == prediction.text and finish == prediction.finish_reason:
            return prediction
        return replace(prediction, text=self.text, finish_reason=finish)


class Steps:
    """A sequence of postprocessors, from the raw text to an answer with its position in that text."""

    def __init__(
        self, steps: Sequence[tuple[str, Postprocessor]] = (), reading: ReplyTurns | None = None
    ) -> None:
        self.steps = tuple(steps)
        self.reading = reading or ReplyTurns()

    @classmethod
    def make(
        cls,
        uses: Sequence[Use],
        plugins: Plugins,
        where: str = "task.postprocess",
        reading: ReplyTurns | None = None,
    ) -> Steps:
        """Create the steps that a task names; `reading` determines the part of a reply that they get.

        Raises:
            ComponentError: the factory of one raised.
        """
        steps = []
        for position, use in enumerate(uses):
            step = make(plugins, "postprocessor", use.use, use.options, where=f"{where}[{position}]")
            steps.append((use.use, for_rows(use, step)))
        return cls(steps, reading)

    def extract(self, text: str, sample: Sample) -> Extract | None:
        """Return the answer in a text, with its span in that text; None if a step finds none.

        Reasoning, and anything after the end of the turn, is ignored. Without steps, the answer is the whole
        text. If a step returns a plain string, its last occurrence in the input is used; if a step changes
        the text, the span before the change is kept. The rule is that of the last step that names one, or
        else the name of the last step that narrowed the text.

        Raises:
            StepError: a step raised.
        """
        return self.read(text, sample).answer

    def read(self, raw: str, sample: Sample, *, cut_off: bool = False) -> FoundAnswer:
        """Return the answer in a reply; `cut_off` tells that it was cut off at the token limit.

        Raises:
            StepError: a step raised.
        """
        visible = self.reading.visible(raw)
        found = self._before_another_turn(visible.text, sample) if self.reading.finds_answer else None
        if found is None:
            found = self._without_another_turn(visible.text, sample, cut_off=cut_off)
        answer = found.answer
        if answer and answer.span and (span := visible.raw(answer.span)) != answer.span:
            return found._replace(answer=replace(answer, span=span))
        return found

    def _before_another_turn(self, text: str, sample: Sample) -> FoundAnswer | None:
        """Return the answer before the first place where another turn begins after an answer."""
        is_own_form = False
        for cut in self.reading.cuts(text, sample):
            before = text[: cut.at]
            answer = self._run(before, sample) if before.strip() else None
            if answer and _is_end(cut, answer, before, is_own_form=is_own_form):
                return FoundAnswer(_without_false_marks(answer, before, cut_off=False), before, ended=True)
            is_own_form = is_own_form or cut.word != OPTIONS
        return None

    def _without_another_turn(self, text: str, sample: Sample, *, cut_off: bool) -> FoundAnswer:
        box = _open_box(text) if cut_off and self.reading.finds_answer else None
        if box is None:
            answer = self._run(text, sample)
            return FoundAnswer(answer and _without_false_marks(answer, text, cut_off=cut_off), text)
        # The answer itself was cut off. An explicit answer before it counts, the whole text does not.
        before = text[:box]
        answer = self._run(before, sample)
        marked = answer is not None and answer.explicit and not _is_whole(answer, before)
        return FoundAnswer(answer if marked else None, text)

    def _run(self, text: str, sample: Sample) -> Extract | None:
        """Return the answer that the steps find in a text, with its span there."""
        piece, offset = text, 0  # the position of the piece in the text; -1 after a step has changed it
        span: tuple[int, int] | None = (0, len(piece))
        rule = narrowed = ""
        explicit = False
        for name, step in self.steps:
            found = call_step(name, step, piece, sample)
            if found is None:
                return None
            if isinstance(found, str):
                start = piece.rfind(found)
                found = Extract(found, span=(start, start + len(found)) if start >= 0 else None)
                narrowed = name if found.span and found.text != piece else narrowed
            else:
                rule = found.rule or name
                explicit = explicit or found.explicit
            if found.span and offset >= 0:
                start, end = found.span
                span = (offset + start, offset + end)
                offset = span[0] if piece[start:end] == found.text else -1
            elif found.text != piece:
                offset = -1
            piece = found.text
        return Extract(piece, rule or narrowed, span, explicit) if piece.strip() else None


def reply_turns_of(task: Task, plugins: Plugins, own: MarksTable | None = None) -> ReplyTurns:
    """Return how to read replies to a task; `own` are additional marks from the model's file.

    The engine looks for another turn if a step extracts an answer, or an evaluator grades answers.

    Raises:
        ConfigError: a table of marks is invalid.
        UsageError: a step or an evaluator does not exist.
    """
    steps = (plugins.find("postprocessor", use.use).factory for use in task.postprocess)
    judges = [plugins.find("evaluator", use.use).factory for use in task.evaluate]
    finds = any(getattr(step, "finds_answer", False) for step in steps)
    finds = finds or any(getattr(judge, "reads", "answer") == "answer" for judge in judges)
    return ReplyTurns(
        known_marks(plugins, own),
        finds_answer=finds,
        heads=example_heads(task.prompt),
        lists_choices="{choice_lines}" in task.prompt.user,
    )


def reads_tool_calls(task: Task, plugins: Plugins) -> bool:
    """Return whether tool calls can answer a task: it sends tools, or an evaluator grades calls."""
    if task.prompt.tools or task.params.get("tools"):
        return True
    judges = (plugins.find("evaluator", use.use).factory for use in task.evaluate)
    return any(getattr(judge, "reads", "answer") == "calls" for judge in judges)


def _is_end(cut: TurnCut, answer: Extract, before: str, *, is_own_form: bool) -> bool:
    """Return whether a reply ends at a cut: it has answered before, and its own answer does not begin there.

    `is_own_form` tells that the reply used such a word before any answer, so that "Question 2:" is part of
    how it answers.
    """
    if answer.explicit:
        return not (cut.restates and _is_whole(answer, before))
    return cut.is_certain and not cut.restates and not is_own_form


def _without_false_marks(answer: Extract, text: str, *, cut_off: bool) -> Extract:
    """Return an answer as not explicit if the text only seems to mark it.

    That is the case if the whole reply is a refusal, or if the reply was cut off and the answer may have been
    cut with it: it is the whole reply (unless a single letter), or reaches into an open code block.
    """
    if not answer.explicit:
        return answer
    is_whole = _is_whole(answer, text)
    if is_whole and is_refusal(text):
        return replace(answer, explicit=False)
    if cut_off and ((is_whole and len(answer.text.strip()) > 1) or _reaches_open_block(answer, text)):
        return replace(answer, explicit=False)
    return answer


def _is_whole(answer: Extract, text: str) -> bool:
    """Return whether an answer is the whole content of a text."""
    if answer.span is None:
        return False
    start, end = answer.span
    return not any(map(str.isalnum, text[:start])) and not any(map(str.isalnum, text[end:]))


_BOX = re.compile(r"\\(?:boxed|fbox)\s{0,3}(\{)?")
_FORMULA = re.compile(r"(?:\s|\$|\\\[|\\\()+\Z")
_FENCE = re.compile(r"^[ \t]{0,3}(```|~~~)", re.MULTILINE)


def _open_box(text: str) -> int | None:
    r"""Return the start of the formula with a `\boxed{` that the text does not close; None without one."""
    boxes = list(_BOX.finditer(text))
    last = boxes[-1] if boxes else None
    if last is None or (not last[1] and text[last.end() :].strip()):
        return None
    depth = 1
    for brace in re.finditer(r"\\.|[{}]", text[last.end() :]) if last[1] else ():
        depth += {"{": 1, "}": -1}.get(brace[0], 0)
        if not depth:
            return None
    formula = _FORMULA.search(text, max(0, last.start() - 40), last.start())
    return formula.start() if formula else last.start()


def _reaches_open_block(answer: Extract, text: str) -> bool:
    """Return whether an answer is in a code block that the text does not close."""
    fences = list(_FENCE.finditer(text))
    if len(fences) % 2 == 0:
        return False
    return answer.span is None or answer.span[1] > fences[-1].start()
