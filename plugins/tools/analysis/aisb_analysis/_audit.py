"""Audit what a run took for its answers: by which rule, and what other extractors would have taken.

The likeliest mistakes of extraction stand first.
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
    "missed": "not right, and another extractor finds the right answer",
    "gold there": "not right, though the right answer stands in the output",
    "no answer": "nothing was extracted",
    "disagree": "another extractor finds another answer",
}
"""What is worth a look, the worst first."""


class Look(NamedTuple):
    """What one extractor takes from an output. `right` is None where only asking a judge would tell."""

    answer: str | None
    rule: str = ""
    span: tuple[int, int] | None = None
    explicit: bool = False
    right: bool | None = None
    same: str | None = None


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One output: how it was graded, and what each extractor takes from it, the task's own steps first."""

    id: str
    repeat: int
    flags: tuple[AuditFlag, ...]
    outcome: Outcome
    gold: Any
    own: Look
    others: Mapping[str, Look]
    gold_at: tuple[int, int] | None
    text: str = field(repr=False)

    @property
    def is_contested(self) -> bool:
        """Whether another answer, marked as well as the one that was graded, would change the verdict."""
        return self.outcome != "error" and any(_contests(self.own, look) for look in self.others.values())

    @property
    def rank(self) -> tuple[bool, int, bool, int]:
        """Where it stands in the order, the worst first."""
        if not self.flags:
            return (True, len(FLAGS), False, 0)
        worst = list(FLAGS).index(self.flags[0])
        marked = any(look.explicit and look.right for look in self.others.values())
        behind = len(self.text) - self.gold_at[1] if self.gold_at else len(self.text)
        return (not self.is_contested, worst, not marked, behind)


class Count(NamedTuple):
    """How one extractor does over all outputs."""

    name: str
    found: int
    same: int
    right: int | None


@dataclass(frozen=True, slots=True)
class Audit:
    """All outputs of a subtask, the likeliest mistakes first, and how each extractor does."""

    entries: tuple[AuditEntry, ...]
    extractors: tuple[Count, ...]
    notes: tuple[str, ...] = ()

    @property
    def contested(self) -> int:
        """How many outputs have a verdict that another answer, marked as well, would change."""
        return sum(entry.is_contested for entry in self.entries)

    @property
    def flagged(self) -> Counter[AuditFlag]:
        """How many outputs have each flag."""
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

    `also` are further extractors: names, or tables such as `{use="regex", pattern="#### (.*)"}`. Of the
    installed ones, those are used that need no options, belong to no other family of tasks, and make sense
    here: most of what they find is what the task's own steps find, or they are right as often. `faults`
    records what the task's own steps and evaluators raise. `marks` are those of the model's file.

    Raises:
        UsageError: nothing is extracted in this task, or an extractor or evaluator cannot be made.
    """
    if task.mode == "logprob":
        raise UsageError(f"{task.name} compares log-likelihoods: nothing is extracted that could be audited")
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
    mine = _count("the task's own", [(entry.own, entry.own) for entry in entries])
    counts = [_count(name, [(entry.others[name], entry.own) for entry in entries]) for name in others]
    kept = [count for count in counts if count.name in asked or _makes_sense(count, mine)]
    useful = {count.name for count in kept}
    entries = [_flagged(entry, useful) for entry in entries]
    return Audit(tuple(sorted(entries, key=lambda entry: entry.rank)), (mine, *kept), tuple(notes))


def to_lines(found: Audit) -> bytes:
    """Return an audit as JSON lines, an output each, in its order."""

    def told(look: Look) -> dict[str, Any]:
        return {key: value for key, value in look._asdict().items() if key != "same"}

    return b"".join(
        orjson.dumps(
            {
                "id": entry.id,
                "repeat": entry.repeat,
                "flags": entry.flags,
                "outcome": entry.outcome,
                "gold": entry.gold,
                **told(entry.own),
                "gold_at": entry.gold_at,
                "extractors": {name: told(look) for name, look in entry.others.items()},
                "prediction": entry.text,
            },
            option=orjson.OPT_APPEND_NEWLINE,
            default=str,
        )
        for entry in found.entries
    )


def gold_place(text: str, sample: Sample) -> tuple[int, int] | None:
    """Return where the right answer stands in a text for the last time, reasoning left out.

    Of an option that is known by its letter, its words are looked for: the letter stands in any text.
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

    async def look(steps: Steps) -> Look:
        if p.failure:
            return Look(None)
        try:
            found = steps.read(p.text, sample, cut_off=p.finish_reason == "length").answer
        except StepError as failed:  # one sample: shown in its place
            return Look(None, f"raised {type(failed.error).__name__}: {failed.error}")
        if found is None:
            return Look(None)
        if found.text not in grades:
            grades[found.text] = await _grade(judge, found, sample)
        right, same = grades[found.text]
        return Look(found.text, found.rule, found.span, found.explicit, right, same)

    mine = await look(own)
    mine = mine._replace(
        answer=graded.answer, rule=graded.rule, span=graded.span, right=graded.outcome == "correct"
    )
    looks = {name: await look(steps) for name, steps in others.items()}
    place = None if p.failure else gold_place(p.text, sample)
    return AuditEntry(
        sample.id, p.repeat, (), graded.outcome or "error", sample.target, mine, looks, place, p.text
    )


