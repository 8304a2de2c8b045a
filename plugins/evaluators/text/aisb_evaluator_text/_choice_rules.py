"""The patterns that find the letter of the chosen option in a text, built for a given set of letters."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from aisb.helpers import pattern
from aisb_evaluator_text._corrections import retractions
from aisb_evaluator_text._denials import is_denied_letter, is_one_of_several, supposed
from aisb_evaluator_text._languages import local_marks


class FoundChoice(NamedTuple):
    """The match of a rule: its start, the letter or letters, their span, and the rule's name."""

    at: int
    letter: str
    start: int
    end: int
    rule: str


_OPEN = r"[\s*_`\"'“‘(\[{$:#>《<]|[-–—]\s|\\(?:text|mathrm|mathbf|textbf|bf|rm)?[{(\[]"
_FILLER = (
    r"option|choice|letter|either|both|number|选项|选择|选|definitely|clearly|actually|probably|likely|indeed"
    r"|therefore"
)
_LOCAL_FILLER = (
    "antwort|respuesta|réponse|ответ|opción|opção|option|variante|вариант|буква|letra|lettre|buchstabe"
    "|ข้อ|選択肢|보기|phương án|pilihan"
    "|die|der|das|la|le|el|lo|ni|là|l['’]"
)
_AFTER_A = (
    r"because|since|as|and|which|with|due|for|given|if|but|not|is|or|that|while|from|based|rather|instead|in|according|"
    r"option|choice|would|remains"
)
# The possible first words of an announcement, in lower case: a case-sensitive search is ten times as fast.
_BEGINS = pattern(
    r"\b(?:answer|correct |best |right |appropriate |chosen |accurate |suitable |final |choos|pick|select|go"
    r"|went |opt |lean|vote |my |had |not\b)|<(?=[aoc])|[\"'](?=[fcosl])|不是|答案|选|\["
)
_CLOSE = r"[)\]*_`\"'}$>]"
_RIGHT_LOCALLY = (
    r"ist\s(?:die\s)?(?:richtig|korrekt)\w{0,2}|es\s(?:la\s)?(?:correct[ao]|respuesta\scorrecta)|est\s(?:la\s)?(?:bonne|correcte?|juste)"
    r"|(?:—\s)?(?:верен|верный|верно|правильн\w{1,3})|が?正解"
)


