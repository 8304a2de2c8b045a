"""Answers with several letters, and values of open questions: found and compared."""

import time

import pytest

from aisb import Extract, Sample
from aisb_dataset_exams._answers import ExamMatch, exam_answer, same_value

ASKED = Sample("0", {}, "ACD", ("一", "二", "三", "四"))
OPEN = Sample("0", {}, "\\frac{1}{2}")


def found(text, sample=ASKED):
    answer = exam_answer()(text, sample)
    return answer.text if isinstance(answer, Extract) else answer


@pytest.mark.parametrize(
    "text",
    [
        "ACD",
        "A、C、D",
        "答案：ACD",
        "【答案】ACD",
        "故选ACD。",
        "因此，正确选项为 A、C、D。",
        "B说法错误。\n综上，ACD正确。\n答案是：A，C，D",
        "The answer is A, C and D.",
        "The correct options are (A), (C), (D).",
        "**Answer: ACD**",
        "$\\boxed{ACD}$",
        "\\boxed{\\text{A, C, D}}",
        "ＡＣＤ",
        "答案是AB。不对，重新看，答案是ACD。",
        "选项B错误，因此ACD正确。",
        "本题答案为ACD。",
        "选项A、C、D正确。",
        "正确的是ACD。",
        "正确的有：A、C、D",
        "A. 正确\nB. 错误\nC. 正确\nD. 正确",
        "A：对；B：不对；C：对；D：对",
    ],
)
def test_several_letters_are_found_however_they_are_written(text):
    assert ExamMatch().score(found(text), ASKED).value == 1
    unknown = Sample("0", {}, "ACD")  # a row without its options
    assert ExamMatch().score(found(text, unknown), unknown).value == 1


@pytest.mark.parametrize("text", ["AC", "答案：ABCD", "The answer is A.", "A", "ACE"])
def test_other_letters_fewer_or_more_are_wrong(text):
    assert ExamMatch().score(found(text) or "", ASKED).value == 0


@pytest.mark.parametrize(
    ("text", "letters"),
    [
        ("答案是C。选项A、B、D错误。", "C"),
        ("The answer is C. Options A, B and D are wrong.", "C"),
        ("The answer is A because B and C are wrong.", "A"),
        ("A项正确，B项错误，D项错误。故选A", "A"),
    ],
)
def test_letters_that_are_called_wrong_are_not_chosen(text, letters):
    assert ExamMatch().score(found(text), Sample("0", {}, letters, ASKED.choices)).value == 1


@pytest.mark.parametrize(
    ("text", "letters"),
    [
        ("A项正确，B项错误，C项正确，D项错误。\n【答案】AC", "AC"),
        ("【答案】AC\n【解析】A正确，B错误，C正确，D错误。", "AC"),
        ("B和D是对的，A不对。\n答案：D", "D"),
        ("A选项正确，B选项正确，C选项有误。答案是AB", "AB"),
        ("因此A正确，所以C也正确。\n【答案】AC", "AC"),
        ("【答案】BC【解析】故B正确，因此C正确", "BC"),
        ("D选项正确，但题目要求选错误的。\n答案：C", "C"),
        ("A、B、D说法正确，C说法错误。答案：C", "C"),
        ("【答案】B\n解析：A项正确，但与题意无关。", "B"),
        ("A is correct. B is wrong. D is correct.\n\nAnswer: A, D", "AD"),
        ("The answer is B. A is correct in winter only.", "B"),
        ("A and C are correct, B and D are false. So the answer is AC.", "AC"),
        ("综上所述，BCD正确，A错误。", "BCD"),
        ("A对，C对。\n\n**AC**", "AC"),
        ("故选：BD", "BD"),
        ("答案：A，C。", "AC"),
        ("【答案】C\nA选项：正确。", "C"),
        ("A正确；B错误；C正确；D错误。", "AC"),
        ("AB不正确，CD正确", "CD"),
        ("A is correct. B is wrong. C is also correct.", "AC"),
        ("A和B都正确，所以选D。", "D"),
    ],
)
def test_what_is_given_as_the_answer_outranks_options_judged_one_by_one(text, letters):
    assert ExamMatch().score(found(text), Sample("0", {}, letters, ASKED.choices)).value == 1


@pytest.mark.parametrize(
    ("text", "letters"),
    [
        ("D选项正确。\n答案：C", "D"),
        ("A正确；B错误；C正确；D错误。", "C"),
        ("答案：A，C。", "A"),
        ("【答案】AC\n【解析】A正确，故D正确。", "D"),
        ("B和D是对的。答案：D", "BD"),
        ("答案：AC。A正确。", "A"),
    ],
)
def test_an_option_that_is_only_judged_right_is_not_chosen_beside_an_answer(text, letters):
    assert ExamMatch().score(found(text), Sample("0", {}, letters, ASKED.choices)).value == 0


@pytest.mark.parametrize("text", ["I cannot say.", "A CAD drawing is needed.", ""])
def test_a_text_without_a_choice_has_no_answer(text):
    assert found(text) is None


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("So x is $\\frac{1}{2}$.", "\\frac{1}{2}"),
        ("The answer is 3.", "3"),
        ("Thus \\boxed{[0,2]}, as said.", "[0,2]"),
        ("First 1.\n42", "42"),
        ("答案是：5；10", "5；10"),
    ],
)
def test_the_value_of_an_open_question_is_found(text, value):
    assert found(text, OPEN) == value


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("\\dfrac12", "$\\frac{1}{2}$"),
        ("0.5", "\\frac{1}{2}"),
        ("x = 3", "3"),
        ("371043", "371,\\!043"),
        ("$5$; $10$", "5;10"),
        ("5, 10", "$5$;$10$"),
        ("\\left[ 0, 2 \\right]", "$[0,2]$"),
        ("90", "$90^{\\circ}$"),
        ("1-5i", "$1-5\\mathrm{i}$"),
        ("2\\sqrt2", "$2\\sqrt{2}$"),
        ("even", "\\text{even}"),
    ],
)
def test_values_that_only_look_different_are_the_same(given, wanted):
    assert same_value(given, wanted)


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("2", "2\\sqrt{2}"),
        ("5", "5;10"),
        ("10;5", "5;10"),
        ("[0,2)", "[0,2]"),
        ("\\frac{1}{3}", "\\frac{1}{2}"),
        ("", "3"),
        ("-3", "3"),
    ],
)
def test_other_values_are_not(given, wanted):
    assert not same_value(given, wanted)


@pytest.mark.parametrize("unit", ["f(", "A、", "A and ", "(A)", "答案是A", "12+34+"])
def test_the_search_takes_time_in_proportion_to_the_text(unit):
    step = exam_answer()

    def seconds(size):
        text = unit * (size // len(unit))
        start = time.process_time()
        step(text, ASKED)
        return time.process_time() - start

    # Four times the text may take four times as long; what grows with the square takes 16 times.
    assert any(seconds(24_000) <= 6 * max(seconds(6_000), 0.01) for _ in range(3))
