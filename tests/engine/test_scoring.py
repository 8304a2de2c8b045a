"""From predictions to scores: spans, outcomes, order, and samples that break an evaluator."""

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aisb._errors import ConfigError, UnknownName
from aisb._evaluator import Evaluator
from aisb._plugins import Plugins
from aisb._refusal import is_refusal
from aisb._types import Extract, Failure, Prediction, Sample, Score
from aisb_engine._replies.thoughts import VisibleText, reasoning_spans
from aisb_engine._scoring.grading import outcome
from aisb_engine._scoring.scoring import evaluator_details, measure, score
from aisb_engine._scoring.steps import Steps
from aisb_engine._spec import Task

SAMPLE = Sample("0", {}, "18")


class Components:
    """What a task's names stand for in these tests, made as `Plugins` makes them."""

    def __init__(self, **factories: Callable[..., Any]) -> None:
        self.factories = factories

    def make(
        self, kind: str, name: str, options: dict[str, Any], /, *, where: str = "", ask: Any = None
    ) -> Any:
        return self.factories[name](**options)

    def find(self, kind: str, name: str) -> Any:
        return SimpleNamespace(factory=self.factories[name])

    infos = ()


class Same(Evaluator):
    def score(self, answer, sample):
        return Score(float(answer == sample.target))


def last_word():
    return lambda text, sample: text.split()[-1] if text.split() else None


def task(postprocess=("last-word",), evaluate=("same",), **keys) -> Task:
    uses = {"postprocess": postprocess, "evaluate": evaluate}
    tables = {
        key: [{"use": use} if isinstance(use, str) else use for use in value] for key, value in uses.items()
    }
    return Task(name="sums", summary="Sums", dataset={}, **tables, **keys)


def components(**more) -> Components:
    return Components(**{"last-word": last_word, "same": Same, **more})


def steps(*named: tuple[str, Callable]) -> Steps:
    return Steps(named)


def asked(*texts: str, **keys) -> tuple[dict[str, Sample], list[Prediction]]:
    samples = {str(i): Sample(str(i), {}, "18", group=f"g{i % 2}") for i in range(len(texts))}
    return samples, [
        Prediction(str(i), text=text, finish_reason="stop", **keys) for i, text in enumerate(texts)
    ]


# Steps


def test_without_steps_the_whole_text_is_the_answer():
    assert Steps().extract("eighteen of them", SAMPLE) == Extract("eighteen of them", "", (0, 16))
    assert Steps().extract(" \n", SAMPLE) is None


def test_a_plain_string_is_located_and_the_step_is_its_rule():
    found = steps(("last-word", last_word())).extract("18 or 18", SAMPLE)
    assert found == Extract("18", "last-word", (6, 8))


def test_spans_go_through_several_steps_back_to_the_raw_text():
    after = ("after", lambda text, sample: text.partition("####")[2])
    number = ("number", lambda text, sample: Extract("70", "digits", (3, 5), explicit=True))
    raw = "<think>70</think>so #### $ 70 each"
    found = steps(after, number).extract(raw, SAMPLE)
    start = raw.index("70 each")
    assert found == Extract("70", "digits", (start, start + 2), explicit=True)


def test_a_step_that_changes_the_text_keeps_the_span_before_it():
    tail = ("after", lambda text, sample: text.partition(": ")[2])
    plain = ("remove", lambda text, sample: text.replace(",", ""))
    raw = "Total: 70,000"
    found = steps(tail, plain, ("last-word", last_word())).extract(raw, SAMPLE)
    assert found.text == "70000"
    assert raw[slice(*found.span)] == "70,000"
    assert found.rule == "after"


def test_a_rule_that_was_named_outlives_the_cleaning_after_it():
    marked = ("number", lambda text, sample: Extract("18,", "answer-words", (10, 13), explicit=True))
    plain = ("remove", lambda text, sample: text.replace(",", ""))
    found = steps(marked, plain).extract("answer is 18, yes", SAMPLE)
    assert found == Extract("18", "answer-words", (10, 12), explicit=True)


def test_the_first_step_that_finds_nothing_ends_the_search():
    def never(text, sample):
        raise AssertionError("called")

    assert steps(("none", lambda text, sample: None), ("never", never)).extract("18", SAMPLE) is None


