"""Each rule that finds a number, a choice, a box or an answer line; and inputs made to hurt."""

import random
import time
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aisb import ConfigError, Extract, Sample
from aisb._plugins import Plugins
from aisb_evaluator_text import _numbers as numbers
from aisb_evaluator_text import _spelled as spelled
from aisb_evaluator_text._choices import choice
from aisb_evaluator_text._languages import english_numbers, row_language
from aisb_evaluator_text._marked import (
    ANSWER_MARK,
    answer_line,
    answer_marks,
    answer_text,
    boxed,
    find_boxes,
)
from aisb_evaluator_text._number_steps import last_number, number

CITIES = Sample("0", {}, "B", ("Berlin", "Paris", "Rome", "Madrid"))
NONE = Sample("0", {}, None)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("$1,234.50", [("1234.50", "1234.5")]),
        ("1,00,000", [("100000", "100000")]),
        ("1,2,3", [("1", "1"), ("2", "2"), ("3", "3")]),
        ("100，200", [("100", "100"), ("200", "200")]),
        ("１，２３４", [("1234", "1234")]),
        ("70{,}000 and 1\u202f234", [("70000", "70000"), ("1234", "1234")]),
        ("-5", [("-5", "-5")]),
        ("−5", [("-5", "-5")]),
        ("is - 5", [("-5", "-5")]),
        ("-$5 and $-6", [("-5", "-5"), ("-6", "-6")]),
        ("10-5", [("10", "10"), ("5", "5")]),
        ("10 - 5", [("10", "10"), ("5", "5")]),
        ("5–10", [("5", "5"), ("10", "10")]),
        ("- 5 apples", [("5", "5")]),
        ("16 eggs minus 7", [("16", "16"), ("7", "7")]),
        ("负5", [("-5", "-5")]),
        (".5 and No.5 and ...5", [(".5", "0.5"), ("5", "5"), ("5", "5")]),
        ("3/4", [("3/4", "3/4")]),
        ("2 1/2 or 2½", [("2 1/2", "5/2"), ("2 1/2", "5/2")]),
        (r"\frac{3}{4} \dfrac34", [("3/4", "3/4"), ("3/4", "3/4")]),
        ("1.5e3", [("1.5e3", "1500")]),
        (r"1.5 \times 10^{3}", [("1.5e3", "1500")]),
        ("2×10³", [("2e3", "2000")]),
        ("2^10", [("2^10", "1024")]),
        ("5 m^2", [("5", "5")]),
        ("70k", [("70k", "70000")]),
        ("1.5 million", [("1.5 million", "1500000")]),
        ("3.5万元", [("3.5万", "35000")]),
        ("5千克", [("5", "5")]),
        ("50%", [("50%", "1/2")]),
        ("百分之50", [("50%", "1/2")]),
        ("x1", []),
        ("USD18", [("18", "18")]),
        ("٣٤", [("34", "34")]),
    ],
)
def test_numbers_are_read_as_they_are_written(text: str, found: list[tuple[str, str]]):
    assert [(n.text, n.readings[0]) for n in numbers.find_numbers(text)] == [
        (t, Fraction(v)) for t, v in found
    ]


@pytest.mark.parametrize(
    "text", ["10:45", "2026-11-21", "12/25/2026", "1.2.3", "1/0", "9" * 5000, "1e999999999"]
)
def test_what_is_no_value_is_kept_as_text(text: str):
    assert [(n.text, n.readings) for n in numbers.find_numbers(text)] == [(text, ())]


@given(
    st.decimals(-(10**9), 10**9, places=2),
    st.sampled_from(["{:,}", "{}", "The answer is {:,}.", "{:,} eggs"]),
)
def test_any_decimal_is_read_back(value, form: str):
    (found,) = numbers.find_numbers(form.format(value))
    assert found.readings[0] == Fraction(str(value))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("eighteen", 18),
        ("two hundred and five", 205),
        ("twenty-one thousand", 21000),
        ("a hundred", 100),
        ("minus three", -3),
        ("十八", 18),
        ("两千零二十四", 2024),
        ("二〇二四", 2024),
        ("两万五", 25000),
        ("一亿二千万", 120_000_000),
        ("零点五", Fraction(1, 2)),
        ("三分之二", Fraction(2, 3)),
        ("百分之五十", Fraction(1, 2)),
    ],
)
def test_spelled_numbers_are_read(text: str, value: Fraction):
    (found,) = spelled.find_spelled(text)
    assert found.readings[0] == value


