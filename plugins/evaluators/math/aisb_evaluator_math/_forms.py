r"""Normalize an answer for a LaTeX parser: signs, roots, spacing, fonts, decoration.

Nothing here is slow to import or to run, so that many answers need no computer algebra.
"""

from __future__ import annotations

import re

from aisb_evaluator_math._decimals import as_fractions
from aisb_evaluator_math._layout import completed_forms, without_layout
from aisb_evaluator_math._units import WRAPPED

_SIGNS = str.maketrans(
    {
        "−": "-",
        "–": "-",
        "×": r"\times ",
        "·": r"\cdot ",
        "÷": "/",
        "π": r"\pi ",
        "∞": r"\infty ",
        "≤": r"\le ",
        "≥": r"\ge ",
        "≠": r"\ne ",
        "∪": r"\cup ",
        "∩": r"\cap ",
        "∈": r"\in ",
        "∅": r"\emptyset ",
        "Ø": r"\emptyset ",
        "±": r"\pm ",
        "≈": r"\approx ",
        "≡": r"\equiv ",
        "²": "^2",
        "³": "^3",
        "°": r"^\circ ",
        "½": r"\frac{1}{2}",
        "，": ",",
        "（": "(",
        "）": ")",
        "％": "%",
        "℃": r"^\circ\text{C}",
        "℉": r"^\circ\text{F}",
        "€": "",
        "£": "",
        "¥": "",
        "￥": "",
        "₹": "",
        "\u00a0": " ",
        "\u202f": " ",
        "\u2009": " ",
    }
)
_NO_SPACE = re.compile(
    r"\\!|\\displaystyle(?![a-zA-Z])|\\boldsymbol(?![a-zA-Z])|\\(?:left|right)(?![a-zA-Z])\.?"
)
_DONE = re.compile(r"(?:\s|\\q?quad|\\[,;: ])*(?:\\checkmark|\\(?:black)?square|[✓✔])\s*$")
_SIZE = re.compile(r"\\(?:large|Large|LARGE|huge|Huge|bf|normalsize)(?![a-zA-Z{])\s*")
_UNDERLINED = re.compile(r"\\underline\s*\{([^{}]*)\}")
_SCIENTIFIC = re.compile(
    r"(?<![\w.\\])(\d+(?:\.\d+)?)(?:E([-+]?\d{1,3})|(?<=\.\d)e([-+]\d{1,3})|(?<=\.\d\d)e([-+]\d{1,3}))(?!\w)"
)
_ONLY_SCIENTIFIC = re.compile(r"(-?\d+(?:\.\d+)?)e([-+]?\d{1,3})")
_BIG = re.compile(r"\\[bB]igg?[lrm]?(?![a-zA-Z])")
_SPACE = re.compile(r"(?<!\\)\\[,;: ]|\\q?quad(?![a-zA-Z])|\\hspace\s*\{[^{}]*\}|(?<!\\)~")
_OLD_ROMAN = re.compile(r"\{\s*\\(?:rm|bf|it)(?![a-zA-Z])\s*([^{}]*)\}")
_CONSTANT = re.compile(
    r"\\(?:mathrm|text|textrm|textit|mathit|operatorname|rm)(?:\s*\{\s*([ei]|\\pi)\s*\}|\s+([ei])(?![a-zA-Z]))"
)
_FUNCTION = re.compile(r"\\(?:mathrm|text|operatorname)\s*\{\s*(ln|log|sin|cos|tan|exp)\s*\}")
_UPRIGHT_NUMBER = re.compile(r"\\(?:text|textbf|mathbf|mathrm|bf)\s*\{\s*([-+$]?[\d.,/]+)\s*\}")
_EMPTY_SET = re.compile(
    r"\\\{\s*\\\}|\\varnothing(?![a-zA-Z])"
    r"|^\s*(?:\\(?:text|mathrm|mbox)\s*\{)?\s*(?:the\s+)?(?:empty\s+set|no\s+(?:real\s+)?solutions?)\s*\}?\s*$",
    re.IGNORECASE,
)
_ROOT = re.compile(
    r"(?:\\?(?<![a-zA-Z])sqrt|(?<=\d)sqrt|√)\s*(?:(\()|(?=\{)|(?<!√)(\d+)(?<!\\)|(?<=√)(\d+|[a-z]))"
)
_MIXED = re.compile(r"^(-?\d+)\s+(?:and\s+)?(\d+)\s*/\s*(\d+)$")
_LETTER_SPACING = re.compile(
    r"\\[,!;: ]|\\q?quad\b|\\hspace\{[^{}]*\}|~|\\displaystyle\b|\\left\b|\\right\b|\\boldsymbol\b"
)
_BASE = re.compile(r"\d_\{?(\d+)\}?\s*$")
_WORD_BETWEEN = re.compile(
    r"\s*(?:\$|\\\))?\s*(?:,\s*)?(?:\\text\s*\{\s*,?\s*(?:and|or)\s*\}|\b(?:and|or)\b|\\(?:lor|vee)(?![a-zA-Z]))\s*(?:\$|\\\()?\s*"
)


