"""How the page holds texts: prefixes once, long ones without their middle, positions as scripts count them."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from aisb_reporter_html._texts import Shared, beginnings, excerpt, shorten, text_pieces, turns


def test_a_prefix_that_prompts_share_is_kept_once():
    shared = Shared()
    intro = "You are given a question about anatomy. Think, then give the letter of the answer.\n\n"
    prompts = [[("user", f"{intro}Question: {text}?")] for text in ("Where", "What", "Who else")]
    found = shared.split(prompts)
    (prefix,) = shared.texts
    assert prefix == f"{intro}Question: "
    assert [turn[0][1:] for turn in found] == [(0, "Where?"), (0, "What?"), (0, "Who else?")]


def test_families_of_prompts_have_a_prefix_each_and_a_lone_one_has_none():
    shared = Shared()
    intros = [
        "Answer this question on law, and nothing else, with one letter of the options: " * 2,
        "M" * 100 + " ",
    ]
    prompts = [[("", intro + word)] for intro in intros for word in ("one x", "two y", "six z")]
    prompts.append(
        [("", "Quite another prompt that no other begins as, of more than sixty-four characters in all.")]
    )
    found = shared.split(prompts)
    assert sorted(shared.texts) == sorted(intros)
    assert found[-1] == [("", -1, prompts[-1][0][1])]


def test_turns_that_are_the_same_everywhere_are_kept_once():
    shared = Shared()
    shot = "Question: a long example of a question, that stands in every prompt alike, to be read first"
    found = shared.split([[("user", shot), ("user", "a?")], [("user", shot), ("user", "b?")]])
    assert found == [[("user", 0, ""), ("user", -1, "a?")], [("user", 0, ""), ("user", -1, "b?")]]


@settings(deadline=None)  # a busy machine is no mistake
@given(st.lists(st.text(alphabet="ab \n", max_size=200).map(lambda text: "shared words " * 6 + text)))
def test_prefix_and_rest_are_always_the_text(texts):
    shared = Shared()
    split = shared.split([[("user", text)] for text in texts])
    again = [("" if place < 0 else shared.texts[place]) + rest for ((_, place, rest),) in split]
    assert again == texts


def test_a_long_text_keeps_its_ends_and_says_what_is_left_out():
    short, gaps, span = shorten("a" * 500 + "b" * 5000 + "c" * 500, 1000)
    assert short == "a" * 500 + "c" * 500
    assert (gaps, span) == ([(500, 5000)], None)


def test_what_was_extracted_is_kept_wherever_it_stands():
    text = "x" * 4000 + "ANSWER" + "y" * 4000
    short, gaps, span = shorten(text, 1000, (4000, 4006))
    assert short[span[0] : span[1]] == "ANSWER"
    assert len(short) + sum(count for _, count in gaps) == len(text)
    assert len(gaps) == 2


@settings(deadline=None)  # a busy machine is no mistake
@given(st.text(alphabet="aé😀", max_size=60), st.integers(0, 60), st.integers(1, 8), st.integers(2, 40))
@example(text="aaa", start=0, length=2, most=2)
@example(text="a" * 900, start=0, length=451, most=40)
@example(text="é" * 900, start=650, length=250, most=3)
def test_a_span_marks_the_same_words_in_what_is_left(text, start, length, most):
    span = (min(start, len(text)), min(start + length, len(text)))
    short, gaps, moved = shorten(text, most, span)
    units = short.encode("utf-16-le")
    assert units[2 * moved[0] : 2 * moved[1]].decode("utf-16-le") == text[span[0] : span[1]]
    assert len(short) + sum(count for _, count in gaps) == len(text)


def test_positions_are_counted_as_scripts_count_them():
    assert shorten("😀😀18", 100, (2, 4)).span == (4, 6)


@pytest.mark.parametrize(
    ("raw", "reasoning", "found"),
    [
        ("plain", [], [("visible", "plain")]),
        ("<think>hm</think>so 4", [(0, 17)], [("reasoning", "<think>hm</think>"), ("visible", "so 4")]),
        ("a<think>hm", [[1, 10]], [("visible", "a"), ("reasoning", "<think>hm")]),
        ("<think>never ends", [(0, 17)], [("reasoning", "<think>never ends")]),
        ("", [], []),
    ],
)
def test_reasoning_stands_apart_from_what_is_visible(raw, reasoning, found):
    assert [tuple(piece) for piece in text_pieces(raw, reasoning)] == found


def test_a_part_that_is_no_text_is_named():
    content = [
        {"type": "text", "text": "see"},
        {"type": "image_url", "image_url": "data:image/png;base64," + "A" * 90},
    ]
    assert turns([{"role": "user", "content": content}]) == [
        ("user", f"see\n[image_url: data:image/png;base64,{'A' * 38}…]")
    ]


def test_an_excerpt_is_what_a_prompt_has_of_its_own():
    assert excerpt([("user", 0, ""), ("user", -1, "Question:  how\nmany?")]) == "Question: how many?"
    assert excerpt([("user", 0, "one two three four")], 9) == "one two…"
    assert excerpt([("user", 0, "one two")], 7) == "one two"
    assert excerpt([("user", 0, "one" + 40 * " " + "two")], 9) == "one…"
    assert beginnings(["Question: how", "Question: why", "Question: who"]) == ["how", "why", "who"]
