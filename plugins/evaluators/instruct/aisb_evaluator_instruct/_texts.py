"""Split a text for instructions: into sentences and words; and detect its language."""

from __future__ import annotations

import functools
import re
import string

_WORD = re.compile(r"\w+")
_TOKEN = re.compile(r"[^\W_]+(?:[-.'’&/][^\W_]+)*")
_END = re.compile(r"[.!?]+[\"'”’)\]*]*(?=\s)|[。！？]+[”’」』）]*")
_TAG = re.compile(r"</?[a-zA-Z][a-zA-Z0-9]*(?:\s[^<>]*)?/?>")
_EDGE = string.punctuation + "“”‘’…—–«»"
_SHORTENED = """
mr mrs ms dr prof sr jr st rev gen col sgt capt lt vs etc inc ltd co corp e.g i.e fig no vol dept est approx
jan feb mar apr jun jul aug sep sept oct nov dec p.s p.p.s u.s u.k a.m p.m d.c mt ave blvd
"""
_ABBREVIATIONS = frozenset(_SHORTENED.split())


def words(text: str) -> list[str]:
    """Return the runs of letters, digits and underscores."""
    return _WORD.findall(text)


def spoken_words(text: str) -> list[str]:
    """Return the words between white space, in lower case, without tags and surrounding punctuation."""
    return bare_words(without_tags(text).lower())


def bare_words(text: str) -> list[str]:
    """Return the words between white space, without surrounding punctuation."""
    return [word for one in text.split() if (word := one.strip(_EDGE))]


def without_tags(text: str) -> str:
    """Return a text without the tags of HTML."""
    return _TAG.sub("", text)


def tokens(text: str) -> list[str]:
    """Return the words of a text; `well-known`, `U.S`, `it's` are one word each."""
    return _TOKEN.findall(text)


def sentences(text: str) -> list[str]:
    """Return the sentences. An abbreviation, an initial and the number of a list item do not end one."""
    found: list[str] = []
    start = 0
    for end in _END.finditer(text):
        if end[0][0] in ".!?" and not _ends(text, start, end):
            continue
        found.append(text[start : end.end()].strip())
        start = end.end()
    found.append(text[start:].strip())
    return [one for one in found if one]


def _ends(text: str, start: int, end: re.Match[str]) -> bool:
    """Return whether a full stop, question mark or exclamation mark ends a sentence."""
    after = text[end.end() :].lstrip()
    if not after:
        return True
    before = text[start : end.start()].rsplit(None, 1)
    last = before[-1].strip("\"'“”‘’()[]*").lower() if before else ""
    if end[0][0] == ".":
        ellipsis = end[0].startswith("..") and after[0].islower()
        if last in _ABBREVIATIONS or ellipsis:
            return False
        if len(last) == 1 and last.isalpha() and last != "i":
            return False
        if last.isdecimal() and "\n" in text[max(start - 1, 0) : end.start()][-len(last) - 2 :]:
            return False
    # "Really?" she said.
    return not (after[0].islower() and end[0][-1] in "\"'”’")


@functools.cache
def _detector() -> object:
    from langdetect import DetectorFactory, detect  # type: ignore[import-untyped]

    DetectorFactory.seed = 0  # without it, results are not reproducible
    return detect


def language(text: str) -> str | None:
    """Return the language code of a text; None if it has no detectable language."""
    from langdetect import LangDetectException

    detect = _detector()
    assert callable(detect)  # noqa: S101 - langdetect has no types
    try:
        return str(detect(text))
    except LangDetectException:
        return None
