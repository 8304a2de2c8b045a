"""The languages that the rules know: how each announces an answer and writes numbers."""

from __future__ import annotations

import re
from collections.abc import Iterator

from aisb import Sample
from aisb.helpers import pattern

_NAMES = {
    "german": "de", "spanish": "es", "french": "fr", "russian": "ru", "italian": "it", "portuguese": "pt",
    "dutch": "nl", "polish": "pl", "turkish": "tr", "ukrainian": "uk", "indonesian": "id", "vietnamese": "vi",
}  # fmt: skip
_DECIMAL_COMMA = frozenset((
    "bg", "ca", "cs", "da", "de", "el", "es", "et", "fi", "fr", "hr", "hu", "id", "is", "it", "lt", "lv",
    "nb", "nl", "nn", "no", "pl", "pt", "ro", "ru", "sk", "sl", "sr", "sv", "tr", "uk", "vi",
))  # fmt: skip
"""Languages that write 1.200,50 or 1 200,50 where English writes 1,200.50."""

_ANSWER_WORDS = {
    "de": "antwort|lösung|richtig ist",
    "es": "respuesta|solución",
    "fr": "réponse|reponse",
    "ru": "ответ",
    "it": "risposta|soluzione",
    "pt": "resposta",
    "nl": "antwoord",
    "pl": "odpowiedź",
    "tr": "cevap|yanıt",
    "id": "jawaban",
    "vi": "đáp án|câu trả lời",
    "sw": "jibu",
    "ja": "答え|答案は|正解|解答",
    "th": "คำตอบ|(?<!คำ)ตอบ",
    "bn": "উত্তর",
    "te": "సమాధానం|జవాబు",
    "hi": "उत्तर|जवाब",
    "ko": "정답|(?<![가-힣])답",
    "ar": "الإجابة|الجواب",
}
_WORDS = "|".join(_ANSWER_WORDS.values()).replace(" ", r"\s")
_BEGINS = pattern(_WORDS)
_ASCII_BEGINS = tuple(word for words in _ANSWER_WORDS.values() for word in words.split("|") if word.isascii())
"""The words that a text without other letters can have; each is searched faster than the pattern of all."""
_COLON = r"[\"'*_`）)\]』」】]{0,4}\s{0,2}[:：ঃ=](?!:)"
_MARK = pattern(
    rf"""
    (?P<colon>(?:{_WORDS})(?:\s(?:final\w{{0,3}}|la\smwisho|sahihi|correct[ao]))?{_COLON})
  | (?P<says>
      (?<!\w)(?:antwort|lösung)\b[^.:?!\n]{{0,80}}?\b(?:ist|sind|lautet|beträgt|wäre)\b
    | (?<!\w)richtig\sist\b
    | (?<!\w)(?:respuesta|solución)\b[^.:?!\n]{{0,80}}?(?<!\bno\s)\b(?:es|son|sería)\b
    | (?<!\w)r[ée]ponse\b[^.:?!\n]{{0,80}}?\b(?:est|sont|serait)\b
    | (?<!\w)ответ\w{{0,3}}(?:\s[^.:?!\n—–]{{0,60}}?)?
      (?:\s[—–-](?=\s)|(?<!\sне)\s(?:равен|равно|составляет|будет|это)\b|(?<!\sне)(?=\s(?:[\d$€]|[a-j](?!\w))))
    | (?<!\w)(?:risposta|soluzione)\b[^.:?!\n]{{0,80}}?(?<!\bnon)\s(?:è|sono|sarebbe)\b
    | (?<!\w)resposta\b[^.:?!\n]{{0,80}}?(?<!\bnão)\s(?:é|são|seria)\b
    | (?<!\w)antwoord\b[^.:?!\n]{{0,80}}?\b(?:is|zijn)\b
    | (?<!\w)odpowiedź\b[^.:?!\n]{{0,80}}?\b(?:to|jest)\b
    | (?<!\w)jibu(?:\s[^.:?!\n]{{0,60}}?)?\b(?:ni|litakuwa)\b
    | (?<!\w)jawaban(?:nya)?\b[^.:?!\n]{{0,60}}?\badalah\b
    | (?<!\w)(?:đáp\sán|câu\strả\slời)\b[^.:?!\n]{{0,60}}?\slà\b
    | (?:答え|正解|解答|答案)[^。:：？\n]{{0,12}}?(?:は|が)、?
    | คำตอบ[^:：?\n]{{0,40}}?(?:คือ|เท่ากับ|เป็น)
    | (?<!คำ)ตอบ(?=\s)
    | উত্তর\w{{0,3}}\s?(?:হল|হলো|হবে|হচ্ছে|(?=[\d$(]|[a-j](?![a-z])))
    | (?:సమాధానం|జవాబు)\s?(?:ఏమిటంటే,?|(?=[\d$₹(]|[a-j](?![a-z])))
    | (?:उत्तर|जवाब)\s?(?:है|होगा|(?=[\d$₹(]|[a-j](?![a-z])))
    | (?:정답|(?<![가-힣])답)(?:은|이)
    | (?:الإجابة|الجواب)[^.:؟\n]{{0,40}}?(?:هي|هو)
    )
    """,
    re.VERBOSE,
)


