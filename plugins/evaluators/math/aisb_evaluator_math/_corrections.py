"""Detect a text that corrects its answer: "The answer is 12. No, it is 14." corrects 12 to 14.

A text that only checks its answer ("let me double check: …") is no correction.
"""

from __future__ import annotations

import re

_STRONG = re.compile(
    r"\b(?:is|was|['’]s)\s{1,9}(?:wrong|incorrect|not\s{1,9}(?:right|correct)|a\s{1,9}mistake|an\s{1,9}error)\b"
    r"|\b(?:isn|wasn)['’]t\s{1,9}(?:right|correct)\b|\bmade\s{1,9}an?\s{1,9}(?:\w+\s{1,9})?(?:mistake|error)\b|\bmy\s{1,9}mistake\b"
    r"|\bcorrection\b|\bcorrecting\b|\bscratch\s{1,9}that\b|\boops\b|\bsorry\b|\bI\s{1,9}mean[t]?\b"
    r"|(?<![\w.])no\b(?=\s{0,9}[,:;—–-]|\s{1,9}(?:it|the\s{1,9}answer)\b)"
    r"|(?<![\w.])(?:nein|non|нет)(?=\s{0,9}[,:;—–-])"
    r"|(?<![\u4e00-\u9fff])不(?=[，,])|不对|错了|算错|有误|更正|纠正|修正|抱歉",
    re.IGNORECASE,
)
_WEAK = re.compile(
    r"\bwait\b|\bactually\b|\bhold\s{1,9}on\b|\bon\s{1,9}(?:second\s{1,9}thoughts?|reflection)\b|等等|等一下|其实|实际上",
    re.IGNORECASE,
)
_VALUE = r"(?=[*_]{0,2}(?:\$|\\|[-+(√π]?\d|[-+]?\.\d|[a-z]\s?[-+^*/]|[-+]?√))"
_STATES = re.compile(
    r"(?:\b(?:it|that|this|(?:the\s{1,9})?(?:\w+\s{1,9}){0,2}(?:answer|result|value|total|sum))"
    r"(?:\s{1,9}(?:is|should\s{1,9}be|should\s{1,9}have\s{1,9}been|must\s{1,9}be|would\s{1,9}be|equals|comes\s{1,9}(?:out\s{1,9})?to)|['’]s)"
    r"(?:\s{1,9}(?:actually|really|in\s{1,9}fact|rather|instead|indeed|simply|just))?"
    r"|\b(?:es\s{1,9}(?:ist|sind|es)|c['’]est|die\s{1,9}antwort\s{1,9}ist|la\s{1,9}(?:réponse\s{1,9}est|respuesta\s{1,9}es)|(?:это|ответ)(?:\s{0,9}[:—–-])?(?=\s))"
    r"|\b(?:correction|answer)\s{0,9}[:：]|\bscratch\s{1,9}that\s{0,9}[:：,.]?|\bno\s{0,9}[,:;—–-]|\bI\s{1,9}mean[t]?"
    r"|应该?是|应为|应当是|(?:更正|修正|纠正)(?:为|[:：])|(?<=[，,])是|答案(?:应该?)?(?:是|为|[:：])|而是)\s{0,9}[*_]{0,2}\s{0,9}"
    + _VALUE,
    re.IGNORECASE,
)
_NAMED = re.compile(
    r"\s{0,9}[:：,，.。]?\s{0,9}(?:so\s{1,9}|thus\s{1,9}|therefore\s{1,9}|所以)?\$?\s{0,9}[a-zA-Z]\s{0,9}=\s{0,9}"
    + _VALUE,
    re.IGNORECASE,
)
_OUGHT = re.compile(r"\b(?:should|must|answer|result|correction)\b|应|更正|修正|纠正|答案", re.IGNORECASE)
_TURN = re.compile(
    rf"(?:{_WEAK.pattern}|\bhmm+\b)\s{{0,9}}[,，:：.…—–-]{{0,3}}\s{{0,9}}(?:no\b\s?[,，:：]?\s{{0,9}})?$",
    re.IGNORECASE,
)
_SUPPOSED = re.compile(
    r"(?:\b(?:if|suppose|whether|that|assuming|unless|say|when|因|try)|如果|若|假如|假设)\s{0,9},?\s{0,9}$",
    re.IGNORECASE,
)
_IF = re.compile(
    r"(?:\b(?:if|whether|unless)\s{1,9}(?:\w+\s{1,9}){0,3}|would\s{1,9}be\s|如果[^，。]{0,8}|若[^，。]{0,8})$",
    re.IGNORECASE,
)
_CONFIRMED = re.compile(
    r"\b(?:answer|result|it|solution|everything)\s{1,9}(?:is|was|stands|remains|still\s{1,9}holds|holds|does\s{1,9}hold)"
    r"(?:\s{1,9}(?:indeed|still|actually))?\s{1,9}(?:correct|right|fine|unchanged|the\s{1,9}same|valid)\b"
    r"|\b(?:it|answer)\s{1,9}(?:stands|holds)\b|\bchecks?\s{1,9}out\b|\bno\s{1,9}(?:mistake|error)s?\b|\b(?:was|is)\s{1,9}right\s{1,9}after\s{1,9}all\b"
    r"|没错|没有错|没问题|正确无误|答案正确|是对的",
    re.IGNORECASE,
)
_CLAUSE = re.compile(r"[?？]|[.!。！](?=\s|$|[\u4e00-\u9fff])|[。；;\n，]|,\s")
_LONGEST_UNIT = 3
"""The maximum number of words after a value in its clause: "it is 14 square meters"."""


