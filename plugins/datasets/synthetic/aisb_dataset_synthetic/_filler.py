"""Generate prompts of an exact number of tokens from a seed: plain words in random order.

With a tokenizer, the words are single tokens. If no token of the vocabulary spans two words, n words are n
tokens, since merges cannot cross the end of a word. Otherwise every text is counted, and adjusted until it
fits. Without a tokenizer, a word counts as a token, and the length is not exact.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache, lru_cache
from importlib.util import find_spec
from pathlib import Path
from random import Random
from typing import Any, NamedTuple, Self

from aisb import PromptPool, Tokenizer, UsageError

WORDS_FILE = Path(__file__).with_name("words.txt")
"""Common English words, for use without a tokenizer."""

FEWEST, MOST = 128, 4096
"""The minimum and maximum number of single-token words."""

SPANS = re.compile("[A-Za-z][Ġ▁ ]")
"""Substrings of tokens with the end of a word and the following space, in the notations of tokenizers."""

PROBES = 4
"""The number of texts that are counted as a check, although their words are known to add up."""

MANY = 1 << 17
"""The number of words from which numpy draws them; for fewer, its import takes longer than it saves."""

WORDS_PER_DRAW = 1 << 13
"""The number of words in a block: larger blocks exceed the processor's cache."""

TAILS = (".", "!", "?", ",", " a", " I", " 1", " it", " of", "..", " a b", " x1")


class GeneratedText(NamedTuple):
    """A text, its number of tokens (None without a tokenizer), and whether that is the requested number."""

    text: str
    tokens: int | None
    exact: bool


class PooledText(str):
    """A generated text with the pool of its words, from which a similar text can be generated."""

    __slots__ = ("pool",)
    pool: PromptPool

    def __new__(cls, text: str, pool: PromptPool) -> Self:
        """Create it from a text."""
        generated = super().__new__(cls, text)
        generated.pool = pool
        return generated


class LateText:
    """A text that is generated on demand, for fields that are too long to keep in memory."""

    __slots__ = ("_make", "pool")

    def __init__(self, make: Callable[[], str], pool: PromptPool | None = None) -> None:
        self._make = make
        self.pool = pool

    def __str__(self) -> str:
        return self._make()

    def __eq__(self, other: object) -> bool:
        return str(self) == str(other) if isinstance(other, LateText) else NotImplemented

    def __hash__(self) -> int:
        return hash(str(self))


class LateIds(Sequence[int]):
    """Token ids that are generated on demand, like `LateText`."""

    __slots__ = ("_count", "_make", "pool")

    def __init__(self, count: int, make: Callable[[], list[int]], pool: PromptPool | None = None) -> None:
        self._count = count
        self._make = make
        self.pool = pool

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[int]:
        return iter(self._make())

    def __getitem__(self, at: Any) -> Any:
        return self._make()[at]

    def __eq__(self, other: object) -> bool:
        return list(self) == list(other) if isinstance(other, Sequence) else NotImplemented

    __hash__ = None  # type: ignore[assignment]  # as of any list

    def __str__(self) -> str:
        return str(self._make())


def text_of_ids(tokenizer: Tokenizer | None, make: Callable[[], list[int]]) -> dict[str, LateText]:
    """Return the text of token ids as a row's field `prompt`, for APIs that take no ids.

    Empty without a tokenizer. A service may tokenize the text differently.
    """
    return {} if tokenizer is None else {"prompt": LateText(lambda: tokenizer.decode(make()))}