@pytest.mark.parametrize(
    ("raw", "seen"),
    [
        ("<think>a 1</think> b", "b"),
        ("a 1</think> b", "b"),
        ("<think>a 1", ""),
        ("b <think>a 1", "b"),
        ("b<think>1</think>c<thinking>2</thinking>d", "b\nc\nd"),
        ("<THINK>1</THINK>b", "b"),
        ("1 <think>2</think> 3 </think>b", "b"),
        ("2 < 3", "2 < 3"),
    ],
)
def test_reasoning_is_never_read(raw: str, seen: str):
    assert VisibleText.of(raw).text == seen


@given(st.lists(st.sampled_from(["<think>", "</think>", "a", "bc", "\n", "18"]), max_size=12))
def test_every_seen_character_is_traced_to_its_place(parts: list[str]):
    raw = "".join(parts)
    seen = VisibleText.of(raw)
    joined = {start - 1 for start in seen.starts[1:]}
    for position, character in enumerate(seen.text):
        start, end = seen.raw((position, position + 1))
        assert position in joined or raw[start:end] == character
    for start, end in reasoning_spans(raw):
        assert raw[start:end].strip()


def test_an_unclosed_think_gives_no_answer():
    assert steps(("last-word", last_word())).extract("<think>So it is 18", SAMPLE) is None


# Outcomes


def ended(
    text: str, found: Extract | None, value: float, finish: str = "stop", failure: Failure | None = None
) -> str:
    return outcome(Prediction("0", text=text, finish_reason=finish, failure=failure), found, value)


GUESS, MARKED = Extract("18", "last-number"), Extract("18", "boxed", explicit=True)


def test_each_outcome_follows_from_value_answer_and_finish():
    assert ended("18", GUESS, 1) == "correct"
    assert ended("18", GUESS, 0) == "wrong"
    assert ended("hm", None, 0) == "unparsed"
    assert ended("18", GUESS, 0.5) == "wrong"
    assert ended("", None, 0, failure=Failure("timeout", "too slow")) == "error"
    assert ended("18", GUESS, 1, failure=Failure("cut", "cut off")) == "error"


def test_a_reply_that_was_cut_off_is_right_when_right_and_wrong_only_when_it_marked_its_answer():
    assert ended("18", GUESS, 1, "length") == "correct"
    assert ended("18", MARKED, 0, "length") == "wrong"
    assert ended("18", GUESS, 0, "length") == "truncated"
    assert ended("I cannot answer", None, 0, "length") == "truncated"


def test_a_text_that_declines_is_refused_unless_it_marks_an_answer():
    assert ended("I cannot answer this.", None, 0) == "refused"
    assert ended("I cannot answer question 5.", GUESS, 0) == "refused"
    assert ended("I cannot answer for sure. \\boxed{5}", MARKED, 0) == "wrong"
    assert ended("", None, 0, "content_filter") == "refused"


@pytest.mark.parametrize(
    ("text", "refuses"),
    [
        ("I'm sorry, but I can't help with that.", True),
        ("I’m unable to assist.", True),
        ("As an AI language model, I have no opinion.", True),
        ("抱歉，我无法回答这个问题。", True),
        ("我不能提供相关信息。", True),
        ("对不起", True),
        ("We cannot give more than 5 apples, so 5.", False),
        ("The answer is 18.", False),
        ("他无法回答老师的问题，所以得了18分。", False),
        ("I refuse.", True),
        ("我拒绝回答。", True),
        ("I refuse to believe that: it is 18.", False),
        ("I cannot answer this. " + "Here is why. " * 60, False),
        ("", False),
        ("Lo siento, pero no puedo responder a eso.", True),
        ("Je suis désolé, mais je ne peux pas vous aider.", True),
        ("Es tut mir leid, aber das kann ich nicht sagen.", True),
        ("Извините, но я не могу ответить.", True),
        ("申し訳ありませんが、お答えできません。", True),
        ("Lo siento", False),
        ("Es tut mir leid um die 3 Eier. Er kann 18 verkaufen.", False),
    ],
)
def test_refusals_are_told_from_answers(text: str, refuses: bool):
    assert is_refusal(text) is refuses


