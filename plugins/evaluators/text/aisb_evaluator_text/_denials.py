"""Tell a chosen letter from one that is denied, only supposed, or one of several."""

from __future__ import annotations

import re

from aisb.helpers import pattern

_DENIES = pattern(
    r"""
    (?:\b(?:not|cannot|never|neither|nor|exclud(?:e|es|ing)|eliminat\w{1,4}|reject\w{0,3}
      |(?:rul|cross)(?:e|ed|es|ing)\ out|no\ es|não\ é|non\ è|nicht|kein\w{0,2}|не|pas)
      |n['’]t|\brather\ than|\binstead\ of|不|别|非|排除|除了?|未|勿|而不|ではな[いく])
    (?:\s?be|的?(?:是|选择?|能|应该?))?[\s(*\[]{0,4}(?:option\s|choice\s|选项)?[(*\[]{0,3}$
  | (?:n['’]t|\bnot)\ (?:think|believe)\b[^.\n]{0,40}$
    """,
    re.VERBOSE | re.IGNORECASE,
)
_MORE = r"(?:\s?(?:[、,]|,?\s?(?:and|or)\b|[和与及])\s?[(\[*]{0,2}[A-Z](?![A-Za-z0-9])[)\]*]{0,2}){0,9}"
_VERDICT = r"""
    [)\]*_`"']{0,4}(?:
      \s?(?:\([^)\n]{0,80}\)\s?)?(?:is|are|was|were|seems)
      \s?(?:(?:also|clearly|definitely|simply|just|therefore|obviously)\s){0,2}
      (?:not\ (?:correct|right|true|valid|accurate|the|an\ answer|it\b)|n['’]t
        |(?:wrong|incorrect|false|invalid|out)\b
        |(?:ruled\ out|eliminated|excluded))
    | \s(?:cannot|can['’]t)\ be\ (?:correct|right|true|the|it)
    | [.:]?\s(?:wrong|incorrect|false)\b
    | \s(?:ist|sind)\s(?:falsch|nicht)\b
    | \s(?:es|no\ es)\s(?:incorrect|la\ respuesta\ incorrect|correct)[oa]\b(?<!\ses\scorrect[oa])
    | \s(?:est|n['’]est\ pas)\s(?:faux|fausse|incorrecte?|correcte?)\b(?<!\sest\scorrect)(?<!\sest\scorrecte)
    | \s(?:неверен|неверн\w{1,3}|неправильн\w{1,3}|не\s(?:подходит|является))
    | \s?(?:选项|[两三四几]?[个项]选?项?)?\s?[.:]?(?:是|说法|描述|表述|均|都|也|显然){0,2}
      (?:错误|错的|不正确|不对|不符|不是(?:答案|正确)|有误|被排除)
    | \s?では(?:な[いく]|ありません)
    | \s?[?？]
    )
    """
_WRONG = pattern(_MORE + _VERDICT, re.VERBOSE | re.IGNORECASE)
_WRONG_ALONE = pattern(_VERDICT, re.VERBOSE | re.IGNORECASE)
_UNCHOSEN = pattern(
    r"(?:\bnot|n['’]t|\bnever|\bcannot|不能?|别|勿|未|无法|不可|不应|不会|误|错)"
    r"\s?(?:\w{1,12}\s)?(?:the\s|that\s)?$",
    re.IGNORECASE,
)


def is_denied_letter(text: str, start: int, end: int, rule_start: int, *, listed: bool = True) -> bool:
    """Return whether the letter at start..end is denied as the answer, or only in a question.

    With `listed`, the letter may be part of a list that is called wrong: "A, C and D are wrong". An announced
    letter before a comma is not part of one: "The answer is B, A and C are wrong".
    """
    return bool(
        _DENIES.search(text[max(0, start - 60) : start])
        or (_WRONG if listed else _WRONG_ALONE).match(text, end)
        or _UNCHOSEN.search(text[max(0, rule_start - 24) : rule_start])
    )


_SUPPOSES = pattern(r"\bif\s(?!I\b)[^.\n]{1,80}\b(?:were|was|had|asked)\b[^.\n]{0,60}$", re.IGNORECASE)


def supposed(text: str, match: re.Match[str]) -> bool:
    """Return whether the letter would be right only for another question."""
    if "would be" not in match[0].lower():
        return False
    return bool(_SUPPOSES.search(text[max(0, match.start() - 160) : match.start()]))


_JOINS = pattern(r"(?<![A-Za-z])[A-Z][)\]*]{0,2}\s?(?:and|or|&|[和与或、/])\s?[(*\[]{0,2}$")


def is_one_of_several(text: str, start: int) -> bool:
    """Return whether the letter is one of several ("both A and B are right")."""
    return bool(_JOINS.search(text[max(0, start - 12) : start]))