def tidy(text: str) -> str:
    """Return an answer with LaTeX in place of other signs, and without decoration."""
    text = text.translate(_SIGNS).strip().strip("*_` \n\t")
    for opener, closer in (("$$", "$$"), ("$", "$"), (r"\[", r"\]"), (r"\(", r"\)")):
        if text.startswith(opener) and text.endswith(closer) and len(text) > len(opener) + len(closer):
            text = text[len(opener) : -len(closer)]
    text = without_layout(text.strip())
    text = re.sub(r"(\.{3,}|\\[lc]?dots|…)$|[.;,\s]+$", r"\1", text.strip())
    text = (
        _DONE.sub("", text)
        .replace("{,}", ",")
        .replace("{:}", ":")
        .replace("{.}", ".")
        .replace(r"\$", "")
        .replace(r"\(", " ")
        .replace(r"\)", " ")
    )
    text = text.replace("$", " " if text.count("$") > 1 else "")
    text = _SPACE.sub(" ", _BIG.sub("", _NO_SPACE.sub("", text)))
    text = re.sub(r"\\[dtc]frac(?![a-zA-Z])", r"\\frac", text)
    text = _UNDERLINED.sub(r"\1", _SIZE.sub("", text))
    text = _SCIENTIFIC.sub(lambda m: rf"{m[1]}\times 10^{{{int(m[2] or m[3] or m[4])}}}", text)
    text = _ONLY_SCIENTIFIC.sub(r"\1\\times 10^{\2}", text) if _ONLY_SCIENTIFIC.fullmatch(text) else text
    text = _roots(_fonts(text))
    text = re.sub(r"\*\*", "^", text)
    text = re.sub(r"(?<![\\a-zA-Z])pi\b", r"\\pi ", text)
    text = text.replace("*", r"\cdot ")
    text = _EMPTY_SET.sub(r"\\emptyset ", text).strip()
    text = completed_forms(as_fractions(text))
    if mixed := _MIXED.match(text):
        text = rf"{mixed[1]}\frac{{{mixed[2]}}}{{{mixed[3]}}}"
    return _balanced(text)


def with_commas(text: str) -> str:
    """Replace words between values by commas: `1 or 2` becomes `1, 2`."""
    return _WORD_BETWEEN.sub(", ", text)


def normalize_math(text: str) -> str:
    """Return the form for exact comparison: no spacing, no fonts, no braces around a single character."""
    text = _LETTER_SPACING.sub("", text)
    text = re.sub(WRAPPED, r"\1", text)
    text = re.sub(r"\\[dt]frac", r"\\frac", text)
    text = re.sub(r"\^\s*\{?\\circ\}?", "", text)
    text = re.sub(r"\{(\w)\}", r"\1", text)
    text = re.sub(r"(?<=\d),(?=\d{3}(?!\d))", "", text) if not re.search(r"[(\[{]", text) else text
    text = re.sub(r"\s+", "", text).strip(".").casefold()
    return text[1:-1] if re.fullmatch(r"\([a-z]\)", text) else text


def base(text: str) -> str:
    """Return the base of a number, such as `8` of `52_8`, or an empty string."""
    found = _BASE.search(text)
    return found[1] if found else ""


def _fonts(text: str) -> str:
    """Remove font commands around the constants e and i, functions and numbers."""
    if r"\r" in text or r"\b" in text or r"\i" in text:
        text = _OLD_ROMAN.sub(r"\\mathrm{\1}", text)
    text = _CONSTANT.sub(lambda match: f" {match[1] or match[2]} ", text)
    text = _FUNCTION.sub(r"\\\1 ", text)
    for _ in range(2):
        text = _UPRIGHT_NUMBER.sub(r"\1", text)
    return text


def _roots(text: str) -> str:
    r"""Write roots in LaTeX: `sqrt(2)`, `√2` and `\sqrt(2)` become `\sqrt{2}`."""
    at = 0
    while found := _ROOT.search(text, at):
        begin, end = found.end(), found.end()
        if found[1]:
            closing = _closing(text, begin)
            if closing < 0:
                break
            inside, end = text[begin:closing], closing + 1
        else:
            inside = found[2] or found[3] or ""
        braces = f"{{{inside}}}" if inside else ""
        text = text[: found.start()] + rf"\sqrt{braces}" + text[end:]
        at = found.start() + len(r"\sqrt")
    return text


def _closing(text: str, at: int) -> int:
    """Return the position of the parenthesis that closes the one opened before `at`, or -1."""
    depth = 1
    for position in range(at, len(text)):
        depth += {"(": 1, ")": -1}.get(text[position], 0)
        if not depth:
            return position
    return -1


def _balanced(text: str) -> str:
    """Close all open braces, as the parser requires."""
    depth = 0
    parts = []
    for position, c in enumerate(text):
        escaped = position > 0 and text[position - 1] == "\\"
        if c == "{" and not escaped:
            depth += 1
        elif c == "}" and not escaped:
            if not depth:
                continue
            depth -= 1
        parts.append(c)
    return "".join(parts) + "}" * depth