@pytest.mark.parametrize(
    ("text", "answer", "rule", "explicit"),
    [
        ("18", "18", "bare", True),
        (r"He needs \boxed{8} packs for 30 days.", "8", "boxed", True),
        ("9 * 2 = 18\n#### 18", "18", "hash-marks", True),
        ("The answer is 18, not 20.", "18", "answer-words", True),
        ("Answer: 18\n16 eggs minus 7 is 9", "18", "answer-words", True),
        (r"\boxed{20}. Wait, no. The answer is 18.", "18", "answer-words", True),
        ("答案是18，不是20。", "18", "answer-words", True),
        ("She makes **$18** a day for 7 days.", "18", "last-bold", False),
        ("She makes 18 dollars, not 20.", "18", "last-number", False),
        ("She has eighteen eggs.", "eighteen", "last-spelled-number", False),
        ("Answer: Janet has 16 eggs. She sells 9 for $18.", "18", "last-number", False),
    ],
)
def test_every_rule_for_numbers_names_itself(text: str, answer: str, rule: str, explicit: bool):
    found = number()(text, NONE)
    assert (found.text, found.rule, found.explicit) == (answer, rule, explicit)
    assert answer in text[slice(*found.span)]


def test_without_the_fallback_only_a_marked_number_counts():
    assert number(fallback=False)("She makes 18 dollars.", NONE) is None
    assert number(fallback=False)("The answer is 18.", NONE).text == "18"


def test_last_number_is_literal():
    text = r"The answer is \boxed{8} packs for 1,030 days."
    assert last_number()(text, NONE) == Extract("1030", "last-number", (34, 39))
    assert last_number()("none", NONE) is None


@pytest.mark.parametrize(
    ("text", "letter", "rule"),
    [
        ("B", "B", "bare"),
        ("B. Paris\n\nA is in Germany.", "B", "first-letter"),
        ("It is in France.\n\n**B**", "B", "own-line"),
        (r"\boxed{\text{(B)}}", "B", "boxed"),
        ("Answer: A. No. Answer: B", "B", "announced"),
        ("不选A，故选B。", "B", "announced"),
        ("A is wrong and B is right.", "B", "judged"),
        ("option B is wrong, so C", "C", "concluded"),
        ("All of the above (D)", "D", "last-letter"),
        ("The capital is Paris.", "B", "option-text"),
    ],
)
def test_every_rule_for_choices_names_itself(text: str, letter: str, rule: str):
    found = choice()(text, CITIES)
    assert (found.text, found.rule) == (letter, rule)
    assert found.explicit is (rule not in ("last-letter", "option-text"))
    assert text[slice(*found.span)] in (letter, "Paris")


@pytest.mark.parametrize(
    "text",
    [
        "I cannot answer that. D",
        "I don't think the answer is B.",
        "The answer is a good one.",
        "Today we look at capitals.",
        "Rich in vitamin C.",
        "A. Berlin\nB. Paris\nC. Rome\nD. Madrid",
        "It is A or B, I think.",
        "Is it A?",
        "A错误，B错误",
        "",
    ],
)
def test_no_letter_is_taken_where_none_is_chosen(text: str):
    assert choice()(text, CITIES) is None


def test_two_letters_are_kept_as_they_stand():
    assert choice()("The answer is A or B.", CITIES).text == "A or B"
    assert choice()(r"\boxed{A, C}", CITIES).text == "A, C"


def test_the_letters_are_those_of_the_sample_or_of_the_option():
    ten = Sample("0", {}, "J", tuple("abcdefghij"))
    assert choice()("The answer is (J).", ten).text == "J"
    assert choice()("The answer is (J).", CITIES) is None
    assert choice(options="ab")("Answer: B", ten).text == "B"


