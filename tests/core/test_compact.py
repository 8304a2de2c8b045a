"""Stamps that are folded while they come are the same stamps in the end, in little memory."""

from __future__ import annotations

import sys

from hypothesis import given
from hypothesis import strategies as st

from aisb.http.compact import WAITING, Stamps


@given(
    st.lists(st.integers(-(2**40), 2**40), max_size=600),
    st.lists(st.integers(1, 300), min_size=1, max_size=5),
    st.integers(0, 2**60),
)
def test_what_was_folded_comes_back_whole(gaps: list[int], batches: list[int], first: int) -> None:
    given_stamps = [first]
    for gap in gaps:
        given_stamps.append(given_stamps[-1] + gap)
    stamps = Stamps()
    at, turn = 0, 0
    while at < len(given_stamps):
        size = batches[turn % len(batches)]
        stamps.extend(given_stamps[at : at + size])
        stamps.fold()
        at, turn = at + size, turn + 1
    assert list(stamps.all()) == given_stamps
    assert list(stamps.all()) == given_stamps  # asking changes nothing


def test_thousands_of_stamps_take_little_more_than_four_bytes_each() -> None:
    stamps = Stamps()
    for number in range(40 * WAITING):
        stamps.append(10**18 + number * 20_000_000)
        stamps.fold()
    assert sys.getsizeof(stamps._gaps) + sys.getsizeof(stamps._recent) < 40 * WAITING * 5
