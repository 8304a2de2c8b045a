r"""Remove the layout of an answer in LaTeX, such as colours, and complete its short forms.

`\textcolor{red}{5}` and `\begin{aligned}5\end{aligned}` are `5`, `\frac\pi2` is `\frac{\pi}{2}`.
"""

from __future__ import annotations

import re

_TAG = re.compile(r"\\(?:tag\*?|label)\s*\{[^{}]*\}")
_COLOUR = re.compile(
    r"\\(?:text)?color(?:\[\w+\])?(?:\s*\{[^{}]*\}|\s+[a-z]+(?![a-z]))|\\f?colorbox(?:\s*\{\w+\}){1,2}(?=\s*\{)"
)
_FONT = re.compile(r"\\(?:bm|pmb|emph|mathsf|textsf|mathtt|texttt|textsl|textsc)(?=\s*\{)")
_ENVIRONMENT = re.compile(
    r"^\\begin\s*\{(aligned|align\*?|gathered|gather\*?|split|equation\*?|array)\}(?:\s*\{[clr|\s]*\})?(.*)\\end\s*\{\1\}$",
    re.DOTALL,
)
_ROW_SPACE = re.compile(r"\\\\\s*\[\s*-?[\d.]+\s*(?:pt|em|ex|mm|cm|in)\s*\]")
_ROW_ENDS = re.compile(r"\\\\(?:\s*\\\\)+")
_END = re.compile(r"(?:\s|(?<!\\)\\(?:[,;:! ]|q?quad(?![a-zA-Z])|\\)|~|(?<![.])[.](?![.])|[;,])+$")
_ARGUMENT = re.compile(r"\s*(\\(?!sqrt|frac|text|math|left)[a-zA-Z]+|[0-9a-zA-Z])")
_TWO_ARGUMENTS = re.compile(r"\\(?:[dtc]?frac|[dt]?binom)(?![a-zA-Z])")
_ANGLE = re.compile(
    r"(\\(?:sin|cos|tan|cot|sec|csc)(?![a-zA-Z])(?:\s*\^\s*\{?\d\}?)?)\s*(?:(?:\\left)?([({])\s*)?(\d+(?:\.\d+)?)"
    r"\s*\^\s*(?:\{\s*\\circ\s*\}|\\circ)(?(2)\s*(?:\\right)?[)}])"
)
_CIS = re.compile(
    r"(?:\\(?:text|mathrm|operatorname)\s*\{\s*cis\s*\}|\\?(?<![a-zA-Z])cis(?![a-zA-Z]))\s*([^+=,;]+)$"
)
_VECTOR = re.compile(r"\\langle(?![a-zA-Z])(.*)\\rangle(?![a-zA-Z])", re.DOTALL)
_SCALED = re.compile(
    r"^(-?\s*[\d.,]*\d)\s*(?:\\text\s*\{\s*|\\mathrm\s*\{\s*|\\mbox\s*\{\s*)?(thousand|million|billion|trillion)\b\s*([^{}\\]*)\}?$"
)
_SCALES = {"thousand": 3, "million": 6, "billion": 9, "trillion": 12}
_PRODUCT = re.compile(r"[\d.()\s]*\d\s*\([\d.()\s]*|\([\d.\s]+\)\s*\([\d.()\s]*")
_LETTERS = re.compile(r"\(?[A-J]\)?(?:\s*,\s*\(?[A-J]\)?)+")
_NAMED_LETTER = re.compile(r"(\\text\s*\{\s*)?(?:option|choice)\s+(\(?[A-J]\)?)(?=\s*\}?$)", re.IGNORECASE)


def without_layout(text: str) -> str:
    """Return an answer without colours, tags, environments of one value, and spacing at its end."""
    if "\\" not in text:
        return text
    text = _FONT.sub("", _COLOUR.sub("", _TAG.sub("", text)))
    text = _ROW_ENDS.sub(r"\\\\", _ROW_SPACE.sub(r"\\\\", text))
    text = _END.sub("", text).strip()
    text = text[:-1] if re.search(r"(?<!\\)\\$", text) else text
    if environment := _ENVIRONMENT.match(text):
        text = _rows(environment[1], environment[2]) or text
    return _unbraced(text)


def completed_forms(text: str) -> str:
    """Return a normalized answer with braces around arguments, and with words and degrees as numbers."""
    text = _CIS.sub(r"(\\cos \1+i\\sin \1)", text)
    if "\\" in text:
        text = _with_braces(text)
        text = _ANGLE.sub(r"\1\\left(\\frac{\3\\pi}{180}\\right)", text)
        text = _VECTOR.sub(r"(\1)", text)
        text = _NAMED_LETTER.sub(r"\1\2", text)
    if scaled := _SCALED.match(text):
        unit = rf"\text{{ {scaled[3].strip()}}}" if scaled[3].strip() else ""
        text = rf"{scaled[1].replace(',', '')}\times 10^{{{_SCALES[scaled[2]]}}}{unit}"
    if _PRODUCT.fullmatch(text):
        text = re.sub(r"(?<=[\d)])\s*\(", r"\\cdot (", text)
    plain = re.sub(r"\\text\s*\{([^{}]*)\}", r"\1", text).strip()
    return re.sub(r"[()]", "", plain) if _LETTERS.fullmatch(plain) else text


def _rows(kind: str, inside: str) -> str | None:
    """Return the lines of an environment as one value or a list; None for a matrix."""
    rows = [row.replace("&", " ").strip() for row in re.split(r"\\\\", inside)]
    rows = [row for row in rows if row]
    if len(rows) > 1 and kind == "array":
        return None
    if len(rows) > 1 and all(row.startswith("=") for row in rows[1:]):
        name = rows[0].partition("=")[0] if "=" in rows[0] else ""
        return f"{name}{rows[-1]}" if name else rows[-1].lstrip("= ")
    return ", ".join(row.rstrip(",;. ") for row in rows) or None


def _unbraced(text: str) -> str:
    """Return a text without braces around the whole of it."""
    if re.search(r"\\(?:choose|over)(?![a-zA-Z])", text):
        return text  # their braces end what they divide
    while text.startswith("{") and text.endswith("}"):
        depth = 0
        for position, c in enumerate(text):
            depth += {"{": 1, "}": -1}.get(c, 0)
            if not depth and position < len(text) - 1:
                return text
        if depth:
            return text
        text = text[1:-1].strip()
    return text


def _with_braces(text: str) -> str:
    r"""Put the arguments of fractions and binomials in braces: `\frac\pi2`, `\binom n2`."""
    at = 0
    while found := _TWO_ARGUMENTS.search(text, at):
        at = place = found.end()
        for _ in range(2):
            if argument := _ARGUMENT.match(text, place):
                text = f"{text[:place]}{{{argument[1]}}}{text[argument.end() :]}"
                place += len(argument[1]) + 2
            else:
                place = _after_group(text, place)
    return text


def _after_group(text: str, at: int) -> int:
    """Return the position after the group in braces that begins at a position, or that position."""
    start = at
    while text[start : start + 1].isspace():
        start += 1
    if text[start : start + 1] != "{":
        return at
    depth = 0
    for position in range(start, len(text)):
        depth += {"{": 1, "}": -1}.get(text[position], 0)
        if not depth:
            return position + 1
    return at