@pytest.mark.parametrize(
    ("text", "inner"),
    [
        (r"\boxed{\frac{1}{2}} then \boxed{18}", "18"),
        (r"\boxed{\frac{1}{2}}", r"\frac{1}{2}"),
        (r"\fbox{ x }", "x"),
        (r"\boxed{\{1, 2\}}", r"\{1, 2\}"),
        (r"\boxed{18} and \boxed{cut", "18"),
        (r"\boxed 5.", "5"),
        (r"\boxed{1} \boxed{}", "1"),
    ],
)
def test_the_last_whole_box_counts(text: str, inner: str):
    found = boxed()(text, NONE)
    assert (found.text, found.rule, found.explicit) == (inner, "boxed", True)
    assert text[slice(*found.span)] == inner


def test_no_box_is_no_answer():
    assert boxed()(r"18 \boxed{cut", NONE) is None
    assert find_boxes("{}}{{}") == []


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("Answer: Paris", "Paris"),
        ("so **Answer:** *Paris*.", "Paris"),
        ("Answer:\n\nParis\nBecause …", "Paris"),
        ("The answer is Paris.\nThe answer is: Rome.", "Rome"),
        ("答案：巴黎。", "巴黎"),
        ("<answer>Paris</answer>", "Paris"),
    ],
)
def test_the_answer_line_follows_the_last_mark(text: str, line: str):
    found = answer_line()(text, NONE)
    assert found.text == text[slice(*found.span)] == line
    assert found.explicit


@pytest.mark.parametrize(
    ("text", "answer", "rule"),
    [
        ("It is \\boxed{\\text{Lake Como}}.", "Lake Como", "boxed"),
        ("\\fbox{Lake Como}", "Lake Como", "boxed"),
        ("$\\boxed{\\mathbf{Como}}$ it is", "Como", "boxed"),
        ("\\boxed{\\text{Answer: Como}}", "Como", "boxed"),
        ("Answer: $\\boxed{\\text{Como}}$", "Como", "boxed"),
        ("\\boxed{Garda}\n\nAnswer: Como", "Como", "answer-line"),
        ("Answer: Garda\n\n\\boxed{Como}", "Como", "boxed"),
        ("<answer>Como</answer>", "Como", "answer-line"),
        ("Garda?\n<ANSWER>\nComo\n</ANSWER>", "Como", "answer-line"),
        ("Answer: $\\text{Como}$", "Como", "answer-line"),
        ("The answer to this is Como.", "Como", "answer-line"),
        ("Die Antwort lautet Como.", "Como", "answer-line"),
        ("La réponse est Como.", "Como", "answer-line"),
        ("答案是科莫湖。", "科莫湖", "answer-line"),
        ("Como\n\nThis answer assumes that a lake is meant.", "Como", "first-line"),
        ("Como\n\nNote that \\boxed is not needed.", "Como", "first-line"),
        ("Como\n\nGive your reply as \\boxed{answer}.", "Como", "first-line"),
    ],
)
def test_an_answer_in_words_is_boxed_announced_or_the_first_line(text: str, answer: str, rule: str):
    found = answer_text()(text, NONE)
    assert (found.text, found.rule) == (answer, rule)
    assert text[slice(*found.span)] == answer


@pytest.mark.parametrize(
    ("text", "language", "written"),
    [
        ("1.800 und 3,5", "de", "1,800 und 3.5"),
        ("1.234,50", "es", "1,234.50"),
        ("1 800 et 1\u202f234,5", "fr", "1,800 et 1,234.5"),
        ("1,200", "de", "1,200"),
        ("0,5 und 1,125", "de", "0.5 und 1.125"),
        ("2.5 und 1.125", "de", "2.5 und 1.125"),
        ("2.5 und 1.200", "de", "2.5 und 1,200"),
        ("1,2,3 und 12.05.2020", "de", "1,2,3 und 12.05.2020"),
        ("1.800 und 3,5", "en", "1.800 und 3,5"),
    ],
)
def test_numbers_of_a_language_are_written_as_english_does_in_the_same_places(text, language, written):
    assert english_numbers(text, language) == written


@pytest.mark.parametrize("text", ["Richtig\tist 3,5", "Richtig ist 3,5", "RICHTIG\nIST: 3,5"])
def test_an_answer_mark_names_its_language_with_any_space_in_it(text: str):
    assert row_language(NONE, text) == "de"
    assert number()(text, NONE).text == "3.5"


