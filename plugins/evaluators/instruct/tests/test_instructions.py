"""The checks of instructions, one by one: what follows each, and what does not."""

import pytest

from aisb import Sample, Score
from aisb_engine._scoring.metrics import summarize
from aisb_evaluator_instruct._following import CHECKS, Instructions, variants
from aisb_evaluator_instruct._texts import sentences

ENGLISH = "The weather is lovely today and we are going for a long walk in the park."

CASES = [
    ("keywords:existence", {"keywords": ["sea", "sky"]}, "The Sea and the SKY.", "The sea."),
    ("keywords:frequency", {"keyword": "sea", "frequency": 2, "relation": "at least"}, "Sea, sea.", "Sea."),
    ("keywords:frequency", {"keyword": "sea", "frequency": 2, "relation": "less than"}, "Sea.", "Sea, sea."),
    ("keywords:forbidden_words", {"forbidden_words": ["cat"]}, "A category.", "A Cat!"),
    (
        "keywords:letter_frequency",
        {"letter": "a", "let_frequency": 3, "let_relation": "at least"},
        "Abba a",
        "Abba",
    ),
    (
        "keywords:letter_frequency",
        {"letter": "#", "let_frequency": 2, "let_relation": "at least"},
        "# one\n# two",
        "# abc",
    ),
    (
        "language:response_language",
        {"language": "de"},
        "Das Wetter ist heute sehr schön, und wir gehen spazieren.",
        ENGLISH,
    ),
    (
        "length_constraints:number_sentences",
        {"num_sentences": 3, "relation": "less than"},
        "One. Two.",
        "One. Two! Three?",
    ),
    ("length_constraints:number_paragraphs", {"num_paragraphs": 2}, "One\n***\nTwo", "One\n\nTwo"),
    ("length_constraints:number_words", {"num_words": 3, "relation": "at least"}, "one two three", "one two"),
    (
        "length_constraints:nth_paragraph_first_word",
        {"num_paragraphs": 2, "nth_paragraph": 2, "first_word": "so"},
        'Yes.\n\n"So," he said',
        "So.\n\nYes.",
    ),
    ("detectable_content:number_placeholders", {"num_placeholders": 2}, "[name], [place]", "[name]"),
    ("detectable_content:postscript", {"postscript_marker": "P.S."}, "Bye.\nP. S. More.", "Bye. PS More"),
    ("detectable_content:postscript", {"postscript_marker": "P.P.S"}, "Bye.\nP.P.S More.", "P.S. More"),
    ("detectable_format:number_bullet_lists", {"num_bullets": 2}, "* a\n- b", "* a\n* b\n* c"),
    ("detectable_format:constrained_response", {}, "My answer is maybe.", "Maybe."),
    ("detectable_format:number_highlighted_sections", {"num_highlights": 2}, "*a* and **b**", "*a*"),
    (
        "detectable_format:multiple_sections",
        {"section_spliter": "SECTION", "num_sections": 2},
        "SECTION 1\na\nSECTION 2\nb",
        "SECTION one",
    ),
    ("detectable_format:json_format", {}, '```json\n{"a": 1}\n```', "{a: 1}"),
    ("detectable_format:title", {}, "<<Blue>>\nIt is.", "<Blue>"),
    ("combination:two_responses", {}, "a\n******\nb", "a\n******\na"),
    (
        "combination:repeat_prompt",
        {"prompt_to_repeat": "Write a line."},
        "write a line. Here",
        "Here: Write a line.",
    ),
    ("startend:end_checker", {"end_phrase": "The end."}, "So it was. the end.", "The end. Or not"),
    ("startend:quotation", {}, '"All of it."', '"Some" of it'),
    (
        "change_case:capital_word_frequency",
        {"capital_frequency": 2, "capital_relation": "at least"},
        "A VERY-GOOD day",
        "A good day",
    ),
    ("change_case:english_capital", {}, ENGLISH.upper(), ENGLISH),
    ("change_case:english_lowercase", {}, ENGLISH.lower(), ENGLISH),
    ("punctuation:no_comma", {}, "a; b", "a, b"),
]


