"""The log-probability of a continuation, and where it begins."""

import pytest

from aisb._errors import AttemptFailed
from aisb._types import Logprob, TokenScores
from aisb_engine._http.likelihood import continuation, score_options


def scores(text, *logprobs, greedy=None):
    tokens = tuple(text.split("|"))
    return TokenScores(tokens, (None, *logprobs), greedy or (False,) + (True,) * len(logprobs))


def test_the_tokens_after_the_context_are_summed():
    context = scores("The| sky| is", -2.0, -1.0)
    whole = scores("The| sky| is| blue|.", -2.0, -1.0, -0.5, -0.25)
    assert continuation(context, whole) == Logprob(-0.75, 2, True, 0, whole=-3.75, whole_tokens=4)


def test_one_token_that_was_not_the_likeliest_makes_it_not_greedy():
    context = scores("a|b", -1.0)
    whole = scores("a|b|c|d", -1.0, -1.0, -1.0, greedy=(False, False, False, True))
    assert not continuation(context, whole).greedy
    whole = scores("a|b|c|d", -1.0, -1.0, -1.0, greedy=(False, False, True, True))
    assert continuation(context, whole).greedy


def test_a_token_that_grew_over_the_boundary_counts_for_the_continuation_and_is_reported():
    context = scores("The| answer|:| ", -1.0, -1.0, -1.0)
    whole = scores("The| answer|:| 42", -1.0, -1.0, -0.125)
    assert continuation(context, whole) == Logprob(-0.125, 1, True, 1, whole=-2.125, whole_tokens=3)


def test_a_context_of_which_nothing_stays_leaves_out_the_first_token_alone():
    assert continuation(scores("a"), scores("ab|c", -0.5)) == Logprob(
        -0.5, 1, True, 1, whole=-0.5, whole_tokens=1
    )


def test_what_cannot_be_scored_is_a_failure():
    same = scores("a|b", -1.0)
    with pytest.raises(AttemptFailed, match="the continuation adds no token to its context"):
        continuation(same, same)
    with pytest.raises(AttemptFailed, match="a token of the continuation has no log-probability"):
        continuation(same, TokenScores(("a", "b", "c"), (None, -1.0, None), (False, True, True)))


def test_options_whose_last_tokens_are_missing_are_a_failure():
    cut = scores("So|:", -2.0)
    with pytest.raises(AttemptFailed, match="the same tokens for different options"):
        score_options(scores("So"), [cut, cut], [" yes", " no"])
    assert len(score_options(scores("So"), [cut, cut], [" yes", " yes"])) == 2


def test_all_options_are_scored_from_the_last_boundary_that_they_share():
    context = scores("So|:", -2.0)
    yes = scores("So|:| yes", -2.0, -1.5)
    no = scores("So|: no", -3.0)
    assert [
        (one.total, one.tokens, one.merged) for one in score_options(context, [yes, no], [" yes", " no"])
    ] == [
        (-3.5, 2, 0),
        (-3.0, 1, 1),
    ]
    other = scores("So|:| no", -2.0, -1.0)
    assert [one.total for one in score_options(context, [yes, other], [" yes", " no"])] == [-1.5, -1.0]
    assert [one.length for one in score_options(context, [yes, no], [" yes", " ñ"])] == [4, 3]


def test_an_option_that_merges_with_the_whole_context_leaves_out_the_first_token_of_all():
    context, first, second = scores("a"), scores("ab|c", -0.5), scores("a|d", -0.25)
    assert [one.total for one in score_options(context, [first, second], ["bc", "d"])] == [-0.5, -0.25]
