"""Find the option that a text names by its position: "the second option", 第二个选项, "Option 2".

Only an announced or judged position counts, not one that the text merely mentions.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from aisb.helpers import pattern

ENGLISH = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")
CHINESE = "一二三四五六七八九十"
_ENGLISH = "|".join((*ENGLISH, "last"))
_WHOLE = pattern(
    rf"\W{{0,4}}(?:(?:(?:option|choice) #?|选项 ?|第)(?P<place>\d|[{CHINESE}])(?:个?选?项)?"
    rf"|(?:it['’]s )?the (?P<word>{_ENGLISH}) (?:one|option|choice|answer))\W{{0,4}}",
    re.IGNORECASE,
)
# The possible first words of the name of a position, in lower case.
_BEGINS = pattern(
    rf"\b(?:answer|choice\b|choose|select|pick|go with|the (?:{_ENGLISH}) |option )|第|答案|选|应|正确"
)
_OPTION = r"(?:option|choice|answer|statement|alternative)"
_RIGHT = r"(?:the\ )?(?:correct|right|best|most\ (?:likely|appropriate|suitable))"

_PLACED = pattern(
    rf"""
    \b(?:answer|choice|option)\b[^.\n:]{{0,40}}?(?:\bis\b|:)\s?[*_(]{{0,3}}
      (?:the\ (?P<word>{_ENGLISH})(?=\s(?:one|{_OPTION})\b|[)*_"'”]{{0,3}}\s?(?:[.,;!]|\n|$))
        |(?:option|choice)\ (?:number\ )?\#?(?P<digit>\d)(?!\w))
  | \b(?:choose|select|pick|go\ with)\s
      (?:the\ (?P<word2>{_ENGLISH})\ {_OPTION}|option\ \#?(?P<digit2>\d)(?!\w))
  | \bthe\ (?P<word3>{_ENGLISH})\ {_OPTION}\ is\ {_RIGHT}\b
  | \boption\ \#?(?P<digit3>\d)\ is\ {_RIGHT}\b
  | (?:答案|应?选择?|(?<!不)正确的?(?:选项)?)[^，,。\n不非]{{0,6}}?(?:是|为|:)?\s?
      第(?P<cn>[{CHINESE}\d])个?(?:选项|项|答案|个)
  | (?:答案|应?选择?)[^，,。\n不非]{{0,6}}?(?:是|为|:)?\s?选项\s?(?P<cn3>[{CHINESE}\d])(?![\d{CHINESE}])
  | (?<![不非])选项\s?(?P<cn4>[{CHINESE}\d])(?:是|才是)?(?:正确|对的)
  | 第(?P<cn2>[{CHINESE}\d])个?(?:选项|项|答案|个)(?:是|才是)?(?:正确|对的)
    """,
    re.VERBOSE | re.IGNORECASE,
)


class PlaceValue(NamedTuple):
    """An option named by its position, and the span of that name; `rule` is the start of the statement."""

    letter: str
    start: int
    end: int
    rule: int


def places(text: str, letters: str) -> Iterator[PlaceValue]:
    """Yield the options that a text announces by their position."""
    only = _WHOLE.fullmatch(text) if len(text) < 24 else None
    if only:
        name = "place" if only["place"] else "word"
        number = _number(only[name].lower(), len(letters))
        if 1 <= number <= len(letters):
            yield PlaceValue(letters[number - 1], *only.span(name), 0)
    lower = text.lower()
    begins = _BEGINS.finditer(lower if len(lower) == len(text) else text)
    for match in filter(None, (_PLACED.match(text, word.start()) for word in begins)):
        name, ordinal = next((name, ordinal) for name, ordinal in match.groupdict().items() if ordinal)
        number = _number(ordinal.lower(), len(letters))
        if 1 <= number <= len(letters):
            yield PlaceValue(letters[number - 1], *match.span(name), match.start())


def _number(word: str, last: int) -> int:
    if word.isdigit():
        return int(word)
    if word == "last":
        return last
    return ENGLISH.index(word) + 1 if word in ENGLISH else CHINESE.index(word) + 1


_SEVERAL = pattern(
    r"(?:答案|\b[Aa]nswers?)[\"'*_`)\]]{0,4}\s?(?:是|为|is\b|are\b)?\s?[:=]?\s?[*(\[]{0,3}"
    r"(?P<letters>[A-Z]{2,10})(?![A-Za-z])"
)


def has_several(text: str, letters: str) -> Iterator[tuple[int, int]]:
    """Yield the spans of several letters announced as one: 答案：AC."""
    for match in _SEVERAL.finditer(text):
        found = match["letters"]
        if set(found) <= set(letters) and list(found) == sorted(set(found)):
            yield match.span("letters")
