"""Read numbers written as words: `eighteen`, `two hundred and five`, `十八`, `百分之五十`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction

from aisb.helpers import pattern
from aisb_evaluator_text._numbers import FoundNumber
from aisb_evaluator_text._units import word_fraction

_ONES = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
]
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_WORDS = {word: value for value, word in enumerate(_ONES)} | {w: 10 * i for i, w in enumerate(_TENS, 2)}
_SCALES = {"hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9}
_WORD = "|".join([*sorted(_WORDS, key=len, reverse=True), *_SCALES])
_PART = r"(?:hal(?:f|ves)|thirds?|quarters?|fourths?|fifths?|sixths?|eighths?|tenths?)"
_ENGLISH = pattern(
    rf"""
    \b(?P<minus>(?:minus|negative)[ ])?(?:
      (?P<dozens>half[ ]a[ ]dozen|a[ ]dozen)
    | (?P<top>an?(?=[ ](?:half|quarter))|one|two|three|four|five|six|seven)[ -](?P<part>{_PART})
    | (?P<half>half)
    | (?:a[ ](?=hundred|thousand|million))?(?P<words>(?:{_WORD})
        (?:(?:[ -]|[ ]and[ ]|(?<=thousand|.million),[ ])(?:{_WORD})){{0,12}})
      (?:[ ]and[ ](?P<over>an?|one|two|three)[ -](?P<over_part>hal(?:f|ves)|thirds?|quarters?)
         (?:[ ](?P<scale>hundred|thousand|million|billion))?)?
      (?P<dozen>[ ]dozen)?(?P<percent>[ ]per[ ]?cent)?
    )\b(?!-[a-z])
    """,
    re.IGNORECASE | re.VERBOSE,
)
_DIGITS = {c: i for i, c in enumerate("零一二三四五六七八九")} | {"〇": 0, "两": 2, "兩": 2}
_FORMAL = str.maketrans("壹贰貳叁參肆伍陆陸柒捌玖拾佰仟", "一二二三三四五六六七八九十百千")
"""The numerals of cheques. One alone may be a part of a word, as in 队伍."""
_FORMAL_RUN = pattern(r"[壹贰貳叁參肆伍陆陸柒捌玖拾佰仟零〇万萬]{2,20}")
_HALF = pattern(
    r"一半|(?P<whole>[一二两兩三四五六七八九十]{1,3})个半|(?<![\u4e00-\u9fff个])半"
    r"(?=个?(?:小时|天|年|月|斤|米|升|公里|千克|公斤|吨|杯|块|元))"
)
_STEPS = {"十": 10, "百": 100, "千": 1000}
_SHORT = {"百": 10, "千": 100, "万": 1000, "萬": 1000, "亿": 10**7}
_NUMERAL = "[零〇一二两兩三四五六七八九十百千万萬亿億]"
_CHINESE = pattern(
    rf"(?<![几数])(?P<minus>负|負|零下)?(?:(?P<mixed>{_NUMERAL}{{1,20}})又(?={_NUMERAL}{{1,20}}分之))?"
    rf"(?:(?P<per>{_NUMERAL}{{1,20}})分之)?(?P<whole>{_NUMERAL}{{1,20}}+)(?!几|多(?!少))"
    rf"(?:点(?P<tail>[零〇一二三四五六七八九]{{1,20}}))?"
)


def find_spelled(text: str) -> Iterator[FoundNumber]:
    """Yield the spelled numbers of a text in order."""
    if not text.isascii():
        text = _FORMAL_RUN.sub(lambda run: run[0].translate(_FORMAL), text)
    halves = []
    for half in _HALF.finditer(text):
        whole = (_numeral(half["whole"]) or 0) if half["whole"] else 0
        halves.append(half.span())
        yield FoundNumber(f"{whole} 1/2" if whole else "1/2", *half.span(), (whole + Fraction(1, 2),))
    for words, read in ((_ENGLISH, _english), (_CHINESE, _chinese)):
        for match in words.finditer(text):
            value = read(match)
            if value is not None and not any(start <= match.start() < end for start, end in halves):
                yield FoundNumber(match[0], match.start(), match.end(), value)


def _english(match: re.Match[str]) -> tuple[Fraction, ...] | None:
    if match["dozens"]:
        return (Fraction(12 if match["dozens"].lower().startswith("a") else 6),)
    sign = -1 if match["minus"] else 1
    if match["half"]:
        return (sign * Fraction(1, 2),)
    if match["part"]:
        return (sign * word_fraction(match["top"], match["part"]),)
    integer = _english_integer(match["words"])
    if integer is None:
        return None
    number = Fraction(integer)
    if match["over"]:
        number += word_fraction(match["over"], match["over_part"])
        number *= _SCALES[match["scale"].lower()] if match["scale"] else 1
    number *= sign
    if match["dozen"]:
        return (number * 12, number)
    return (number / 100, number) if match["percent"] else (number,)


def _english_integer(words: str) -> int | None:
    total = current = 0
    before = 0
    for word in re.split(r",? |-", words.lower()):
        if word == "and":
            continue
        if word == "hundred":
            current = max(1, current) * 100
        elif word in _SCALES:
            total, current = total + max(1, current) * _SCALES[word], 0
        else:
            value = _WORDS[word]
            # "twenty one" is one number; "five six" are two, which are not joined.
            if current % 100 and not (value < 10 and 20 <= before < 100):
                return None
            current += value
            before = value
            continue
        before = 0
    return total + current


def _chinese(match: re.Match[str]) -> tuple[Fraction, ...] | None:
    integer = _numeral(match["whole"])
    if integer is None:
        return None
    number = Fraction(integer)
    if match["tail"]:
        number += Fraction("0." + "".join(str(_DIGITS[c]) for c in match["tail"]))
    number = -number if match["minus"] else number
    if not match["per"]:
        return (number,)
    per = _numeral(match["per"])
    if not per:
        return None
    if match["mixed"]:
        mixed = _numeral(match["mixed"])
        if mixed is None:
            return None
        return ((mixed + abs(number) / per) * (-1 if match["minus"] else 1),)
    return (number / 100, number) if match["per"] == "百" else (number / per,)


def _numeral(text: str) -> int | None:
    """Return the value of a Chinese numeral, digit by digit (二〇二四) or by place (两千零二十四)."""
    text = text.replace("萬", "万").replace("億", "亿")
    if all(c in _DIGITS for c in text):
        return int("".join(str(_DIGITS[c]) for c in text))
    high = total = section = digit = 0
    for position, c in enumerate(text):
        if c in _DIGITS:
            digit = _DIGITS[c]
        elif c in _STEPS:
            section, digit = section + (digit or 1) * _STEPS[c], 0
        elif c == "亿":
            high, total, section, digit = (high + total + section + digit) * 10**8, 0, 0, 0
        else:
            total, section, digit = (total + section + digit) * 10**4, 0, 0
        if position == 0 and c in "万亿":
            return None
    if digit and text[-2] in _SHORT:  # 两万五 is 25,000, and 三百五 is 350
        digit *= _SHORT[text[-2]]
    return high + total + section + digit