# score


async def test_scores_carry_all_that_scoring_knows_in_sample_and_repeat_order():
    samples, predictions = asked("it is 18", "it is 20")
    again = [Prediction("0", repeat=1, text="18", finish_reason="stop")]
    found = await score(task(), samples, [*again, *reversed(predictions)], components())
    assert list(found) == ["same"]
    assert found["same"] == [
        Score(1.0, "correct", "0", 0, "same", "18", "last-word", (6, 8), "g0"),
        Score(1.0, "correct", "0", 1, "same", "18", "", (0, 2), "g0"),
        Score(0.0, "wrong", "1", 0, "same", "20", "last-word", (6, 8), "g1"),
    ]


async def test_of_a_conversation_the_last_turn_and_of_attempts_the_last_is_graded():
    samples, _ = asked("")
    turns = [
        Prediction("0", turn=1, text="18"),
        Prediction("0", turn=0, text="3"),
        Prediction("9", text="18"),
    ]
    assert [s.answer for s in (await score(task(), samples, turns, components()))["same"]] == ["18"]
    attempts = [Prediction("0", text="3"), Prediction("0", text="18")]
    assert [s.answer for s in (await score(task(), samples, attempts, components()))["same"]] == ["18"]


async def test_a_failed_request_is_an_error_and_says_why():
    samples, _ = asked("")
    failed = Prediction("0", failure=Failure("timeout", "no byte in 600 s"))
    (graded,) = (await score(task(), samples, [failed], components()))["same"]
    assert (graded.outcome, graded.value, graded.answer) == ("error", 0.0, None)
    assert graded.details == {"failure": "timeout: no byte in 600 s"}


async def test_one_sample_that_breaks_an_evaluator_does_not_end_the_rest():
    class Fussy(Evaluator):
        def score(self, answer, sample):
            if answer == "20":
                raise ValueError("20 is too many")
            return Score(1.0)

    samples, predictions = asked("18", "20", "18")
    found = await score(task(evaluate=["fussy", "same"]), samples, predictions, components(fussy=Fussy))
    assert [s.outcome for s in found["fussy"]] == ["correct", "error", "correct"]
    assert found["fussy"][1].details == {"raised": "ValueError: 20 is too many"}
    assert found["fussy"][1].answer == "20"
    assert [s.outcome for s in found["same"]] == ["correct", "wrong", "correct"]


async def test_an_evaluator_adds_details_to_a_sample_that_it_could_not_grade():
    class Sized(Same):
        def score(self, answer, sample):
            raise ValueError("no")

        def ungraded_details(self, sample):
            return {"parts": len(sample.target), "failure": "its own"}

    samples, predictions = asked("18")
    failed = Prediction("0", failure=Failure("timeout", "no byte"))
    for replies, reason in (
        (predictions, {"raised": "ValueError: no", "failure": "its own"}),
        ([failed], {}),
    ):
        (graded,) = (await score(task(evaluate=["sized"]), samples, replies, components(sized=Sized)))[
            "sized"
        ]
        assert graded.details == {"parts": 2, "failure": "timeout: no byte", **reason}


async def test_details_that_cannot_be_made_do_not_hide_why_a_sample_failed():
    class Broken(Same):
        def ungraded_details(self, sample):
            raise KeyError("parts")

    failed = Prediction("0", failure=Failure("timeout", "no byte"))
    made = components(broken=Broken)
    (graded,) = (await score(task(evaluate=["broken"]), asked("")[0], [failed], made))["broken"]
    assert (graded.outcome, graded.details) == ("error", {"failure": "timeout: no byte"})


async def test_one_sample_that_breaks_a_step_is_an_error_for_every_evaluator():
    def breaking():
        return lambda text, sample: {"18": "18"}[text]

    samples, predictions = asked("18", "20")
    made = components(breaking=breaking)
    found = await score(task(["breaking"], ["same", "same"]), samples, predictions, made)
    assert list(found) == ["same", "same-2"]
    for scores in found.values():
        assert [s.outcome for s in scores] == ["correct", "error"]
        assert scores[1].details == {"raised": "KeyError: '20'"}


