"""Grade mathematical answers by value, with a deadline for each."""

from __future__ import annotations

import re
from typing import Annotated, Any, NamedTuple

from aisb import Evaluator, Sample, Score
from aisb.helpers import target_texts
from aisb_evaluator_math import _forms as forms
from aisb_evaluator_math._decimals import parse_rational, same_number
from aisb_evaluator_math._intervals import described, is_set, plain_set
from aisb_evaluator_math._readings import MathReading, readings
from aisb_evaluator_math._units import different_units

MAX_ANSWER_LENGTH = 2000
"""The maximum length of an answer; a parser would take minutes to reject longer text."""


_VECTOR = re.compile(r"\\begin\s*\{[pb]?matrix\}(.*)\\end\s*\{[pb]?matrix\}", re.DOTALL)
_FUNCTION = re.compile(r"\s*[a-zA-Z](?:_\{?\w{1,3}\}?)?\s*\([^()=]*\)\s*=")
_NAMED_BEHIND = re.compile(r"\s*(-?[\d.,/]+|-?\\frac\{\d+\}\{\d+\})\s*=\s*([a-zA-Z])\s*")
_NAMED = re.compile(r"\s*([a-zA-Z](?:_\{?\w{1,3}\}?)?)\s*=\s*([^=<>,;]+)")


class MatchVerdict(NamedTuple):
    """Whether an answer is correct, its form in a majority vote, and the reason if there is no verdict."""

    right: bool
    vote: str
    problem: str | None = None


class MathVerify(Evaluator):
    r"""Correct if the answer equals the target by value: `\frac12` is 0.5, `\sqrt{117}` is `3\sqrt{13}`.

    Equal texts and numbers are compared directly, everything else by math-verify in a separate process.
    Different known units or bases are never equal.
    """

    def __init__(
        self,
        *,
        deadline: Annotated[
            float, "limit of one comparison in seconds of CPU time, after which there is no verdict"
        ] = 5.0,
        workers: Annotated[int, "number of processes; 0: one for each core"] = 0,
    ) -> None:
        if not 0 < deadline <= 600:
            from aisb import UsageError

            raise UsageError(f"deadline = {deadline}: it must be more than 0 and at most 600 seconds")
        if workers < 0:
            from aisb import UsageError

            raise UsageError(f"workers = {workers}: it must be 0 (one for each core) or more")
        self.deadline = deadline
        self.workers = workers

    async def score(self, answer: str | None, sample: Sample) -> Score:
        """Compare one answer with the target, or with each of several targets."""
        if len(answer or "") > MAX_ANSWER_LENGTH:
            return Score(0.0, details={"vote": "".join((answer or "")[:200].split())})
        normalized = forms.tidy(answer or "")
        timeout: str | None = None
        vote = forms.normalize_math(normalized)
        for gold in map(forms.tidy, target_texts(sample)):
            verdict = await self._same(gold, normalized)
            if verdict.right:
                return Score(1.0, details={"vote": verdict.vote})
            vote, timeout = verdict.vote, timeout or verdict.problem
        if timeout:
            return Score(0.0, "error", details={"raised": timeout})
        return Score(0.0, details={"vote": vote})

    async def _same(self, gold: str, answer: str) -> MatchVerdict:
        """Compare two normalized answers in each of their readings."""
        if forms.normalize_math(gold) == forms.normalize_math(answer):
            return MatchVerdict(True, forms.normalize_math(answer))
        worst = MatchVerdict(False, forms.normalize_math(answer))
        for gold_reading in readings(gold):
            for answer_reading in readings(answer):
                verdict = await self._same_reading(gold_reading, answer_reading)
                if verdict.right:
                    return verdict
                worst = verdict if worst.problem is None else worst
        return worst

    async def _same_reading(self, gold: MathReading, answer: MathReading) -> MatchVerdict:
        settled = _settled(gold, answer)
        if settled is not None:
            return MatchVerdict(settled, forms.normalize_math(answer.value))
        verdict = await self._same_value(gold.value, answer.value)
        if verdict.right or gold.percent == answer.percent:
            return verdict
        # 12.5% is 12.5 if the question asks for percent, and 0.125 otherwise.
        sides = [side.value if side.percent else _hundredfold(side.value) for side in (gold, answer)]
        percent_verdict = await self._same_value(*sides)
        return percent_verdict if percent_verdict.right or percent_verdict.problem else verdict

    async def _same_value(self, gold: str, answer: str) -> MatchVerdict:
        """Compare two values as numbers, then as text, and otherwise with math-verify."""
        gold, answer = _without_names(gold, answer)
        if (same := same_number(gold, answer)) is not None:
            return MatchVerdict(same, str(parse_rational(answer)))
        gold, answer = _sets(*_lists(*_vectors(gold, answer)))
        if forms.normalize_math(gold) == forms.normalize_math(answer):
            return MatchVerdict(True, forms.normalize_math(answer))
        reply = await self._compared(gold, answer)
        vote = str(reply.get("vote") or forms.normalize_math(answer))
        return MatchVerdict(bool(reply.get("right")), vote, reply.get("problem"))

    async def _compared(self, gold: str, answer: str) -> dict[str, Any]:
        import asyncio

        from aisb_evaluator_math._workers import pool

        processes = pool(self.workers)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(processes.threads, processes.compare, gold, answer, self.deadline)


