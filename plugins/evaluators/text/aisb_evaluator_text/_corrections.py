"""Detect where a text retracts its answer, in contrast to merely checking it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from aisb.helpers import pattern

_CORRECTS = pattern(
    r"""
    \b(?:that|this|it|which|my\ (?:answer|calculation|reasoning|result)
        |the\ (?:above|answer|result|calculation)(?:\ above)?)(?:['’]s|\ is|\ was)
      \s(?:[a-z]{2,9}ly\s)?(?:wrong|incorrect|false|not\ (?:right|correct|quite)
        |a\ mistake|an\ error|mistaken)\b
    | \bthat\ (?:isn|wasn|can)['’]t\ (?:be\ )?(?:right|correct)\b | \bcan['’]?t\ be\ right\b
    | \b(?:scratch|strike)\ that\b | \bcorrect(?:ion|ing)\b | \boops\b | \bedit:
    | \b(?:need|have)\ to\ correct\b | (?<![\u4e00-\u9fff])不[,，。]
    | (?<![a-z]\ )\bno\b(?=[,.:;!—–-]{1,3}\s?(?:[$€£¥]?\d|[("*]?[A-J]\b|it|that|the\ (?:answer|right|correct)
        |wait|actually)|\s?[—–-])
    | (?<!\w\ )\b(?:nein|non|нет)(?=[,.:;!—–-]{1,3}\s?
        (?:\d+(?=[.!]?\s*\Z)|[("*]?[A-J]\b|(?:es\ ist|die|das|moment|warte
        |c['’]est|la|attends|это|правильн\w{2})\b))
    | (?<!\w\ )\bno(?=,\s(?:es|la\ (?:respuesta|correcta)|espera)\b)
    | \bI\ (?:misread|miscalculated|miscounted|misspoke|was\ wrong|forgot)\b
    | \b(?:made|is|was)\ an?\ (?:[a-z]{1,12}\ )?(?:mistake|error)\b
    | \b(?:das\ (?:ist|war)\ (?:falsch|nicht\ richtig|ein\ fehler)|korrektur
        |ich\ habe\ mich\ (?:geirrt|verrechnet))\b
    | \b(?:es[ot]\s(?:es|está|no\ es)\s(?:mal|incorrect[oa]|correct[oa])|corrección|me\ equivoqué)\b
    | \b(?:c['’]est\ (?:faux|incorrect)|je\ me\ suis\ trompée?)\b
    | \b(?:это\ (?:неверно|неправильно|не\ так)|исправление|поправка|я\ ошиб\w{2,4})\b
    | 不对(?!应) | 错了 | 算错 | 看错 | 弄错 | 搞错 | 有误 | 更正 | 修正 | 間違い | 間違え | 訂正
    | (?:いや|いいえ)(?=[、,。]) | (?<!と)違います[、。]
    """,
    re.VERBOSE | re.IGNORECASE,
)
_PAUSES = pattern(
    r"""
    \b(?:wait|actually|hold\ on|hmm+|let\ me\ (?:re|correct|double)|on\ (?:second\ thoughts?|reflection)
      |reconsider\w{0,3}|rethink\w{0,3}|chang(?:e|ing)(?=\ my\ )|sorry(?=,)|or\ rather
      |moment\ mal|warte|espera|attends|подожди\w{0,2}|стоп)\b
    | 等等 | 等一下 | 重新 | 再(?:想|看|算)一?[下遍次想看算] | 仔细一?想 | 待って
    """,
    re.VERBOSE | re.IGNORECASE,
)
_CHECKS = pattern(
    r"\b(?:double[- ]?check|re-?check|check|verif(?:y|ication)|confirm)\w{0,3}\b"
    r"|检查|验证|检验|核对|验算|überprüf|comprob|vérifi|провер",
    re.IGNORECASE,
)
_PAST = pattern(
    r"\b(?:earlier|before|previously|at\ first|initially|above)\b|之前|前面|刚才|先前|一开始", re.IGNORECASE
)
_REPLACES = pattern(
    r"\b(?:should|must)\s(?:be|have\sbeen)\b|\bcorrect\s\w{1,12}\s(?:is|=)|应该?[是为选]|正确(?:的|答案|结果)?[^。]{0,6}[是为]|改[为成选]",
    re.IGNORECASE,
)
_CONFIRMS = pattern(
    r"(?<!not\ )(?<!n['’]t\ )\b(?:(?:is|are|that['’]s|it['’]s|yes,)\s(?:indeed\s)?(?:correct|right)"
    r"|correct(?=[.!✓\s]*(?:$|\n))|yes|yep|confirmed|consistent"
    r"|match(?:es)?|checks?\ out|agrees|verified|indeed)\b|[✓✔✅]"
    r"|没错|(?<!不)正确(?!的?(?:答案|结果|计算)?(?:应该)?[是为])|无误|一致|成立|对的",
    re.IGNORECASE,
)


def retractions(text: str, start: int) -> Iterator[tuple[int, bool]]:
    """Yield the positions from `start` on where a text retracts something, and whether it admits a mistake.

    A reported mistake ("I made an error earlier: I said 20") is no retraction.
    """
    found = [(match, True) for match in _CORRECTS.finditer(text, start)]
    found += [(match, False) for match in _PAUSES.finditer(text, start)]
    for match, corrects in sorted(found, key=lambda one: one[0].start())[:40]:
        sentence = _sentence(text, start, match)
        if corrects and _PAST.search(sentence) and not _REPLACES.search(text, match.end(), match.end() + 200):
            continue
        yield match.end(), corrects


def _sentence(text: str, start: int, match: re.Match[str]) -> str:
    begins = max(start, match.start() - 60)
    before = re.split(r"[.!?。！？\n]", text[begins : match.start()])[-1]
    after = re.split(r"[.!?。！？:：\n]", text[match.end() : match.end() + 60])[0]
    return f"{before} {after}"


def only_checks(text: str, start: int) -> bool:
    """Return whether the text after a pause at `start` checks an answer, by its next few words."""
    return bool(_CHECKS.search(text[max(0, start - 12) : start + 24]))


def confirms(text: str, start: int) -> bool:
    """Return whether a text confirms its answer from `start` on."""
    return bool(_CONFIRMS.search(text, start, start + 4000))
