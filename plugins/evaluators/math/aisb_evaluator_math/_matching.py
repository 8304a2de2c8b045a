"""Grade a mathematical answer by what it means, each within a deadline of its own."""

from __future__ import annotations

from typing import Annotated, Any

from aisb import Evaluator, Sample, Score
from aisb.helpers import target_texts
from aisb_evaluator_math import _forms as forms

LONGEST = 2000
"""No answer is longer than this; a parser would take minutes to say so."""


class MathVerify(Evaluator):
    r"""Right when the answer means what the target does: `\frac12` is 0.5, `\sqrt{117}` is `3\sqrt{13}`.

    What two texts or two numbers settle is settled at once; all else is compared by math-verify in a process
    of its own. Two known units that differ are never equal, nor two bases.
    """

    def __init__(
        self,
        *,
        deadline: Annotated[float, "seconds one comparison may take; then there is no verdict"] = 5.0,
        workers: Annotated[int, "processes that compare; 0: one for each core"] = 0,
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
        """Compare one answer with the target, or with each where there are several."""
        given = forms.tidy(answer or "")
        late: str | None = None
        vote = forms.plain(given)
        for gold in map(forms.tidy, target_texts(sample)):
            right, vote, problem = await self._same(gold, given)
            if right:
                return Score(1.0, details={"vote": vote})
            late = late or problem
        if late:
            return Score(0.0, "error", details={"raised": late})
        return Score(0.0, details={"vote": vote})

    async def _same(self, gold: str, given: str) -> tuple[bool, str, str | None]:
        """Return the verdict, what the answer counts as in a vote, and why there is none."""
        if forms.different_units(gold, given):
            return False, forms.plain(given), None
        bases = forms.base(gold), forms.base(given)
        if all(bases) and bases[0] != bases[1]:
            return False, forms.plain(given), None
        gold, given = forms.without_unit(gold), forms.without_unit(given)
        wanted, found = forms.number(gold), forms.number(given)
        if found is not None and wanted is not None:
            return found == wanted, str(found), None
        if forms.plain(gold) == forms.plain(given):
            return True, forms.plain(given), None
        if len(given) > LONGEST:
            return False, forms.plain(given), None
        reply = await self._compared(gold, given)
        return bool(reply.get("right")), str(reply.get("vote") or forms.plain(given)), reply.get("problem")

    async def _compared(self, gold: str, given: str) -> dict[str, Any]:
        import asyncio

        from aisb_evaluator_math._workers import pool

        crew = pool(self.workers)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(crew.threads, crew.compare, gold, given, self.deadline)
