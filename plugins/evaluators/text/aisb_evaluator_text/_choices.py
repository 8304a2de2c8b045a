"""Extract the letter of the chosen option from a text, in English and Chinese, in all usual forms.

Rules have three ranks. The first is an announced answer (a box, "Answer:", 答案是, 选, a line that is the
letter), the second a judgement or conclusion ("B is right", "so C"), the third a likely answer (a letter at
the very end, the words of one option). A higher rank takes precedence. Within a rank the last match counts,
because a later one may be a correction. A letter that is denied ("not B", B错误) or stands only in a question
never counts. In a refusal, only the first rank counts.
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Iterator, Sequence
from typing import Annotated

from aisb import Extract, Sample
from aisb.helpers import finds_answer, is_refusal, pattern
from aisb_evaluator_text._choice_rules import ChoiceRules, FoundChoice, rules_for
from aisb_evaluator_text._denials import is_denied_letter, is_one_of_several
from aisb_evaluator_text._marked import find_boxes
from aisb_evaluator_text._option_text import find_option_text
from aisb_evaluator_text._ordinals import has_several, places


@finds_answer
def choice(
    *,
    options: Annotated[
        str, "letters of the options, such as ABCD; default: one for each choice of the sample"
    ] = "",
) -> Callable[[str, Sample], Extract | None]:
    """The letter of the chosen option: `(B)`, `**B**`, "Answer: B", 故选B, a box, "A is wrong, so B"."""
    allowed = options.upper()
    if allowed and (len(set(allowed)) != len(allowed) or not set(allowed) <= set(string.ascii_uppercase)):
        from aisb import UsageError

        raise UsageError(f"options = {options!r}: it must be letters, each once, such as 'ABCD'")

    def step(text: str, sample: Sample) -> Extract | None:
        letters = allowed or _letters_of(sample)
        folded = _fold(text)
        rules = rules_for(letters)
        marked = [
            *_boxed(folded, rules),
            *_lines(folded, sample, rules),
            *rules.announced(folded, sample.choices),
            *rules.corrected(folded),
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
        guess = _at_end(folded, rules) or _named(folded, sample, letters)
        return _extract(guess, explicit=False) if guess else None

    return step


def _letters_of(sample: Sample) -> str:
    """Return a letter for each option; for a row without options, A to D, or to its answer."""
    if sample.choices:
        return string.ascii_uppercase[: len(sample.choices)]
    last = str(sample.target).strip("() ") if isinstance(sample.target, str) else ""
    last = max("D", last) if re.fullmatch("[A-R]", last) else "D"
    return string.ascii_uppercase[: string.ascii_uppercase.index(last) + 1]


def _extract(found: FoundChoice, *, explicit: bool) -> Extract:
    return Extract(found.letter, found.rule, (found.start, found.end), explicit)


_WIDE = "".join(chr(0xFEE0 + ord(c)) for c in string.ascii_letters)
_CIRCLED = "".join(map(chr, range(0x24B6, 0x24B6 + len(string.ascii_uppercase))))
_FOLD = str.maketrans(
    _WIDE + _CIRCLED + "（）：．＊［］，【】「」『』〔〕〈〉⟨⟩；" + "選項擇確錯誤對為應該題",
    string.ascii_letters + string.ascii_uppercase + "():.*[],[]()()()()();" + "选项择确错误对为应该题",
)
_SPECIAL = pattern(
    r"<\|\w{1,30}\|>|</s>|<(?:br|p)\s?/?>|</?(?P<tag>b|strong|i|em|u|span|font|mark|center|div)(?:\s[^<>]{0,80})?>",
    re.IGNORECASE,
)
_CYRILLIC = pattern(r"(?<=[Оо]твет)(?P<said>[^.\n?]{0,24}?[:—–-][\s*_(\[«\"<]{0,6})(?P<letter>[АСВЕ])(?!\w)")
_LATIN = str.maketrans("АСВЕ", "ACBE")


def _fold(text: str) -> str:
    """Replace letters of other widths and scripts by ASCII, and tags by spaces, keeping all positions."""
    folded = text if text.isascii() else text.translate(_FOLD)
    if "<" in folded:
        lower = folded.lower()
        # A <b> without a closing tag may be the answer.
        folded = _SPECIAL.sub(
            lambda tag: (
                " " * len(tag[0]) if not tag["tag"] or f"</{tag['tag'].lower()}>" in lower else tag[0]
            ),
            folded,
        )
    if "твет" in folded and not re.search(r"(?<!\w)[БГ](?!\w)", folded):
        folded = _CYRILLIC.sub(lambda match: match["said"] + match["letter"].translate(_LATIN), folded)
    return folded


_MARKUP = pattern(r"\\(?:text|mathrm|mathbf|textbf|bf|rm)\b|\\[ ,;]|[\s{}()$*.,:]")


def _boxed(text: str, rules: ChoiceRules) -> Iterator[FoundChoice]:
    for start, end in find_boxes(text)[-20:]:
        end = min(end, start + 300)  # noqa: PLW2901 - a letter stands at the start of its box
        words = _MARKUP.sub(" ", text[start:end]).split()
        named = [word for word in words if len(word) == 1 and word.upper() in rules.letters]
        if not words or words[0] not in named:
            continue
        first = words[0]
        at = text.index(first, start)
        if len({word for word in named if word.isupper()}) > 1 and len(words) <= len(named) + 1:
            yield FoundChoice(at, text[start:end], start, end, "boxed")
        elif len(words) == 1 or first.isupper():
            # The box holds the letter, or the letter followed by the option's text.
            yield FoundChoice(at, first.upper(), at, at + 1, "boxed")


def _lines(text: str, sample: Sample, rules: ChoiceRules) -> Iterator[FoundChoice]:
    """Yield a letter that is the whole text, the first line or the last line, but not part of a list."""
    stripped = text.strip(" \t\r\n`")
    if not stripped:
        return
    offset = text.index(stripped[0])
    lines = {0: stripped.split("\n", 1)[0], stripped.rfind("\n") + 1: stripped[stripped.rfind("\n") + 1 :]}
    for begin, line in lines.items():
        match = rules.alone.fullmatch(line.strip()) if len(line) < 40 else None
        # A lower-case letter on its own line is the answer of a short text, but a list item of a longer one.
        if match and (match["letter"].isupper() or len(stripped) < 8):
            at = offset + begin + line.index(match[0]) + match.start("letter")
            rule = "bare" if len(lines) == 1 else "own-line"
            yield FoundChoice(at, match["letter"].upper(), at, at + 1, rule)
    if rules.listed.fullmatch(stripped) and len(set(re.findall("[A-Z]", stripped))) > 1:
        yield FoundChoice(offset, stripped, offset, offset + len(stripped), "bare")
        return
    if len(lines) == 1 and (item := rules.item.fullmatch(stripped)):
        at = offset + item.start("letter")
        yield FoundChoice(at, item["letter"], at, at + 1, "bare")
    if (dashed := rules.dashed.match(stripped)) and sample.choices:
        option = sample.choices[rules.letters.index(dashed["letter"])].strip().casefold()
        if option and stripped[dashed.end() :].casefold().startswith(option):
            at = offset + dashed.start("letter")
            yield FoundChoice(at, dashed["letter"], at, at + 1, "first-letter")
    match = rules.first.match(stripped)
    if not match or _lists_options(stripped, rules):
        return
    at = offset + match.start("letter")
    if match["letter"] == "A" and match["mark"] == ":":  # "A:" may mean "Answer:"
        rest = stripped[match.end() - 1 :].casefold()
        if not (sample.choices and rest.startswith(sample.choices[0].casefold())):
            return
    if not is_denied_letter(text, at, at + 1, at):
        yield FoundChoice(at, match["letter"], at, at + 1, "first-letter")


def _placed(text: str, letters: str) -> Iterator[FoundChoice]:
    """Yield options that are announced by their position, and several letters announced as one."""
    for place in places(text, letters):
        if not is_denied_letter(text, place.start, place.end, place.rule):
            yield FoundChoice(place.start, place.letter, place.start, place.end, "place")
    for start, end in has_several(text, letters):
        yield FoundChoice(start, text[start:end], start, end, "announced")


def _lists_options(text: str, rules: ChoiceRules) -> bool:
    return (
        _count_options(text[:4000].split("\n"), rules) > 1
        or _count_options(text[:4000].split(";"), rules) > 2
    )


def _count_options(pieces: Sequence[str], rules: ChoiceRules) -> int:
    """Count the pieces of a text that begin with a letter like an option: "A. Mars"."""
    options = (rules.first.match(piece.strip()) for piece in pieces)
    return len({option["letter"] for option in options if option})


def _at_end(text: str, rules: ChoiceRules) -> FoundChoice | None:
    tail = text[-200:]
    match = rules.final.search(tail)
    if not match:
        return None
    start = len(text) - len(tail) + match.start("letter")
    if is_denied_letter(text, start, start + 1, 0) or is_one_of_several(text, start):
        return None
    if re.search(r"\bnot\b[^.\n]{0,40}\([^)\n]{0,12}$", text[max(0, start - 60) : start]):
        return None
    return FoundChoice(start, match["letter"].upper(), start, start + 1, "last-letter")


def _named(text: str, sample: Sample, letters: str) -> FoundChoice | None:
    found = find_option_text(text, sample, letters)
    return FoundChoice(found.start, *found, "option-text") if found else None
