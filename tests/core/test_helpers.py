"""The small helpers that plugins share."""

import pytest

from aisb import Sample
from aisb.helpers import did_you_mean, target_texts


@pytest.mark.parametrize(
    ("target", "texts"), [("18", ("18",)), (18, ("18",)), (["a", 2], ("a", "2")), (("a",), ("a",)), ([], ())]
)
def test_every_text_that_would_be_right_is_a_target(target, texts):
    assert target_texts(Sample("1", {}, target=target)) == texts


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("gsm9k", "; did you mean 'gsm8k'?"),
        ("BBH_word_sorting", "; did you mean 'bbh'?"),
        ("mmlu_pro_computer_science", "; did you mean 'mmlu_pro'?"),
        ("xyz", ""),
    ],
)
def test_a_near_name_is_one_that_is_alike_or_that_the_name_begins_with(name, said):
    assert did_you_mean(name, ["gsm8k", "bbh", "mmlu", "mmlu_pro"]) == said
