"""Workers that grade, started by the local launcher: they are lost and replaced, and errors keep their names."""

import asyncio
import re

import pytest

from aisb import RunError, Sample, Score
from aisb_engine._load.workers import LocalWorkers
from aisb_engine._scoring.grading_job import EvaluatorRecipe, GradingJob
from aisb_engine._scoring.launched import GradingWorkers

EVALUATOR = """
import asyncio, os, pathlib
from aisb import Evaluator, Score, UsageError

class Strange(Evaluator):
    def __init__(self, *, folder: str, refuses: bool = False, together: bool = False) -> None:
        if refuses:
            raise UsageError("this machine has no sandbox")
        self.folder, self.together = pathlib.Path(folder), together

    async def score(self, answer, sample):
        (self.folder / f"process-{os.getpid()}").touch()
        while self.together and len([*self.folder.glob("process-*")]) < 2:
            await asyncio.sleep(0.01)
        if answer == "raise":
            raise LookupError("no such thing")
        if answer == "nothing":
            return None
        if answer == "always":
            os._exit(3)
        if answer == "once":
            try:
                (self.folder / sample.id).touch(exist_ok=False)
            except FileExistsError:
                pass
            else:
                os._exit(3)
        return Score(1.0 if answer == sample.target else 0.5, details={"pid": os.getpid(), 3: (1, 2)})
"""


@pytest.fixture
def grade(tmp_path):
    """Grade answers of one evaluator on two workers; return the scores or exceptions, and what was said."""
    (tmp_path / "strange.py").write_text(EVALUATOR)
    said = []

    async def graded(answers, **options):
        recipe = EvaluatorRecipe("strange:Strange", {"folder": str(tmp_path), **options})
        jobs = [GradingJob(n, {"strange": recipe}, {"PYTHONPATH": str(tmp_path)}) for n in range(2)]
        workers = GradingWorkers(LocalWorkers(), jobs, lambda error: RunError(str(error)), said.append)
        async with workers.running():
            return await asyncio.gather(
                *(
                    workers.grade("strange", answer, Sample(str(n), {}, answer))
                    for n, answer in enumerate(answers)
                ),
                return_exceptions=True,
            )

    return lambda answers, **options: (asyncio.run(graded(answers, **options)), said)


def test_two_workers_grade_and_an_error_keeps_its_name_and_its_traceback(grade):
    scores, said = grade([*"abcdefghijkl", None, "raise", "nothing"], together=True)
    assert said == []
    good = [score for score in scores if isinstance(score, Score)]
    assert len(good) == 13
    assert all(score.value == 1.0 and score.details["3"] == [1, 2] for score in good)
    assert len({score.details["pid"] for score in good}) == 2
    raised, wrong = scores[-2:]
    assert (type(raised).__name__, str(raised)) == ("LookupError", "no such thing")
    assert "strange.py" in raised.__notes__[0]
    assert type(wrong).__name__ == "TypeError"
    assert str(wrong) == "it returned None; an evaluator must return a Score"


def test_the_answers_of_a_lost_worker_are_graded_again(grade):
    scores, said = grade(["once", *"abcdefgh"])
    assert [score.value for score in scores] == [1.0] * 9
    (line,) = said
    assert re.fullmatch(
        r"worker \d ended with exit code 3 before its work did; [12] answers are graded again", line
    )


def test_an_answer_that_ends_every_worker_is_an_error_of_its_own(grade):
    scores, said = grade(["always"])
    assert len(said) == 3
    assert str(scores[0]).startswith("its worker was lost 3 times: worker ")


def test_a_worker_that_cannot_make_the_evaluator_ends_the_grading(grade):
    scores, _ = grade(["a", "b"], refuses=True)
    for error in scores:
        assert isinstance(error, RunError)
        assert re.fullmatch(r"worker [01] cannot grade: this machine has no sandbox", str(error))
