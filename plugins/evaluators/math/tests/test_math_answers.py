"""The final answer is found wherever a solution marks it, and compared by what it means, within a deadline."""

import asyncio
import json
import os
import time
from pathlib import Path

import pytest

from aisb import Prediction, Sample, UsageError
from aisb_engine._scoring.grading import outcome
from aisb_engine._scoring.steps import Steps
from aisb_evaluator_math._answers import math_answer
from aisb_evaluator_math._matching import MathVerify

HERE = Path(__file__).parent


def read_rows(name):
    return [json.loads(line) for line in (HERE / name).read_text(encoding="utf-8").splitlines()]


VALUES = read_rows("corpus_values.jsonl")
OUTPUTS = read_rows("corpus_outputs.jsonl")
SAMPLE = Sample("0", {})

PHRASINGS = [
    "First 12, then 13.\n\n$\\boxed{%s}$",
    "\\[ \\boxed{\\boxed{%s}} \\]",
    "I tried $\\boxed{99}$, which is wrong. So $\\boxed{%s}$. That took 3 steps.",
    "We get 12 and 13. The final answer is $%s$. I hope it is correct.",
    "Thus.\n\n**Final Answer:** $%s$",
    "So the answer is \\(%s\\).",
    "ANSWER: %s",
    "Therefore, the final answer is:\n\n\\[\n%s\n\\]",
    "The answer is %s. It took 7 steps.",
    "$%s$",
    "%s",
    "Adding both gives $%s$.",
]
GOLDS = [
    "42",
    "-3",
    "3.5",
    "\\frac{14}{3}",
    "3\\sqrt{13}",
    "\\left( 3, \\frac{\\pi}{2} \\right)",
    "\\begin{pmatrix} 1 \\\\ 2 \\end{pmatrix}",
    "(-\\infty, 2) \\cup (3, \\infty)",
    "\\{4, 7\\}",
    "1,2",
    "\\text{even}",
    "\\$18.90",
    "11,\\! 111,\\! 111",
    "5x - 7y + 4 = 0",
    "y = 2x + 1",
    "52_8",
    "90^\\circ",
    "p - q",
]


@pytest.fixture(scope="module", autouse=True)
def folder_with_names_of_modules(tmp_path_factory):
    """Start the process that compares answers in a folder with a file that is named as a module that it imports."""
    folder, before = tmp_path_factory.mktemp("folder"), Path.cwd()
    (folder / "math.py").write_text("raise RuntimeError('not the standard library')")
    os.chdir(folder)
    yield folder
    os.chdir(before)


def one_process():
    """Return an evaluator with one process: each would import SymPy, and learn the grammar by itself."""
    return MathVerify(workers=1)


async def grade(answer, gold):
    return await one_process().score(answer, Sample("0", {}, gold))


@pytest.mark.parametrize("phrasing", PHRASINGS)
@pytest.mark.parametrize("gold", GOLDS)
async def test_a_gold_in_every_phrasing_is_found_and_right_against_itself(phrasing, gold):
    text = phrasing.replace("%s", gold)
    found = math_answer()(text, SAMPLE)
    assert found is not None
    assert text[slice(*found.span)] == found.text
    assert (await grade(found.text, gold)).value == 1, found


@pytest.mark.parametrize("gold", GOLDS)
async def test_another_gold_is_wrong(gold):
    place = GOLDS.index(gold) + 1
    others = [*GOLDS[place:], *GOLDS][:6]
    assert [(await grade(other, gold)).value for other in others] == [0] * len(others)


@pytest.mark.parametrize("kind", sorted({row["kind"] for row in VALUES}))
async def test_two_answers_are_equal_when_they_mean_the_same(kind):
    rows = [row for row in VALUES if row["kind"] == kind]
    judge = one_process()
    scores = await asyncio.gather(*(judge.score(row["answer"], Sample("0", {}, row["gold"])) for row in rows))
    assert {row["right"] for row in rows} == {True, False}
    assert [row for row, score in zip(rows, scores, strict=True) if score.value != row["right"]] == []
    assert {score.outcome for score in scores} == {None}


@pytest.mark.parametrize("kind", sorted({row["kind"] for row in OUTPUTS}))
async def test_the_verdict_on_an_output_is_that_of_a_careful_person(kind):
    rows = [row for row in OUTPUTS if row["kind"] == kind]
    steps, judge = Steps([("math-answer", math_answer())]), one_process()

    async def verdict(row):
        sample = Sample("0", {}, row["target"])
        prediction = Prediction("0", text=row["output"], finish_reason=row.get("finish_reason", "stop"))
        found = steps.extract(row["output"], sample)
        value = (await judge.score(found.text, sample)).value if found else 0
        return outcome(prediction, found, value)

    verdicts = await asyncio.gather(*(verdict(row) for row in rows))
    assert len(set(verdicts)) > 1
    assert [(row, ours) for row, ours in zip(rows, verdicts, strict=True) if ours != row["verdict"]] == []


