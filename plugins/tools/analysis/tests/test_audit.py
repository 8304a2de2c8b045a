"""What an audit says of outputs: where extraction may have failed, the likeliest mistakes first."""

from __future__ import annotations

import asyncio
import json

import pytest

from aisb._errors import UsageError
from aisb._plugins import Plugins
from aisb._types import Failure, Prediction, Sample
from aisb_analysis._audit import Audit, AuditEntry, audit_subtask, gold_place, to_lines
from aisb_engine import Answers
from aisb_engine._record.predictions import LoggedSamples
from aisb_engine._resolve.catalog import Catalog
from aisb_engine._resolve.layers import Resolver, RunInput
from aisb_engine._spec import Task

PLUGINS = Plugins.load()


def task(*sets: str, name: str = "demo_gsm8k") -> Task:
    return Resolver(PLUGINS, Catalog(PLUGINS), RunInput(sets=sets)).show(name)


def audited(of: Task, *texts: str, target: str = "18", also: tuple[str, ...] = (), **more) -> Audit:
    samples = {str(i): Sample(str(i), {}, target, **more) for i in range(len(texts))}
    answers = Answers(
        LoggedSamples({}, []), samples, [Prediction(str(i), text=text) for i, text in enumerate(texts)]
    )
    return asyncio.run(audit_subtask(of, answers, PLUGINS, also=also))


def only(found: Audit) -> AuditEntry:
    (entry,) = found.entries
    return entry


BOXED = 'task.postprocess=[{use="boxed"}]'


def test_an_answer_that_another_extractor_finds_was_missed():
    found = audited(task(BOXED), "So the answer is 18.", r"\boxed{18}")
    missed, right = found.entries
    assert (missed.id, missed.outcome, missed.own.answer) == ("0", "unparsed", None)
    assert missed.flags == ("missed", "gold there", "no answer")
    assert missed.others["number"].right
    assert (missed.others["number"].answer, missed.others["number"].span) == ("18", (17, 19))
    assert right.flags == ()
    assert found.flagged == {"missed": 1, "gold there": 1, "no answer": 1}


def test_the_worst_stands_first():
    found = audited(
        task('task.postprocess=[{use="last-number"}]'),
        "The answer is 18.",  # right
        "It is 18, or with tax 20",  # the gold stands there
        "The answer is 18. That took 3 steps",  # another extractor has it, and the text marks it
        "Nobody knows.",  # no answer
        "I think it is 7",  # wrong, and nothing speaks for a mistake
    )
    assert [entry.id for entry in found.entries] == ["2", "1", "3", "0", "4"]
    assert [entry.flags for entry in found.entries] == [
        ("missed", "gold there", "disagree"), ("gold there",), ("no answer",), (), (),
    ]  # fmt: skip


def test_a_right_answer_is_questioned_where_the_text_marks_another():
    of = task('task.postprocess=[{use="last-number"}]')
    texts = [r"\boxed{18}"] * 4
    first, *others = audited(of, *texts, r"\boxed{20} and that is not 18").entries
    assert (first.id, first.outcome, first.flags) == ("4", "correct", ("disagree",))
    assert [other.flags for other in others] == [()] * 4


def test_the_same_number_written_otherwise_is_no_disagreement():
    entry = only(audited(task(), r"The answer is \boxed{18.0}"))
    assert entry.flags == ()


def test_extractors_for_another_kind_of_answer_are_left_out():
    names = {count.name for count in audited(task(), "The answer is 18.", "It is 17").extractors}
    assert "choice" not in names
    assert {"the task's own", "last-number"} <= names
    of = task(name="mmlu")
    choices = audited(of, "The answer is (B).", "A", target="B", choices=("Rome", "Paris", "Bonn", "Oslo"))
    assert "last-number" not in {count.name for count in choices.extractors}


def test_extractors_are_counted_side_by_side():
    found = audited(task(), "The answer is 18.", "It is 17", "None.")
    (own,) = [count for count in found.extractors if count.name == "the task's own"]
    assert own[1:] == (2, 2, 1)


def test_another_extractor_may_be_asked_for_by_name_or_with_options():
    asked = ("last-line", '{use="regex", pattern="is (\\\\d+)"}')
    found = audited(task(), "It is 18\nor so", also=asked)
    assert only(found).others["last-line"].answer == "or so"
    assert only(found).others[asked[1]].answer == "18"


