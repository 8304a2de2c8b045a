"""The checks of IFBench that are offered, one by one: what follows each, and what does not."""

import pytest

from aisb_evaluator_instruct._ifbench import CHECKS

FIVE = {f"keyword{n}": word for n, word in enumerate(["one", "two", "three", "four", "five"], start=1)}
EACH = " ".join(["one", *["two"] * 2, *["three"] * 3, *["four"] * 5, *["five"] * 7])
PALINDROMES = "level radar civic madam refer rotor kayak tenet solos stats"

CASES = [
    ("count:keywords_multiple", FIVE, EACH, EACH + " one"),
    ("count:conjunctions", {"small_n": 3.0}, "This and that, but not so.", "This and that and more."),
    ("count:numbers", {"N": 2}, "It is 3.5 of 1,000.", "It is 3 of 4 or 5."),
    ("count:unique_word_count", {"N": 3}, "a b c", "a b a B"),
    ("count:punctuation", {}, "Well, yes; so: it is! Is it? What?! End.", "Well, yes."),
    ("count:word_count_range", {"min_words": 2, "max_words": 3}, "one two", "one two three four"),
    (
        "words:keywords_specific_position",
        {"keyword": "sea", "n": 2, "m": 3},
        "One. It is Sea.",
        "One. Sea it is.",
    ),
    ("words:alphabet", {}, "Yes, zebras are big.", "Are zebras big?"),
    ("words:consonants", {}, "strong black", "a strong one"),
    ("words:last_first", {}, "I see you. You see it. It ends.", "I see you. They see it."),
    ("words:paragraph_last_first", {}, "Sea is the sea.\n\nSky is sky.", "Sea is the sky."),
    ("words:no_consecutive", {}, "a big cat", "a big bat"),
    ("words:palindrome", {}, PALINDROMES, PALINDROMES.replace("stats", "stat")),
    ("words:prime_lengths", {}, "an old white", "a four"),
    ("words:repeats", {"small_n": 2}, "a a b", "a a a"),
    ("words:vowel", {}, "an old bird", "an old bird flue"),
    ("sentence:keyword", {"N": 2, "word": "sea"}, "One. The sea.", "The sea. One."),
    ("sentence:increment", {"small_n": 1}, "Go. Go there. Go there now.", "Go. Go there. Go now."),
    ("ratio:sentence_words", {}, "I run. We go. Be it.", "I run. I sit. He ran fast."),
    ("ratio:sentence_balance", {}, "Yes. No? So!", "Yes. No."),
    ("ratio:sentence_type", {}, "Yes. It is. No?", "Yes. No?"),
    ("ratio:overlap", {"reference_text": "abcdef", "percentage": 50.0}, "abcd", "abcdef"),
    ("format:emoji", {}, "It is fine 😀\nYes! 🎉", "It is fine. Yes 😀"),
    ("format:line_indent", {}, "a\n b\n  c", "a\n b\n b"),
    ("format:list", {"sep": "SEPARATOR"}, "a SEPARATOR b", "a, b"),
    ("format:newline", {}, "one\ntwo", "one two\nthree"),
    ("format:no_bullets_bullets", {}, "It is. So it is.\n* a\n* b", "* a\n* b\nIt is. So it is."),
    ("format:options", {"options": "yes/no/maybe"}, "Maybe.", "Maybe not"),
    ("format:parentheses", {}, "(a [b {c (d [e])}])", "(a [b]) (c {d})"),
    ("format:sub-bullets", {}, "* a\n  - b\n* c\n  - d", "* a\n  - b\n* c"),
    ("format:output_template", {}, "My Answer: a\nMy Conclusion: b\nFuture Outlook: c", "My Answer: a"),
    ("format:no_whitespace", {}, "none\n", "some of it"),
    ("repeat:repeat_change", {"prompt_to_repeat": "Write a line"}, "Draw a line", "Write a line"),
    ("repeat:repeat_span", {"prompt_to_repeat": "a b c d", "n_start": 1, "n_end": 2}, "b c", "a b"),
    ("custom:multiples", {}, "14, 21, 28, 35, 42, 49", "10, 14, 21, 28, 35, 42, 49"),
    ("custom:sentence_alphabet", {}, " ".join(f"{chr(n)}x is." for n in range(65, 91)), "A is. B is."),
    ("custom:date_format_list", {}, "1796-04-12, 1805-12-02", "12 April 1796"),
]


@pytest.mark.parametrize(("name", "given", "right", "wrong"), CASES, ids=[case[0] for case in CASES])
def test_an_instruction_is_followed_or_not(name, given, right, wrong):
    assert CHECKS[name](right, given)
    assert not CHECKS[name](wrong, given)


def test_every_check_that_is_offered_has_a_case():
    assert set(CHECKS) == {case[0] for case in CASES}
