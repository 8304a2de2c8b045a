"""Find and grade answers of exams: one letter, several letters, or a value if there are no options."""

from __future__ import annotations

import re
import unicodedata

from aisb import Evaluator, Extract, Postprocessor, Sample, Score
from aisb.helpers import finds_answer, pattern

_FOLD = str.maketrans({0xFF21 + i: chr(65 + i) for i in range(8)} | {ord("："): ":", ord("，"): ","})
_JOIN = r"(?:[^\S\n]?(?:[、,;/&+和与及]|\band\b)[^\S\n]?(?:and\s)?|[^\S\n])?"
_OPEN = r"[\s(\[（【*_`\"'“「{$]{0,6}(?:\\(?:text|mathrm|mathbf|textbf)\{)?[(（]?"
# At most eight letters: without a limit, a text of letters alone would take quadratic time.
_RUN = rf"(?P<run>\(?[A-H]\)?(?:{_JOIN}\(?[A-H]\)?){{0,15}})(?![A-Za-z'’])"
_ANSWERED = pattern(
    rf"""
    (?<![不未非])
    (?:
      \\boxed\s?\{{ | \banswers?\b[^.\n:]{{0,40}}?(?:\bis\b|\bare\b|:)
      | \b(?:options?|choices?)\b[^.\n:]{{0,20}}?(?:\bis\b|\bare\b|:)
      | 答案[^。\n不]{{0,10}}?(?:是|为|:|选) | 【答案】 | 选项?(?:是|为|:)?
      | 正确的?(?:选项)?(?:是|有|为|包括):?
    )
    {_OPEN}{_RUN}
    """,
    re.VERBOSE | re.IGNORECASE,
)
"""Patterns that announce an answer. A later match replaces an earlier one."""
_CONCLUDED = pattern(
    rf"(?<![不未非])(?:综上(?:所述|可知)?|由此可知|因此|所以|故)[,]?\s?(?:为|是)?{_OPEN}{_RUN}", re.IGNORECASE
)
_ALONE = pattern(rf"{_OPEN}{_RUN}[)\]）】*_`\"'”」}}$.。:,]{{0,6}}(?=\s|$)")
_WRONG = pattern(
    r"[)\]）】*_`\"'”」}$]{0,4}\s?(?:选?项|说法|表述)?(?:均|都|也|是)?(?:错误|错|不正确|不对|不选|排除)"
    r"|[)\]*_`]{0,4}\s?(?:is|are)\s(?:both\s|all\s)?(?:wrong|incorrect|false|not)\b"
)
_JUDGED = pattern(
    rf"(?<![A-Za-z]){_RUN}[)\]）】*]{{0,3}}\s?(?:选?项|说法)?(?:"
    r"(?:均|都|也)?(?:是|为)?(?:完全)?(?:正确|对的(?=[。,，;；\s]|$))"
    r"|\s?(?:is|are)\s(?:both\s|all\s|also\s)?(?:correct|right|true)\b)",
    re.IGNORECASE,
)
_LETTERED = pattern(r"A?B?C?D?E?F?G?H?(?<=\w)")
"""The answer of a row whose options are not known, as letters."""
_EACH = pattern(
    r"(?<![A-Za-z])(?P<run>[A-H])(?:选?项)?\s?[.:：、．)]\s?[^\n；;]{0,120}?(?:(?<!不)(?P<right>正确|对|[✓√✔])|不?正确|不对|错误?|[×✗✘])"
    r"[。.]?\s?(?=[\n；;]|$)"
)
_MATH = pattern(r"\$\$?([^$]+)\$\$?")
_SEPARATORS = pattern(r"\s*[;；]\s*|\s+(?:and|和)\s+")


@finds_answer
def exam_answer() -> Postprocessor:
    """The chosen letters: `ACD`, `A、C`, "Answer: A and C", 故选B; without options, the value.

    An announced answer takes precedence over a conclusion, which takes precedence over options that the text
    calls correct one by one; these form the answer together.
    """
    from aisb_evaluator_text import answer_line, boxed, choice

    one, box, line = choice(), boxed(), answer_line()

    def step(text: str, sample: Sample) -> Extract | str | None:
        if not (sample.choices or _LETTERED.fullmatch(str(sample.target))):
            return box(text, sample) or line(text, sample) or _value(text)
        folded = text.translate(_FOLD)
        runs = _runs(_ANSWERED, folded) or _whole_line(folded) or _runs(_CONCLUDED, folded)
        judged = [] if runs else _each_right(folded) or _runs(_JUDGED, folded)
        chosen = {letter for span in runs[-1:] or judged for letter in _letters(folded[slice(*span)])}
        several = len(chosen) > 1
        single = None if several else one(text, sample)
        # The more detailed rules for a single letter decide, unless they find several letters.
        if single is not None and len(single.text) == 1:
            return single
        if runs:
            start, end = runs[-1]
            return Extract(text[start:end], "letters", (start, end), explicit=True)
        if judged:
            return Extract("".join(sorted(chosen)), "judged", (judged[0][0], judged[-1][1]), explicit=True)
        return single

    return step


def _runs(rule: re.Pattern[str], text: str) -> list[tuple[int, int]]:
    """Return the spans of capital letters that a rule finds and the text does not call wrong, in order."""
    return [
        match.span("run")
        for match in rule.finditer(text)
        if _capitals(match["run"]) and not _WRONG.match(text, match.end("run"))
    ]


