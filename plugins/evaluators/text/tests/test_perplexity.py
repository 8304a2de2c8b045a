"""Perplexity over texts: what is summed, and by what it is divided."""

from math import exp, log

import pytest

from aisb import Logprob, Sample, UsageError
from aisb_evaluator_text._perplexity import Perplexity

TEXTS = [("one two three", -12.0, 4), ("vier fünf", -30.0, 11)]


def scored(evaluator, texts):
    return [
        evaluator.score(
            "A",
            Sample(str(n), {"text": text, "logprobs": (Logprob(total=total, tokens=tokens, greedy=False),)}),
        )
        for n, (text, total, tokens) in enumerate(texts)
    ]


def test_sums_over_all_texts_are_divided_by_all_words_bytes_and_tokens():
    evaluator = Perplexity()
    scores = scored(evaluator, TEXTS)
    found = {metric.name: metric.value for metric in evaluator.summarize(scores)}
    assert found == pytest.approx(
        {
            "word_perplexity": exp(42 / 5),
            "byte_perplexity": exp(42 / (13 + 10)),
            "bits_per_byte": 42 / 23 / log(2),
            "token_perplexity": exp(42 / 15),
        }
    )
    assert [score.value for score in scores] == pytest.approx([exp(-3), exp(-30 / 11)])
    assert {metric.better for metric in evaluator.summarize(scores)} == {"lower"}


def test_a_text_that_is_all_but_impossible_is_infinitely_perplexing():
    evaluator = Perplexity()
    found = evaluator.summarize(scored(evaluator, [("word", -5000.0, 1)]))
    assert found[0].value == float("inf")


def test_without_texts_that_were_scored_there_is_no_figure():
    assert Perplexity().summarize([]) == []


def test_a_task_that_compares_options_is_told_what_perplexity_needs():
    two = (Logprob(total=-1.0, tokens=1, greedy=True),) * 2
    with pytest.raises(
        UsageError, match=r"needs mode = 'logprob', one option, .* here are 2 options, and 'text'"
    ):
        Perplexity().score("A", Sample("0", {"text": "x", "logprobs": two}))
    with pytest.raises(UsageError, match=r"a text in the field 'page'; .* 'page' is NoneType"):
        Perplexity(counted="page").score("A", Sample("0", {"text": "x", "logprobs": two[:1]}))
