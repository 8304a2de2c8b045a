"""Replace the digit separators of other languages by English ones, keeping all positions."""

from __future__ import annotations

import re

from aisb.helpers import pattern

_FOLD = str.maketrans("．％－﹣−／⁄：＋＝（）＄￥　٫٬", ".%---//:+=()$¥ .,")
_GROUPED = pattern(r"(?<![\w.,'’])[1-9]\d{0,2}(?P<mark>['’_،]|\\[ ])\d{3}(?:(?P=mark)\d{3})*+(?![\w'’])")
_SUM_OF_MONEY = r"(?:€|\$(?!\d)|£|¥|₽|руб|(?:euros?|dollars|francs|pesos|rubles|roubles|kr|USD|EUR|CHF)\b)"
_SPACED = pattern(
    rf"(?<![\w.,])(?<!\d[ ])[1-9]\d{{0,2}}(?:[ ]\d{{3}})++(?=(?:[.,]\d++)?[ ]?{_SUM_OF_MONEY})"
    r"|(?<=[=≈][ ])[1-9]\d{0,2}(?:[ ]\d{3})++(?![\d/]|[ ]?[-+*×/]|[.,]\d)",
    re.IGNORECASE,
)
_ALONE = pattern(
    r"(?<![\w.,，])[1-9]\d{0,2}(?P<mark>[ ~，])\d{3}(?:(?P=mark)\d{3})*+"
    r"(?![\d/:~]|[.,，]\d|[ ~]\d|-\w)"
)
_SINGULAR_MEASURE = pattern(
    r"[ -](?:meter|metre|mile|yard|foot|gram|calorie|page|piece|dollar|watt|liter|litre|gallon|pound|seat"
    r"|word)\b",
    re.IGNORECASE,
)
"""Words that show that a number counts things of a size: "3 400 meter races" are three."""


def fold(text: str) -> str:
    """Replace full-width signs and thousands separators by ASCII, keeping all positions."""
    folded = text if text.isascii() else text.translate(_FOLD)
    folded = _SPACED.sub(lambda match: match[0].replace(" ", ","), folded)
    return _GROUPED.sub(_with_commas, folded)


def join_groups(text: str) -> str:
    """Write `1 200`, `1，200` and `1~200` as `1,200` in a piece that states one number.

    All positions stay. Elsewhere these may be two numbers: "he runs 3 400 meter races", 得到100，200.
    """

    def rewrite(match: re.Match[str]) -> str:
        if match["mark"] == " " and _SINGULAR_MEASURE.match(text, match.end()):
            return match[0]
        return match[0].replace(match["mark"], ",")

    return _ALONE.sub(rewrite, text)


def _with_commas(match: re.Match[str]) -> str:
    mark = match["mark"]
    return match[0].replace(mark, "\\," if len(mark) == 2 else ",")
