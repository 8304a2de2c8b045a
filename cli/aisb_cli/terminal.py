"""Keep control sequences in texts of services and foreign files off the terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO


class CleanStream:
    """A text stream on which control characters become U+FFFD; `plain` is the stream behind it.

    Bytes, which commands write as data for other programs, go to its `buffer` as they are.
    """

    def __init__(self, plain: TextIO, clean: Callable[[str], str]) -> None:
        self.plain = plain
        self._clean = clean

    def write(self, text: str) -> int:
        """Write a text without control characters."""
        if not isinstance(text, str):
            raise TypeError(f"a text stream takes texts, not {type(text).__name__}")
        self.plain.write(self._clean(text))
        return len(text)

    def writelines(self, lines: list[str]) -> None:
        """Write several texts."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.plain, name)

    def __iter__(self) -> Iterator[str]:
        return iter(self.plain)


@contextmanager
def clean_streams() -> Iterator[None]:
    """Clean all that is printed while the block runs."""
    from aisb_engine import printable

    out, errors = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = CleanStream(out, printable), CleanStream(errors, printable)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = out, errors


class HeldStream:
    """A text stream that buffers what is written until `release`, and otherwise acts like its stream."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._texts: list[str] = []

    def write(self, text: str) -> int:
        """Keep a text."""
        self._texts.append(text)
        return len(text)

    def writelines(self, lines: list[str]) -> None:
        """Keep several texts."""
        self._texts += lines

    def flush(self) -> None:
        """Do nothing: texts are written by `release`."""

    def release(self) -> None:
        """Write the buffered text to the stream."""
        texts, self._texts = self._texts, []
        self._stream.write("".join(texts))
        self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def held_output() -> Iterator[None]:
    """Hold back what the block prints to stdout until its end, so that it follows all output to stderr.

    The result of a run is then the last text on the screen.
    """
    out = sys.stdout
    held = HeldStream(out)
    sys.stdout = held
    try:
        yield
    finally:
        sys.stdout = out
        held.release()


def plain_stream(stream: TextIO) -> TextIO:
    """Return the stream behind a `CleanStream`, for output that needs its own control sequences."""
    return stream.plain if isinstance(stream, CleanStream) else stream


def as_json_text(value: object) -> str:
    """Return JSON whose control characters are escaped: the same values, harmless on a terminal."""
    import json

    from aisb_engine import printable

    text = json.dumps(value, ensure_ascii=False, indent=2)
    return "".join(one if one == "\n" or printable(one) == one else _escaped(one) for one in text)


def _escaped(character: str) -> str:
    import json

    return json.dumps(character)[1:-1]
