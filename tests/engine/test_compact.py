"""What is folded while a reply grows is the same in the end, in little memory."""

from __future__ import annotations

import random
import sys
import tracemalloc
from array import array
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aisb._types import ChunkKind
from aisb_engine._http.compact import BLOCK, LOOSE, WAITING, Runs, Stamps, Texts
from aisb_engine._record.kinds import Kinds

BATCHES = st.lists(st.integers(1, 300), min_size=1, max_size=5)


def grown(folding: Any, values: Sequence[Any], batches: Sequence[int]) -> None:
    """Let something grow as replies do: some values at once, then a fold."""
    at, turn = 0, 0
    while at < len(values):
        size = batches[turn % len(batches)]
        if size == 1:
            folding.append(values[at])
        elif isinstance(folding, Stamps):
            folding.frombytes(array("q", values[at : at + size]).tobytes())
        else:
            folding.extend(values[at : at + size])
        folding.fold()
        at, turn = at + size, turn + 1


GAPS = st.one_of(
    st.lists(st.integers(-(2**40), 2**40), max_size=600),
    st.lists(st.integers(0, 2**32 - 1), max_size=600),
    st.lists(st.integers(2**24, 2**25 - 1), max_size=600),  # with the highest of their bytes in common
    st.lists(st.sampled_from((0, 2**24 - 1, 2**24, 2**32 - 1)), max_size=600),
)


@given(GAPS, BATCHES, st.integers(0, 2**60))
def test_stamps_that_were_folded_come_back_whole(gaps: list[int], batches: list[int], first: int) -> None:
    values = [first]
    for gap in gaps:
        values.append(values[-1] + gap)
    stamps = Stamps()
    grown(stamps, values, batches)
    assert list(stamps.all()) == values
    assert list(stamps.all()) == values  # asking changes nothing


# Halves of characters too, as some services send them.
@given(st.lists(st.text(st.characters(codec=None), max_size=200), max_size=200), BATCHES)
def test_texts_that_were_folded_come_back_whole(values: list[str], batches: list[int]) -> None:
    texts = Texts()
    grown(texts, values, batches)
    assert texts.all() == "".join(values)
    assert texts.all() == "".join(values)


KINDS = ("role", "content", "finish", "keepalive")


@given(st.lists(st.tuples(st.sampled_from(KINDS), st.integers(1, 9)), max_size=90))
def test_kinds_that_were_counted_come_back_whole(values: list[tuple[ChunkKind, int]]) -> None:
    runs, all_of_them = Runs(), tuple(kind for kind, count in values for _ in range(count))
    for kind, count in values:
        runs.add(kind, count)
    kinds = Kinds(runs.runs)
    assert tuple(kinds) == kinds == all_of_them == kinds[:]
    assert len(kinds) == runs.count == len(all_of_them)
    assert hash(kinds) == hash(all_of_them)
    assert all(before != after for (before, _), (after, _) in pairwise(kinds.runs))
    assert kinds != "content"
    if kinds:
        assert kinds[-1] == all_of_them[-1]
        assert kinds != Kinds()


def weighed(make: Callable[[], Any]) -> tuple[Any, int]:
    """Return what was made, and the bytes that it holds on to."""
    tracemalloc.start()
    try:
        return make(), tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(("jitter", "each"), [(3_000_000, 3.7), (30_000_000, 4.7)])
def test_thousands_of_stamps_take_little_more_than_their_gaps(jitter: int, each: float) -> None:
    draw = random.Random(0)
    gaps = [20_000_000 + draw.randrange(jitter) for _ in range(40 * WAITING)]

    def make() -> Stamps:
        stamps = Stamps()
        now = 10**18
        for gap in gaps:
            stamps.append(now := now + gap)
            stamps.fold()
        return stamps

    _, size = weighed(make)
    assert size < len(gaps) * each


def test_a_long_text_takes_less_than_its_letters() -> None:
    said = [f"The {n}th wave — as ever — follows the {n - 1}th. " for n in range(20 * LOOSE)]

    def make() -> Texts:
        texts = Texts()
        for at in range(0, len(said), LOOSE):
            texts.extend(said[at : at + LOOSE])
            texts.fold()
        return texts

    texts, size = weighed(make)
    assert size < len(texts.all().encode()) / 2
    assert sys.getsizeof(texts.all()) > 2 * len(texts.all())  # for a dash each letter would take two bytes
    assert len(texts.all()) > 10 * BLOCK
