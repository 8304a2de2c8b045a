"""Warm-ups and later rounds over the rows are not answered from what came before in a prefix cache."""

from __future__ import annotations

import pickle

import pytest

from aisb._data import PromptPool
from aisb._types import Message, Request, Sample
from aisb_dataset_synthetic import Filler, PooledText
from aisb_engine._load.prefix_cache import WARM_UP, PrefixCacheBuster, in_round, pool_of

WORDS = tuple(f"word{n}" for n in range(300))


def made(text: str) -> Request:
    return Request(
        "0", messages=(Message("user", text),), facts={"input_tokens_asked": 3, "input_exact": True}
    )


def said(request: Request) -> str:
    content = request.messages[-1].content
    assert isinstance(content, str)
    return content


def test_each_round_says_other_words_from_the_first_one_on() -> None:
    buster = PrefixCacheBuster(PromptPool(WORDS, exact=True))
    first = made(" ".join(WORDS[:40]))
    rounds = [buster.request(first, number) for number in (0, 1, 2, 250, WARM_UP)]
    assert rounds[0] is first
    assert len({said(one).split(" ")[0] for one in rounds}) == len(rounds)
    assert {len(said(one).split(" ")) for one in rounds} == {40}
    assert set(said(rounds[3]).split(" ")) <= set(WORDS)
    assert all(one.facts == first.facts for one in rounds)


def test_what_two_prompts_share_they_share_in_every_round() -> None:
    buster = PrefixCacheBuster(PromptPool(WORDS, exact=True))
    shared = " ".join(WORDS[5:25])
    a, b = (said(buster.request(made(f"{shared} {WORDS[n]}"), 7)) for n in (50, 60))
    assert a.split(" ")[:20] == b.split(" ")[:20]
    assert a != b
    assert a.split(" ")[0] == WORDS[12]


def test_token_ids_stay_ids_of_the_pool() -> None:
    pool = Filler(None, "0").pool_of_ids(1000)
    buster = PrefixCacheBuster(pool)
    first = Request("0", tokens=(125, 126, 874), facts={"input_tokens_asked": 3})
    assert buster.request(first, 1).tokens == (126, 127, 125)
    assert buster.request(first, WARM_UP).tokens == (874, 125, 873)


def test_where_words_do_not_add_up_later_rounds_are_not_called_exact() -> None:
    buster = PrefixCacheBuster(PromptPool(WORDS, exact=False))
    assert not buster.exact
    first = made("word1 word2.")
    later = buster.request(first, 1)
    assert said(later) == "word2 word2."  # what is no word of the pool stays
    assert later.facts["input_exact"] is False
    assert later.facts["input_tokens"] is None
    assert first.facts["input_exact"] is True


@pytest.mark.parametrize("number", [1, 2, WARM_UP])
def test_a_prompt_that_was_not_made_begins_with_a_mark_of_its_round(number: int) -> None:
    buster = PrefixCacheBuster()
    chat = Request("0", messages=(Message("system", "Be brief."), Message("user", "Hi")))
    mark = "warm-up" if number == WARM_UP else f"round {number}"
    assert buster.request(chat, number).messages[0].content == f"[{mark}]\nBe brief."
    assert buster.request(Request("0", text="Hi"), number).text == f"[{mark}]\nHi"


def test_it_travels_to_a_worker_process() -> None:
    buster = PrefixCacheBuster(PromptPool(WORDS, exact=True))
    first = made("word1 word2")
    there = pickle.loads(pickle.dumps(buster))
    assert said(there.request(first, 3)) == said(buster.request(first, 3)) == "word4 word5"


def test_the_pool_is_found_in_the_rows() -> None:
    pool = PromptPool(WORDS, exact=True)
    assert pool_of([Sample("0", {"n": 1, "prompt": PooledText("word1", pool)})]) == pool
    assert pool_of([Sample("0", {"question": "Hi"})]) is None
    assert pool_of([]) is None


def test_token_ids_of_rows_begin_with_another_one_in_each_round() -> None:
    first = Request("0", tokens=(5, 6, 7, 8))
    rounds = [PrefixCacheBuster().request(first, number).tokens for number in (0, 1, 2, WARM_UP)]
    assert rounds == [(5, 6, 7, 8), (6, 7, 8, 5), (7, 8, 5, 6), (8, 5, 6, 7)]
    assert PrefixCacheBuster().request(Request("0", tokens=()), 1).tokens == ()


def test_a_request_of_a_later_round_says_so_and_has_a_key_of_its_own() -> None:
    first = Request("0", repeat=1, text="What is 2 + 3?")
    assert in_round(first, 0, 2, PrefixCacheBuster()) is first
    later = in_round(first, 3, 2, PrefixCacheBuster())
    assert (later.key, later.facts, later.text) == (("0", 7, 0), {"round": 3}, "[round 3]\nWhat is 2 + 3?")
    assert in_round(first, 3, 2, None).text == first.text