class ChoiceRules:
    """The patterns for one set of letters. All repetitions are bounded or cannot overlap themselves."""

    def __init__(self, letters: str) -> None:
        upper, either = f"(?-i:[{letters}])", f"[{letters}{letters.lower()}]"
        # A letter stands alone. A capital A or I that begins a phrase is a word, unless the phrase explains.
        edge = r"(?![A-Za-z0-9]|['’][A-Za-z]|-[A-Za-z])"
        word = rf"(?!(?<=[AI])[ ](?!(?:{_AFTER_A})\b|{upper}{edge})[a-z])"
        small = r"(?=\s{0,9}(?:[.,;:)\]}*_`\"'”。，；、$<>\\]|$|\n))"
        one = rf"(?P<letter>{upper}{edge}{word}|{either}{edge}{small})"
        capital = rf"(?P<letter>{upper}){edge}{word}"
        ended = (
            r"(?=[)\]*_`\"'.>]{0,6}\s{0,9}(?:[.,;:!$\\。；！]|$|\n|\b(?:because|since|as|is\ the|which)\b))"
        )
        lead = rf"(?:{_OPEN}|{_FILLER}){{0,16}}+"
        self.letters = letters
        self.alone = re.compile(
            rf"(?:[#>]{{1,6}}\s?)?[(\[*_`\"'$<]*(?P<letter>{either})[)\]*_`\"'.:,!$。、!>]*"
        )
        # A letter between signs that deny nothing: "- B", "→ B", `$\\mathbf{B}$`.
        sign = r"[^\w~≠!¬✗✘❌×?？]"
        self.item = re.compile(
            rf"{sign}{{0,8}}(?:\\(?:text|mathrm|mathbf|textbf|mathsf|bf|rm)\s?)?{sign}{{0,4}}(?P<letter>{upper}){sign}{{0,8}}"
        )
        self.dashed = re.compile(rf"[(\[*_`\"'<]*(?P<letter>{upper})[)\]*_`\"'>]*\s?[-–—]\s?[*_]*")
        self.listed = re.compile(
            rf"[*_`\"'$(\[]{{0,4}}{upper}(?:{_CLOSE}{{0,3}}\s?(?:[、,;/&+或和与]|\band\b|\bor\b)?\s?[(\[*]{{0,3}}{upper}){{1,9}}[)\]*_`\"'$.。]{{0,4}}"
        )
        self.first = re.compile(
            rf"[(\[*_`\"'<]*(?P<letter>{upper})[)\]*_`\"'>]*(?P<mark>[.:,)\]、>])[*_ ]*(?!{upper}{edge})\S"
        )
        self.hedge = re.compile(
            rf"[)\]*_`]*\s*(?:/|、|\b(?:or|and|oder|und|ou|et|o|y|e|или|и)\b|&|或者?|和|与|または|หรือ)\s*(?:option\s|选项)?[(\[*]*(?P<other>{upper}){edge}"
        )
        self.others = re.compile(
            rf"(?:{_CLOSE}{{0,4}}(?:\s?\([^()\n]{{1,60}}\))?\s?(?:[,;、/+&和与及]|\band\b|\bor\b)(?:\s?(?:and|or|also|和|或)\b)?\s?(?:option\s|选项)?[(\[*_{{$\"'`]{{0,3}}(?P<other>{upper}){edge})+"
            rf"(?={_CLOSE}{{0,6}}\s{{0,3}}(?:$|\n|[.。!！;；](?=\s|$|[^\w])|[<《]|,\s?(?:because|since|respectively|因为)|\((?!\s?(?:wrong|incorrect|false|错))"
            r"|\b(?:because|since|both|all\ hold|are\ (?:both|all|the|correct|right|true))\b"
            r"|因为|[两三四][个项者]|都(?!不|错)|均(?!不|错)|正确|同时))",
            re.IGNORECASE,
        )
        self.others_small = re.compile(
            rf"(?:{_CLOSE}{{0,2}}(?:[,;]\s?|\s(?:and|or)\s)\(?(?P<other>[{letters.lower()}])(?![A-Za-z0-9'’]))+{_CLOSE}{{0,3}}\s{{0,3}}(?:$|\n|\.)"
        )
        self.comma = re.compile(rf"{_CLOSE}{{0,4}}\s?[,、]\s?(?:and\s)?[(\[*]{{0,3}}{upper}{edge}")
        self.spaced = re.compile(rf"(?:[ ]{upper}){{1,9}}{_CLOSE}{{0,4}}[.。]?\s{{0,3}}(?:$|\n)")
        self.option = re.compile(rf"(?<![A-Za-z])(?P<letter>{upper})[)\]]?[.、:)]\s?(?=\S)")
        self.announce = re.compile(
            rf"""
            (?:
              \banswers?["'*_`)\]]{{0,4}}(?:\ key)?\s?
              (?:[:=]|\b(?:is|was|(?:would|should|must|might|will)\ be)\b)["'*_`]{{0,4}}
            | \banswer\b[^.\n:=]{{0,100}}?\b(?:is|be)\b
            | \b(?:correct|best|right|appropriate|chosen|accurate|suitable|final)[ ]
              (?:option|choice|one|selection|statement|response|letter)\b[^.\n:=]{{0,60}}?(?:\b(?:is|be)\b|:)
            | \b(?:choos(?:e|ing)|pick|select(?:ing)?|(?:go(?:ing)?|went)\ (?:with|for)|lean(?:ing)?\ towards?
                |opt\ for|vote\ for)
            | \bmy\ (?:final\ )?(?:choice|pick|selection)(?:\ is|\s?:)
            | <(?:answer|option|choice)>
            | ["'](?:final_)?(?:choice|option|selection|letter|label)["']\s?:
            | \banswers?\s(?:is|was|would\ be)\s[^.:=\n()]{{1,60}}(?=\()
            | \b(?:my|best)\ guess(?:\ (?:is|would\ be))?[:,]? | \bhad\ to\ (?:guess|choose|pick)[:,]?
            | \bnot\b[^.\n]{{0,40}}?\bbut\b(?:\ rather)? | 不是[^。\n]{{0,20}}?而是
            | (?:答案|选项)\]?\s?[^\sA-Za-z。不非]{{0,8}}?(?:是|为|选择|选|[:=])
            | \[(?:参考|最终|正确)?答案\]
            | 答案\s?
            | 选择?(?!项)(?:的?是|为)?
            )
            {lead}{one}
            """,
            re.VERBOSE | re.IGNORECASE,
        )
        self.local = re.compile(
            rf"(?:{_OPEN}|{_FILLER}|(?:{_LOCAL_FILLER})(?![A-Za-z])){{0,16}}+{one}", re.IGNORECASE
        )
        self.judge = re.compile(
            rf"""
            {capital}[)\]*_`\"'.:]{{0,6}}\s?(?:\([^)\n]{{0,80}}\)\s?)?
            (?:
              (?:is|was|(?:would|must|should)\ be|seems|appears|looks)\s
              (?:(?:therefore|clearly|thus|probably|likely|also|to\ be|the|most|only|best|my|final|a|much)
                \s){{0,4}}
              (?:correct|right|best|better(?=\s?(?:[.!;]|$|\n|than\b))|preferable|true|accurate|appropriate|valid|answer|suitable|likely
                |(?<=the\s)case(?!\s(?:of|in|where|when|that|for)))\b
            | it\ is(?=\s?[.!]?\s?(?:$|\n)) | is\ what\ I(?:['’]d|\ would)?\ (?:choose|pick|select)\b
            | (?:best\ (?:fits|matches|describes|explains|answers|represents|captures|reflects)
              |(?:fits|matches)\ best)\b
            | (?:correct|right|true)\b | remains?(?=\s?(?:[.,;!]|$|\n|as\ the\b))
            | is\ (?:left(?=\s?(?:[.,;!]|$|\n))|the\ (?:only\ )?(?:one|option|choice)
              \ (?:left|remaining|that\ (?:remains|is\ left)))\b
            | (?:选项|项)?(?:应该?|就|才)?(?:是|为)?最?(?:正确|对的?(?=[。，,.\s]|$)|符合|恰当|准确|合适|当选)
            | 吧(?=[。.!\s]|$)
            | {_RIGHT_LOCALLY}
            )
            """,
            re.VERBOSE | re.IGNORECASE,
        )
        self.each = re.compile(
            rf"{capital}(?:选?项)?[.,，:、]\s?(?:[^；;。\n]{{0,120}}?[,，]\s?)?"
            r"(?:(?P<right>正确|符合题意)|错误|不正确|不符合题意)(?=[；;。\n]|\Z|\s{1,3}[A-Z]\s?[:.、])"
        )
        self.conclude = re.compile(
            rf"""
            (?:
              \b(?:so|therefore|thus|hence|consequently|leav(?:es|ing)|think|guess|believe|conclu(?:de|sion)|matches
                |corresponds\ to|(?:must|should|has\ to)\ be|it(?:\ is|['’]s)
                |remaining(?:\ (?:one|option|choice))?(?:\ is|:))
              ,?\s?(?:(?:it|it['’]s|its|that|is|must|be|only|we|are|with|left|to|the)\s){{0,4}}
            | \b(?:be|is)\s["“][^"”\n]{{1,60}}["”]\s(?=\()
            | (?:所以|因此|故|综上|应该?是|应为|就是|只有|只?剩下?的?(?:是|选项)?|留下|得出|是)[,，]?
            )
            {lead}{capital}{ended}
            """,
            re.VERBOSE | re.IGNORECASE,
        )
        self.correct = re.compile(
            rf"""
            (?:
              (?:\A[\s,.:;…!)–—-]{{0,6}}
                |\b(?:should|must|would)\ be\s|\bit(?:['’]s|\ is)\s|\bI\ me(?:an|ant)\s|\bmake\ (?:that|it)\s
                |\b(?:so|therefore|thus|hence|no|actually|rather|instead),?\s
                |\b(?:switch(?:ing)?|my\ (?:answer|choice))\ to\s
                |\b(?:correct|right|better|best)\ (?:one|answer|option|choice)\ is\s
                |应该?[是选为]|应?改为|改选|就是|而是|选|是|正确的是|正しくは|正解は
                |\b(?:es|ist|est|это)\s(?:la\s|die\s)?
                |\b(?:sondern|richtig\ ist|должно\ быть|верно|debería\ ser|sino|plutôt|devrait\ être)\s
              )
              {lead}(?P<stated>{upper}){edge}{word}{ended}
            | (?P<judged>{upper}){edge}{word}[)\]*_`\"']{{0,4}}\s?(?:\([^)\n]{{0,80}}\)\s?)?
              (?:(?:is|was|would\ be|seems)\s(?:(?:actually|clearly|in\ fact|the|a|my|much)\s){{0,4}}
                 (?:correct|right|better|best|answer)\b
                |(?:选?项)?(?:才是?|是|才是最?)?(?:正确|对的?(?=[。，,.\s]|$))|{_RIGHT_LOCALLY})
            )
            """,
            re.VERBOSE | re.IGNORECASE,
        )
        self.final = re.compile(
            rf"""
            (?:\b(?:is|be|are|es|est|ist|option|choice|letter|answer|ans\.?|say|probably|likely|definitely|maybe)[\s(\[*<]{{1,4}}
              |(?:选项|答|[:;=→!>]|\s[–—-]\s)[\s(\[*<]{{0,4}}|[(\[*<]{{1,4}}|^\d\.\s)(?P<letter>{upper}|(?<=option\s){either}|(?<=choice\s){either})
            [)\]*_"'”>]{{0,4}}[.。!！]?[)\]*_"'”]{{0,4}}\s*\Z
            """,
            re.VERBOSE | re.IGNORECASE,
        )

    def announced(self, text: str, choices: Sequence[str] = ()) -> Iterator[FoundChoice]:
        """Yield the answers that the text announces; several letters at once stay together."""
        for match in self._announcements(text):
            start, end = match.span("letter")
            listed = not self.comma.match(text, end)
            if is_denied_letter(text, start, end, match.start(), listed=listed) or supposed(text, match):
                continue
            stop = self._end_of_several(text, match["letter"], end, choices)
            if stop is None:
                yield FoundChoice(start, match["letter"].upper(), start, end, "announced")
            else:
                yield FoundChoice(start, text[start:stop], start, stop, "announced")

    def _end_of_several(self, text: str, letter: str, end: int, choices: Sequence[str]) -> int | None:
        """Return the end of several announced letters, of which this is one; None for a single letter."""
        others = self.hedge.match(text, end) or self.others.match(text, end)
        if letter.islower():
            others = others or self.others_small.match(text, end)
        if others:
            return others.end("other") if others["other"].upper() != letter.upper() else None
        if spaced := self.spaced.match(text, end):
            return end + len(spaced[0].rstrip(" \t\r\n.。*_`\"'$)]>}"))
        return self._end_of_list(text, letter, end, choices)

    def _end_of_list(self, text: str, letter: str, end: int, choices: Sequence[str]) -> int | None:
        """Return the end of a copy of the options in the place of an answer: "A. ①② B. ①③"."""
        window = text[end - 1 : end + 1200]
        listed = list(self.option.finditer(window))
        if not listed or listed[0].start() > 0 or letter != self.letters[0]:
            return None
        texts = {one["letter"]: window[one.end() :].casefold() for one in reversed(listed)}
        if not choices or [one["letter"] for one in listed[: len(self.letters)]] != list(self.letters):
            return None
        plain = [choice.strip().casefold() for choice in choices]
        if not all(
            texts[name].startswith(option)
            for name, option in zip(self.letters, plain, strict=False)
            if name in texts
        ):
            return None
        return end - 1 + listed[len(self.letters) - 1].start("letter") + 1

    def _announcements(self, text: str) -> Iterator[re.Match[str]]:
        """Yield the matches of `announce`, which is tried only at one of its first words."""
        for mark in local_marks(text):
            if match := self.local.match(text, mark.end()):
                yield match
        lower = text.lower()
        if len(lower) != len(text):
            yield from self.announce.finditer(text)
            return
        end = 0
        for word in _BEGINS.finditer(lower):
            match = self.announce.match(text, word.start()) if word.start() >= end else None
            if match:
                end = match.end()
                yield match

    def corrected(self, text: str) -> Iterator[FoundChoice]:
        """Yield the letters that replace an answer in a correction: "A. Wait, it should be D"."""
        for start, _ in (*retractions(text, 0), *_contrasts(text)):
            after = text[start : start + 2000]
            for match in self.correct.finditer(after):
                group = "stated" if match["stated"] else "judged"
                begin, end = (start + place for place in match.span(group))
                own_line = "\n" in text[start:begin]
                if match.start() == 0 and (_LISTED if own_line else _JUDGED_NEXT).match(text, end):
                    continue
                if is_denied_letter(text, begin, end, start + match.start()) or is_one_of_several(
                    text, begin
                ):
                    continue
                sentence_end = re.search(r"[.。\n]", text[end : end + 120])
                clause = text[start : end + (sentence_end.start() if sentence_end else 120)]
                if self.hedge.match(text, end) or self.comma.match(text, end) or _SUPPOSES.search(clause):
                    continue
                yield FoundChoice(begin, match[group], begin, end, "corrected")

    def concluded(self, text: str) -> list[FoundChoice]:
        """Return the answers that the text concludes, or the one that it calls right."""
        judged = list(self._alone(text, self.judge, "judged"))
        if not judged:  # each option in its own clause, which ends with the verdict
            each = list(self.each.finditer(text))
            right = [match for match in each if match["right"]]
            if not each:  # each option on its own line, which holds the verdict: "B. 4 - yes"
                lines = [line for line in _VERDICT_LINE.finditer(text) if line["letter"] in self.letters]
                right = [line for line in lines if line["right"]]
                each = lines if len({line["letter"] for line in lines}) == len(lines) > 2 else []
            if len(each) > len(right) == 1:
                start, end = right[0].span("letter")
                return [FoundChoice(start, right[0]["letter"], start, end, "judged")]
        if len({found.letter for found in judged}) > 1:
            judged = []
        return [*judged, *self._alone(text, self.conclude, "concluded")]

    def _alone(self, text: str, pattern: re.Pattern[str], rule: str) -> Iterator[FoundChoice]:
        for match in pattern.finditer(text):
            start, end = match.span("letter")
            if not (
                is_denied_letter(text, start, end, match.start())
                or is_one_of_several(text, start)
                or self.hedge.match(text, end)
                or _CONDITION.search(text[max(0, start - 24) : start])
            ):
                yield FoundChoice(start, match["letter"], start, end, rule)


