"""Audit the answers that a run extracted: by which rule, and what other extractors find.

Entries are ordered by the likelihood of an extraction error.
"""

from __future__ import annotations

import asyncio
import inspect
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import orjson

from aisb import Ask, Evaluator, Extract, Outcome, Prediction, Sample, Score, UsageError
from aisb_engine import (
    CORRECT_THRESHOLD,
    TRUSTED_AGREEMENT,
    PluginFaults,
    StepError,
    Steps,
    VisibleText,
    is_contested,
    make_evaluators,
    other_extractors,
    reply_turns_of,
    score_predictions,
)

if TYPE_CHECKING:
    from aisb_engine import Answers, MarksTable, Plugins, Task

AuditFlag = Literal["missed", "gold there", "no answer", "disagree"]
FLAGS: Mapping[AuditFlag, str] = {
    "missed": "not correct, but another extractor finds the correct answer",
    "gold there": "not correct, but the output contains the correct answer",
    "no answer": "nothing was extracted",
    "disagree": "another extractor finds another answer",
}
"""The flags of suspicious outputs, the most serious first."""


class Reading(NamedTuple):
    """The reading of one extractor. `right` is None if only a judge model could grade the answer."""

    answer: str | None
    rule: str = ""
    span: tuple[int, int] | None = None
    explicit: bool = False
    right: bool | None = None
    same: str | None = None


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One output with its grade and the reading of each extractor, the task's own steps first."""

    id: str
    repeat: int
    flags: tuple[AuditFlag, ...]
    outcome: Outcome
    gold: Any
    own: Reading
    others: Mapping[str, Reading]
    gold_at: tuple[int, int] | None
    text: str = field(repr=False)

    @property
    def is_contested(self) -> bool:
        """Whether another answer, marked as clearly as the graded one, would change the verdict."""
        return self.outcome != "error" and any(
            _contests(self.own, reading) for reading in self.others.values()
        )

    @property
    def rank(self) -> tuple[bool, int, bool, int]:
        """The sort key, the most suspicious first."""
        if not self.flags:
            return (True, len(FLAGS), False, 0)
        worst = list(FLAGS).index(self.flags[0])
        marked = any(reading.explicit and reading.right for reading in self.others.values())
        behind = len(self.text) - self.gold_at[1] if self.gold_at else len(self.text)
        return (not self.is_contested, worst, not marked, behind)


class Count(NamedTuple):
    """The counts of one extractor over all outputs."""

    name: str
    found: int
    same: int
    right: int | None


@dataclass(frozen=True, slots=True)
class Audit:
    """All outputs of a subtask, the likeliest errors first, and the counts of each extractor."""

    entries: tuple[AuditEntry, ...]
    extractors: tuple[Count, ...]
    notes: tuple[str, ...] = ()

    @property
    def contested(self) -> int:
        """The number of outputs whose verdict another, equally marked answer would change."""
        return sum(entry.is_contested for entry in self.entries)

    @property
    def flagged(self) -> Counter[AuditFlag]:
        """The number of outputs with each flag."""
        return Counter(flag for entry in self.entries for flag in entry.flags)