@pytest.mark.parametrize(("name", "given", "right", "wrong"), CASES, ids=[case[0] for case in CASES])
def test_an_instruction_is_followed_or_not(name, given, right, wrong):
    assert CHECKS[name](right, given)
    assert not CHECKS[name](wrong, given)


def test_all_25_instructions_have_a_case():
    from aisb_evaluator_instruct import _ifeval as ifeval

    assert len(ifeval.IFEVAL_CHECKS) == 25
    assert set(ifeval.IFEVAL_CHECKS) == {case[0] for case in CASES}


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("Dr. Smith went home. He slept.", 2),
        ("It costs 3.50 dollars, e.g. at night. Fine!", 2),
        ('"Really?" she said. "Yes."', 2),
        ("Wait... what? No.", 2),
        ("今天天气很好。我们去公园吧！", 2),
        ("no end", 1),
        ("", 0),
    ],
)
def test_sentences_are_counted_as_one_reads_them(text, count):
    assert len(sentences(text)) == count


def test_a_loose_verdict_does_without_the_first_line_the_last_and_asterisks():
    sample = Sample("0", {"instruction_id_list": ["startend:quotation"], "kwargs": [{}]})
    found = Instructions().score('Sure, here it is:\n*"All of it."*\nAnything else?', sample)
    assert found.value == 0
    assert found.details["strict"] == [False]
    assert found.details["loose"] == [True]
    assert len(list(variants("a\nb"))) == 7


def test_an_empty_answer_follows_nothing():
    sample = Sample("0", {"instruction_id_list": ["punctuation:no_comma"], "kwargs": [{}]})
    assert Instructions().score("  ", sample).value == 0


def test_an_unknown_instruction_is_an_error_that_names_it():
    sample = Sample("0", {"instruction_id_list": ["odd:one"], "kwargs": [{}]})
    found = Instructions().score("text", sample)
    assert (found.outcome, found.details["raised"]) == (
        "error",
        "the instruction 'odd:one' is unknown",
    )


def test_a_missing_argument_is_named():
    sample = Sample("0", {"instruction_id_list": ["startend:end_checker"], "kwargs": [{}]})
    with pytest.raises(ValueError, match="'startend:end_checker' needs the argument 'end_phrase'"):
        Instructions().score("text", sample)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "the row has no instructions in the field 'instruction_id_list'"),
        (
            {"instruction_id_list": ["punctuation:no_comma"]},
            "the field 'kwargs' is a list with the arguments of each",
        ),
    ],
)
def test_a_row_without_instructions_says_so(fields, words):
    assert words in Instructions().score("text", Sample("0", fields)).details["raised"]


@pytest.mark.parametrize("groups", [(None, None, None), ("a", "b", "a"), ("a", None, "b")])
@pytest.mark.parametrize("clusters", [(None, None, None), ("one", "one", None)])
def test_pass_at_n_is_that_of_the_standard_metrics(groups, clusters):
    outcomes = (("correct", "wrong", "wrong"), ("wrong", "error", "wrong"), ("correct", "correct", "wrong"))
    scores = [
        Score(
            float(outcome == "correct"),
            outcome,
            sample_id=str(sample),
            repeat=repeat,
            group=groups[sample],
            cluster=clusters[sample],
            details={"strict": [outcome == "correct"], "loose": [True]},
        )
        for sample, row in enumerate(outcomes)
        for repeat, outcome in enumerate(row)
    ]
    found = [metric for metric in Instructions().summarize(scores) if metric.name.startswith("pass@")]
    assert found == [metric for metric in summarize(scores) if metric.name.startswith("pass@")]
    assert found[0].value == pytest.approx(200 / 3)
    assert not [m for m in Instructions().summarize(scores[::3]) if m.name.startswith("pass@")]
