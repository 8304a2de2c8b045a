"""Find a short answer in a reply, and the word that completes a text."""

from __future__ import annotations

import re
from collections.abc import Callable

from aisb import Extract, Sample
from aisb.helpers import finds_answer
from aisb_evaluator_text import answer_line, boxed

# A full stop that ends a sentence: three or more words follow, and it does not belong to an abbreviation.
_SENTENCE = re.compile(
    r"""
      (?:(?<=[^\W\d_]{2})|(?<=\d)|(?<=[\"')”]))(?<!\b(?:Mr|Ms|Dr|St|Mt|Jr|Sr|No|vs))(?<!\bMrs)
      [.!](?=\s+[A-Z(]\S*\s+\S+\s+\S)
    | \.(?=\s+(?:It|This|That|These|He|She|They|There)\s)
    """,
    re.VERBOSE,
)
_LABEL = re.compile(r"\s*(?:A|Answer)\s*[:：]\s*", re.IGNORECASE)
_EDGE = " \t*_`\"'“”‘’"
_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
_ARTICLES = {"a", "an", "the"}


@finds_answer
def short_answer() -> Callable[[str, Sample], Extract | None]:
    """The text after "The answer is" or "Answer:", up to the end of the sentence; else the first line."""
    in_line, in_box = answer_line(), boxed()

    def step(text: str, sample: Sample) -> Extract | None:
        found = in_box(text, sample) or in_line(text, sample)
        if found and found.span:
            start, end = found.span
            rule, explicit = found.rule, True
        else:
            start = len(text) - len(text.lstrip())
            if label := _LABEL.match(text):
                start = label.end()
            stop = text.find("\n", start)
            end = stop if stop >= 0 else len(text)
            rule, explicit = "first-line", False
        if sentence := _SENTENCE.search(text, start, end):
            end = sentence.start()
        return _trimmed_extract(text, start, end, rule, explicit=explicit)

    return step


def _trimmed_extract(text: str, start: int, end: int, rule: str, *, explicit: bool) -> Extract | None:
    piece = text[start:end]
    start += len(piece) - len(piece.lstrip(_EDGE))
    answer = text[start:end].rstrip(_EDGE)
    if answer.endswith(".") and not re.search(r"\b\w\.$", answer):
        answer = answer[:-1].rstrip(_EDGE)
    return Extract(answer, rule, (start, start + len(answer)), explicit) if answer else None


@finds_answer
def next_word() -> Callable[[str, Sample], Extract | None]:
    """The word with which a reply continues the field `prompt`, also if it repeats the prompt's end.

    An article before the word is skipped, unless it is the target.
    """
    in_line = answer_line()

    def step(text: str, sample: Sample) -> Extract | None:
        start = _after_prompt(text, str(sample.fields.get("prompt", "")))
        explicit = start > 0
        if not explicit and (found := in_line(text, sample)) and found.span:
            start, explicit = found.span[0], True
        words = list(_WORD.finditer(text, start))
        if not words:
            return None
        chosen = words[0]
        target = str(sample.target).casefold()
        if chosen[0].casefold() in _ARTICLES and target not in _ARTICLES and len(words) > 1:
            chosen = words[1]
        if "-" in chosen[0] and "-" not in target:
            return Extract(chosen[0].split("-")[0], "next-word", None, explicit)
        return Extract(chosen[0], "next-word", chosen.span(), explicit or len(words) == 1)

    return step


def _after_prompt(text: str, prompt: str) -> int:
    """Return the position after the prompt's last words in a reply; 0 if it does not repeat them."""
    last = prompt.split()[-3:]
    if len(last) < 3:
        return 0
    at = text.rfind(" ".join(last))
    return at + len(" ".join(last)) if at >= 0 else 0