async def audit_subtask(
    task: Task,
    answers: Answers,
    plugins: Plugins,
    *,
    also: Sequence[str] = (),
    ask: Ask | None = None,
    faults: PluginFaults | None = None,
    marks: MarksTable | None = None,
) -> Audit:
    """Extract answers from every output of a subtask with the task's own steps and with others.

    `also` are further extractors: names, or tables such as `{use="regex", pattern="#### (.*)"}`. Installed
    extractors are used if they need no options, belong to no other family of tasks, and suit the task: they
    mostly agree with the task's own steps, or are correct as often. `faults` records exceptions of the task's
    own steps and evaluators. `marks` are those of the model's file.

    Raises:
        UsageError: the task extracts nothing, or an extractor or evaluator cannot be created.
    """
    if task.mode == "logprob":
        raise UsageError(f"{task.name} compares log-likelihoods: it extracts no answers to audit")
    if not task.evaluate:
        raise UsageError(f"{task.name} has no evaluator, so its answers cannot be graded")
    own = Steps.make(task.postprocess, plugins, reading=reply_turns_of(task, plugins, marks))
    others, asked, notes = other_extractors(task, plugins, also, marks)
    graded = await score_predictions(
        task,
        answers.samples,
        answers.predictions,
        plugins,
        ask=ask,
        faults=faults,
        unmade=answers.unmade,
        marks=marks,
    )
    scored = next(iter(graded.values()))
    judge = next(iter(make_evaluators(task, plugins).values()))
    texts = {(p.sample_id, p.repeat): p for p in answers.predictions}  # the last turn, as it is graded
    entries = await asyncio.gather(
        *(
            _entry(
                one,
                answers.samples[one.sample_id],
                texts[one.sample_id, one.repeat],
                own=own,
                others=others,
                judge=judge,
            )
            for one in scored
        )
    )
    own_reading = _count("the task's own", [(entry.own, entry.own) for entry in entries])
    counts = [_count(name, [(entry.others[name], entry.own) for entry in entries]) for name in others]
    kept = [count for count in counts if count.name in asked or _makes_sense(count, own_reading)]
    useful = {count.name for count in kept}
    entries = [_flagged(entry, useful) for entry in entries]
    return Audit(tuple(sorted(entries, key=lambda entry: entry.rank)), (own_reading, *kept), tuple(notes))


def to_lines(found: Audit) -> bytes:
    """Return an audit as JSON lines, one for each output, in order."""

    def reading_table(reading: Reading) -> dict[str, Any]:
        return {key: value for key, value in reading._asdict().items() if key != "same"}

    return b"".join(
        orjson.dumps(
            {
                "id": entry.id,
                "repeat": entry.repeat,
                "flags": entry.flags,
                "outcome": entry.outcome,
                "gold": entry.gold,
                **reading_table(entry.own),
                "gold_at": entry.gold_at,
                "extractors": {name: reading_table(reading) for name, reading in entry.others.items()},
                "prediction": entry.text,
            },
            option=orjson.OPT_APPEND_NEWLINE,
            default=str,
        )
        for entry in found.entries
    )


def gold_place(text: str, sample: Sample) -> tuple[int, int] | None:
    """Return the span of the last occurrence of the correct answer in a text, without its reasoning.

    If the answer is the letter of an option, search for the option's text: a letter occurs in any text.
    """
    seen = VisibleText.of(text)
    target = sample.target
    golds = target if isinstance(target, list | tuple) else [target]
    last: tuple[int, int] | None = None
    for gold in golds:
        wanted = _option(str(gold), sample) if gold is not None else ""
        if not wanted.strip():
            continue
        for place in re.finditer(_pattern(wanted.strip()), seen.text):
            last = max(last or (0, 0), place.span())
    return seen.raw(last) if last else None


def _option(gold: str, sample: Sample) -> str:
    place = ord(gold) - ord("A") if len(gold) == 1 else -1
    return sample.choices[place] if 0 <= place < len(sample.choices) else gold


def _pattern(gold: str) -> str:
    """Return the pattern of an answer as a whole: 18 is neither in 180 nor in 3.18, and 1,200 is 1200."""
    number = re.fullmatch(r"(-?)(\d[\d,]*)(\.\d+)?", gold)
    if number:
        digits = ",?".join(number[2].replace(",", ""))
        return rf"(?<![\d.]){number[1]}(?<!\d,){digits}{re.escape(number[3] or '')}(?!\d|[.,]\d)"
    before = r"(?<!\w)" if gold[0].isalnum() and gold[0].isascii() else ""
    after = r"(?!\w)" if gold[-1].isalnum() and gold[-1].isascii() else ""
    return before + re.escape(gold) + after


