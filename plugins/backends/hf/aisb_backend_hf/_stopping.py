"""Convert tokens to text incrementally: only complete characters, and nothing from a stop string on."""

from __future__ import annotations

from collections.abc import Callable, Sequence

DecodeTokens = Callable[[list[int]], str]

_CONTEXT = 6
"""The number of earlier tokens that can affect a token's text: some tokenizers add spaces between words."""


class Spelling:
    """Decodes tokens one after another; an incomplete character is held back."""

    def __init__(self, decode: DecodeTokens, prompt: Sequence[int]) -> None:
        self._decode = decode
        self._ids = list(prompt[-_CONTEXT:])
        self._begin, self._read = 0, len(self._ids)

    def add(self, token: int) -> str:
        """Return the text that a token adds; empty while a character is incomplete."""
        self._ids.append(token)
        return self._new(unfinished=False)

    def rest(self) -> str:
        """Return the text that is still held back."""
        return self._new(unfinished=True)

    def _new(self, *, unfinished: bool) -> str:
        before = self._decode(self._ids[self._begin : self._read])
        text = self._decode(self._ids[self._begin :])
        if len(text) <= len(before) or (text.endswith("\ufffd") and not unfinished):
            return ""
        self._begin, self._read = self._read, len(self._ids)
        return text[len(before) :]


class Stops:
    """Passes text up to the first stop string, which is not part of an answer, as with services."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = [stop for stop in stops if stop]
        self._held = ""
        self.stopped = False

    def add(self, text: str) -> str:
        """Return the text that is safe to deliver; an end that may begin a stop string is held back."""
        if not self._stops:
            return text
        self._held += text
        found = [at for stop in self._stops if (at := self._held.find(stop)) >= 0]
        if found:
            self.stopped = True
            text, self._held = self._held[: min(found)], ""
            return text
        keep = max(self._overlap(stop) for stop in self._stops)
        said = len(self._held) - keep
        text, self._held = self._held[:said], self._held[said:]
        return text

    def rest(self) -> str:
        """Return the text that was held back, at the end of the answer."""
        text, self._held = self._held, ""
        return text

    def _overlap(self, stop: str) -> int:
        """Return the length of the held text's end with which a stop string begins."""
        for size in range(min(len(stop) - 1, len(self._held)), 0, -1):
            if self._held.endswith(stop[:size]):
                return size
        return 0


def stop_strings(given: object) -> list[str]:
    """Return stop strings as a list; a single one may be a string."""
    if given is None:
        return []
    return [given] if isinstance(given, str) else [str(one) for one in given]  # type: ignore[attr-defined]
