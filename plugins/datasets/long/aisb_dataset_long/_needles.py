"""Needle-in-a-haystack prompts: one hidden fact, several, or a chain of facts."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from random import Random
from typing import Annotated, Literal

from aisb import DataFiles, Row, UsageError

NeedleKind = Literal["single", "several", "chain"]
CITIES = (
    "Lisbon Oslo Nairobi Quito Hanoi Tunis Riga Lima Perth Osaka Dakar Turin Malmo Bergen Cusco "
    "Izmir Ghent Porto Split Basel Lodz Graz Sofia Minsk Accra Lome Suva Apia Doha Muscat"
)
NEEDLE_NAMES = (
    "Ada Bruno Clara Dario Edda Felix Greta Hugo Ines Jonas Karla Leo "
    "Mira Nils Olga Paul Rosa Sven Thea Udo Vera Willem Xenia Yara Zeno"
)
_SENTENCE_END = re.compile(r"(?<=[.!?。！？])\s*")
CHARACTERS_PER_TOKEN = {True: 1.5, False: 4.0}
"""Estimated characters per token, by whether the text is Chinese; models differ."""


def needle(
    *,
    files: DataFiles,
    lengths: Annotated[Sequence[int], "lengths of the text in tokens, estimated from its characters"] = (
        1000,
        2000,
        4000,
    ),
    depths: Annotated[Sequence[int], "positions of the fact, in percent of the text"] = (0, 25, 50, 75, 100),
    kind: Annotated[NeedleKind, "one fact, several, or a chain of them"] = "single",
    needles: Annotated[int, "number of facts or of links in a chain"] = 5,
    repeats: Annotated[int, "number of texts for each length and depth"] = 1,
    seed: Annotated[int, "seed of the facts and of the texts' beginnings in the files"] = 0,
) -> Iterator[Row]:
    """Texts of the files with facts hidden in them: `text`, `asked`, `answers`, `length`, `depth`.

    The files are plain text, or JSON lines with `text`. Several facts are spread from the depth to the end.
    """
    if kind == "single":
        needles = 1
    if not 1 <= needles <= len(NEEDLE_NAMES.split()) - 1:
        raise UsageError(f"needles = {needles}: it must be 1 to {len(NEEDLE_NAMES.split()) - 1}")
    if any(not 0 <= depth <= 100 for depth in depths):
        raise UsageError(f"depths = {list(depths)}: each is a percentage, 0 to 100")
    source = _haystack(files)
    characters = CHARACTERS_PER_TOKEN[bool(re.search(r"[\u4e00-\u9fff]", source[:4000]))]
    for length in lengths:
        size = int(length * characters)
        for depth in depths:
            for repeat in range(repeats):
                random = Random(f"{seed}:{length}:{depth}:{repeat}:{kind}:{needles}")
                facts, question, answers = _FACTS[kind](random, needles)
                body = _excerpt(source, random.randrange(len(source)), size - sum(map(len, facts)))
                yield {
                    "text": _with_facts(body, facts, depth / 100),
                    "asked": question,
                    "answers": answers,
                    "length": length,
                    "depth": depth,
                    "needles": facts,
                }


def _haystack(files: DataFiles) -> str:
    texts = []
    for file in files:
        text = file.text()
        if file.path.name.removesuffix(".gz").endswith(".jsonl"):
            try:
                text = "\n".join(json.loads(line)["text"] for line in text.splitlines() if line.strip())
            except (ValueError, KeyError, TypeError) as error:
                file.line = None
                raise file.error("expected JSON lines with the field text, or a plain .txt file") from error
        texts.append(text.strip())
    joined = "\n\n".join(text for text in texts if text)
    if len(joined) < 200:
        raise files.files[0].error(f"{len(joined)} characters are too short to hide facts in")
    return joined


def _excerpt(source: str, start: int, size: int) -> str:
    """Return a part of the text from the start of a sentence; wrap around if the text is too short."""
    begin = _SENTENCE_END.search(source, start)
    start = begin.end() if begin else 0
    times = max(0, size) // len(source) + 2
    return ((source[start:] + "\n\n") + (source + "\n\n") * times)[: max(0, size)].rstrip()


def _with_facts(body: str, facts: Sequence[str], depth: float) -> str:
    """Insert facts between sentences: the first at the depth, the others evenly from there to the end."""
    step = (1 - depth) / len(facts)
    places = [int(len(body) * (depth + step * number)) for number in range(len(facts))]
    pieces, begin = [], 0
    for place, fact in zip(places, facts, strict=True):
        end = _SENTENCE_END.search(body, max(place, begin)) if 0 < place < len(body) else None
        at = end.end() if end else max(begin, min(place, len(body)))
        pieces += [body[begin:at].rstrip(), fact]
        begin = at
    return " ".join(piece for piece in [*pieces, body[begin:].lstrip()] if piece)


def _numbers(random: Random, count: int) -> tuple[list[str], str, list[str]]:
    cities = random.sample(CITIES.split(), count)
    values = [str(number) for number in random.sample(range(10_000, 99_999), count)]
    facts = [
        f"The code of the gate in {city} is {value}." for city, value in zip(cities, values, strict=True)
    ]
    if count == 1:
        return facts, f"What is the code of the gate in {cities[0]}?", values
    order = random.sample(cities, count)
    return (
        facts,
        f"What are the codes of the gates in {', '.join(order)}? Name each city with its code.",
        values,
    )


def _chain(random: Random, count: int) -> tuple[list[str], str, list[str]]:
    names = random.sample(NEEDLE_NAMES.split(), count + 1)
    facts = [f"{child} learned the trade from {teacher}." for child, teacher in pairwise(names)]
    random.shuffle(facts)
    question = (
        f"{names[0]} learned a trade from someone, who learned it from someone else, and so on. Who stands "
        "at the beginning of this chain, as far back as the text goes? Put the name alone into \\boxed{}."
    )
    return facts, question, [names[-1]]


_FACTS = {"single": _numbers, "several": _numbers, "chain": _chain}
