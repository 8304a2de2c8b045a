"""ANLS, VQA accuracy and boxes: each value is worked out by hand from the published rule."""

import pytest

from aisb import Sample, UsageError
from aisb_evaluator_vision._anls import ANLS
from aisb_evaluator_vision._boxes import BoxIoU, parse_box
from aisb_evaluator_vision._vqa import VQAAccuracy, normalize_vqa


@pytest.mark.parametrize(
    ("answer", "targets", "value"),
    [
        ("July 1, 1999", ["July 1, 1999"], 1),
        ("  july   1, 1999\n", ["July 1, 1999", "1999"], 1),
        # 1 of 10 characters differs.
        ("0123456789", ["0123456780"], 0.9),
        # The best of all targets: 2 of 8, or 1 of 7.
        ("abcdefg", ["abcdefxy", "abcdefx"], 6 / 7),
        # 5 of 10 is a similarity of one half, which counts; 6 of 10 does not.
        ("abcdexxxxx", ["abcdeyyyyy"], 0.5),
        ("abcdxxxxxx", ["abcdyyyyyy"], 0),
        # The longer length: 3 of 9.
        ("the total", ["total"], 5 / 9),
        ("", ["total"], 0),
        ("北京市", ["北京"], 2 / 3),
        ("$ 12.40", ["$12.40"], 6 / 7),
        ("naïve", ["NAÏVE"], 1),
    ],
)
def test_anls_is_the_share_of_characters_that_stay(answer, targets, value):
    score = ANLS().score(answer, Sample("0", {}, targets))
    assert score.value == pytest.approx(value)


def test_anls_averages_with_zero_for_what_is_below_the_threshold():
    judge = ANLS()
    scores = [judge.score(a, Sample("0", {}, "abcd")) for a in ("abcd", "abcx", "axxx")]
    (metric,) = judge.summarize(scores)
    assert (metric.name, metric.value) == ("anls", pytest.approx(100 * (1 + 0.75 + 0) / 3))
    assert ANLS(threshold=0.2).score("axxx", Sample("0", {}, "abcd")).value == 0.25
    with pytest.raises(UsageError, match=r"threshold = 2 must be from 0 to 1"):
        ANLS(threshold=2)


def people(**counts):
    return [answer for answer, count in counts.items() for _ in range(count)]


@pytest.mark.parametrize(
    ("answer", "answers", "value"),
    [
        # 10 annotators. Of those who said it, each left out leaves one fewer: n * min(1, (n-1)/3) + (10-n) * min(1, n/3).
        ("red", people(red=10), 1),
        ("red", people(red=4, blue=6), 1),
        ("red", people(red=3, blue=7), (3 * 2 / 3 + 7) / 10),
        ("red", people(red=2, blue=8), (2 * 1 / 3 + 8 * 2 / 3) / 10),
        ("red", people(red=1, blue=9), (0 + 9 * 1 / 3) / 10),
        ("red", people(blue=10), 0),
        ("Red.", people(red=9, Red=1), 1),
        ("the red", people(red=10), 1),
        ("two", [*["2"] * 5, *["two"] * 5], 1),
        ("dont walk", ["don't walk"] * 10, 1),
        ("", people(red=10), 0),
        ("12:30", ["12:30"] * 10, 1),
        ("1,000", ["1000"] * 10, 1),
        ("3.5", ["3.5"] * 10, 1),
        ("35", ["3.5"] * 10, 0),
        ("coca-cola", ["coca cola"] * 10, 1),
    ],
)
def test_vqa_accuracy_is_the_mean_over_each_annotator_left_out(answer, answers, value):
    score = VQAAccuracy().score(answer, Sample("0", {}, answers))
    assert score.value == pytest.approx(value)


def test_words_that_only_look_like_contractions_stay():
    assert [normalize_vqa(word) for word in ("were", "well", "its", "ill", "hell", "shed", "wed")] == [
        "were", "well", "its", "ill", "hell", "shed", "wed",
    ]  # fmt: skip
    assert normalize_vqa("Youre  isnt THEYVE") == "you're isn't they've"


IMAGE = {"image": {"width": 200, "height": 100}}
SIZED = {"width": "{image.width}", "height": "{image.height}"}


@pytest.mark.parametrize(
    ("answer", "target", "iou"),
    [
        # The image has 200 × 100 pixels: 1000 parts each way are 200 and 100.
        ("[0, 0, 500, 500]", "[0, 0, 100, 50]", 1),
        ("[0, 0, 1000, 1000]", "[0, 0, 100, 50]", 0.25),
        # 100 × 50 against 100 × 50, moved by 50: 2,500 shared of 7,500.
        ("[250, 0, 750, 500]", "[0, 0, 100, 50]", 1 / 3),
        # Twice as wide: exactly one half, which is enough.
        ("[0, 0, 1000, 500]", "[0, 0, 100, 50]", 0.5),
        ("[500, 500, 0, 0]", "[0, 0, 100, 50]", 0),
        ("[0, 0, 0, 500]", "[0, 0, 100, 50]", 0),
        # Beyond the edges it is cut: 200 × 100 are left.
        ("[-50, -50, 2000, 2000]", "[0, 0, 200, 100]", 1),
        ("[600, 600, 900, 900]", "[0, 0, 100, 50]", 0),
        ("(0,0),(500,500)", "[0, 0, 100, 50]", 1),
        ("no box", "[0, 0, 100, 50]", 0),
        ("[1, 2, 3]", "[0, 0, 100, 50]", 0),
    ],
)
def test_a_box_is_right_when_it_shares_half_of_what_both_cover(answer, target, iou):
    score = BoxIoU(**SIZED).score(answer, Sample("0", IMAGE, target))
    assert score.details["iou"] == pytest.approx(iou)
    assert score.value == (iou >= 0.5)


def test_boxes_in_pixels_and_in_parts_of_one():
    sample = Sample("0", IMAGE, "[20, 10, 120, 60]")
    assert BoxIoU(scale=0).score("[20, 10, 120, 60]", sample).value == 1
    assert BoxIoU(scale=1, **SIZED).score("[0.1, 0.1, 0.6, 0.6]", sample).details["iou"] == pytest.approx(1)
    assert BoxIoU(threshold=0.9, scale=0).score("[20, 10, 120, 50]", sample).value == 0
    with pytest.raises(UsageError, match="set width and height of the image"):
        BoxIoU()


@pytest.mark.parametrize(
    ("reply", "found"),
    [
        ('```json\n[{"bbox_2d": [10, 20, 300, 400], "label": "a cat"}]\n```', "[10, 20, 300, 400]"),
        ("It is at [ 1.5,2 , 3, 4 ].", "[ 1.5,2 , 3, 4 ]"),
        ("<|box_start|>(12,34),(56,78)<|box_end|>", "(12,34),(56,78)"),
        ("<box>(12, 34) (56, 78)</box>", "(12, 34) (56, 78)"),
        ("[[1,2,3,4],[5,6,7,8]]", "[1,2,3,4]"),
        ("the 4 corners [1, 2, 3]", None),
        ("[1, 2, 3, 4, 5]", None),
        ("", None),
    ],
)
def test_the_first_box_of_a_reply_is_found(reply, found):
    extract = parse_box()(reply, Sample("0", {}))
    assert (extract and extract.text) == found
    if extract:
        assert reply[extract.span[0] : extract.span[1]] == found


def test_a_long_reply_of_brackets_takes_little_time():
    assert parse_box()("[1, 2, 3, " * 50_000, Sample("0", {})) is None
