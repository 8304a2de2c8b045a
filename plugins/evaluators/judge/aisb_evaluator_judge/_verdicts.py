r"""Read what a judge says: one verdict, or none. Nothing is guessed from prose.

Taken are, on the last line that says anything, the letter (`A`, `(A)`, `**A**`, `\boxed{A}`, `[[A]]`), the
word (`CORRECT`), or both where they agree (`A: CORRECT`), each also behind "Verdict:" or "the answer is".
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_THOUGHT = re.compile(r"<think(?:ing)?>.*?(?:</think(?:ing)?>|\Z)", re.DOTALL | re.IGNORECASE)
_OPENED_BEFORE = re.compile(r"\A.*</think(?:ing)?>", re.DOTALL | re.IGNORECASE)
_BOX = re.compile(r"\\boxed\{(?:\\text\{)?([^{}]*)\}{1,2}")
_LEAD = re.compile(
    r"\A.*?\b(?:verdict|judg(?:e)?ment|grade|answer|choice)(?:\s+is)?\s*[:：]?[\s*_]*(?=\S+(?:\s*[:：(].*)?\Z)",
    re.IGNORECASE,
)
_PARTS = re.compile(r"[\s:：=\-–()\[\]]+")
_AROUND = " \t*_`'\"“”$.。!()[]#>"


def read_verdict(text: str, letters: Mapping[str, str]) -> str | None:
    """Return the verdict that a reply states; `letters` has the verdict that each letter stood for.

    None where it states none, several, or a letter beside the word of another.
    """
    said = _OPENED_BEFORE.sub("", _THOUGHT.sub("", text))
    lines = [line for line in said.splitlines() if line.strip(_AROUND)]
    if not lines:
        return None
    line = _BOX.sub(r"\1", lines[-1]).strip(_AROUND)
    for candidate in (line, _LEAD.sub("", line).strip(_AROUND)):
        if (found := _named(candidate, letters)) is not None:
            return found
    return None


def _named(text: str, letters: Mapping[str, str]) -> str | None:
    """Return the verdict that a text names and says nothing else than."""
    by_word = {verdict.upper(): verdict for verdict in letters.values()}
    if text.upper() in by_word:
        return by_word[text.upper()]
    if text in letters:
        return letters[text]
    first, *rest = [part.strip(_AROUND) for part in _PARTS.split(text, maxsplit=1)]
    word = rest[0].upper() if rest else ""
    return letters[first] if first in letters and by_word.get(word) == letters[first] else None
