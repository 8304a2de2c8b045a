"""Recorded traces for replay: arrival times, lengths, shared prefixes, and sessions of requests."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib.resources import files as package_files
from importlib.resources.abc import Traversable
from typing import TYPE_CHECKING, Annotated, Literal

from aisb import CacheNonce, DataFiles, Row, Tokenizer, UsageError, hookimpl

if TYPE_CHECKING:
    from aisb_dataset_traces._prompts import Prompts

TraceKind = Annotated[Literal["string", "token-ids"], "text, or token ids, which a chat API receives as text"]
Folder = Annotated[Tokenizer | None, "folder of the model's tokenizer; without it lengths are not exact"]
Vocabulary = Annotated[int | None, "vocabulary size of the model, for token ids without a tokenizer"]
Start = Annotated[float | None, "skip requests before this second of the trace"]
End = Annotated[float | None, "skip requests after this second of the trace"]
Origin = Annotated[
    float | None, "second of the trace at which the load begins; default: that of its first request"
]
Sort = Annotated[bool, "sort the trace by time"]
Seed = Annotated[int, "seed of the prompts, which does not affect lengths"]
Nonce = Annotated[str, "nonce of the prompts; a performance run sets its own", CacheNonce]


def mooncake_trace(
    *,
    files: DataFiles,
    kind: TraceKind = "string",
    tokenizer: Folder = None,
    vocabulary: Vocabulary = None,
    block: Annotated[int, "tokens per block, that is, per hash id of the trace"] = 512,
    start: Start = None,
    end: End = None,
    origin: Origin = None,
    sort: Sort = False,
    seed: Seed = 0,
    nonce: Nonce = "",
) -> Iterator[Row]:
    """Requests of a Mooncake trace; requests with the same hash id share that block of their prompts."""
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
            "kind = 'token-ids' needs tokenizer = FOLDER, or vocabulary = N, the vocabulary size of the model"
        )
    if vocabulary is not None and vocabulary < 16:
        raise UsageError(f"vocabulary = {vocabulary} must be at least 16")
    filler = Filler(tokenizer, f"{seed}:{nonce}")
    return Prompts(filler, ids=kind == "token-ids", size=vocabulary, nonce=nonce)


@hookimpl
def aisb_datasets() -> Mapping[str, Callable[..., Iterable[Row]] | str]:
    """Declare the readers of traces."""
    sessions = "aisb_dataset_traces._sessions"
    return {
        "mooncake-trace": mooncake_trace,
        "azure-trace": azure_trace,
        "mooncake-sessions": f"{sessions}:mooncake",
        "weka-sessions": f"{sessions}:weka",
        "otel-sessions": f"{sessions}:otel",
        "sharegpt-sessions": f"{sessions}:sharegpt",
        "endpoints-sessions": f"{sessions}:endpoints",
    }


@hookimpl
def aisb_configs() -> Iterable[Traversable]:
    """Declare the folder with the tasks and aliases of this family."""
    return [package_files("aisb_dataset_traces")]
