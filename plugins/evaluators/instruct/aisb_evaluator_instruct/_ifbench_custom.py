"""The instructions of IFBench that are complete prompts: a list, a table, a reversed sentence."""

from __future__ import annotations

import csv
import io
import itertools
import re
import string
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from aisb_evaluator_instruct import _texts as texts
from aisb_evaluator_instruct._ifeval import InstructionCheck
from aisb_evaluator_instruct._texts import spoken_words
from aisb_evaluator_instruct._vocabulary import STOP_WORDS

_CAPITALS = """
Reykjavik Helsinki Oslo Tallinn Stockholm Riga Moscow Copenhagen Vilnius Minsk Dublin Berlin Amsterdam Warsaw
London Brussels Prague Luxembourg Paris Vienna Bratislava Budapest Vaduz Chisinau Bern Ljubljana Zagreb
""".lower().split()
"""European capitals north of 45 degrees, from north to south, as published; Kyiv is missing there."""

_BEFORE_KYIV = _CAPITALS.index("brussels") + 1
_AFRICAN_COUNTRIES = 52
"""The number of lines by the published program; the African Union has 55 members, the United Nations 54."""

_QUESTION = re.compile(r"^[\s#*_]*Question\b\s*\d*\s*[.:)|;\-–]*", re.MULTILINE)
_CHOICE = re.compile(r"^\s*(?:[-*]\s+)?\(?[A-Ea-e][.):|]\s*\S")
_ARTICLE_PAIRS = frozenset(
    itertools.product(("is", "of", "in", "for", "and", "as", "to", "by"), ("the", "a", "an"))
)


def multiples(text: str, arguments: Mapping[str, Any]) -> bool:
    """The multiples of 7 from 14 to 49 are printed, and no other number."""
    return [int(number) for number in re.findall(r"\d+", text)] == list(range(14, 50, 7))


def mcq_count_length(text: str, arguments: Mapping[str, Any]) -> bool:
    """There are four questions with five choices each, every question longer than the one before."""
    before, *questions = _QUESTION.split(text)
    if (
        before.strip()
        or len(questions) != 4
        or re.search(r"^\W*explanation\b", text, re.IGNORECASE | re.MULTILINE)
    ):
        return False
    lengths = []
    for question in questions:
        lines = question.strip().split("\n")
        choices = [bool(_CHOICE.match(line)) for line in lines]
        if sum(choices) != 5:
            return False
        lengths.append(len(" ".join(map(str.strip, lines[: choices.index(True)])).strip(" *_")))
    return all(a < b for a, b in itertools.pairwise(lengths))


def reverse_newline(text: str, arguments: Mapping[str, Any]) -> bool:
    """The countries of Africa are listed from Zimbabwe backwards, each on a separate line."""
    lines = [re.sub(r"^[\W\d_]+|\W+$", "", line) for line in _ascii(text).lower().split("\n")]
    names = [line for line in lines if line]
    start = next((place for place, name in enumerate(names) if "zimbabwe" in name), len(names))
    listed = names[start:]
    if len(listed) < _AFRICAN_COUNTRIES:
        return False
    without_article = [name.removeprefix("the ") for name in listed]
    return any(some == sorted(some, reverse=True) for some in (listed, without_article))


def word_reverse(text: str, arguments: Mapping[str, Any]) -> bool:
    """The words of the sentence on the bald eagle are in reverse order."""
    words = spoken_words(text)
    pairs = list(itertools.pairwise(words))
    forward = sum(pair in _ARTICLE_PAIRS for pair in pairs)
    backward = sum(pair[::-1] in _ARTICLE_PAIRS for pair in pairs)
    return ("eagle", "bald") in pairs and ("bald", "eagle") not in pairs and forward <= backward


def character_reverse(text: str, arguments: Mapping[str, Any]) -> bool:
    """The letters of the sentence on the bald eagle are in reverse order."""
    forward, backward = (sum(word in STOP_WORDS for word in spoken_words(one)) for one in (text, text[::-1]))
    return "elgae dlab" in text.lower() and forward <= backward


