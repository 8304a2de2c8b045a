"""Take the letter of the chosen option out of a text, in English and Chinese, in every usual shape.

Rules come in three ranks. What announces an answer (a box, "Answer:", 答案是, 选, a line that is the letter)
outranks what judges or concludes ("B is right", "so C"), and that outranks what may be read as an answer (a
letter at the very end, the words of one option). In a rank the last one counts, so a correction does. Denied
("not B", B错误) or only asked never counts, and in a text that declines to answer only the first rank does.
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Annotated, NamedTuple

from aisb import Extract, Sample
from aisb.helpers import finds_answer, is_refusal, pattern
from aisb_evaluator_text._marked import find_boxes
from aisb_evaluator_text._ordinals import places, several


class _Found(NamedTuple):
    at: int
    letter: str
    start: int
    end: int
    rule: str


@finds_answer
def choice(
    *,
    options: Annotated[
        str, "the letters there are, such as ABCD; left out: as many as the sample has choices"
    ] = "",
) -> Callable[[str, Sample], Extract | None]:
    """The letter of the option chosen: `(B)`, `**B**`, "Answer: B", 故选B, a box, "A is wrong, so B"."""
    wanted = options.upper()
    if wanted and (len(set(wanted)) != len(wanted) or not set(wanted) <= set(string.ascii_uppercase)):
        from aisb import UsageError

        raise UsageError(f"options = {options!r}: it must be letters, each once, such as 'ABCD'")

    def step(text: str, sample: Sample) -> Extract | None:
        letters = wanted or string.ascii_uppercase[: len(sample.choices)] or "ABCD"
        folded = text if text.isascii() else text.translate(_FOLD)
        if "<" in folded:  # a special token that a server let through: as many spaces, so that places stay
            folded = _SPECIAL.sub(lambda token: " " * len(token[0]), folded)
        rules = _rules(letters)
        marked = [
            *_boxed(folded, rules),
            *_lines(folded, sample, rules),
            *rules.announced(folded),
            *_placed(folded, letters),
        ]
        if marked:
            return _extract(max(marked), explicit=True)
        if is_refusal(folded):
            return None
        concluded = rules.concluded(folded)
        if concluded:
            return _extract(max(concluded), explicit=True)
        if _lists_options(folded.strip(), rules):
            return None
        guess = _at_end(folded, rules) or _option_text(folded, sample, letters)
        return _extract(guess, explicit=False) if guess else None

    return step


def _extract(found: _Found, *, explicit: bool) -> Extract:
    return Extract(found.letter, found.rule, (found.start, found.end), explicit)


_WIDE = "".join(chr(0xFEE0 + ord(c)) for c in string.ascii_letters)
_FOLD = str.maketrans(_WIDE + "（）：．＊［］，【】", string.ascii_letters + "():.*[],[]")
_OPEN = r"[\s*_`\"'“‘(\[{$:#>《]|\\(?:text|mathrm|mathbf|textbf|bf|rm)?[{(\[]"
_FILLER = (
    "option|choice|letter|either|选项|选择|选|definitely|clearly|actually|probably|likely|indeed|therefore"
)
_AFTER_A = (
    r"because|since|as|and|which|with|due|for|given|if|but|not|is|or|that|while|from|based|rather|instead|in|according|"
    r"option|choice"
)


_SPECIAL = pattern(r"<\|\w{1,30}\|>|</s>")
# What an announcement can begin with, in lower case: without case to mind, it is found ten times as fast.
_BEGINS = pattern(
    r"\b(?:answer|correct |best |right |appropriate |chosen |accurate |suitable |final |choos|pick|select|go"
    r"|went |opt |vote |my |had |not\b)|<(?=[aoc])|[\"'](?=[fcosl])|不是|答案|选|\["
)


class _Rules:
    """The patterns for one set of letters. All repetition in them is bounded, or cannot overlap itself."""

    def __init__(self, letters: str) -> None:
        upper, either = f"(?-i:[{letters}])", f"[{letters}{letters.lower()}]"
        # A letter stands alone. A capital A or I that begins a phrase is a word, unless that explains.
        edge = r"(?![A-Za-z0-9]|['’][A-Za-z]|-[A-Za-z])"
        word = rf"(?!(?<=[AI])[ ](?!(?:{_AFTER_A})\b)[a-z])"
        small = r"(?=\s{0,9}(?:[.,;:)\]}*_`\"'”。，；、$<\\]|$|\n))"
        one = rf"(?P<letter>{upper}{edge}{word}|{either}{edge}{small})"
        capital = rf"(?P<letter>{upper}){edge}{word}"
        ended = (
            r"(?=[)\]*_`\"'.]{0,6}\s{0,9}(?:[.,;:!$\\。；！]|$|\n|\b(?:because|since|as|is\ the|which)\b))"
        )
        self.letters = letters
        self.alone = re.compile(rf"(?:[#>]{{1,6}}\s?)?[(\[*_`\"'$]*(?P<letter>{either})[)\]*_`\"'.:,$。、]*")
        self.listed = re.compile(rf"{upper}(?:\s?(?:[、,/&或和]|\band\b|\bor\b)?\s?{upper}){{1,9}}[.。]?")
        self.first = re.compile(
            rf"[(\[*_`\"']*(?P<letter>{upper})[)\]*_`\"']*(?P<mark>[.:,)\]、])[*_ ]*(?!{upper}{edge})\S"
        )
        self.hedge = re.compile(
            rf"[)\]*_`]*\s*(?:/|、|\bor\b|\band\b|&|或者?|和|与)\s*(?:option\s|选项)?[(\[*]*(?P<other>{upper}){edge}"
        )
        self.several = re.compile(
            rf"(?:[)\]]*,\s?(?:and\s|or\s)?[(\[]*(?P<other>{upper}))+[)\].]*\s*(?:$|\n)"
        )
        self.announce = re.compile(
            rf"""
            (?:
              \banswers?["'*_`)\]]{{0,4}}(?:\ key)?\s?
              (?:[:=]|\b(?:is|was|(?:would|should|must|might|will)\ be)\b)["'*_`]{{0,4}}
            | \banswer\b[^.\n:=]{{0,100}}?\b(?:is|be)\b
            | \b(?:correct|best|right|appropriate|chosen|accurate|suitable|final)[ ]
              (?:option|choice|one|selection|statement|response|letter)\b[^.\n:=]{{0,60}}?(?:\b(?:is|be)\b|:)
            | \b(?:choos(?:e|ing)|pick|select(?:ing)?|(?:go(?:ing)?|went)\ (?:with|for)|opt\ for|vote\ for)
            | \bmy\ (?:choice|pick)\ is
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
            (?:{_OPEN}|{_FILLER}){{0,16}}+{one}
            """,
            re.VERBOSE | re.IGNORECASE,
        )
        self.judge = re.compile(
            rf"""
            {capital}[)\]*_`\"'.:]{{0,6}}\s?(?:\([^)\n]{{0,80}}\)\s?)?
            (?:
              (?:is|was|(?:would|must|should)\ be|seems|appears|looks)\s
              (?:(?:therefore|clearly|thus|probably|likely|also|to\ be|the|most|only|best|my|final)\s){{0,4}}
              (?:correct|right|best|true|accurate|appropriate|valid|answer|suitable|likely)\b
            | (?:correct|right|true)\b
            | (?:选项|项)?(?:是|为|才是)?最?(?:正确|对的?(?=[。，,.\s]|$)|符合|恰当|准确|合适)
            )
            """,
            re.VERBOSE | re.IGNORECASE,
        )
        self.each = re.compile(
            rf"{capital}(?:选?项)?[.,，:、]\s?[^；;。\n]{{0,120}}?[,，]\s?"
            r"(?:(?P<right>正确|符合题意)|错误|不正确|不符合题意)(?=[；;。\n]|\Z)"
        )
        self.conclude = re.compile(
            rf"""
            (?:
              \b(?:so|therefore|thus|hence|consequently|leav(?:es|ing)|think|guess|believe|conclu(?:de|sion)|matches
                |corresponds\ to|(?:must|should|has\ to)\ be|it(?:\ is|['’]s))
              ,?\s?(?:(?:it|it['’]s|its|that|is|must|be|only|we|are|with|left|to|the)\s){{0,4}}
            | (?:所以|因此|故|综上|应该?是|应为|就是|只有|只剩|得出|是)[,，]?
            )
            (?:{_OPEN}|{_FILLER}){{0,16}}+{capital}{ended}
            """,
            re.VERBOSE | re.IGNORECASE,
        )
        self.final = re.compile(
            rf"""
            (?:\b(?:is|be|are|es|est|ist|option|choice|letter|answer|ans\.?|say|probably|likely|definitely|maybe)[\s(\[*]{{1,4}}
              |(?:选项|答|[:;=→!>]|\s[–—-]\s)[\s(\[*]{{0,4}}|[(\[*]{{1,4}}|^\d\.\s)(?P<letter>{upper}|(?<=option\s){either}|(?<=choice\s){either})
            [)\]*_"'”]{{0,4}}[.。!！]?[)\]*_"'”]{{0,4}}\s*\Z
            """,
            re.VERBOSE | re.IGNORECASE,
        )

    def announced(self, text: str) -> Iterator[_Found]:
        """Yield the answers that the text announces; two letters at once are kept as they stand."""
        for match in self._announcements(text):
            start, end = match.span("letter")
            if denied(text, start, end, match.start()) or _supposed(text, match):
                continue
            others = self.hedge.match(text, end) or self.several.match(text, end)
            if others and others["other"].upper() != match["letter"].upper():
                yield _Found(
                    start, text[start : others.end("other")], start, others.end("other"), "announced"
                )
            else:
                yield _Found(start, match["letter"].upper(), start, end, "announced")

    def _announcements(self, text: str) -> Iterator[re.Match[str]]:
        """Yield the matches of `announce`, which is only tried where one of its first words stands."""
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

    def concluded(self, text: str) -> list[_Found]:
        """Return the answers that the text concludes, or judges right where it judges one so."""
        judged = list(self._alone(text, self.judge, "judged"))
        if not judged:  # each option with its verdict at the end of a clause of its own
            each = list(self.each.finditer(text))
            right = [match for match in each if match["right"]]
            if len(each) > len(right) == 1:
                start, end = right[0].span("letter")
                return [_Found(start, right[0]["letter"], start, end, "judged")]
        if len({found.letter for found in judged}) > 1:
            judged = []
        return [*judged, *self._alone(text, self.conclude, "concluded")]

    def _alone(self, text: str, pattern: re.Pattern[str], rule: str) -> Iterator[_Found]:
        for match in pattern.finditer(text):
            start, end = match.span("letter")
            if not (
                denied(text, start, end, match.start()) or _joined(text, start) or self.hedge.match(text, end)
            ):
                yield _Found(start, match["letter"], start, end, rule)


@lru_cache(maxsize=64)
def _rules(letters: str) -> _Rules:
    return _Rules(letters)


_DENIES = pattern(
    r"""
    (?:\b(?:not|cannot|never|neither|nor|exclud(?:e|es|ing)|eliminat\w{1,4}|reject\w{0,3}
      |rul(?:e|ed|es|ing)\ out)
      |n['’]t|\brather\ than|\binstead\ of|不|别|非|排除|除了?|未|勿|而不)
    (?:\s?be|的?(?:是|选择?|能|应该?))?[\s(*\[]{0,4}(?:option\s|choice\s|选项)?[(*\[]{0,3}$
  | (?:n['’]t|\bnot)\ (?:think|believe)\b[^.\n]{0,40}$
    """,
    re.VERBOSE | re.IGNORECASE,
)
_WRONG = pattern(
    r"""
    (?:\s?(?:[、,]|,?\s?(?:and|or)\b|[和与及])\s?[(\[*]{0,2}[A-Z](?![A-Za-z0-9])[)\]*]{0,2}){0,9}
    [)\]*_`"']{0,4}(?:
      \s?(?:\([^)\n]{0,80}\)\s?)?(?:is|are|was|were|seems)
      \s?(?:(?:also|clearly|definitely|simply|just|therefore|obviously)\s){0,2}
      (?:not\ (?:correct|right|true|valid|accurate|the|an\ answer|it\b)|n['’]t
        |(?:wrong|incorrect|false|invalid|out)\b
        |(?:ruled\ out|eliminated|excluded))
    | \s(?:cannot|can['’]t)\ be\ (?:correct|right|true|the|it)
    | [.:]?\s(?:wrong|incorrect|false)\b
    | \s?(?:选项|[两三四几]?[个项]选?项?)?\s?[.:]?(?:是|说法|描述|表述|均|都|也|显然){0,2}
      (?:错误|错的|不正确|不对|不符|不是(?:答案|正确)|有误|被排除)
    | \s?[?？]
    )
    """,
    re.VERBOSE | re.IGNORECASE,
)
_UNCHOSEN = pattern(
    r"(?:\bnot|n['’]t|\bnever|\bcannot|不能?|别|勿|未|无法|不可|不应|不会)"
    r"\s?(?:\w{1,12}\s)?(?:the\s|that\s)?$",
    re.IGNORECASE,
)


def denied(text: str, start: int, end: int, rule_start: int) -> bool:
    """Say whether the letter at start..end is named as what the answer is not, or only asked about."""
    return bool(
        _DENIES.search(text[max(0, start - 60) : start])
        or _WRONG.match(text, end)
        or _UNCHOSEN.search(text[max(0, rule_start - 24) : rule_start])
    )


_SUPPOSES = pattern(r"\bif\s(?!I\b)[^.\n]{1,80}\b(?:were|was|had|asked)\b[^.\n]{0,60}$", re.IGNORECASE)


def _supposed(text: str, match: re.Match[str]) -> bool:
    """Say whether the letter is only what would be right if something else were asked."""
    if "would be" not in match[0].lower():
        return False
    return bool(_SUPPOSES.search(text[max(0, match.start() - 160) : match.start()]))


_JOINS = pattern(r"(?<![A-Za-z])[A-Z][)\]*]{0,2}\s?(?:and|or|&|[和与或、/])\s?[(*\[]{0,2}$")


def _joined(text: str, start: int) -> bool:
    """Say whether the letter is one of several ("both A and B are right")."""
    return bool(_JOINS.search(text[max(0, start - 12) : start]))


_MARKUP = pattern(r"\\(?:text|mathrm|mathbf|textbf|bf|rm)\b|\\[ ,;]|[\s{}()$*.,:]")


def _boxed(text: str, rules: _Rules) -> Iterator[_Found]:
    for start, end in find_boxes(text)[-20:]:
        end = min(end, start + 300)  # noqa: PLW2901 - a letter stands at the start of its box
        words = _MARKUP.sub(" ", text[start:end]).split()
        named = [word for word in words if len(word) == 1 and word.upper() in rules.letters]
        if not words or words[0] not in named:
            continue
        first = words[0]
        at = text.index(first, start)
        if len({word for word in named if word.isupper()}) > 1 and len(words) <= len(named) + 1:
            yield _Found(at, text[start:end], start, end, "boxed")
        elif len(words) == 1 or first.isupper():
            # The box is its letter, or begins with it and goes on with the option's text.
            yield _Found(at, first.upper(), at, at + 1, "boxed")


def _lines(text: str, sample: Sample, rules: _Rules) -> Iterator[_Found]:
    """Yield the letter that is the whole text, the first line, or the last; not one of a list of options."""
    stripped = text.strip(" \t\r\n`")
    if not stripped:
        return
    offset = text.index(stripped[0])
    lines = {0: stripped.split("\n", 1)[0], stripped.rfind("\n") + 1: stripped[stripped.rfind("\n") + 1 :]}
    for begin, line in lines.items():
        match = rules.alone.fullmatch(line.strip()) if len(line) < 40 else None
        # In a longer text a small letter on a line of its own is a list's; in a short one it is the answer.
        if match and (match["letter"].isupper() or len(stripped) < 8):
            at = offset + begin + line.index(match[0]) + match.start("letter")
            rule = "bare" if len(lines) == 1 else "own-line"
            yield _Found(at, match["letter"].upper(), at, at + 1, rule)
    if rules.listed.fullmatch(stripped) and len(set(re.findall("[A-Z]", stripped))) > 1:
        yield _Found(offset, stripped, offset, offset + len(stripped), "bare")
        return
    match = rules.first.match(stripped)
    if not match or _lists_options(stripped, rules):
        return
    at = offset + match.start("letter")
    if match["letter"] == "A" and match["mark"] == ":":  # "A:" may stand for "Answer:"
        rest = stripped[match.end() - 1 :].casefold()
        if not (sample.choices and rest.startswith(sample.choices[0].casefold())):
            return
    if not denied(text, at, at + 1, at):
        yield _Found(at, match["letter"], at, at + 1, "first-letter")


def _placed(text: str, letters: str) -> Iterator[_Found]:
    """Yield options that are announced by their place, and several letters in one."""
    for place in places(text, letters):
        if not denied(text, place.start, place.end, place.rule):
            yield _Found(place.start, place.letter, place.start, place.end, "place")
    for start, end in several(text, letters):
        yield _Found(start, text[start:end], start, end, "announced")


def _lists_options(text: str, rules: _Rules) -> bool:
    lines = (rules.first.match(line.strip()) for line in text[:4000].split("\n"))
    return len({match["letter"] for match in lines if match}) > 1


def _at_end(text: str, rules: _Rules) -> _Found | None:
    tail = text[-200:]
    match = rules.final.search(tail)
    if not match:
        return None
    start = len(text) - len(tail) + match.start("letter")
    if denied(text, start, start + 1, 0) or _joined(text, start):
        return None
    if re.search(r"\bnot\b[^.\n]{0,40}\([^)\n]{0,12}$", text[max(0, start - 60) : start]):
        return None
    return _Found(start, match["letter"].upper(), start, start + 1, "last-letter")


def _option_text(text: str, sample: Sample, letters: str) -> _Found | None:
    """Return the option whose words, and no other's, the text consists of or ends its last line with."""
    if not sample.choices:
        return None
    end = len(text.rstrip())
    line_start = text.rfind("\n", 0, end) + 1
    line = text[line_start:end][:2000].casefold()
    found = []
    for letter, option in zip(letters, sample.choices, strict=False):
        words = option.strip().strip(".").casefold()
        at = line.rfind(words) if words else -1
        inside = at >= 0 and not (line[at - 1 : at].isalnum() and line[at - 1 : at].isascii() and at)
        beyond = line[at + len(words) : at + len(words) + 1]
        if inside and not (beyond.isalnum() and beyond.isascii()):
            found.append((letter, at, at + len(words)))
    # An option that is part of another ("iron", "iron oxide") gives way to it.
    longest = [f for f in found if not any(o[1] <= f[1] and f[2] <= o[2] and o[0] != f[0] for o in found)]
    if len(longest) != 1 or re.search(r"\bnot\b|n't|不", line[: longest[0][1]]):
        return None
    letter, start, stop = longest[0]
    return _Found(line_start + start, letter, line_start + start, line_start + stop, "option-text")