def _settled(gold: MathReading, answer: MathReading) -> bool | None:
    """Compare labels, units, bases and moduli of two answers; None if the values decide."""
    letters = [reading.label.casefold() or forms.normalize_math(reading.value) for reading in (gold, answer)]
    if re.fullmatch("[a-j](?:,[a-j])+", letters[0]) and re.fullmatch("[a-j]{2,}", letters[1]):
        return letters[0].replace(",", "") == letters[1]
    if (gold.label or answer.label) and all(re.fullmatch("[a-j]", letter) for letter in letters):
        return letters[0] == letters[1]
    bases = forms.base(gold.value), forms.base(answer.value)
    moduli = gold.modulus, answer.modulus
    if different_units(gold.unit, answer.unit) or any(
        all(pair) and pair[0] != pair[1] for pair in (bases, moduli)
    ):
        return False
    if all(moduli) and _congruent(gold.value, answer.value, answer.modulus):
        return True
    return None


def _hundredfold(value: str) -> str:
    exact = parse_rational(value)
    if exact is None:
        return rf"100\cdot\left({value}\right)"
    return rf"\frac{{{100 * exact.numerator}}}{{{exact.denominator}}}"


def _without_names(gold: str, answer: str) -> tuple[str, str]:
    """Return two values without their names (`x = 5` and `5 = x` as `5`), unless the names differ."""
    gold, answer = (_NAMED_BEHIND.sub(r"\2=\1", side) for side in (gold, answer))
    names = [_NAMED.fullmatch(side) for side in (gold, answer)]
    if all(names) and len({name[1] for name in names if name}) > 1:
        return gold, answer
    # `y=2x+3` and `2x-y+3=0` are two equations of one line.
    if sum(map(bool, names)) == 1 and all(
        side.count("=") == 1 and not _FUNCTION.match(side) for side in (gold, answer)
    ):
        return gold, answer
    first, second = (name[2] if name else side for name, side in zip(names, (gold, answer), strict=True))
    return first, second


def _vectors(gold: str, answer: str) -> tuple[str, str]:
    """Return two values, with a column or row as coordinates if the other one has coordinates."""
    vectors = [_VECTOR.fullmatch(side.strip()) for side in (gold, answer)]
    if sum(map(bool, vectors)) != 1 or not all(
        vector or re.fullmatch(r"\(.*,.*\)", side.strip(), re.DOTALL)
        for vector, side in zip(vectors, (gold, answer), strict=True)
    ):
        return gold, answer
    first, second = (
        _coordinates(vector[1]) if vector else side
        for vector, side in zip(vectors, (gold, answer), strict=True)
    )
    return first or gold, second or answer


def _coordinates(inside: str) -> str | None:
    rows, columns = re.split(r"\\\\", inside.strip()), inside.split("&")
    if len(rows) > 1 and len(columns) > 1:
        return None  # a matrix
    entries = rows if len(rows) > 1 else columns
    return f"({','.join(entry.strip() for entry in entries if entry.strip())})"


def _lists(gold: str, answer: str) -> tuple[str, str]:
    """Return two values, with both signs of a plus-minus written out if only one side has it."""
    if (r"\pm" in gold) == (r"\pm" in answer):
        return gold, answer
    return _both_signs(gold), _both_signs(answer)


def _both_signs(text: str) -> str:
    if text.count(r"\pm") != 1 or "," in text:
        return text
    plus, minus = (re.sub(r"\\pm(?![a-zA-Z])", sign, text) for sign in ("+", "-"))
    return f"{plus.strip().removeprefix('+')}, {minus}"


def _sets(gold: str, answer: str) -> tuple[str, str]:
    """Return two values with commas for joining words, and with intervals for inequalities."""
    gold, answer = plain_set(gold), plain_set(answer)
    described_sets = described(gold), described(answer)
    first, second = described_sets
    if first and second:
        if first.variable == second.variable:
            return first.intervals, second.intervals
    elif first and is_set(answer):
        return first.intervals, forms.with_commas(answer)
    elif second and is_set(gold):
        return forms.with_commas(gold), second.intervals
    return forms.with_commas(gold), forms.with_commas(answer)


def _congruent(gold: str, answer: str, modulus: str) -> bool:
    numbers = parse_rational(gold), parse_rational(answer), parse_rational(modulus)
    if any(one is None or one.denominator != 1 for one in numbers):
        return False
    first, second, of = (int(one) for one in numbers if one is not None)
    return of > 0 and (first - second) % of == 0
