"""Declare what the engine may set by annotation, and use the usual names for other purposes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files as package_files
from importlib.resources.abc import Traversable
from typing import Annotated

from aisb import (
    Ask,
    Backend,
    BatchSize,
    CacheNonce,
    Chunk,
    DataFiles,
    Evaluator,
    Request,
    Row,
    RowCount,
    Sample,
    Score,
    Tokenizer,
    hookimpl,
)


def web_log(
    *,
    requests: Annotated[int, "web requests in a row"] = 2,
    nonce: Annotated[str, "a field of the protocol"] = "none",
) -> Iterator[Row]:
    """Rows of a web server's log: its options are no roles."""
    for number in range(3):
        yield {"prompt": f"row {number}: {requests} requests", "nonce": nonce}


def made(
    *,
    rows: Annotated[int, "how many rows", RowCount] = 2,
    salt: Annotated[str, "makes other prompts", CacheNonce] = "",
) -> Iterator[Row]:
    """Made rows: the options have roles, and names of their own."""
    for number in range(rows):
        yield {"prompt": f"{salt} {number}"}


def sources(
    *,
    source: DataFiles | None,
    files: Annotated[int, "how many files a row speaks of"] = 1,
    words: Annotated[Tokenizer | None, "folder of a tokenizer"] = None,
) -> Iterator[Row]:
    """Rows of files that are given by type; `files` is a number."""
    for file in source or ():
        for line in file.lines():
            yield {"prompt": line.strip(), "files": files, "tokens": words.count(line) if words else None}


@dataclass(kw_only=True, eq=False)
class Batched(Backend):
    """A local model that takes several samples at once."""

    at_once: Annotated[int, "samples at once", BatchSize] = 1
    batch_size: Annotated[int, "pages in a batch of paper"] = 500

    async def generate(self, request: Request) -> AsyncIterator[Chunk]:
        """Repeat the question."""
        yield Chunk("content", request.text or "")


class Panel(Evaluator):
    """Ask a model that judges, which is given by type."""

    def __init__(
        self,
        *,
        question: Ask | None = None,
        ask: Annotated[str, "what to ask"] = "",
        model: Annotated[str, "no role"] = "",
    ) -> None:
        self.question, self.ask, self.model = question, ask, model

    def score(self, answer: str | None, sample: Sample) -> Score:
        """Grade by the length of the answer."""
        return Score(sample.id, float(len(answer or "") > 0))


class Bare(Evaluator):
    """Have an option without help text."""

    def __init__(self, *, model: str = "") -> None:
        self.model = model

    def score(self, answer: str | None, sample: Sample) -> Score:
        """Grade nothing."""
        return Score(sample.id, 0.0)


@hookimpl
def aisb_backends() -> Mapping[str, Callable[..., Backend]]:
    """Offer the local model."""
    return {"batched": Batched}


@hookimpl
def aisb_datasets() -> Mapping[str, Callable[..., Iterable[Row]]]:
    """Offer the datasets."""
    return {"web-log": web_log, "made": made, "sources": sources}


@hookimpl
def aisb_evaluators() -> Mapping[str, Callable[..., Evaluator]]:
    """Offer the evaluators."""
    return {"panel": Panel, "bare": Bare}


@hookimpl
def aisb_configs() -> Iterable[Traversable]:
    """Offer the tasks."""
    return [package_files("aisb_test_roles")]
