"""The text of the mock's replies: right or wrong answers to known questions, seeded text for all others."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from random import Random
from typing import NamedTuple

import orjson

from aisb import DataError

KEY = 24
"""The number of characters, without spaces, by which questions are indexed."""
TAIL = 4_000
"""The maximum number of characters after a question in a prompt."""

THOUGHTS = (
    "Let us go step by step.",
    "First we write down what is given.",
    "The first part comes to {a}.",
    "Adding {a} and {b} gives {sum}.",
    "That is {a} times {b}, which makes {product}.",
    "Taking {a} away from {sum} leaves {b}.",
    "We still have to take the remaining {b} into account.",
    "Now only the last step is missing.",
)
ENDINGS = (
    " The answer is {answer}.",
    " So the answer is {answer}.",
    " Therefore, the final answer is {answer}.",
    "\n#### {answer}",
    " So the answer is \\boxed{{{answer}}}.",
)
STORY = (
    "the river moves slowly past an old mill while two children count small boats and their mother reads a "
    "long letter from her sister who lives near green hills where morning light falls on quiet fields before "
    "any train comes through with people who carry bread fruit and books to a market that opens at noon"
)


def share(*what: object) -> float:
    """Return a number in [0, 1) that depends only on the given values."""
    digest = hashlib.blake2b("\0".join(map(str, what)).encode(), digest_size=7).digest()
    return int.from_bytes(digest, "big") / (1 << 56)


def token_pieces(text: str) -> list[str]:
    """Split a text into the mock's tokens: words, each with the space before it."""
    return re.findall(r"\s*\S+", text)


class MockAnswers:
    """The known questions and answers, and a search for them in a prompt."""

    def __init__(self, known: Iterable[tuple[str, str]], said: Iterable[tuple[str, str]] = ()) -> None:
        self.said: dict[str, str] = {" ".join(question.split()): reply for question, reply in said}
        self.gold: dict[str, str] = {" ".join(question.split()): answer for question, answer in known}
        self.gold |= self.said
        self.gold.pop("", None)
        self._reach = TAIL + max(map(len, self.gold), default=0)
        # Indexed by the second and third word, since a prefix may be attached to the first ("Q:Ann has …").
        self._by_words: dict[tuple[str, str], list[str]] = {}
        self._wordless: dict[str, list[str]] = {}
        few = [question for question in self.gold if question.count(" ") < 3]
        self._key = min([KEY, *map(len, few)])
        for question in sorted(self.gold, key=len, reverse=True):
            words = question.split(" ", 3)
            if len(words) > 3:
                self._by_words.setdefault((words[1], words[2]), []).append(question)
            else:
                self._wordless.setdefault(question[: self._key], []).append(question)

    def last_question(self, prompt: str) -> str | None:
        """Return the known question that begins last in the prompt: examples come before it."""
        words = prompt[-self._reach :].split()
        first, found = self._last_by_words(words)
        if not self._wordless:
            return found
        text = " ".join(words)
        least = len(" ".join(words[:first])) if found else -1
        for at in range(len(text) - self._key, least, -1):
            for question in self._wordless.get(text[at : at + self._key], ()):
                if text.startswith(question, at):
                    return question
        return found

    def _last_by_words(self, words: Sequence[str]) -> tuple[int, str | None]:
        index = self._by_words
        for at in range(len(words) - 2, 0, -1):
            for question in index.get((words[at], words[at + 1]), ()):
                start = question.partition(" ")[0]
                if words[at - 1].endswith(start):
                    text = " ".join(words[at - 1 : at + question.count(" ")])
                    if text.startswith(question, len(words[at - 1]) - len(start)):
                        return at - 1, question
        return 0, None

    def reply(self, question: str, *, accuracy: float, seed: int, request_seed: object) -> str:
        """Return a chain of thought and an answer, which is correct for a share `accuracy` of all questions.

        A question with a recorded reply gets exactly that reply.
        """
        if question in self.said:
            return self.said[question]
        right = share("answer", seed, question, request_seed) < accuracy
        rng = Random(share("reply", seed, question, request_seed))
        gold = self.gold[question]
        answer = gold if right else wrong_answer(gold, tuple(self.gold.values()), rng)
        a, b = rng.randint(2, 30), rng.randint(2, 12)
        thoughts = rng.sample(THOUGHTS, rng.randint(2, 4))
        text = " ".join(thought.format(a=a, b=b, sum=a + b, product=a * b) for thought in thoughts)
        return text + rng.choice(ENDINGS).format(answer=answer)


