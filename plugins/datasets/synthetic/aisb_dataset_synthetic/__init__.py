"""Synthetic prompts with given numbers and lengths of requests and replies."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from importlib.resources import files
from importlib.resources.abc import Traversable
from random import Random
from typing import TYPE_CHECKING, Annotated, Any, Literal

from aisb import CacheNonce, InputLength, OutputLength, Row, RowCount, Tokenizer, UsageError, hookimpl

if TYPE_CHECKING:
    from aisb_dataset_synthetic._filler import (
        Filler,
        GeneratedText,
        LateIds,
        LateText,
        PooledText,
        text_of_ids,
    )
    from aisb_dataset_synthetic._lengths import Lengths

__all__ = ["Filler", "GeneratedText", "LateIds", "LateText", "PooledText", "synthetic", "text_of_ids"]

PROMPTS_PER_BATCH = 1024
"""The number of prompts in a batch: tokenizer libraries count batches on all processors."""

SMALLEST_VOCABULARY = 16

IMAGE_MARK = "<image>"
"""The placeholder of an image in a prompt."""


def synthetic(
    *,
    kind: Annotated[
        Literal["string", "token-ids"], "text, or token ids, which a chat API receives as text"
    ] = "string",
    requests: Annotated[int, "number of prompts", RowCount] = 100,
    input: Annotated[  # noqa: A002 - the word that users know from other tools
        int | dict[str, Any], "prompt length in tokens: a number, or a table { method, … }", InputLength
    ] = 512,
    output: Annotated[
        int | dict[str, Any], "reply length in tokens: a number, or a table { method, … }", OutputLength
    ] = 128,
    prefix: Annotated[int, "tokens of the prefix that all prompts share, part of the input"] = 0,
    tokenizer: Annotated[
        Tokenizer | None, "folder of the model's tokenizer; without it lengths are not exact"
    ] = None,
    vocabulary: Annotated[
        int | None, "vocabulary size of the model, for token ids without a tokenizer"
    ] = None,
    images: Annotated[int, "number of images per prompt; the variant synthetic:images sends them"] = 0,
    image_size: Annotated[
        str | list[str],
        "width and height in pixels, as in 1024x768; or a list to draw from",
    ] = "512x512",
    seed: Annotated[int, "seed of the lengths and prompts"] = 0,
    nonce: Annotated[
        str, "nonce of the prompts, which does not affect lengths; a performance run sets its own", CacheNonce
    ] = "",
) -> Iterator[Row]:
    """Prompts of random words with exactly the requested number of tokens, and the reply length for each.

    Row i depends on the seed, the nonce and i. A performance run sets the nonce, so that no prefix cache
    contains prompts of earlier runs; each row includes it, so that a run can be reproduced.
    """
    from aisb_dataset_synthetic._filler import Filler
    from aisb_dataset_synthetic._lengths import lengths

    if requests < 1:
        raise UsageError(f"requests = {requests} must be at least 1")
    inputs, outputs = lengths(input, "input"), lengths(output, "output")
    if not 0 <= prefix <= inputs.minimum:
        raise UsageError(
            f"prefix = {prefix} must be at least 0, and no more than the shortest input, {inputs.minimum}"
        )
    if vocabulary is not None and vocabulary < SMALLEST_VOCABULARY:
        raise UsageError(f"vocabulary = {vocabulary} must be at least {SMALLEST_VOCABULARY}")
    if kind == "token-ids" and tokenizer is None and vocabulary is None:
        raise UsageError(
            "kind = 'token-ids' needs tokenizer = FOLDER, or vocabulary = N, the vocabulary size of the model"
        )
    if images < 0 or (images and kind == "token-ids"):
        raise UsageError(f"images = {images} must be 0 or more, and 0 for token ids, which have no images")
    filler = Filler(tokenizer, f"{seed}:{nonce}")
    make = _token_ids if kind == "token-ids" else _strings
    rows = make(filler, _sizes(requests, seed, inputs, outputs), prefix, vocabulary, {"nonce": nonce})
    return _with_images(rows, images, image_size, seed, nonce) if images else rows


def _with_images(
    rows: Iterator[Row], count: int, size: str | list[str], seed: int, nonce: str
) -> Iterator[Row]:
    """Add images to rows. Only the service knows their number of tokens."""
    from aisb_dataset_synthetic._images import make_image, read_sizes

    sizes = read_sizes(size)

    def make_images(number: int) -> Iterator[bytes]:
        random = Random(f"{seed}:{number}:images")
        for at in range(count):
            yield make_image(f"{seed}:{nonce}:{number}:{at}", random.choice(sizes))

    def add(number: int, row: Row) -> Row:
        kept = {key: value for key, value in row.items() if key != "shared_tokens"}
        unknown = {"input_tokens": None, "input_exact": False}
        return {**kept, **unknown, "images": list(make_images(number)), "image_marks": IMAGE_MARK * count}

    return (add(number, row) for number, row in enumerate(rows))


def _sizes(requests: int, seed: int, inputs: Lengths, outputs: Lengths) -> Iterator[tuple[int, int, int]]:
    """Yield the number of each request, and the lengths of its prompt and reply."""
    if inputs.fixed and outputs.fixed:  # seeding a generator costs as much as drawing a hundred words
        yield from ((number, inputs.minimum, outputs.minimum) for number in range(requests))
        return
    for number in range(requests):
        random = Random(f"{seed}:{number}")
        yield number, inputs.draw(random), outputs.draw(random)


def _strings(
    filler: Filler, sizes: Iterable[tuple[int, int, int]], prefix: int, _: int | None, more: Row
) -> Iterator[Row]:
    from aisb_dataset_synthetic._filler import PooledText

    begin, pool = filler.write("prefix", prefix).text if prefix else "", filler.pool
    for batch in _batches(sizes):
        texts = filler.write_all([(number, tokens) for number, tokens, _ in batch], begin)
        for (number, tokens, reply), text in zip(batch, texts, strict=True):
            yield {
                "prompt": PooledText(text.text, pool),
                "input_tokens_asked": tokens,
                "input_tokens": text.tokens,
                "input_exact": text.exact,
                "max_tokens": reply,
                **_shared(number, prefix),
                **more,
            }


def _token_ids(
    filler: Filler, sizes: Iterable[tuple[int, int, int]], prefix: int, size: int | None, more: Row
) -> Iterator[Row]:
    from aisb_dataset_synthetic._filler import LateIds, text_of_ids

    begin, pool = filler.ids("prefix", prefix, size=size), filler.pool_of_ids(size)

    def ids(number: int, tokens: int) -> list[int]:
        return begin + filler.ids(number, tokens - prefix, size=size)

    for number, tokens, reply in sizes:
        yield {
            "token_ids": LateIds(tokens, partial(ids, number, tokens), pool),
            "input_tokens_asked": tokens,
            "input_tokens": tokens,
            "input_exact": True,
            "max_tokens": reply,
            **text_of_ids(filler.tokenizer, partial(ids, number, tokens)),
            **_shared(number, prefix),
            **more,
        }


def _shared(number: int, prefix: int) -> Row:
    """Add the number of tokens that a prompt shares with earlier ones, which may be cached."""
    return {"shared_tokens": prefix if number else 0} if prefix else {}


def _batches(sizes: Iterable[tuple[int, int, int]]) -> Iterator[list[tuple[int, int, int]]]:
    batch: list[tuple[int, int, int]] = []
    for one in sizes:
        batch.append(one)
        if len(batch) == PROMPTS_PER_BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def __getattr__(name: str) -> Any:
    """Import names for other plugins at their first use, since every command loads this module."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from aisb_dataset_synthetic import _filler

    return getattr(_filler, name)


@hookimpl
def aisb_datasets() -> Mapping[str, Callable[..., Iterable[Row]]]:
    """Declare the dataset of synthetic prompts."""
    return {"synthetic": synthetic}


@hookimpl
def aisb_configs() -> Iterable[Traversable]:
    """Declare the folder with the task and its aliases."""
    return [files("aisb_dataset_synthetic")]
