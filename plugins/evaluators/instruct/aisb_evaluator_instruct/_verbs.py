"""Decide whether a text begins with a verb.

The lexicon of textblob has the most frequent part of speech of a word form. Many English verbs are nouns more
often (`design`, `focus`, `play`), and its tagger classifies most of them as nouns at the start of a sentence.
For these the next words decide: "Design a system" begins with a verb, "Design is about people" does not.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Sequence

from aisb_evaluator_instruct import _texts as texts

_OBJECTS_TEXT = """
the a an this that these those my your our his her its their some any every each all both no another
me us you him it them myself yourself himself herself itself ourselves themselves
how what why whether where when who which
"""
_OBJECTS = frozenset(_OBJECTS_TEXT.split())
_PREPOSITIONS_TEXT = """
about across after against along around as at away back before behind between beyond by deep deeper down
for forth forward from here in inside into off on onto out over past there through to together toward
towards under up upon with within without
"""
_PREPOSITIONS = frozenset(_PREPOSITIONS_TEXT.split())
_CLAUSES_TEXT = "and or but that which who whose what how why where when while if as because so"
_CLAUSES = frozenset(_CLAUSES_TEXT.split())
_FINITE = ("VBZ", "VBP", "VBD", "MD")
_NOUN_LIKE = ("NN", "NNS", "NNP", "JJ")


def starts_with_verb(text: str) -> bool:
    """Return whether the first word of a text is a verb in its sentence."""
    clause = _first_clause(text)
    if not clause:
        return False
    first, *rest = clause
    tag = _tag(first)
    if tag in ("VB", "VBP"):
        is_noun = rest[:1] == ["of"] and _tag(first + "s") in ("NN", "NNS")
        return not is_noun and not _is_subject(text, rest)
    if tag.startswith("VB"):
        return True
    if tag and tag not in _NOUN_LIKE:
        return False
    if first.endswith("ing"):
        stem = first[:-3]
        return any(_tag(form).startswith("VB") for form in (stem, stem + "e")) and _has_object(rest)
    return _is_stem(first) and _is_imperative(rest, _ends_sentence(text))


def _is_subject(text: str, rest: Sequence[str]) -> bool:
    """Return whether the first word is a label ("Play: …") or is followed by the verb that belongs to it."""
    is_label = not rest and re.match(r"\W*\w+\W*?:", text) is not None
    return is_label or _tag("".join(rest[:1])) in ("VBZ", "MD")


def _has_object(rest: Sequence[str]) -> bool:
    """Return whether a gerund has an object, unlike a noun in -ing."""
    return bool(rest) and rest[0] not in (*_PREPOSITIONS, "of", "and", "or") and _tag(rest[0]) not in _FINITE


def _first_clause(text: str) -> list[str]:
    """Return the words up to the first punctuation mark, in lower case; of a contraction, its first part."""
    line = texts.without_tags(text).lstrip(" \t\r\n#>*_-+\"'“‘`(")
    clause = re.split(r"[.,:;!?…—–\n(]", line, maxsplit=1)[0]
    words = texts.spoken_words(clause.replace("’", "'"))
    return [re.sub(r"(?:n't|'\w+)$", "", word) or word for word in words]


def _ends_sentence(text: str) -> bool:
    line = text.strip().split("\n")[0]
    return re.search(r"[.!]", line) is not None


def _is_imperative(rest: Sequence[str], is_sentence: bool) -> bool:
    """Return whether what follows a word that may be noun or verb makes it a verb."""
    if not rest or rest[0] == "of":
        return False
    following = rest[0]
    if following in _OBJECTS:
        return True
    if following in _PREPOSITIONS or following.endswith("ly"):
        return not _has_finite_verb(rest[1:])
    is_verb = following.endswith("s") and _is_stem(following[:-1])  # "Light travels fast."
    return is_sentence and not is_verb and not _has_finite_verb(rest)


def _has_finite_verb(words: Sequence[str]) -> bool:
    """Return whether a clause has a verb of its own before another clause begins."""
    for word in words:
        if word in _CLAUSES:
            return False
        if _tag(word) in _FINITE:
            return True
    return False


def _is_stem(word: str) -> bool:
    """Return whether the lexicon has a form of the verb that a word would be the stem of."""
    return any(_tag(form) in ("VB", "VBD", "VBN", "VBG", "VBP") for form in _forms(word))


def _forms(word: str) -> Iterator[str]:
    yield from (word, word + word[-1] + "ing", word + word[-1] + "ed")
    if not _tag(word + "e"):  # "pasted" is a form of "paste" and not of "past"
        yield from (word + "ing", word + "ed")
    if word.endswith("e"):
        yield from (word + "d", word[:-1] + "ing")
    if word.endswith("y"):
        yield word[:-1] + "ied"
    if word.endswith("ise"):
        yield word[:-3] + "ize"


def _tag(word: str) -> str:
    """Return the Penn Treebank tag that a word form has most often; empty if unknown."""
    return _lexicon().get(word, "")


@functools.cache
def _lexicon() -> dict[str, str]:
    from textblob.en import parser  # type: ignore[import-untyped]

    lexicon = parser.lexicon
    lexicon.load()
    return dict(lexicon)