class Filler:
    """Generates texts and token ids, which depend only on the seed and a key.

    `plain`: the words are single tokens; `sure`: they are so at any position.
    """

    def __init__(self, tokenizer: Tokenizer | None, seed: str) -> None:
        self.tokenizer = tokenizer
        self.seed = seed
        known = tokenizer.vocabulary() if tokenizer else {}
        self.vocabulary = _single_words(tokenizer, known.values()) if tokenizer else ()
        self.plain = bool(self.vocabulary)
        self.sure = self.plain and all(known.values()) and not any(map(SPANS.search, known.values()))
        self._ids = sorted(known)
        self._asked = 0  # words so far
        if not self.plain:
            self.vocabulary = tuple(WORDS_FILE.read_text("utf-8").split())
        self._per_word = 1.0
        if tokenizer and not self.plain:
            per_word = tokenizer.count(" ".join(self.vocabulary)) / len(self.vocabulary)
            self._per_word = max(per_word, 0.01)

    def words(self, key: object, count: int) -> list[str]:
        """Return the first `count` words of a key."""
        return Random(f"{self.seed}:{key}").choices(self.vocabulary, k=count)

    def texts(self, requests: Sequence[tuple[object, int]]) -> list[str]:
        """Return the first words of each key as a text, for (key, count) pairs."""
        return [" ".join(words) for words in self._words_of(requests)]

    def _words_of(self, requests: Sequence[tuple[object, int]]) -> Iterator[list[str]]:
        """Yield the first words of each key, as `words` returns them, for (key, count) pairs."""
        self._asked += sum(count for _, count in requests)
        if self._asked < MANY or not _has_numpy():
            return (self.words(key, count) for key, count in requests)
        return draw_many(self.vocabulary, [(f"{self.seed}:{key}", count) for key, count in requests])

    def ids(self, key: object, count: int, *, size: int | None = None) -> list[int]:
        """Return token ids of a key: ordinary ids of the tokenizer, or of a vocabulary of `size`.

        The latter are from the middle of the vocabulary, since special ids are at its ends.
        """
        return Random(f"{self.seed}:{key}").choices(self.pool_of_ids(size).values, k=count)

    @property
    def pool(self) -> PromptPool:
        """The words of texts."""
        return PromptPool(self.vocabulary, self.sure)

    def pool_of_ids(self, size: int | None = None) -> PromptPool:
        """Return the pool of token ids.

        Raises:
            UsageError: there is no tokenizer, and no `size` of a vocabulary.
        """
        if self.tokenizer:
            return PromptPool(self._ids, exact=True)
        if size is None:
            raise UsageError(
                "token ids need a tokenizer, or vocabulary = N, the number of tokens of the model"
            )
        return PromptPool(range(size // 8, size - size // 8), exact=True)

    def write(self, key: object, tokens: int, begin: str = "") -> GeneratedText:
        """Generate one text; see `write_all`."""
        return self.write_all([(key, tokens)], begin)[0]

    def write_all(self, requests: Sequence[tuple[object, int]], begin: str = "") -> list[GeneratedText]:
        """Generate a text for each (key, tokens). All begin with `begin`, whose tokens are included."""
        counted = len(begin.split()) if self.plain or not self.tokenizer else self.tokenizer.count(begin)
        needed = [(key, self._needed(tokens - counted)) for key, tokens in requests]
        drafts = [_joined(begin, words) for words in self._words_of(needed)]
        if self.tokenizer is None:
            return [GeneratedText(draft, None, exact=False) for draft in drafts]
        if self.sure and self._all_fit(drafts[:PROBES], requests):
            return [
                GeneratedText(draft, tokens, exact=True)
                for draft, (_, tokens) in zip(drafts, requests, strict=True)
            ]
        texts = []
        for draft, count, (key, tokens) in zip(drafts, self.tokenizer.counts(drafts), requests, strict=True):
            if count == tokens:
                texts.append(GeneratedText(draft, count, exact=True))
            else:
                texts.append(self._search(self.tokenizer, key, tokens, begin))
        return texts

    def _all_fit(self, drafts: Sequence[str], requests: Sequence[tuple[object, int]]) -> bool:
        counts = self.tokenizer.counts(drafts) if self.tokenizer else []
        return all(count == tokens for count, (_, tokens) in zip(counts, requests, strict=False))

    def _needed(self, tokens: int) -> int:
        return max(round(tokens / self._per_word), 0)

    def _search(self, tokenizer: Tokenizer, key: object, tokens: int, begin: str) -> GeneratedText:
        """Extend a text until it has enough tokens, then shorten it by bisection."""
        words = max(tokens, 8)
        text = _joined(begin, self.words(key, words))
        while tokenizer.count(text) < tokens and words < 64 * (tokens + 8):
            words *= 2
            text = _joined(begin, self.words(key, words))
        low, high = len(begin), len(text)
        best = _Best(tokenizer, tokens)
        while high - low > 1 and not best.exact:
            middle = (low + high) // 2
            if best.try_(text[:middle].rstrip()) < tokens:
                low = middle
            else:
                high = middle
        if not best.exact:
            ends = [low - step for step in range(4)] + [high + step for step in range(8)]
            for end in ends:
                cut = text[: max(end, len(begin))].rstrip()
                if any(best.try_(cut + tail) == tokens for tail in ("", *TAILS)):
                    break
        return best.text


class _Best:
    """Keeps the text whose length is closest to the requested number of tokens."""

    def __init__(self, tokenizer: Tokenizer, tokens: int) -> None:
        self._tokenizer = tokenizer
        self._tokens = tokens
        self.text = GeneratedText("", 0, exact=False)

    @property
    def exact(self) -> bool:
        return self.text.exact

    def try_(self, text: str) -> int:
        """Return the number of tokens of a text."""
        count = self._tokenizer.count(text)
        nearest = abs((self.text.tokens or 0) - self._tokens)
        if text and (abs(count - self._tokens) < nearest or not self.text.text):
            self.text = GeneratedText(text, count, exact=count == self._tokens)
        return count


def draw_many(values: Sequence[str], requests: Iterable[tuple[str, int]]) -> Iterator[list[str]]:
    """Yield what `Random(seed).choices(values, k=count)` returns for each (seed, count), at half its cost.

    `choices` uses one `random()` per value, which consists of the upper 27 bits of one 32-bit number of the
    generator and the upper 26 bits of the next. `getrandbits` returns the same numbers as one integer, with
    the first in its lowest bits.
    """
    import numpy as np

    table = _table(tuple(values))
    scale = len(table) / (1 << 53)  # exact, so that the product is rounded once, as in `choices`
    for block in _blocks(requests):
        drawn = (Random(seed).getrandbits(64 * count).to_bytes(8 * count, "little") for seed, count in block)
        numbers = np.frombuffer(b"".join(drawn), "<u4")
        places = (numbers[0::2] >> 5) * float(1 << 26)
        places += numbers[1::2] >> 6
        places *= scale
        words = table.take(places.astype(np.intp)).tolist()
        end = 0
        for _, count in block:
            start, end = end, end + count
            yield words[start:end]


@lru_cache(2)
def _table(values: tuple[str, ...]) -> Any:
    import numpy as np

    return np.array(values, object)


@cache
def _has_numpy() -> bool:
    return find_spec("numpy") is not None


def _blocks(requests: Iterable[tuple[str, int]]) -> Iterator[list[tuple[str, int]]]:
    """Yield the pairs in lists with about BLOCK words in total."""
    block: list[tuple[str, int]] = []
    total = 0
    for seed, count in requests:
        block.append((seed, count))
        total += count
        if total >= WORDS_PER_DRAW:
            yield block
            block, total = [], 0
    if block:
        yield block


def _joined(begin: str, words: Iterable[str]) -> str:
    return " ".join([begin, *words] if begin else words)


def _single_words(tokenizer: Tokenizer, vocabulary: Iterable[str]) -> tuple[str, ...]:
    """Return the plain words that are single tokens at the start of a text and after another word.

    Empty if there are too few, or if their tokens do not add up.
    """
    found: dict[str, None] = {}
    marked: dict[str, None] = {}
    for token in vocabulary:
        word = token.lstrip("Ġ▁")
        if 3 <= len(word) <= 12 and word.isascii() and word.isalpha() and word.islower():
            (marked if token != word else found)[word] = None
    candidates = list(marked if len(marked) >= FEWEST else marked | found)[: 2 * MOST]
    lead = tokenizer.count("the")
    alone = tokenizer.counts(candidates)
    after = tokenizer.counts([f"the {word}" for word in candidates])
    words = [
        word
        for word, one, both in zip(candidates, alone, after, strict=True)
        if one == 1 and both == lead + 1
    ][:MOST]
    if len(words) < FEWEST:
        return ()
    random = Random(0)
    probes = [" ".join(random.choices(words, k=64)) for _ in range(64)]
    return tuple(words) if all(count == 64 for count in tokenizer.counts(probes)) else ()
