"""The instructions of IFBench about format: lists, lines, brackets, quotation marks, italics, capitals."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from typing import Any

from aisb_evaluator_instruct import _texts as texts
from aisb_evaluator_instruct._ifeval import InstructionCheck
from aisb_evaluator_instruct._texts import spoken_words
from aisb_evaluator_instruct._vocabulary import MINOR_WORDS

_EMOJI = "[\U0001f1e6-\U0001faff\u2600-\u27bf\u2b00-\u2bff\u2300-\u23ff]\ufe0f?\u20e3?"
_KEYCAP = "[0-9#*]\ufe0f?\u20e3"
_ENDS_IN_EMOJI = re.compile(rf"(?:{_EMOJI}|{_KEYCAP})[^\w\s]*$")
_BEGINS_WITH_EMOJI = re.compile(rf"[^\w\s]{{0,3}}?(?:{_EMOJI}|{_KEYCAP})")
_NESTING = {"(": ")", "[": "]", "{": "}"}
_BULLET = re.compile(r"^\s*\*(?!\*)", re.MULTILINE)
_HEADING = re.compile(
    r"^(?:#{1,6}\s.*|<h[1-6]\b.*</h[1-6]>|\*\*[^*\n]+\*\*:?)\s*$", re.MULTILINE | re.IGNORECASE
)
_THESIS = re.compile(r"<(i|em)\b[^>]*>(?P<thesis>.*?)</\1>(?P<body>.*)", re.DOTALL | re.IGNORECASE)
_WRAPPING = re.compile(r"(?:\s|<(?!/|i\b|em\b)[a-zA-Z][^>]*>)+")
_LONGEST_TITLE = 80


def emoji(text: str, arguments: Mapping[str, Any]) -> bool:
    """Each sentence ends with an emoji, before or after its last punctuation mark."""
    sentences = texts.sentences(text)
    return bool(sentences) and all(
        _ENDS_IN_EMOJI.search(sentence) or _BEGINS_WITH_EMOJI.match(following)
        for sentence, following in itertools.pairwise((*sentences, ""))
    )


def line_indent(text: str, arguments: Mapping[str, Any]) -> bool:
    """Each line is indented further than the one before."""
    lines = [line for line in text.split("\n") if line.strip()]
    indents = [len(line) - len(line.lstrip()) for line in lines]
    return len(indents) > 1 and all(a < b for a, b in itertools.pairwise(indents))


def separated_list(text: str, arguments: Mapping[str, Any]) -> bool:
    """At least two items are marked; a hyphen within a word is not a mark."""
    marker = arguments["sep"].strip()
    return len(re.findall(r"(?<!\S)-" if marker == "-" else re.escape(marker), text)) >= 2


def newline(text: str, arguments: Mapping[str, Any]) -> bool:
    """Each word is on a separate line."""
    lines = [words for line in text.split("\n") if (words := spoken_words(line))]
    return bool(lines) and all(len(words) == 1 for words in lines)


def no_bullets_bullets(text: str, arguments: Mapping[str, Any]) -> bool:
    """There are at least two sentences with full stops, and then at least two bullet points."""
    before, *items = _BULLET.split(text)
    sentences = [
        sentence for sentence in texts.sentences(before) if sentence.rstrip("\"'”’)*]_").endswith(".")
    ]
    return len(sentences) >= 2 and sum(bool(item.strip()) for item in items) >= 2


def is_option(text: str, arguments: Mapping[str, Any]) -> bool:
    """The reply is one of the options and nothing else."""
    known = [option.strip(" .").lower() for option in re.split(r"/|,|\bor\b", arguments["options"])]
    return " ".join(text.split()).strip(" .*\"'").replace("’", "'").lower() in known


def parentheses(text: str, arguments: Mapping[str, Any]) -> bool:
    """Brackets are nested at least five levels deep, and each is closed by its own kind."""
    opened: list[str] = []
    deepest = 0
    for character in text:
        if character in _NESTING:
            opened.append(_NESTING[character])
        elif character in _NESTING.values() and opened:
            if opened[-1] != character:
                opened.clear()
                continue
            deepest = max(deepest, len(opened))
            opened.pop()
    return deepest >= 5


def quotes(text: str, arguments: Mapping[str, Any]) -> bool:
    """Double and single quotation marks alternate in three levels or more, and are closed."""
    opened: list[str] = []
    deepest = 0
    for mark, opens in _quotation_marks(text):
        if opened and mark == opened[-1]:
            opened.pop()
            if deepest - len(opened) >= 3:
                return True
        elif opens:
            opened.append(mark)
            deepest = max(deepest, len(opened)) if len(opened) > 1 else 1
    return False


def _quotation_marks(text: str) -> Iterator[tuple[str, bool]]:
    """Yield each quotation mark, and whether it can open a quotation. Apostrophes in words are skipped."""
    for found in re.finditer("[\"'“”‘’]", text):
        before, after = text[: found.start()][-1:], text[found.end() :][:1]
        mark = '"' if found[0] in '"“”' else "'"
        if mark == '"' or not (before.isalnum() and after.isalnum()):
            opens = not before.isalnum() and bool(after) and not after.isspace()
            yield mark, opens and found[0] not in "”’"


def quote_unquote(text: str, arguments: Mapping[str, Any]) -> bool:
    """Words that are not quoted follow each quotation. A reply without quotations has none to explain."""
    parts = re.sub("[“”]", '"', text).split('"')
    return all(re.search(r"[^\W\d_]", part) for part in parts[2::2])


def thesis(text: str, arguments: Mapping[str, Any]) -> bool:
    """Each section begins with a sentence in HTML italics, and continues. A title may precede it."""
    sections = [body for part in _HEADING.split(text) if (body := _without_title(part))]
    return bool(sections) and all(_begins_with_thesis(section) for section in sections)


def _without_title(section: str) -> str:
    """Return a section without enclosing tags, and without a title in its first line."""
    body = section[found.end() :] if (found := _WRAPPING.match(section)) else section
    first, _, rest = body.partition("\n")
    is_title = len(first) <= _LONGEST_TITLE and not re.search(r"[.!?]\W*$|</?(?:i|em)\b", first)
    return rest.strip() if is_title else body.strip()


def _begins_with_thesis(section: str) -> bool:
    found = _THESIS.match(section[wrap.end() :] if (wrap := _WRAPPING.match(section)) else section)
    return found is not None and all(texts.without_tags(found[part]).strip() for part in ("thesis", "body"))


def sub_bullets(text: str, arguments: Mapping[str, Any]) -> bool:
    """There are bullet points, and each has a sub-bullet point."""
    items = _BULLET.split(text)[1:]
    return bool(items) and all(re.search(r"^\s*-", item, re.MULTILINE) for item in items)


def title_case(text: str, arguments: Mapping[str, Any]) -> bool:
    """Each word is capitalised; articles, conjunctions and prepositions within a line may be lower case."""
    if text.isupper():
        return False
    return all(
        not word[0].isalpha() or not word.islower() or (position > 0 and word in MINOR_WORDS)
        for line in texts.without_tags(text).splitlines()
        for position, word in enumerate(texts.bare_words(line))
    )


def output_template(text: str, arguments: Mapping[str, Any]) -> bool:
    """The three parts of the template occur."""
    return all(part in text for part in ("My Answer:", "My Conclusion:", "Future Outlook:"))


def no_whitespace(text: str, arguments: Mapping[str, Any]) -> bool:
    """There is no white space except at the ends."""
    return not re.search(r"\s", text.strip())


FORMAT_CHECKS: dict[str, InstructionCheck] = {
    "format:emoji": emoji,
    "format:line_indent": line_indent,
    "format:list": separated_list,
    "format:newline": newline,
    "format:no_bullets_bullets": no_bullets_bullets,
    "format:options": is_option,
    "format:parentheses": parentheses,
    "format:quotes": quotes,
    "format:quote_unquote": quote_unquote,
    "format:thesis": thesis,
    "format:sub-bullets": sub_bullets,
    "format:title_case": title_case,
    "format:output_template": output_template,
    "format:no_whitespace": no_whitespace,
}
"""The instructions about format, by name."""
