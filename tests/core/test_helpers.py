"""The small helpers that plugins share."""

import pytest

from aisb import Sample
from aisb.helpers import target_texts


@pytest.mark.parametrize(
    ("target", "texts"), [("18", ("18",)), (18, ("18",)), (["a", 2], ("a", "2")), (("a",), ("a",)), ([], ())]
)
def test_every_text_that_would_be_right_is_a_target(target, texts):
    assert target_texts(Sample("1", {}, target=target)) == texts
