"""The marks that models leave in replies: the table of the engine, what plugins add, and a model's own."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from aisb._errors import ConfigError
from aisb_engine._spec import MarksTable

if TYPE_CHECKING:
    from aisb._plugins import Plugins
    from aisb_engine._spec import ThoughtMarks

FILE = "marks.toml"
"""What a plugin calls its own table, beside its tasks."""


@dataclass(frozen=True, eq=False)
class Marks:
    """Tables of marks as one, with their patterns compiled at first use."""

    tables: tuple[MarksTable, ...]

    @cached_property
    def thoughts(self) -> tuple[ThoughtMarks, ...]:
        """The marks around reasoning, in order; a mark of this number has the groups `open3`, `close3`."""
        return tuple(one for table in self.tables for one in table.thoughts)

    @cached_property
    def thought(self) -> re.Pattern[str]:
        """Any mark around reasoning, in a group of its own."""
        kinds: list[str] = []
        for number, one in enumerate(self.thoughts):
            for kind in ("answer", "open", "close"):
                text = getattr(one, kind)
                if text:
                    kinds.append(f"(?P<{kind}{number}>{_pattern(text, is_pattern=one.pattern)})")
        return re.compile("|".join(kinds))

    @cached_property
    def _each_thought(self) -> tuple[re.Pattern[str], ...]:
        """Each mark around reasoning by itself: a pattern that begins with a literal is searched fast."""
        return tuple(
            re.compile(_pattern(text, is_pattern=one.pattern))
            for one in self.thoughts
            for text in (one.answer, one.open, one.close)
            if text
        )

    def find_thoughts(self, text: str) -> list[re.Match[str]]:
        """Return what `thought.finditer` finds, in a fifth of the time.

        At most places no mark can begin, and there none of the many alternatives is tried.
        """
        starts = sorted({start for pattern in self._each_thought for start in _starts(pattern, text)})
        found: list[re.Match[str]] = []
        at = 0
        for start in starts:
            match = self.thought.match(text, start) if start >= at else None
            if match is None:
                continue
            if match.end() == start:  # a mark of a user's own that can be empty
                return list(self.thought.finditer(text))
            found.append(match)
            at = match.end()
        return found

    @cached_property
    def begin(self) -> re.Pattern[str]:
        """The marks with which a text begins."""
        marks = [_pattern(b.mark, is_pattern=b.pattern) for table in self.tables for b in table.begins]
        return re.compile(rf"(?:\s*(?:{'|'.join(marks) or '(?!)'}))+")

    @cached_property
    def end(self) -> re.Pattern[str]:
        """A token that ends a turn."""
        marks = {mark for table in self.tables for mark in table.ends.marks}
        return re.compile("|".join(map(re.escape, sorted(marks, key=len, reverse=True))) or "(?!)")

    @cached_property
    def replies(self) -> frozenset[str]:
        """Words that open a turn of the model itself."""
        return frozenset(word.casefold() for table in self.tables for word in table.turns.replies)

    @cached_property
    def turn(self) -> re.Pattern[str]:
        """The beginning of a line that opens a turn or another task, with its `word` and `number`."""
        words = {word.casefold() for table in self.tables for word in table.turns.words} | self.replies
        word = "|".join(map(re.escape, sorted(words, key=len, reverse=True))) or "(?!)"
        return re.compile(
            rf"""
            (?:\A|\n)[^\S\n]{{0,8}}
            (?:
              (?:\#{{1,6}}[ ]?)?[*_\[]{{0,3}}(?P<word>{word})
              [ ]?(?:\#|No\.?[ ]?)?(?P<number>\d{{0,4}})[*_\]]{{0,3}}\s?[:：][*_]{{0,3}}
            | \#{{2,6}}[ ]?(?P<heading>{word})[ ]?(?P<count>\d{{0,4}})[^\S\n]{{0,8}}(?=\n|\Z)
            )
            """,
            re.VERBOSE | re.IGNORECASE,
        )


def known_marks(plugins: Plugins | None = None, own: MarksTable | None = None) -> Marks:
    """Return the marks that are known: the engine's, those of plugins, and a model's own.

    Raises:
        ConfigError: a table is broken.
    """
    folders = tuple(folder for info in plugins.infos for folder in info.configs) if plugins else ()
    return _joined(folders, own.model_dump_json() if own else "{}")


@lru_cache(maxsize=64)
def _joined(folders: Iterable[Path], own: str) -> Marks:
    files = [Path(__file__).with_name(FILE), *(folder / FILE for folder in folders)]
    tables = [_read(file) for file in files if file.is_file()]
    return Marks((*tables, MarksTable.model_validate_json(own)))


def _read(file: Path) -> MarksTable:
    try:
        return MarksTable.model_validate(tomllib.loads(file.read_text("utf-8")))
    except (OSError, ValueError) as error:
        raise ConfigError(str(file), f"is no table of marks: {error}") from error


def _starts(pattern: re.Pattern[str], text: str) -> Iterator[int]:
    """Yield every place at which a pattern matches, also inside of another match."""
    match = pattern.search(text)
    while match:
        yield match.start()
        at = match.start() + 1
        # A position behind the end is taken for the end, where an empty mark would match for ever.
        match = pattern.search(text, at) if at <= len(text) else None


def _pattern(text: str, *, is_pattern: bool) -> str:
    return text if is_pattern else re.escape(text)