def sentence_alphabet(text: str, arguments: Mapping[str, Any]) -> bool:
    """26 sentences begin with the letters of the alphabet in order."""
    begins = [words[0][0] for sentence in texts.sentences(text) if (words := spoken_words(sentence))]
    return begins == list(string.ascii_lowercase)


def european_capitals_sort(text: str, arguments: Mapping[str, Any]) -> bool:
    """The capitals north of 45 degrees are listed from north to south, with or without Kyiv."""
    names = [name.strip() for name in _ascii(text).lower().strip().rstrip(".").split(",") if name.strip()]
    if names[_BEFORE_KYIV : _BEFORE_KYIV + 1] in (["kyiv"], ["kiev"]):
        del names[_BEFORE_KYIV]
    same = {"luxembourg city": "luxembourg", "berne": "bern"}
    return [same.get(name, name) for name in names] == _CAPITALS


def csv_city(text: str, arguments: Mapping[str, Any]) -> bool:
    """There are seven rows of five comma-separated fields below the column names."""
    return _is_table(_csv_rows(text), ("ID", "Country", "City", "Year", "Count"), 7)


def csv_special_character(text: str, arguments: Mapping[str, Any]) -> bool:
    """Fourteen rows of five comma-separated fields; one with a special character is in double quotes."""
    special = re.search(
        r'(?:^|,)[ \t]*"[^"\n]*[^\w\s"][^"\n]*"[ \t]*(?:,|$)', text.partition("\n")[2], re.MULTILINE
    )
    return special is not None and _is_table(
        _csv_rows(text), ("ProductID", "Category", "Brand", "Price", "Stock"), 14
    )


def csv_quotes(text: str, arguments: Mapping[str, Any]) -> bool:
    """There are three rows of five tab-separated fields below the column names, every field in quotes."""
    fields = [[field.strip() for field in line.split("\t")] for line in text.strip().split("\n")]
    quoted = all(re.fullmatch(r'"[^"]*"', field) for row in fields for field in row)
    bare = [[field.strip('"') for field in row] for row in fields]
    return quoted and _is_table(bare, ("StudentID", "Subject", "Grade", "Semester", "Score"), 3)


def _csv_rows(text: str) -> list[list[str]]:
    rows = csv.reader(io.StringIO(text.strip()), skipinitialspace=True)
    try:
        return [[field.strip() for field in row] for row in rows]
    except csv.Error:
        return []


def _is_table(rows: Sequence[Sequence[str]], columns: Sequence[str], count: int) -> bool:
    header = list(rows[0]) if rows else []
    return (
        header == list(columns) and len(rows) == count + 1 and all(len(row) == len(columns) for row in rows)
    )


def date_format_list(text: str, arguments: Mapping[str, Any]) -> bool:
    """There are only dates of Napoleon's life as YYYY-MM-DD, with commas between them."""
    return all(map(_is_day_of_napoleon, text.split(",")))


def _is_day_of_napoleon(text: str) -> bool:
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", text.strip()):
        return False
    try:
        return 1769 <= date.fromisoformat(text.strip()).year <= 1821
    except ValueError:
        return False


def _ascii(text: str) -> str:
    """Return a text without diacritics."""
    return unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode("ascii")


CUSTOM_CHECKS: dict[str, InstructionCheck] = {
    "custom:multiples": multiples,
    "custom:mcq_count_length": mcq_count_length,
    "custom:reverse_newline": reverse_newline,
    "custom:word_reverse": word_reverse,
    "custom:character_reverse": character_reverse,
    "custom:sentence_alphabet": sentence_alphabet,
    "custom:european_capitals_sort": european_capitals_sort,
    "custom:csv_city": csv_city,
    "custom:csv_special_character": csv_special_character,
    "custom:csv_quotes": csv_quotes,
    "custom:date_format_list": date_format_list,
}
"""The instructions that are complete prompts, by name."""