async def _grade(judge: Evaluator, found: Extract, sample: Sample) -> tuple[bool | None, str]:
    """Return whether an answer is right, and what it counts as; a model that judges is not asked."""
    plain = " ".join(found.text.split()).casefold()
    golds = sample.target if isinstance(sample.target, list | tuple) else [sample.target]
    literal = any(plain == " ".join(str(gold).split()).casefold() for gold in golds)
    if judge.questions_per_answer:
        return literal or None, plain
    try:
        given = judge.score(found.text, sample)
        given = await given if inspect.isawaitable(given) else given
    except Exception:  # noqa: BLE001 - one sample: what it says of another answer is not known
        return literal or None, plain
    return given.value >= CORRECT_THRESHOLD, str(given.details.get("vote", plain))


def _makes_sense(count: Count, mine: Count) -> bool:
    """Return whether an extractor mostly finds what the task's own steps do, or is right as often as they."""
    if count.found and count.same >= TRUSTED_AGREEMENT * count.found:
        return True
    return bool(count.right and mine.right is not None and count.right >= mine.right)


def _differ(one: Look, other: Look) -> bool:
    """Return whether two extractors found different answers; one that holds the other is no other answer."""
    if one.answer is None or other.answer is None or one.same == other.same or (one.right and other.right):
        return False
    short, long = sorted((one.answer.strip(), other.answer.strip()), key=len)
    return not (short and re.search(_pattern(short), long))


def _contests(own: Look, other: Look) -> bool:
    """Return whether another answer would change the verdict, and is marked as well as the task's own one."""
    if other.answer is None or own.same == other.same:
        return False
    return is_contested(own, other, own_is_right=own.right, other_is_right=other.right)


def _flagged(entry: AuditEntry, useful: set[str]) -> AuditEntry:
    """Return an entry with its flags, and without extractors that are of no use."""
    others = {name: look for name, look in entry.others.items() if name in useful}
    own, flags = entry.own, set[AuditFlag]()
    if entry.outcome not in {"correct", "error"}:
        if any(look.right for look in others.values()):
            flags.add("missed")
        if entry.gold_at:
            flags.add("gold there")
        if own.answer is None:
            flags.add("no answer")
    # A right answer that the text marks needs no second opinion but another mark.
    sure = bool(own.right and own.explicit)
    if any(_differ(own, look) and (look.explicit or not sure) for look in others.values()):
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


def _count(name: str, looks: Sequence[tuple[Look, Look]]) -> Count:
    found = [(look, own) for look, own in looks if look.answer is not None]
    unknown = any(look.right is None for look, _ in found)
    return Count(
        name,
        len(found),
        sum(look.same == own.same for look, own in found),
        None if unknown else sum(bool(look.right) for look, _ in found),
    )