def _each_right(text: str) -> list[tuple[int, int]]:
    """Return the spans of the options called right, if a text has a verdict on each: "A：对；B：错"."""
    verdicts = list(_EACH.finditer(text))
    if len(verdicts) < 3 or len({one["run"] for one in verdicts}) < len(verdicts):
        return []
    return [one.span("run") for one in verdicts if one["right"]]


def _whole_line(text: str) -> list[tuple[int, int]]:
    """Return the spans of letters that form the whole first or last line."""
    stripped = text.strip()
    lines = {0: stripped.split("\n", 1)[0], stripped.rfind("\n") + 1: stripped.rpartition("\n")[2]}
    offset = len(text) - len(text.lstrip())
    return [
        (offset + begin + alone.start("run"), offset + begin + alone.end("run"))
        for begin, line in lines.items()
        if (alone := _ALONE.fullmatch(line)) and _capitals(alone["run"])
    ]


def _capitals(run: str) -> bool:
    return run.replace("and", "").isupper()


def _value(text: str) -> Extract | None:
    """Return the last formula of a text, or else its last line."""
    if formulas := list(_MATH.finditer(text)):
        return Extract(formulas[-1][1], "last-formula", formulas[-1].span(1))
    last = text.rstrip().rpartition("\n")[2].strip()
    if not last:
        return None
    start = text.rindex(last)
    return Extract(last, "last-line", (start, start + len(last)))


class ExamMatch(Evaluator):
    """Correct if exactly the correct options are chosen; without options, if the value equals the target."""

    def score(self, answer: str | None, sample: Sample) -> Score:
        """Compare one answer with the target."""
        text = answer or ""
        if sample.choices or _LETTERED.fullmatch(str(sample.target)):
            chosen = _letters(text.translate(_FOLD)) or _named(text, sample)
            right = chosen == frozenset(str(sample.target))
            return Score(float(right), details={"vote": "".join(sorted(chosen))})
        return Score(float(same_value(text, str(sample.target))))


def _letters(text: str) -> frozenset[str]:
    words = re.findall(r"[A-Z]+|[a-z]+", text)
    letters = [word for word in words if word not in ("and", "or")]
    if not letters or any(set(word) - set("ABCDEFGH") for word in letters):
        return frozenset()
    return frozenset("".join(letters))


def _named(text: str, sample: Sample) -> frozenset[str]:
    from aisb_evaluator_text import choice_letter

    return frozenset(choice_letter(text, sample) or "")


def same_value(answer: str, expected: str) -> bool:
    """Return whether two values are equal: as numbers, or as LaTeX without layout, part by part."""
    if _same(answer, expected):
        return True
    parts, targets = (_SEPARATORS.split(text.strip()) for text in (answer, expected))
    if len(targets) > 1 and len(parts) != len(targets):
        parts = re.split(r"\s*[,，、;；]\s*", answer.strip())
    return (
        len(parts) == len(targets) > 1
        and all(parts)
        and all(_same(part, target) for part, target in zip(parts, targets, strict=True))
    )


def _same(answer: str, expected: str) -> bool:
    from aisb_evaluator_text import number_values

    left, right = plain_latex(answer), plain_latex(expected)
    if left == right != "":
        return True
    if "=" in left and "=" not in right:
        left = left.rpartition("=")[2]
        if left == right != "":
            return True
    if not _NUMBER.fullmatch(right):
        return False
    values, targets = number_values(_as_number(left)), number_values(_as_number(right))
    return any(abs(value - target) <= 1e-6 for value in values for target in targets)


_NUMBER = pattern(r"-?(?:\d+(?:\.\d+)?|\.\d+|\\frac\{\d+\}\{\d+\}|\d+/\d+)")

_LATEX: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\\(?:left|right|big|Big|bigg|Bigg|displaystyle|,|!|;|:|quad|qquad)(?![A-Za-z])|\\ |~"), ""),
    (re.compile(r"\\[dt]frac"), r"\\frac"),
    (re.compile(r"\\frac\s*([0-9])\s*([0-9])"), r"\\frac{\1}{\2}"),
    (re.compile(r"\\frac\s*([0-9])\s*\{"), r"\\frac{\1}{"),
    (re.compile(r"\\sqrt\s*([0-9a-z])"), r"\\sqrt{\1}"),
    (re.compile(r"\\(?:text|mathrm|mathbf|operatorname|textbf|mbox)\s*\{([^{}]*)\}"), r"\1"),
    (re.compile(r"\^\s*\{?\\circ\}?|\\degree|°"), ""),
    (re.compile(r"\\[\[\]()]|\\%|%|\$|\\\$"), ""),
    (re.compile(r"(?<=\d),(?=\d{3}(?!\d))"), ""),
    (re.compile(r"\s+"), ""),
)


def plain_latex(text: str) -> str:
    r"""Return a formula without what only lays it out: spaces, `\left`, `\text`, degrees, dollar signs."""
    text = unicodedata.normalize("NFKC", text).strip().strip("$")
    text = text.replace("−", "-").replace("\\le ", "\\leq ").replace("\\ge ", "\\geq ").replace("\\pi", "π")
    for command, replacement in _LATEX:
        text = command.sub(replacement, text)
    return text.strip(".。,").replace("{,}", "")


def _as_number(text: str) -> str:
    return re.sub(r"^(-?)\\frac\{(\d+)\}\{(\d+)\}$", r"\1\2/\3", text)