def local_marks(text: str) -> Iterator[re.Match[str]]:
    """Yield announcements of an answer in languages other than English and Chinese, as `colon` or `says`."""
    lower = text.lower()
    if text.isascii() and "richtig" not in lower and not any(word in lower for word in _ASCII_BEGINS):
        return
    if len(lower) == len(text) and _BEGINS.search(lower):
        yield from _MARK.finditer(lower)


def row_language(sample: Sample, text: str) -> str:
    """Return the two-letter language code of a row, or else of the text's answer mark."""
    for field in ("lang", "language"):
        named = sample.fields.get(field)
        if isinstance(named, str) and named.strip():
            name = named.strip().lower()
            return _NAMES.get(name, re.split(r"[-_]", name)[0])
    mark = next(local_marks(text), None)
    if mark is None:
        return ""
    known = ((code, words.replace(" ", r"\s")) for code, words in _ANSWER_WORDS.items())
    return next((code for code, words in known if re.search(words, mark[0])), "")


_SPACE = "[ \u00a0\u202f\u2009]"
_NUMERAL = pattern(
    rf"""
    (?<![\d.,/])(?:
      (?P<dots>[1-9]\d{{0,2}}(?:(?:\.|\{{\.\}})\d{{3}})++)(?:,(?P<cents>\d++))?
    | (?P<spaced>[1-9]\d{{0,2}}(?P<space>{_SPACE})\d{{3}}(?:(?P=space)\d{{3}})*+)(?:,(?P<rest>\d++))?
    | (?P<english>[1-9]\d{{0,2}}(?:,\d{{3}})++(?:\.\d++)?)
    | (?P<comma>\d++,\d++)
    )(?![.,]?\d|-\w)
    """,
    re.VERBOSE,
)
_COMMA_IS_DECIMAL = pattern(r"\d,\d{1,2}(?![\d,])|(?<!\d)0,\d")
_POINT_GROUPS = pattern(r"(?<![\d.,])[1-9]\d{0,2}\.\d{3}(?![\d.])")
_POINT_IS_DECIMAL = pattern(r"(?<![\d.])\d{1,6}\.\d{1,2}(?![\d.])|(?<![\d.])0\.\d|\d,\d{3}\.\d")


def english_numbers(text: str, language: str) -> str:
    """Write the numbers of a language as in English, keeping all positions.

    `1.800` and `1 800` become `1,800`, and `3,5` becomes `3.5`. A form that is also English, such as `1,200`,
    is read as English unless the text shows that its commas are decimal.
    """
    if language not in _DECIMAL_COMMA or not _NUMERAL.search(text):
        return text
    comma_decimal = bool(_COMMA_IS_DECIMAL.search(text))
    point_decimal = not comma_decimal and bool(_POINT_IS_DECIMAL.search(text))
    comma_decimal = comma_decimal or (not point_decimal and bool(_POINT_GROUPS.search(text)))

    def rewrite(match: re.Match[str]) -> str:
        number = match[0]
        if match["dots"]:
            if point_decimal and number.count(".") == 1 and not match["cents"] and not number.endswith("0"):
                return number
            integer = match["dots"].replace(".", ",")
            return integer + (f".{match['cents']}" if match["cents"] else "")
        if match["spaced"]:
            integer = match["spaced"].replace(match["space"], ",")
            return integer + (f".{match['rest']}" if match["rest"] else "")
        if match["comma"] or (
            comma_decimal and number.count(",") == 1 and "." not in number and number[-1] != "0"
        ):
            return number.replace(",", ".")
        return number

    return _NUMERAL.sub(rewrite, text)