@pytest.mark.parametrize(
    ("text", "found", "rule", "explicit"),
    [
        ("so \\fbox{7}", "7", "boxed", True),
        ("a \\boxed{\\frac{1}{2}}. So \\boxed{\\text{cut", "\\frac{1}{2}", "boxed", False),
        ("The answer is 12. No, it is 14.", "14", "corrected", True),
        ("$x=\\boxed{3}$ or $x=\\boxed{5}$", "3, 5", "boxed", True),
        ("a \\boxed{\\frac{1}{2}} and \\boxed{\\text{cut", None, None, None),
        ("Answer: 3.5. Done.", "3.5", "answer-is", True),
        ("The answer is $2$ and $3$.", "$2$ and $3$", "answer-is", True),
        ("The final answer is clearly $5$.", "5", "answer-is", True),
        ("The answer is \\$36.", "\\$36", "answer-is", True),
        ("答案：$x=3$。", "x=3", "answer-is", True),
        ("Adding, $2 + 3 = 5$.", "5", "last-formula", False),
        ("There are 4 pears and 1,200 plums left", "1,200", "last-number", False),
        ("I do not know", None, None, None),
        ("", None, None, None),
    ],
)
def test_a_rule_finds_what_it_says_and_whether_the_text_marks_it(text, found, rule, explicit):
    got = math_answer()(text, SAMPLE)
    assert (got and (got.text, got.rule, got.explicit)) == (found and (found, rule, explicit))


def test_without_the_fallback_only_a_marked_answer_is_found():
    assert math_answer(fallback=False)("so there are 4 pears", SAMPLE) is None


def test_the_search_takes_time_in_proportion_to_the_text():
    texts = [
        *("$" * 70_000, "answer is " * 7_000, "\\boxed{" * 10_000, "\\[" * 35_000, "1," * 35_000),
        *("\\boxed{1} and " * 5_000, "\\boxed{1} wait, it is 2. " * 3_000, "\\boxed{1" * 7_000 + "$"),
        *("\\boxed{5} wait " + "it is 3 " * 10_000, "\\boxed{3} no, " + " " * 70_000),
        *("\\" * 35_000 + "boxed{", "\\boxed{" + "a " * 35_000 + "}"),
        "\\boxed{3}" + " wrong it should be " * 3_000,
    ]
    for text in texts:
        start = time.process_time()
        math_answer()(text, SAMPLE)
        assert time.process_time() - start < 2


async def test_an_answer_that_takes_for_ever_does_not_hold_up_the_rest():
    endless = ["9^{9^{9^{9^9}}}", "(" * 1500, "\\sum_{n=1}^{10^{9}} \\frac{1}{n^n}"]
    judge = MathVerify(deadline=1, workers=2)
    given = endless + ["\\sqrt{117}"] * 20
    scores = await asyncio.gather(*(judge.score(one, Sample("0", {}, "3\\sqrt{13}")) for one in given))
    assert [score.value for score in scores] == [0] * 3 + [1] * 20
    assert all(score.outcome == "error" for score in scores[:3])
    assert scores[0].details["raised"].startswith("no verdict on '9^{9^{9^{9^9}}}' within 1 s")


async def test_equal_wrong_answers_vote_together():
    votes = [(await grade(answer, "7")).details["vote"] for answer in ("\\sqrt{8}", "2\\sqrt2", "\\sqrt{9}")]
    assert votes[0] == votes[1] != votes[2]


async def test_one_of_several_targets_is_enough():
    assert (await grade("0.5", ["7", "\\frac12"])).value == 1


@pytest.mark.parametrize("options", [{"deadline": 0}, {"deadline": 1e9}, {"workers": -1}])
def test_an_option_that_cannot_be_is_refused(options):
    with pytest.raises(UsageError, match=f"{next(iter(options))} = .* it must be"):
        MathVerify(**options)


async def test_files_of_the_folder_that_are_named_as_modules_are_not_taken_for_them(
    folder_with_names_of_modules,
):
    assert Path.cwd() == folder_with_names_of_modules
    assert (await grade("5x", "x \\cdot 5")).value == 1


@pytest.mark.data
@pytest.mark.skipif("AISB_DATA" not in os.environ, reason="needs $AISB_DATA")
async def test_all_500_golds_of_math_500_are_right_against_themselves_in_every_phrasing():
    path = Path(os.environ["AISB_DATA"]) / "math/test.jsonl"
    golds = [json.loads(line)["answer"] for line in path.read_text(encoding="utf-8").splitlines()]
    assert len(golds) == 500
    judge, step = MathVerify(), math_answer()

    async def right(phrasing, gold):
        found = step(phrasing.replace("%s", gold), SAMPLE)
        return found is not None and (await judge.score(found.text, Sample("0", {}, gold))).value == 1

    for phrasing in PHRASINGS:
        verdicts = await asyncio.gather(*(right(phrasing, gold) for gold in golds))
        assert [gold for gold, verdict in zip(golds, verdicts, strict=True) if not verdict] == []
