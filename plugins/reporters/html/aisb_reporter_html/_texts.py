"""The texts of the page: shared prefixes of prompts are stored once, and long texts lose their middle.

Positions in texts are counted in UTF-16 units, as scripts in a page count them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

MIN_SHARED_CHARACTERS = 64
"""The minimum length of a shared prefix in characters."""
AROUND = 200
"""Characters kept before the answer if a cut would remove it."""

Turn = tuple[str, str]
"""A role (empty if a prompt is one text) and its text."""


class TextPiece(NamedTuple):
    """A stretch of an output: `visible`, `reasoning`, or `turn` (a heading in a conversation)."""

    kind: str
    text: str


class PieceCut(NamedTuple):
    """A text without some of it: at each place, in UTF-16 units, how many characters are left out."""

    text: str
    gaps: list[tuple[int, int]]
    span: tuple[int, int] | None


def turns(prompt: Any) -> list[Turn]:
    """Return a prompt, as records keep it, as turns of text; what is no text is named by its kind."""
    if isinstance(prompt, str):
        return [("", prompt)]
    return [(str(turn.get("role", "")), _content(turn.get("content", ""))) for turn in prompt or ()]


def _content(content: Any) -> str:
    if isinstance(content, str):
        return content
    shown = []
    for item in content:
        kind = str(item.get("type", "part"))
        value = str(item.get(kind, ""))
        shown.append(value if kind == "text" else f"[{kind}: {value[:60]}{'…' if len(value) > 60 else ''}]")
    return "\n".join(shown)


def text_pieces(raw: str, reasoning: Iterable[Sequence[int]]) -> list[TextPiece]:
    """Split an output into pieces of reasoning and visible text."""
    found: list[TextPiece] = []
    at = 0
    for start, end in [*reasoning, (len(raw), len(raw))]:
        if start > at:
            found.append(TextPiece("visible", raw[at:start]))
        if end > start:
            found.append(TextPiece("reasoning", raw[start:end]))
        at = end
    return found


def shorten(text: str, most: int, span: tuple[int, int] | None = None) -> PieceCut:
    """Return a text of about `most` characters: its beginning, its end, and always what `span` marks."""
    if len(text) <= most:
        return PieceCut(text, [], _units(text, span))
    head = most // 2
    tail = len(text) - (most - head)
    kept = [(0, head)]
    if span and (span[0] < tail or span[1] > len(text)) and span[1] > head:
        start = max(head, span[0] - AROUND)
        _keep(kept, start, min(len(text), max(span[1] + AROUND // 2, start)))
    _keep(kept, max(tail, kept[-1][1]), len(text))
    short, gaps, moved = "", [], span
    at = 0
    for start, end in kept:
        if start > at:
            gaps.append((_length(short), start - at))
        if span and start <= span[0] < end:
            moved = (len(short) + span[0] - start, len(short) + min(span[1], end) - start)
        short += text[start:end]
        at = end
    return PieceCut(short, gaps, _units(short, moved))


def _keep(kept: list[tuple[int, int]], start: int, end: int) -> None:
    """Add a piece; one that begins where the last one ends makes it longer, so that no span lies in two."""
    if kept[-1][1] == start:
        kept[-1] = (kept[-1][0], end)
    else:
        kept.append((start, end))


def _units(text: str, span: tuple[int, int] | None) -> tuple[int, int] | None:
    return span and (_length(text[: span[0]]), _length(text[: span[1]]))


def _length(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


@dataclass(slots=True)
class Shared:
    """Prefixes that many prompts share, each stored once."""

    texts: list[str] = field(default_factory=list)
    places: dict[str, int] = field(default_factory=dict)

    def split(self, prompts: Sequence[Sequence[Turn]]) -> list[list[tuple[str, int, str]]]:
        """Return prompts as turns of (role, place of the shared prefix or −1, the rest)."""
        turns = max(map(len, prompts), default=0)
        prefixes = [_prefixes([prompt[n][1] for prompt in prompts if n < len(prompt)]) for n in range(turns)]
        return [
            [(role, *self._without(prefixes[n][text], text)) for n, (role, text) in enumerate(prompt)]
            for prompt in prompts
        ]

    def _without(self, prefix: str, text: str) -> tuple[int, str]:
        if not prefix or (len(prefix) < MIN_SHARED_CHARACTERS and prefix != text):
            return (-1, text)
        place = self.places.setdefault(prefix, len(self.texts))
        if place == len(self.texts):
            self.texts.append(prefix)
        return (place, text[len(prefix) :])


def _prefixes(texts: Iterable[str]) -> dict[str, str]:
    """Return for each text the prefix that it shares with others; empty if there is none.

    In sorted order, texts with a common prefix are adjacent; a group ends where a longer one would halve its
    prefix.
    """
    counts = Counter(texts)
    found: dict[str, str] = {}
    family: list[str] = []
    prefix = ""

    def close() -> None:
        alone = len(family) == 1 and counts[family[0]] == 1
        found.update((text, "" if alone else prefix) for text in family)

    for text in sorted(counts):
        common = _common(family[0][: len(prefix)], text) if family else ""
        if family and len(common) >= max(MIN_SHARED_CHARACTERS, len(prefix) // 2):
            prefix = common
        else:
            close()
            family.clear()
            prefix = text
        family.append(text)
    close()
    return found


def _common(one: str, other: str) -> str:
    """Return the common prefix of two texts, up to the end of a word."""
    if other.startswith(one):
        return one
    least = min(len(one), len(other))
    # Bisection is much faster than comparing letter by letter: prompts may be very long.
    low, high = 0, least
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if one[low:middle] == other[low:middle] else (low, middle - 1)
    return one[: max(one.rfind(mark, 0, low) for mark in (" ", "\n")) + 1]


def excerpt(prompt: Iterable[tuple[str, int, str]], most: int = 90) -> str:
    """Return the beginning of the part of a prompt that it does not share: its question; "…" marks a cut."""
    last = ""
    for _, _, rest in prompt:
        last = rest if rest.strip() else last
    text = " ".join(last[: 4 * most].split())
    return text if len(text) <= most and len(last) <= 4 * most else f"{text[: most - 1].rstrip()}…"


def beginnings(excerpts: Sequence[str]) -> list[str]:
    """Remove the words with which all excerpts begin, such as "Question:"."""
    if len(excerpts) < 2:
        return list(excerpts)
    low, high = min(excerpts), max(excerpts)
    length = len(_common(low, high)) if low != high else 0
    return [text[length:] for text in excerpts]
