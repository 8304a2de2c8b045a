"""What counts as the same number, the same text, the same choice."""

import pytest

from aisb import ConfigError, Sample
from aisb._plugins import Plugins
from aisb_evaluator_text._matching import ChoiceMatch, ExactMatch, NumericMatch


def right(judge, answer: str, target, choices: tuple[str, ...] = ()) -> bool:
    return judge.score(answer, Sample("0", {}, target, choices)).value == 1


@pytest.mark.parametrize(
    ("answer", "target"),
    [
        ("18", "18"), ("18.0", "18"), ("36/2", 18), ("18", 18.0), ("1,234", "1234"), ("$70,000.00", "70000"),
        ("50%", "50"), ("50%", "0.5"), ("0.5", "50%"), ("1/2", "0.5"), ("2 1/2", 2.5), ("-5", "−5"), ("70k", 70000),
        ("5 million", "5"), ("eighteen", "18"), ("十八", "18"), ("１８", "18"), ("x = 18", "18"), ("10:45", "10:45"),
        ("0.1", 0.1), ("7", ["6", "7"]), ("1e3", "1000"),
    ],
)  # fmt: skip
def test_numbers_are_compared_by_value(answer: str, target):
    assert right(NumericMatch(), answer, target)


@pytest.mark.parametrize(
    ("answer", "target"),
    [
        ("18", "20"),
        ("-5", "5"),
        ("0.33", "1/3"),
        ("18.4", "18"),
        ("10:45", "10"),
        ("5%", "50"),
        ("234", "1234"),
        ("7", []),
    ],
)
def test_other_numbers_are_wrong(answer: str, target):
    graded = NumericMatch().score(answer, Sample("0", {}, target))
    assert (graded.value, graded.outcome) == (0, None)


@pytest.mark.parametrize("answer", ["18 or 20", "none", "3, 5"])
def test_several_numbers_or_none_are_no_answer(answer: str):
    graded = NumericMatch().score(answer, Sample("0", {}, "18"))
    assert (graded.value, graded.outcome) == (0, "unparsed")


def test_the_tolerance_is_absolute():
    assert right(NumericMatch(tolerance=0.01), "0.33", "1/3")
    assert not right(NumericMatch(tolerance=0.001), "0.33", "1/3")
    assert right(NumericMatch(), "0.3333333", "1/3")
    assert not right(NumericMatch(tolerance=0), "0.3333333", "1/3")


def test_equal_numbers_have_one_vote():
    votes = {
        NumericMatch().score(text, Sample("0", {}, "1")).details["vote"]
        for text in ("70,000", "70000.0", "70k")
    }
    assert votes == {"70000"}


def test_text_is_compared_as_it_is_unless_told_otherwise():
    assert right(ExactMatch(), " New \n York ", "New York")
    assert not right(ExactMatch(), "new york", "New York")
    assert right(ExactMatch(ignore_case=True), "new york", "New York")
    assert not right(ExactMatch(), "U.S.A.", "USA")
    assert right(ExactMatch(ignore_punctuation=True), "“Paris”。", "Paris")
    assert right(ExactMatch(ignore_articles=True), "The cat", "cat")
    assert right(ExactMatch(), "b", ["a", "b"])


def test_what_would_normalise_to_nothing_stays_itself():
    loose = ExactMatch(ignore_case=True, ignore_punctuation=True, ignore_articles=True)
    assert not right(loose, "anything", "The The")
    assert not right(loose, "a", "the")
    assert not right(loose, "!", "?")
    assert right(loose, "the the", "The The")


def test_a_choice_is_its_letter_or_its_text():
    cities = ("Berlin", "Paris", "Rome")
    for answer, target in (
        ("B", "B"),
        ("b", "B"),
        ("(B)", "B"),
        ("Ｂ", "B"),
        ("Paris", "B"),
        ("B", "Paris"),
        ("paris", "Paris"),
    ):
        assert right(ChoiceMatch(), answer, target, cities), (answer, target)
    for answer, target in (("A", "B"), ("Lyon", "B"), ("A or B", "B"), ("", "B")):
        assert not right(ChoiceMatch(), answer, target, cities), (answer, target)


def test_a_tolerance_that_cannot_be_is_refused():
    with pytest.raises(ConfigError) as raised:
        Plugins.load().make("evaluator", "numeric-match", {"tolerance": -1}, where="task.evaluate[0]")
    assert str(raised.value) == "task.evaluate[0]: tolerance = -1.0: it must be a number from 0, such as 0.01"
