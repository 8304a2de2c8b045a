"""How fast answers are graded, each next to its limit.

    python benchmarks/scoring.py

Replies are made from a seed, of the lengths that models write, with their answers in many shapes. They go
through what a run uses: steps, evaluators and metrics. The limits are for 2 cores. The programs of HumanEval
are graded where $AISB_DATA has them, and where this machine can hold programs in a box.
"""

import asyncio
import os
import random
import sys
import time
from pathlib import Path

from aisb._plugins import Plugins
from aisb._types import Prediction, Sample
from aisb_engine._data.datafiles import DataFolders
from aisb_engine._data.loading import load_samples
from aisb_engine._resolve.config import RunInput, resolve
from aisb_engine._scoring.scoring import measure, score
from aisb_engine._spec import Task

PLUGINS = Plugins.load()
DRAW = random.Random(20261121)
STORY = (
    "the first step is to write down what we know so that each part can be checked on its own and then we "
    "add them since this follows from what was given above while B is a letter and 12 of 30 are numbers"
)
CHOICE_ENDS = (
    "The answer is {}.",
    "**{}**",
    "\\boxed{{{}}}",
    "({})",
    "So {} is correct.",
    "Answer: {}",
    "故选{}。",
)
NUMBER_ENDS = (
    "The answer is {}.",
    "#### {}",
    "\\boxed{{{}}}",
    "So she has {} left.",
    "**{}**",
    "Answer: ${}",
)
MATH = (
    ("\\frac{3}{4}", "0.75"), ("2\\sqrt{3}", "\\sqrt{12}"), ("(1, 2)", "(1,2)"), ("x^2+2x+1", "(x+1)^2"),
    ("\\frac{\\pi}{6}", "\\pi/6"), ("\\{1,2,3\\}", "\\{3,2,1\\}"), ("[0, 1)", "[0,1)"), ("17", "17.0"),
    ("5\\%", "5"), ("-\\frac{1}{2}", "-0.5"), ("\\text{east}", "east"), ("3+4i", "4i+3"), ("10^6", "1000000"),
)  # fmt: skip
SLOW_MATH = "\\boxed{" + "(" * 40 + "x+1" + ")^{99}" * 40 + "}"


def prose(words):
    return " ".join(DRAW.choices(STORY.split(), k=words))


def task(step, evaluator):
    return Task(
        name="bench", summary="", dataset={}, postprocess=[{"use": step}], evaluate=[{"use": evaluator}]
    )


def choices(count):
    options = ("the first of them", "none of these", "only when it is cold", "twice as many")
    for number in range(count):
        letter = DRAW.choice("ABCD")
        text = f"{prose(DRAW.choice((0, 8, 40, 120)))}\n{DRAW.choice(CHOICE_ENDS).format(letter)}".strip()
        yield Sample(str(number), {}, letter, options), text


def numbers(count):
    for number in range(count):
        value = DRAW.randint(1, 90_000)
        said = f"{value:,}" if DRAW.random() < 0.3 else str(value)
        text = f"{prose(DRAW.choice((20, 80, 160)))}\n{DRAW.choice(NUMBER_ENDS).format(said)}"
        yield Sample(str(number), {}, str(value)), text


def formulas(count, *, slow=0):
    for number in range(count):
        gold, said = DRAW.choice(MATH)
        shown = SLOW_MATH if number < slow else f"{prose(80)} \\boxed{{{said}}}"
        yield Sample(str(number), {}, gold), shown


def graded(of, pairs):
    """Return the seconds that it takes to grade, and the share that is right."""
    pairs = list(pairs)
    samples = {sample.id: sample for sample, _ in pairs}
    predictions = [Prediction(sample.id, text=text, finish_reason="stop") for sample, text in pairs]
    began = time.perf_counter()
    scored = asyncio.run(score(of, samples, predictions, PLUGINS))
    metrics = measure(of, scored, PLUGINS)
    passed = time.perf_counter() - began
    return passed, next(iter(metrics.values()))[0].value


def programs():
    """Return the seconds that HumanEval's own solutions take, and the share that is right; else None."""
    data = os.environ.get("AISB_DATA")
    if not data or not (Path(data) / "humaneval").is_dir():
        print("164 references of HumanEval: left out, for $AISB_DATA does not have them")
        return None
    os.environ["AISB_ALLOW_CODE_EXECUTION"] = "1"
    (of,) = resolve(PLUGINS, RunInput(models=["sim"], datasets=["humaneval"])).tasks.values()
    rows = load_samples(of, PLUGINS, DataFolders([Path(data)]))
    told = [
        (row, f"```python\n{row.fields['prompt']}{row.fields['canonical_solution']}\n```") for row in rows
    ]
    return graded(of, told)


def main():
    broken = 0
    graded(task("number", "numeric-match"), numbers(20))  # modules are loaded, patterns compiled
    graded(task("choice", "choice-match"), choices(20))
    table = [
        (
            "14,042 multiple-choice answers",
            3,
            lambda: graded(task("choice", "choice-match"), choices(14_042)),
        ),
        ("1,319 answers to GSM8K", 1, lambda: graded(task("number", "numeric-match"), numbers(1_319))),
        (
            "5,000 answers by math-verify",
            60,
            lambda: graded(task("math-answer", "math-verify"), formulas(5_000)),
        ),
        (
            "500 of them, 5 that would take hours",
            60,
            lambda: graded(task("math-answer", "math-verify"), formulas(500, slow=5)),
        ),
        ("164 references of HumanEval", 20, programs),
    ]
    for name, limit, run in table:
        found = run()
        if found is None:
            continue
        passed, right = found
        broken += passed > limit
        verdict = f"{'OVER' if passed > limit else 'within'} the limit of {limit} s"
        print(f"{name:37} {passed:6.2f} s   {right:6.2f} % right   {verdict}", flush=True)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
