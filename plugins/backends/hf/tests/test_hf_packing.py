"""What is computed together, and what is computed once."""

import random

from hypothesis import given
from hypothesis import strategies as st

from aisb_backend_hf._packing import MOST_PADDING, common, packs, shared


@given(st.lists(st.integers(1, 300), min_size=1, max_size=80), st.integers(32, 600))
def test_groups_hold_every_item_once_within_the_budget_and_with_little_padding(lengths, budget):
    groups = list(packs(lengths, lambda length: length, budget=budget))
    assert sorted(length for group in groups for length in group) == sorted(lengths)
    for group in groups:
        computed = max(group) * len(group)
        assert computed <= budget or len(group) == 1
        assert computed - sum(group) <= MOST_PADDING * computed


def test_without_padding_a_group_has_one_length():
    groups = list(packs([5, 7, 5, 7, 6], lambda length: length, budget=100, padding=False))
    assert groups == [[7, 7], [6], [5, 5]]


@given(st.lists(st.lists(st.integers(0, 2), max_size=40), max_size=40))
def test_a_shared_beginning_is_one_that_another_row_has_too(rows):
    rows = [[*range(10, 40), *row] for row in rows]
    for number, height in enumerate(shared(rows)):
        if height:
            others = [common(rows[number], row) for place, row in enumerate(rows) if place != number]
            assert max(others) >= height


def test_few_shot_examples_are_shared_by_all_and_repeats_share_their_whole_prompt():
    draw = random.Random(1)
    start = [draw.randrange(1000) for _ in range(200)]
    questions = [[draw.randrange(1000) for _ in range(60)] for _ in range(5)]
    rows = [start + question for question in questions for _ in range(4)]
    assert shared(rows) == [260] * 20
    assert shared([start + question for question in questions]) == [200] * 5


def test_what_saves_little_is_not_kept():
    assert shared([[1, 2, 3, 4], [1, 2, 3, 5]]) == [0, 0]
    assert shared([list(range(50))]) == [0]
    assert shared([]) == []