async def test_an_evaluator_may_wait_and_a_bounded_number_waits_at_a_time():
    class Slow(Evaluator):
        waiting = most = 0

        async def score(self, answer, sample):
            Slow.waiting += 1
            Slow.most = max(Slow.most, Slow.waiting)
            for _ in range(5):
                await asyncio.sleep(0)
            Slow.waiting -= 1
            if answer == "20":
                raise RuntimeError
            return Score(float(answer == "18"))

    samples, predictions = asked(*["18", "20", "3"] * 10)
    found = await score(task(evaluate=["slow"]), samples, predictions, components(slow=Slow), concurrency=4)
    assert [s.outcome for s in found["slow"]] == ["correct", "error", "wrong"] * 10
    assert found["slow"][1].details == {"raised": "RuntimeError"}
    assert Slow.most == 4


async def test_an_evaluators_own_outcome_wins_and_its_unparsed_means_no_answer():
    class Saying(Evaluator):
        def score(self, answer, sample):
            return Score(0.0, "refused" if answer == "no" else "unparsed", answer=f"<{answer}>")

    samples, predictions = asked("no", "what")
    cut = [*predictions, Prediction("1", text="so many", finish_reason="length")]
    found = await score(task(evaluate=["saying"]), samples, predictions, components(saying=Saying))
    assert [(s.outcome, s.answer) for s in found["saying"]] == [("refused", "<no>"), ("unparsed", "<what>")]
    found = await score(task(evaluate=["saying"]), samples, cut, components(saying=Saying))
    assert found["saying"][1].outcome == "truncated"


async def test_only_an_evaluator_that_asks_for_it_sees_samples_without_an_answer():
    class Empty(Evaluator):
        grades_none = True

        def score(self, answer, sample):
            return Score(float(answer is None), "correct" if answer is None else None)

    samples, predictions = asked("", "18")
    found = await score(task(evaluate=["empty", "same"]), samples, predictions, components(empty=Empty))
    assert [s.outcome for s in found["empty"]] == ["correct", "wrong"]
    assert [s.outcome for s in found["same"]] == ["unparsed", "correct"]


async def test_metrics_know_the_k_of_the_task_unless_an_evaluator_sums_up_itself():
    class Own(Same):
        def summarize(self, scores):
            return []

    samples, first = asked("18", "20")
    second = [Prediction(p.sample_id, repeat=1, text=p.text) for p in first]
    wanted = task(evaluate=["same", "own"], repeats={"k": [1]})
    made = components(own=Own)
    metrics = measure(wanted, await score(wanted, samples, [*first, *second], made), made)
    names = [m.name for m in metrics["same"] if m.group is None]
    assert names[:5] == ["accuracy (2 runs average)", "avg@2", "pass@1", "cons@1", "maj@1"]
    assert metrics["own"] == []


async def test_details_have_an_entry_a_sample_and_a_list_with_repeats():
    samples, predictions = asked("it is 18", "it is 20")
    scores = (await score(task(), samples, predictions, components()))["same"]
    shown = evaluator_details(scores, samples, predictions, {"0": "How many?", "1": "And now?"})
    assert list(shown) == ["0", "1"]
    assert shown["1"] == {
        "prompt": "And now?",
        "origin_prediction": "it is 20",
        "predictions": "20",
        "references": "18",
        "correct": False,
        "outcome": "wrong",
        "value": 0.0,
        "rule": "last-word",
        "span": [6, 8],
    }
    twice = [*predictions, Prediction("0", repeat=1, text="18")]
    scores = (await score(task(), samples, twice, components()))["same"]
    shown = evaluator_details(scores, samples, twice, {})
    assert [entry["origin_prediction"] for entry in shown["0"]] == ["it is 18", "18"]
    assert len(shown["1"]) == 1


async def test_a_wrong_name_or_option_is_named_by_its_place_before_anything_is_graded():
    plugins = Plugins.load()
    with pytest.raises(UnknownName, match="no postprocessor named 'last-numbr'; did you mean 'last-number'"):
        await score(task(["last-numbr"], []), {}, [], plugins)
    wrong = {"use": "numeric-match", "tolerence": 1}
    with pytest.raises(ConfigError, match=r"task\.evaluate\[1\]"):
        await score(task([], ["exact-match", wrong]), {}, [], plugins)