@pytest.mark.parametrize(
    ("also", "words"),
    [
        ("last-lime", "no postprocessor named 'last-lime'; did you mean 'last-line'?"),
        ("{use=", "--with {use=: "),
        (
            '{pattern="x"}',
            '--with {pattern="x"}: it must name a postprocessor, as in {use="regex", pattern="= (.*)"}',
        ),
        ("regex", "--with[0].pattern: must be set"),
    ],
)
def test_an_extractor_that_cannot_be_made_is_said(also, words):
    with pytest.raises(UsageError) as error:
        audited(task("task.postprocess=[]"), "18", also=(also,))
    assert str(error.value).startswith(words)


def test_a_task_without_evaluator_cannot_be_audited():
    with pytest.raises(UsageError, match="demo_gsm8k has no evaluator, so its answers cannot be graded"):
        audited(task("task.evaluate=[]"), "18")


def test_a_failed_request_has_no_flag():
    samples = {"0": Sample("0", {}, "18")}
    failed = [Prediction("0", failure=Failure("timeout", "too late"))]
    entry = only(asyncio.run(audit_subtask(task(), Answers(LoggedSamples({}, []), samples, failed), PLUGINS)))
    assert (entry.outcome, entry.flags) == ("error", ())


def test_an_evaluator_that_takes_its_time_grades_other_answers_too():
    of = task('task.evaluate=[{use="math-verify"}]', BOXED)
    entry = only(audited(of, r"The answer is $\frac{1}{2}$", target=r"\frac{1}{2}"))
    assert entry.others["math-answer"].right  # to the letter
    entry = only(audited(of, "The answer is 0.5", target=r"\frac{1}{2}", also=("number",)))
    assert entry.others["number"].right
    assert "missed" in entry.flags


def test_a_model_that_judges_is_not_asked_about_other_answers():
    async def says_so(request):
        asked.append(request)
        return Prediction("", text="CORRECT", finish_reason="stop")

    asked: list = []
    of = task('task.evaluate=[{use="judge", prompt="{prediction} {verdicts}"}]')
    samples = {"0": Sample("0", {}, "18")}
    answers = Answers(
        LoggedSamples({}, []), samples, [Prediction("0", text="So 18 or 19.", finish_reason="stop")]
    )
    entry = only(asyncio.run(audit_subtask(of, answers, PLUGINS, also=("last-number",), ask=says_so)))
    assert entry.outcome == "correct"
    assert len(asked) == 1
    assert entry.others["last-number"].right is None


@pytest.mark.parametrize(
    ("text", "gold", "place"),
    [
        ("It is 18.", "18", (6, 8)),
        ("180 and 3.18 and 18.5 and 1,800", "18", None),
        ("It costs $1,200.", "1200", (10, 15)),
        ("It costs 1200", "1,200", (9, 13)),
        ("from 18 to 18", "18", (11, 13)),
        ("<think>18</think>no idea", "18", None),
        ("It is -7", "-7", (6, 8)),
        ("Paris is parisian", "Paris", (0, 5)),
        ("答案是北京。", "北京", (3, 5)),
        ("nothing", "", None),
    ],
)
def test_the_right_answer_is_found_as_a_whole(text, gold, place):
    assert gold_place(text, Sample("0", {}, gold)) == place


def test_of_an_option_its_words_are_looked_for():
    sample = Sample("0", {}, "B", choices=("Rome", "Paris"))
    assert gold_place("B, I mean Paris", sample) == (10, 15)
    assert gold_place("A or B", sample) is None
    assert gold_place("A or 18", Sample("0", {}, ["17", "18"])) == (5, 7)
    assert gold_place("18", Sample("0", {}, None)) is None


def test_lines_have_what_each_extractor_takes():
    (line,) = map(
        json.loads, to_lines(audited(task(BOXED), "So the answer is 18.", also=("number",))).splitlines()
    )
    assert line["extractors"]["number"] == {
        "answer": "18", "rule": "answer-words", "span": [17, 19], "explicit": True, "right": True,
    }  # fmt: skip
    assert {key: line[key] for key in ("id", "flags", "answer", "gold", "gold_at", "prediction")} == {
        "id": "0",
        "flags": ["missed", "gold there", "no answer"],
        "answer": None,
        "gold": "18",
        "gold_at": [17, 19],
        "prediction": "So the answer is 18.",
    }
