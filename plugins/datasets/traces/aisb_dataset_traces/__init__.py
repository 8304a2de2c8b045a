"""Recorded traffic to replay: when each request came, how long it was, and what it shared with others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib.resources import files as package_files
from importlib.resources.abc import Traversable
from typing import TYPE_CHECKING, Annotated, Literal

from aisb import CacheNonce, DataFiles, Row, Tokenizer, UsageError, hookimpl

if TYPE_CHECKING:
    from aisb_dataset_traces._prompts import Prompts

TraceKind = Annotated[
    Literal["string", "token-ids"], "a text, or token ids: sent as they are, to a chat API as their text"
]
Folder = Annotated[Tokenizer | None, "folder of the model's tokenizer; without it lengths are not exact"]
Vocabulary = Annotated[int | None, "tokens of the model, for token ids without a tokenizer"]
Start = Annotated[float | None, "leave out requests before this second of the trace"]
End = Annotated[float | None, "leave out requests after this second of the trace"]
Origin = Annotated[
    float | None, "the second of the trace at which the load begins; left out: that of its first request"
]
Sort = Annotated[bool, "put a trace in the order of its times, where it is not"]
Seed = Annotated[int, "another seed makes other prompts of the same lengths"]
Nonce = Annotated[str, "another nonce makes other prompts, too; a performance run gives its own", CacheNonce]


def mooncake_trace(
    *,
    files: DataFiles,
    kind: TraceKind = "string",
    tokenizer: Folder = None,
    vocabulary: Vocabulary = None,
    block: Annotated[int, "tokens that one of the trace's hash_ids stands for"] = 512,
    start: Start = None,
    end: End = None,
    origin: Origin = None,
    sort: Sort = False,
    seed: Seed = 0,
    nonce: Nonce = "",
) -> Iterator[Row]:
    """Requests of a Mooncake trace; where two share a hash id, they share that block of their prompts."""
    from aisb_dataset_traces._readers import Window, mooncake

    if block < 1:
        raise UsageError(f"block = {block} must be at least 1")
    prompts = _make_prompts(kind, tokenizer, vocabulary, seed, nonce)
    return mooncake(files, prompts, Window(start, end, origin), block=block, sort=sort)


def azure_trace(
    *,
    files: DataFiles,
    kind: TraceKind = "string",
    tokenizer: Folder = None,
    vocabulary: Vocabulary = None,
    sort: Sort = False,
    seed: Seed = 0,
    nonce: Nonce = "",
) -> Iterator[Row]:
    """Requests of an Azure trace: CSV files with the columns TIMESTAMP, ContextTokens, GeneratedTokens."""
    from aisb_dataset_traces._readers import azure

    return azure(
        files,
        _make_prompts(kind, tokenizer, vocabulary, seed, nonce),
        sort=sort,
    )


def _make_prompts(
    kind: str, tokenizer: Tokenizer | None, vocabulary: int | None, seed: int, nonce: str
) -> Prompts:
    from aisb_dataset_synthetic import Filler
    from aisb_dataset_traces._prompts import Prompts

    if kind == "token-ids" and tokenizer is None and vocabulary is None:
        raise UsageError(
            "kind = 'token-ids' needs tokenizer = FOLDER, or vocabulary = N, how many tokens the model knows"
        )
    if vocabulary is not None and vocabulary < 16:
        raise UsageError(f"vocabulary = {vocabulary} must be at least 16")
    filler = Filler(tokenizer, f"{seed}:{nonce}")
    return Prompts(filler, ids=kind == "token-ids", size=vocabulary, nonce=nonce)


@hookimpl
def aisb_datasets() -> Mapping[str, Callable[..., Iterable[Row]]]:
    """Return the readers of traces."""
    return {"mooncake-trace": mooncake_trace, "azure-trace": azure_trace}


@hookimpl
def aisb_configs() -> Iterable[Traversable]:
    """Return the folder with this family's tasks and their other names."""
    return [package_files("aisb_dataset_traces")]
