"""What is packed while a reply grows is the same in the end, in little memory."""

from __future__ import annotations

import random
import sys
import tracemalloc
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aisb._types import Chunk, ChunkKind
from aisb_engine._record.kinds import Kinds
from aisb_engine._stream.columns import BLOCK, PIECES, STAMPS, Columns

BATCHES = st.lists(st.integers(1, 300), min_size=1, max_size=5)
GAPS = st.one_of(
    st.lists(st.integers(-(2**40), 2**40), max_size=600),
    st.lists(st.integers(0, 2**32 - 1), max_size=600),
    st.lists(st.integers(2**24, 2**25 - 1), max_size=600),  # with the highest of their bytes in common
    st.lists(st.sampled_from((0, 2**24 - 1, 2**24, 2**32 - 1)), max_size=600),
)


@given(GAPS, BATCHES, st.integers(0, 2**60))
def test_stamps_that_were_packed_come_back_whole(gaps: list[int], batches: list[int], first: int) -> None:
    values = [first]
    for gap in gaps:
        values.append(values[-1] + gap)
    columns = Columns()
    at, turn = 0, 0
    while at < len(values):
        size = batches[turn % len(batches)]
        columns.stamps.extend(values[at : at + size])
        columns.fold()
        at, turn = at + size, turn + 1
    assert list(columns.all_stamps()) == values
    assert list(columns.all_stamps()) == values  # asking changes nothing


# Halves of characters too, as some services send them.
@given(st.lists(st.text(st.characters(codec=None), max_size=200), max_size=200), st.booleans())
def test_text_that_was_packed_comes_back_whole(values: list[str], reasoning: bool) -> None:
    columns = Columns()
    for stamp, value in enumerate(values):
        columns.add(stamp, Chunk("reasoning", "", value) if reasoning else Chunk("content", value))
    whole = columns.all_reasoning if reasoning else columns.all_text
    assert whole() == "".join(values)
    assert whole() == "".join(values)


KINDS = ("role", "content", "finish", "keepalive")


@given(st.lists(st.tuples(st.sampled_from(KINDS), st.integers(1, 9)), max_size=90))
def test_kinds_that_were_counted_come_back_whole(values: list[tuple[ChunkKind, int]]) -> None:
    columns, all_of_them = Columns(), tuple(kind for kind, count in values for _ in range(count))
    for kind, count in values:
        columns.add_run(kind, count)
    kinds = Kinds(columns.runs())
    assert tuple(kinds) == kinds == all_of_them == kinds[:]
    assert len(kinds) == len(all_of_them)
    assert hash(kinds) == hash(all_of_them)
    assert all(before != after for (before, _), (after, _) in pairwise(kinds.runs))
    assert columns.has_events() == (set(all_of_them) - {"keepalive"} != set())
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
    gaps = [20_000_000 + draw.randrange(jitter) for _ in range(40 * STAMPS)]

    def make() -> Columns:
        columns = Columns()
        now = 10**18
        for gap in gaps:
            columns.add(now := now + gap, Chunk("content"))
        return columns

    _, size = weighed(make)
    assert size < len(gaps) * each + 2_000  # an object of columns


def test_a_long_text_takes_less_than_its_letters() -> None:
    said = [f"The {n}th wave — as ever — follows the {n - 1}th. " for n in range(40 * PIECES)]

    def make() -> Columns:
        columns = Columns()
        for text in said:
            columns.add(0, Chunk("content", text))
        return columns

    columns, size = weighed(make)
    assert size < len(columns.all_text().encode()) / 2
    assert sys.getsizeof(columns.all_text()) > 2 * len(
        columns.all_text()
    )  # for a dash each letter takes two bytes
    assert len(columns.all_text()) > 10 * BLOCK
