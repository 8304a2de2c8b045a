r"""Read one verdict, or none, from a judge's reply. Nothing is guessed from prose.

A verdict is a letter (`A`, `a`, `(A)`, `**A**`, `\boxed{A}`, `[[A]]`), a word (`CORRECT`), or both if they
agree (`A: CORRECT`), each also after "Verdict:", "the answer is" or 答案：, or in JSON. It is on the last
line, or on the first line if only an explanation follows. Quotations of the judged text are no verdict.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from aisb_evaluator_judge._candidate import JudgedText

_BOX = re.compile(r"\\boxed\{(?:\\(?:text|mathrm|textbf)\{)?([^{}]*)\}{1,2}")
_TAG = re.compile(r"<(\w+)>([^<>]*)</\1>")
_NOUNS = "verdict|judg(?:e)?ment|grade|answer|choice|decision|conclusion|rating|result|option"
_LEAD = re.compile(
    rf"\A(?P<before>.*?)\b(?P<lead>(?:{_NOUNS})(?:\s+is)?|i\s+(?:choose|select|pick))[\s*_]*[:：=]?[\s*_]*"
    r"(?=\S+(?:\s*[:：(].*)?\Z)",
    re.IGNORECASE,
)
_CHINESE_LEAD = re.compile(
    r"\A(?P<before>.*?)(?P<lead>答案|判断(?:结果)?|裁决|裁定|结论|评判(?:结果)?|判定(?:结果)?|评价|结果|选项|选择|选)"
    r"\s*(?:应?[该为是])*[\s*_]*[:：=]?[\s*_]*(?=\S+(?:\s*[:：(（].*)?\Z)"
)
_OF_ANOTHER = re.compile(
    r"(?:\b(?:model|student|candidate|response|assistant|its|their|his|her|said|says|claims|wrote|not|n't)"
    r"(?:['’]s)?(?:\s+(?:final|own|correct|the))*|候选|学生|模型|考生|回答者|不|不是|错误)\W*的?\W*\Z",
    re.IGNORECASE,
)
_OF_THE_QUESTION = re.compile(
    r"(?:\b(?:correct|right|true|gold|golden|reference|standard|expected|target|given|submitted|predicted|"
    r"proposed)(?:\s+final)?|正确|标准|参考)\W*的?\W*\Z",
    re.IGNORECASE,
)
_ANSWERS = re.compile(r"answer|choice|option|result|答案|选|结果", re.IGNORECASE)
_REASONED = re.compile(r"(?P<verdict>\W*\w+\W*?)\s*(?:[.:)\-–—,;，。：；）]|\*\*)\s+(?P<reason>\S.*\s.*)")
_RETRACTED = re.compile(
    r"\W*(?:though|although|but|or|however|wait|actually|hmm|maybe|no\b|不过|但|或|等等)", re.IGNORECASE
)
_PARTS = re.compile(r"[\s:：=\-–()（）\[\].,，、]+")
_AROUND = " \t*_`'\"“”「」$.。!！()（）[]【】#>,，;；:：{}"
_NOTHING = JudgedText()
_KEYS = frozenset(
    {
        "verdict",
        "judgment",
        "judgement",
        "grade",
        "answer",
        "choice",
        "decision",
        "conclusion",
        "result",
        "rating",
    }
)


def read_verdict(text: str, letters: Mapping[str, str], judged_text: JudgedText = _NOTHING) -> str | None:
    """Return the verdict of a reply without reasoning; `letters` maps each letter to its verdict.

    None if the reply states no verdict, several, or a letter with the word of another; also if every possible
    verdict is repeated from the text in `judged_text`.
    """
    lines = judged_text.own_lines(text)
    if not lines:
        return None
    if (in_json := _in_json("\n".join(lines), letters, judged_text)) is not None:
        return in_json
    found = [_stated(line, letters, judged_text) for line in lines]
    if found[-1] is not None:
        listed = len(found) > 1 and found[-2] not in (None, found[-1])  # the options, repeated
        return None if listed else found[-1]
    if len(lines) == 1:
        return _reasoned(lines[0], letters)
    explained = found[0] is not None and not _RETRACTED.match(lines[1])
    return found[0] if explained and not set(found[1:]) - {None, found[0]} else None


def _stated(line: str, letters: Mapping[str, str], judged_text: JudgedText) -> str | None:
    """Return the verdict of a line that consists of nothing else."""
    line = _TAG.sub(r"\2", _BOX.sub(r"\1", line)).strip(_AROUND)
    if (found := _named(line, letters)) is not None:
        return found
    for lead in filter(None, (_LEAD.match(line), _CHINESE_LEAD.match(line))):
        is_answer = _ANSWERS.match(lead["lead"]) and _OF_THE_QUESTION.search(lead["before"])
        if is_answer or _OF_ANOTHER.search(lead["before"]):
            continue
        if judged_text.repeats(line[lead.start("lead") :]):
            continue
        if (found := _named(line[lead.end() :].strip(_AROUND), letters)) is not None:
            return found
    return None


def _named(text: str, letters: Mapping[str, str]) -> str | None:
    """Return the verdict of a text that consists of nothing else."""
    by_word = {verdict.upper(): verdict for verdict in letters.values()}
    if text.upper() in by_word:
        return by_word[text.upper()]
    if len(text) == 1 and text.upper() in letters:
        return letters[text.upper()]
    first, *rest = [part.strip(_AROUND) for part in _PARTS.split(text, maxsplit=1)]
    word = rest[0].upper() if rest else ""
    return letters[first] if first in letters and by_word.get(word) == letters[first] else None


def _reasoned(line: str, letters: Mapping[str, str]) -> str | None:
    """Return the verdict before a reason on the same line ("A. Both are 1/2.")."""
    found = _REASONED.fullmatch(line.strip())
    if found is None or _RETRACTED.match(found["reason"]):
        return None
    verdict = _named(found["verdict"].strip(_AROUND), letters)
    others = [letter for letter in letters if letters[letter] != verdict]
    words = [*others, *(letters[letter] for letter in others)]
    other = any(re.match(rf"\W*{re.escape(word)}(?!\w)", found["reason"], re.IGNORECASE) for word in words)
    several = any(
        re.search(rf"(?<!\w){re.escape(letter)}(?!\w|['’])(?! [a-z])", found["reason"]) for letter in others
    )
    return None if other or several else verdict


def _in_json(text: str, letters: Mapping[str, str], judged_text: JudgedText) -> str | None:
    """Return the verdict in the JSON object at the end of a text."""
    decoder, start = json.JSONDecoder(strict=False), text.find("{")
    while start >= 0:
        try:
            found, end = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            end = start + 1
        else:
            if not re.search(r"\w", text[end:]) and not judged_text.repeats(text[start:end]):
                return _under_key(found, letters)
        start = text.find("{", end)
    return None


def _under_key(found: Mapping[str, object], letters: Mapping[str, str]) -> str | None:
    stated_confidence = {
        _named(str(value).strip(_AROUND), letters) for key, value in found.items() if key.lower() in _KEYS
    }
    return stated_confidence.pop() if len(stated_confidence) == 1 else None