def test_a_mark_of_no_single_language_names_none():
    assert row_language(NONE, "正解 答案 X が 5") in ("", "ja")
    assert row_language(NONE, "The answer is 5") == ""


PARTS = (
    "answer", "Answers", "ANSWER:", " is ", " are", "=", ":", "\n", "\nA: ", " # a : ", "A:", "*", "<answer>", "</answer>",
    "an", "the answer would be ", "answer key: ", "_", "5", " ", "?", ".", "<", "antwort: ", "x",
)  # fmt: skip


def test_answer_marks_of_an_ascii_text_are_those_of_a_whole_search():
    draw, found = random.Random(20261201), 0
    for _ in range(3000):
        text = "".join(draw.choices(PARTS, k=draw.randint(0, 12)))
        whole = [match.span() for match in ANSWER_MARK.finditer(text)]
        english = [mark.span() for mark in answer_marks(text) if mark.re.pattern == ANSWER_MARK.pattern]
        assert english == whole
        found += len(whole)
    assert found > 1000


def test_the_first_answer_line_can_be_asked_for():
    assert answer_line(which="first")("Answer: Paris\nAnswer: Rome", NONE).text == "Paris"
    assert answer_line()("Paris", NONE) is None


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("choice", {"options": "AAB"}, "options = 'AAB': it must be letters, each once, such as 'ABCD'"),
        ("answer-line", {"which": "second"}, "which = 'second': it must be 'last' or 'first'"),
    ],
)
def test_a_wrong_option_says_what_would_be_right(name: str, options: dict, message: str):
    with pytest.raises(ConfigError) as raised:
        Plugins.load().make("postprocessor", name, options, where="task.postprocess[0]")
    assert str(raised.value) == f"task.postprocess[0]: {message}"


UNITS = (
    "1", "1,", "1,111", "1/", "1:", "1 ", "1.", ".", "-", "$", " ", "\n", "a", "A ", "A,", "A\n", "A****", "(", "*", "#", "####",
    "选", "答案", "一", "one ", "so ", "not ", "sorry ", "answer ", "answer: ", "Answer:    ", "The answer is 5. wait ",
    "is (A ", "{", "\\boxed{", "\\frac{", "1 x 10^", "\nQuestion:", "1\nQ:", "\n \t", "<", "百分之",
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("make", [choice, number, last_number, boxed, answer_line, answer_text])
def test_no_text_takes_more_than_its_length(make):
    step = make()

    def seconds(text: str) -> float:
        start = time.perf_counter()
        step(text, CITIES)
        return time.perf_counter() - start

    for unit in UNITS:
        short, long = unit * (8_000 // len(unit)), unit * (64_000 // len(unit))
        # Eight times the text may take eight times as long; what grows with the square takes 64 times.
        for _ in range(4):
            if seconds(long) < 24 * max(seconds(short), 0.005):
                break
        else:
            pytest.fail(f"{unit!r} takes more than its length")


def test_a_megabyte_is_read():
    text = "She sells 9 eggs for (B) $1,234. " * 30_000 + "\n\nThe answer is 18."
    assert number()(text, NONE).text == "18"
    assert last_number()(text, NONE).text == "18"
    assert choice()(text + " The answer is B.", CITIES).text == "B"
    assert boxed()("\\boxed{" * 70_000 + "1" + "}" * 70_000, NONE).text == "1"


@given(st.text(alphabet="ABCDansweri:=.,-$%*\\boxed{}()#0123456789/^\n 答案是选一十<>", max_size=80))
def test_any_text_gives_a_span_in_it_or_nothing(text: str):
    for make in (choice, number, last_number, boxed, answer_line):
        found = make()(text, CITIES)
        if found:
            start, end = found.span
            assert 0 <= start < end <= len(text)


def test_random_bytes_break_no_step():
    draw = random.Random(3)
    for _ in range(300):
        text = "".join(
            chr(
                draw.choice([draw.randrange(32, 127), draw.randrange(0x4E00, 0x4E80), draw.randrange(0x2000)])
            )
            for _ in range(60)
        )
        for make in (choice, number, last_number, boxed, answer_line):
            found = make()(text, CITIES)
            assert found is None or found.text.strip(), repr(text)