def wrong_answer(gold: str, others: Sequence[str], rng: Random) -> str:
    """Return a wrong answer of the same kind: another number, letter or text."""
    if re.fullmatch(r"-?\d+(\.\d+)?", gold):
        digits = len(gold.partition(".")[2])
        off = rng.choice((-10, -3, -2, -1, 1, 2, 4, 7, 10, 100))
        if digits:
            return f"{float(gold) + off / 10**digits:.{digits}f}"
        return str(int(gold) * 2 if off == 100 and int(gold) else int(gold) + off)
    if re.fullmatch(r"[A-Z]", gold):
        return rng.choice([letter for letter in "ABCDE"[: max(4, ord(gold) - 64)] if letter != gold])
    for _ in range(8):
        if others and (other := rng.choice(others)) != gold:
            return other
    return "not known"


class Prose:
    """Seeded text, split in advance, so that a reply is just a slice of it."""

    def __init__(self, seed: int, length: int = 8_192) -> None:
        rng = Random(seed)
        words = STORY.split()
        self.pieces: list[str] = []
        self._starts: list[int] = []
        while len(self.pieces) < length:
            sentence = rng.choices(words, k=rng.randint(5, 12))
            sentence[0] = sentence[0].capitalize()
            sentence[-1] += "."
            self._starts.append(len(self.pieces))
            self.pieces += [" " + word for word in sentence]

    def take(self, count: int, at: float) -> list[str]:
        """Return `count` pieces from a sentence chosen by `at` (0 to 1); wrap around at the end."""
        start = self._starts[int(at * len(self._starts))]
        taken = self.pieces[start : start + count]
        while len(taken) < count:
            taken += self.pieces[: count - len(taken)]
        return taken


def load_answers(file: str | None) -> MockAnswers:
    """Load the answers of the demo task, if it is installed, and those of a file."""
    known: list[tuple[str, str]] = []
    said: list[tuple[str, str]] = []
    if (demo := demo_file()) is not None:
        known += read_questions_and_answers(demo)
    if file is not None:
        for row in read_rows(Path(file).expanduser()):
            (said if row.said else known).append((row.question, row.answer))
    return MockAnswers(known, said)


class Known(NamedTuple):
    """A question with its answer, or with the whole reply if `said` is true."""

    question: str
    answer: str
    said: bool = False


def read_questions_and_answers(path: Path) -> Iterator[tuple[str, str]]:
    """Yield (question, answer) from JSON lines; see `read_rows`."""
    return ((row.question, row.answer) for row in read_rows(path))


def read_rows(path: Path) -> Iterator[Known]:
    """Yield the questions in JSON lines. The answer of a solution follows `#### `; a `reply` is verbatim.

    Raises:
        DataError: the file cannot be read, or a line lacks a question or an answer.
    """
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise DataError(f"the file of answers {path} cannot be read: {error.strerror}") from error
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = orjson.loads(line)
            if "reply" in row:
                yield Known(str(row["question"]), str(row["reply"]), said=True)
                continue
            question, answer = str(row["question"]), str(row["answer"])
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"{path}:{number}: not an answer; each line is a JSON object with `question` and `answer`, "
                f"or with `reply`, which is sent verbatim"
            ) from error
        answer = answer.rpartition("#### ")[2].strip()
        number_only = answer.replace(",", "").lstrip("$")
        short = number_only if re.fullmatch(r"-?\d+(\.\d+)?", number_only) else answer
        yield Known(question, short)


def demo_file() -> Path | None:
    """Return the file of the demo task's problems, without importing its distribution."""
    from importlib.util import find_spec

    spec = find_spec("aisb_dataset_math")
    if spec is None or spec.origin is None:
        return None
    file = Path(spec.origin).parent / "data" / "demo_gsm8k.jsonl"
    return file if file.is_file() else None
