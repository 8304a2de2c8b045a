"""Lines from anywhere, graded as a run would grade them."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from aisb._errors import UsageError
from aisb._plugins import Plugins
from aisb._types import Prediction, Sample
from aisb_analysis._grading import LINES_PER_BATCH, GradingTally, grade_lines
from aisb_analysis._shown import shown
from aisb_engine._resolve.catalog import Catalog
from aisb_engine._resolve.layers import Resolver, RunInput
from aisb_engine._scoring.scoring import score
from aisb_engine._spec import Task
from aisb_evaluator_code._sandbox import containment

PLUGINS = Plugins.load()


def task(name: str = "demo_gsm8k", *sets: str) -> Task:
    return Resolver(PLUGINS, Catalog(PLUGINS), RunInput(sets=sets)).show(name)


def graded(of: Task, *lines: Any) -> tuple[list[dict[str, Any]], list[str], GradingTally]:
    out: list[bytes] = []
    told: list[str] = []
    raw = [line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines]
    tally = asyncio.run(grade_lines(of, raw, PLUGINS, write=out.append, complain=told.append))
    return [json.loads(line) for line in out], told, tally


def test_a_line_gets_answer_outcome_value_rule_and_span():
    (line,), told, _ = graded(task(), {"output": "So it is 18 dollars.", "reference": "18"})
    assert line == {
        "line": 1, "answer": "18", "outcome": "correct", "value": 1.0, "rule": "last-number", "span": [9, 11],
    }  # fmt: skip
    assert told == []


def test_grading_says_what_scoring_a_run_says():
    texts = [
        "The answer is 18.",
        "17",
        "I cannot help with that.",
        "",
        r"\boxed{18}",
        "<think>18",
        "We add 3 and",
    ]
    predictions = [Prediction(str(i), text=t, finish_reason="length") for i, t in enumerate(texts, 1)]
    samples = {p.sample_id: Sample(p.sample_id, {}, "18") for p in predictions}
    (expected,) = asyncio.run(score(task(), samples, predictions, PLUGINS)).values()
    lines = [{"output": t, "reference": "18", "finish_reason": "length"} for t in texts]
    found, _, tally = graded(task(), *lines)
    assert [(g["outcome"], g["answer"], g["rule"]) for g in found] == [
        (s.outcome, s.answer, s.rule) for s in expected
    ]
    assert tally.outcome_counts.total == len(texts)


def test_a_reference_may_be_a_number_a_list_or_not_yet_clean():
    of = task("demo_gsm8k", 'task.sample.clean=[{use="after", marker="####"}, {use="strip"}]')
    references = [18, ["17", "18"], "6 * 3 = 18\n#### 18", "18"]
    found, _, _ = graded(of, *({"output": "It is 18", "reference": r} for r in references))
    assert [line["outcome"] for line in found] == ["correct"] * 4


def test_a_row_of_the_task_needs_no_reference():
    found, _, _ = graded(task(), {"output": "It is 24", "question": "?", "answer": "48/2=24\n#### 24"})
    assert found[0]["outcome"] == "correct"


@pytest.mark.parametrize("options", [["Rome", "Paris"], {"B": "Paris", "A": "Rome"}])
@pytest.mark.parametrize("key", ["options", "choices"])
def test_options_may_be_a_list_or_a_table(key, options):
    line = {"output": "It is Paris.", "reference": "B", key: options}
    found, _, _ = graded(task("mmlu"), line)
    assert (found[0]["answer"], found[0]["outcome"]) == ("B", "correct")


def test_options_may_stand_in_the_columns_of_the_tasks_rows():
    line = {"output": "Paris", "reference": "B", "A": "Rome", "B": "Paris", "C": "Bonn", "D": "Oslo"}
    found, _, _ = graded(task("mmlu"), line)
    assert found[0]["outcome"] == "correct"


def test_an_id_is_kept_and_blank_lines_are_counted_and_passed_over():
    found, told, _ = graded(task(), b"\n", {"output": "1", "reference": "1", "id": "a/7"}, b"  \n")
    assert [(line["line"], line["id"]) for line in found] == [(2, "a/7")]
    assert told == []


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"{oops", "line 2 is left out: it is not JSON: "),
        (
            b"[1, 2]",
            "line 2 is left out: it must be a JSON object with `output` and `reference`, and is [1,2]",
        ),
        (
            {"reference": "1"},
            "line 2 is left out: `output` is missing; it must be the text of the model",
        ),
        ({"output": 5, "reference": "1"}, "line 2 is left out: `output` is 5; it must be the text"),
        ({"output": "5"}, "line 2 is left out: `reference` is missing; it must be the reference answer"),
        (
            {"output": "5", "reference": "5", "finish_reason": 3},
            "line 2 is left out: `finish_reason` is 3; it must be a text, or left out",
        ),
    ],
)
def test_a_bad_line_is_named_and_the_rest_go_on(line, words):
    good = {"output": "5", "reference": "5"}
    found, told, tally = graded(task(), good, line, good)
    assert [one["line"] for one in found] == [1, 3]
    assert len(told) == 1
    assert told[0].startswith(words)
    assert (tally.bad, tally.outcome_counts.total) == (1, 2)


def test_several_evaluators_each_have_their_verdict():
    of = task("demo_gsm8k", 'task.evaluate=[{use="numeric-match"}, {use="exact-match"}]')
    found, _, tally = graded(of, {"output": "18.0", "reference": "18"})
    assert found[0]["outcome"] == "correct"
    assert found[0]["others"]["exact-match"]["outcome"] == "wrong"
    assert {name: metrics[0].value for name, metrics in tally.metrics().items()} == {
        "numeric-match": 100.0, "exact-match": 0.0,
    }  # fmt: skip


def test_a_task_without_an_evaluator_says_how_to_give_one():
    with pytest.raises(
        UsageError, match="demo_gsm8k has no evaluator, so its answers cannot be graded"
    ) as error:
        graded(task("demo_gsm8k", "task.evaluate=[]"))
    assert "--set 'task.evaluate=[" in str(error.value)


def test_lines_are_read_no_further_ahead_than_a_batch_and_nothing_of_them_is_kept():
    line = json.dumps({"output": "The answer is 18", "reference": "18"}).encode()
    read = written = ahead = 0

    def lines():
        nonlocal read
        for _ in range(3 * LINES_PER_BATCH):
            read += 1
            yield line

    def write(_):
        nonlocal written, ahead
        written += 1
        ahead = max(ahead, read - written)

    tally = asyncio.run(grade_lines(task(), lines(), PLUGINS, write=write, complain=print))
    assert written == 3 * LINES_PER_BATCH
    assert ahead < LINES_PER_BATCH
    assert tally.kept == {}


PROMPT = 'def half(n):\n    """Half of n."""\n'
PROGRAMS = {
    "    return n / 2\n": None,
    "    return n\n": "AssertionError: assert candidate(4) == 2",
    "    x = 0\n    return n / x\n": "ZeroDivisionError: division by zero (line 2 of the program): assert candidate(4) == 2",
    "def half(n):\n    return n /\n": "the program does not run: SyntaxError: invalid syntax (<program>, line 4)",
    "    while True:\n        pass\n": "killed: it reached the limit of 1 s of CPU time (timeout)",
    "    return bytearray(8 << 30)\n": "MemoryError: (line 1 of the program): assert candidate(4) == 2",
    "    raise ValueError('\x1b]0;x\x07 Bearer abcdefgh12345 ' + 'key-of-the-machine')\n": (
        "ValueError: \ufffd]0;x\ufffd Bearer *** key-of-the-machine (line 1 of the program): assert candidate(4) == 2"
    ),
}  # fmt: skip
LIMITED = 'task.evaluate=[{use="code-run", seconds=1}]'


@pytest.mark.skipif(not containment().namespaces, reason="no namespaces can be made here")
def test_a_line_says_why_its_program_failed(monkeypatch):
    monkeypatch.setenv("AISB_ALLOW_CODE_EXECUTION", "1")
    row = {"prompt": PROMPT, "entry_point": "half", "canonical_solution": "", "reference": ""}
    row["test"] = "def check(candidate):\n    assert candidate(4) == 2\n"
    found, told, _ = graded(task("humaneval", LIMITED), *({**row, "output": one} for one in PROGRAMS))
    assert told == []
    busy = "timeout after 3 s"  # on a machine that is very busy, the clock is first
    for line, wanted in zip(found, PROGRAMS.values(), strict=True):
        assert line.get("problem") in (wanted, busy if wanted and "time out" in wanted else wanted)


def test_a_problem_is_one_short_line_without_keys(monkeypatch):
    monkeypatch.setenv("SOME_API_KEY", "a-key-of-a-service")
    assert shown("it\nsent  a-key-of-a-service,\u202e authorization: bearer abcdefghijk") == (
        "it sent ***,\ufffd authorization: bearer ***"
    )
