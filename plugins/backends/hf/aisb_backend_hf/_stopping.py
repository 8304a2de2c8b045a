"""From tokens to text as they come: whole characters only, and no text from a stop string on."""

from __future__ import annotations

from collections.abc import Callable, Sequence

DecodeTokens = Callable[[list[int]], str]

_CONTEXT = 6
"""How many tokens before a new one its text can depend on: some tokenizers write spaces between words."""


class Spelling:
    """Writes tokens out one after another; a character that is not whole yet waits for its rest."""

    def __init__(self, decode: DecodeTokens, prompt: Sequence[int]) -> None:
        self._decode = decode
        self._ids = list(prompt[-_CONTEXT:])
        self._begin, self._read = 0, len(self._ids)

    def add(self, token: int) -> str:
        """Return the text that a token adds; nothing while a character is not whole."""
        self._ids.append(token)
        return self._new(unfinished=False)

    def rest(self) -> str:
        """Return what is still held back, as it is."""
        return self._new(unfinished=True)

    def _new(self, *, unfinished: bool) -> str:
        before = self._decode(self._ids[self._begin : self._read])
        text = self._decode(self._ids[self._begin :])
        if len(text) <= len(before) or (text.endswith("\ufffd") and not unfinished):
            return ""
        self._begin, self._read = self._read, len(self._ids)
        return text[len(before) :]


class Stops:
    """Lets text through up to the first stop string, which is not part of an answer, as with services."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = [stop for stop in stops if stop]
        self._held = ""
        self.stopped = False

    def add(self, text: str) -> str:
        """Return what can be said now: the end that may begin a stop string is held back."""
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
        """Return what was held back, when nothing follows any more."""
        text, self._held = self._held, ""
        return text

    def _overlap(self, stop: str) -> int:
        """Return how long the end of what is held is that a stop string begins with."""
        for size in range(min(len(stop) - 1, len(self._held)), 0, -1):
            if self._held.endswith(stop[:size]):
                return size
        return 0


def stop_strings(given: object) -> list[str]:
    """Return stop strings as a list: one may be given as it is."""
    if given is None:
        return []
    return [given] if isinstance(given, str) else [str(one) for one in given]  # type: ignore[attr-defined]