_VERDICT_LINE = pattern(
    r"^[ \t]{0,6}(?:[-*•][ \t])?[(*]{0,3}"
    r"(?P<letter>[A-Z])[)*.:、]{1,3}[^\n]{0,200}?[-–—:→(（,，\s]\s?[*_]{0,2}"
    r"(?:(?P<right>yes|correct|true|right|[✓✔✅]|正确|对|符合)"
    r"|(?:no|wrong|incorrect|false|not\s\w+|[✗✘❌×]|错误|错|不对|不正确|不符合))"
    r"(?![A-Za-z])[*_)）]{0,3}(?:[.,;!。，；].{0,120})?[ \t]*$",
    re.IGNORECASE | re.MULTILINE,
)
_CONTRASTS = pattern(
    r"\b(?:but|however|instead)\b(?=[^.\n]{0,40}\b(?:should|must)\sbe\b|\s(?:actually|on\sreflection|it['’]s|it\sis)\b)|(?:但|不过)(?=[^。\n]{0,12}应该?[是为选])",
    re.IGNORECASE,
)
# The text after the letter of an option that is discussed next: "D: no", in a list also "D. Mars".
_JUDGED_NEXT = pattern(r"[)\]*_`]{0,3}\s?:")
_LISTED = pattern(r"[)\]*_`]{0,3}\s?(?::|[.)](?=[ \t]*[^\s*_`.]))")
_CONDITION = pattern(
    r"(?:\b(?:if|when|whether|unless|suppos(?:e|ing)|assum(?:e|ing))(?:\sthat)?\s|如果|假如|假设|若)(?:option\s|选项)?[(\[*]{0,3}$",
    re.IGNORECASE,
)
_SUPPOSES = pattern(r"\b(?:if|unless|were|would\s(?:only\s)?be\s\w{1,12}\sif)\b|如果|假如|若", re.IGNORECASE)


def _contrasts(text: str) -> Iterator[tuple[int, bool]]:
    for match in list(_CONTRASTS.finditer(text))[-10:]:
        yield match.end(), False


@lru_cache(maxsize=64)
def rules_for(letters: str) -> ChoiceRules:
    """Return the patterns for a set of letters, compiled once."""
    return ChoiceRules(letters)