def with_corrections(text: str, start: int) -> int | None:
    """Return the beginning of the value that replaces the answer at `start`; None if the answer stands."""
    retraction = _first(text, start)
    if retraction is None:
        return None
    begin, end, strong = retraction
    if strong and (named := _NAMED.match(text, end)) and _ends_clause(text, named.end()):
        return named.end()
    last = None
    for statement in _STATES.finditer(text, begin):
        if _is_supposed(text, statement.start()) or not _ends_clause(text, statement.end()):
            continue
        if strong or _is_immediate(text, statement):
            last = statement.end()
    if last is None or _CONFIRMED.search(text, begin):
        return None
    return last


def _first(text: str, start: int) -> tuple[int, int, bool] | None:
    strong, weak = _STRONG.search(text, start), _WEAK.search(text, start)
    if strong and _IF.search(text[max(0, strong.start() - 30) : strong.start()]):
        strong = None
    if strong:
        return (min(weak.start(), strong.start()) if weak else strong.start(), strong.end(), True)
    return (weak.start(), weak.end(), False) if weak else None


def _is_immediate(text: str, statement: re.Match[str]) -> bool:
    """Return whether a statement contradicts the text before it: "wait, it is 14", "it should be 14"."""
    if _OUGHT.search(statement[0]):
        return True
    return _TURN.search(text[max(0, statement.start() - 30) : statement.start()]) is not None


def _is_supposed(text: str, at: int) -> bool:
    return _SUPPOSED.search(text[max(0, at - 30) : at]) is not None


def _ends_clause(text: str, at: int) -> bool:
    """Return whether a value at `at` ends its clause, except for a unit, and the clause is no question."""
    window = text[at : at + 200]
    formula = re.match(r"[*_]{0,2}(\$\$?|\\\(|\\\[)", window)
    begin = 0
    if formula:
        closer = {"$": "$", "$$": "$$", r"\(": r"\)", r"\[": r"\]"}[formula[1]]
        found = window.find(closer, formula.end())
        if found < 0:
            return False
        begin = found + len(closer)
    end = _CLAUSE.search(window, begin)
    rest = window[begin : end.start()] if end else window[begin:]
    if end and end[0] in "?？":
        return False
    if re.search(r"[<>≤≥]", rest):
        return False
    words = re.findall(r"(?<![\\\w])[A-Za-z]{2,}", rest)
    return len(words) <= _LONGEST_UNIT and not re.search(
        r"\b(?:per|if|when|of|for|then|times|plus|minus|more|less|because|gives?|makes?|yields?|means|implies|works|fails)\b",
        rest,
    )
