"""Find a box in a reply, and grade it by intersection over union."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from math import isfinite
from typing import Annotated

from aisb import Evaluator, Extract, Sample, Score, UsageError
from aisb.helpers import Template, finds_answer, optional, target_texts

_NUMBER = r"[-+]?\d+(?:\.\d+)?"
_GAP = r"\s*,\s*"
_BOX = re.compile(
    rf"\[\s*{_NUMBER}(?:{_GAP}{_NUMBER}){{3}}\s*\]"
    rf"|\(\s*{_NUMBER}{_GAP}{_NUMBER}\s*\)\s*,?\s*\(\s*{_NUMBER}{_GAP}{_NUMBER}\s*\)"
)
_FIGURES = re.compile(_NUMBER)


@finds_answer
def parse_box() -> Callable[[str, Sample], Extract | None]:
    """The first box: four numbers in brackets, as in `"bbox_2d": [10, 20, 300, 400]`, or two points."""

    def step(text: str, sample: Sample) -> Extract | None:
        found = _BOX.search(text)
        return Extract(found[0], "box", found.span(), explicit=True) if found else None

    return step


class BoxIoU(Evaluator):
    """Correct if the intersection over union of the box and the target is at least the threshold.

    Boxes are x1, y1, x2, y2; the target is in pixels. `scale` is the width and height of the image in the
    answer's units, or 0 for pixels. A box is clipped to the image, and an empty or reversed box is wrong.
    """

    def __init__(
        self,
        *,
        threshold: Annotated[float, "minimum intersection over union, above 0 and up to 1"] = 0.5,
        scale: Annotated[float, "width and height of the image in the answer's units; 0: pixels"] = 1000.0,
        width: Annotated[str | None, "the image's width in pixels, as in '{image.width}'"] = None,
        height: Annotated[str | None, "the image's height in pixels"] = None,
    ) -> None:
        if not 0 < threshold <= 1:
            raise UsageError(f"threshold = {threshold} must be above 0 and up to 1")
        if scale < 0 or not isfinite(scale):
            raise UsageError(f"scale = {scale} must be a positive number, or 0 for pixels")
        if scale and not (width and height):
            raise UsageError("set width and height of the image, or scale = 0 for pixels")
        self.threshold = threshold
        self.scale = scale
        self._size: tuple[Template | None, Template | None] = (
            optional(width, "width"),
            optional(height, "height"),
        )

    def score(self, answer: str | None, sample: Sample) -> Score:
        """Compare one box with the target's."""
        size = [float(side.render(sample.fields)) if side else None for side in self._size]
        given = self._in_pixels(corners(answer or ""), size)
        targets = [corners(text) for text in target_texts(sample)]
        shares = [intersection_over_union(given, target) for target in targets if given and target]
        share = max(shares, default=0.0)
        details = {"iou": share, "box": list(given) if given else None}
        return Score(float(share >= self.threshold), details=details)

    def _in_pixels(self, found: Sequence[float], size: Sequence[float | None]) -> Sequence[float]:
        """Return an answer's box in pixels, clipped to the image; empty for an empty box."""
        sides = [*size, *size]
        if self.scale:
            found = [value / self.scale * (side or 0.0) for value, side in zip(found, sides, strict=False)]
        cut = [
            max(0.0, value if side is None else min(value, side))
            for value, side in zip(found, sides, strict=False)
        ]
        return cut if len(cut) == 4 and cut[0] < cut[2] and cut[1] < cut[3] else ()


def corners(text: str) -> Sequence[float]:
    """Return the four numbers of a text; empty if there are fewer or more."""
    found = [float(number) for number in _FIGURES.findall(text)]
    return found if len(found) == 4 and all(map(isfinite, found)) else ()


def intersection_over_union(one: Sequence[float], other: Sequence[float]) -> float:
    """Return the area that two boxes share, divided by the area that they cover together."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    shared = max(0.0, width) * max(0.0, height)
    both = _area(one) + _area(other) - shared
    return shared / both if both > 0 else 0.0


def _area(box: Sequence[float]) -> float:
    return max(0.0, box[2] - box[0]) * max(0.0, box[3] - box[1])