async def _entry(
    graded: Score, sample: Sample, p: Prediction, *, own: Steps, others: Mapping[str, Steps], judge: Evaluator
) -> AuditEntry:
    grades: dict[str, tuple[bool | None, str]] = {}

    async def reading(steps: Steps) -> Reading:
        if p.failure:
            return Reading(None)
        try:
            found = steps.read(p.text, sample, cut_off=p.finish_reason == "length").answer
        except StepError as failed:  # an error of one sample, shown as its reading
            return Reading(None, f"raised {type(failed.error).__name__}: {failed.error}")
        if found is None:
            return Reading(None)
        if found.text not in grades:
            grades[found.text] = await _grade(judge, found, sample)
        right, same = grades[found.text]
        return Reading(found.text, found.rule, found.span, found.explicit, right, same)

    own_reading = await reading(own)
    own_reading = own_reading._replace(
        answer=graded.answer, rule=graded.rule, span=graded.span, right=graded.outcome == "correct"
    )
    readings = {name: await reading(steps) for name, steps in others.items()}
    place = None if p.failure else gold_place(p.text, sample)
    return AuditEntry(
        sample.id,
        p.repeat,
        (),
        graded.outcome or "error",
        sample.target,
        own_reading,
        readings,
        place,
        p.text,
    )


async def _grade(judge: Evaluator, found: Extract, sample: Sample) -> tuple[bool | None, str]:
    """Return whether an answer is correct, and its normal form. A judge model is not asked."""
    plain = " ".join(found.text.split()).casefold()
    golds = sample.target if isinstance(sample.target, list | tuple) else [sample.target]
    literal = any(plain == " ".join(str(gold).split()).casefold() for gold in golds)
    if judge.questions_per_answer:
        return literal or None, plain
    try:
        score = judge.score(found.text, sample)
        score = await score if inspect.isawaitable(score) else score
    except Exception:  # noqa: BLE001 - one sample: what it says of another answer is not known
        return literal or None, plain
    return score.value >= CORRECT_THRESHOLD, str(score.details.get("vote", plain))


def _makes_sense(count: Count, own_reading: Count) -> bool:
    """Return whether an extractor mostly agrees with the task's own steps, or is correct as often."""
    if count.found and count.same >= TRUSTED_AGREEMENT * count.found:
        return True
    return bool(count.right and own_reading.right is not None and count.right >= own_reading.right)


def _differ(one: Reading, other: Reading) -> bool:
    """Return whether two extractors found different answers, neither of which contains the other."""
    if one.answer is None or other.answer is None or one.same == other.same or (one.right and other.right):
        return False
    short, long = sorted((one.answer.strip(), other.answer.strip()), key=len)
    return not (short and re.search(_pattern(short), long))


def _contests(own: Reading, other: Reading) -> bool:
    """Return whether another answer would change the verdict, and is marked as clearly as the task's own."""
    if other.answer is None or own.same == other.same:
        return False
    return is_contested(own, other, own_is_right=own.right, other_is_right=other.right)


def _flagged(entry: AuditEntry, useful: set[str]) -> AuditEntry:
    """Return an entry with its flags, and with the useful extractors only."""
    others = {name: reading for name, reading in entry.others.items() if name in useful}
    own, flags = entry.own, set[AuditFlag]()
    if entry.outcome not in {"correct", "error"}:
        if any(reading.right for reading in others.values()):
            flags.add("missed")
        if entry.gold_at:
            flags.add("gold there")
        if own.answer is None:
            flags.add("no answer")
    # A correct answer that the text marks is in doubt only if the text marks another one, too.
    sure = bool(own.right and own.explicit)
    if any(_differ(own, reading) and (reading.explicit or not sure) for reading in others.values()):
        flags.add("disagree")
    return AuditEntry(
        entry.id,
        entry.repeat,
        tuple(flag for flag in FLAGS if flag in flags),
        entry.outcome,
        entry.gold,
        own,
        others,
        entry.gold_at,
        entry.text,
    )


def _count(name: str, readings: Sequence[tuple[Reading, Reading]]) -> Count:
    found = [(reading, own) for reading, own in readings if reading.answer is not None]
    unknown = any(reading.right is None for reading, _ in found)
    return Count(
        name,
        len(found),
        sum(reading.same == own.same for reading, own in found),
        None if unknown else sum(bool(reading.right) for reading, _ in found),
    )
