"""The datasets of sessions: one row for each, whose turns depend on each other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

from aisb import DataFiles, Row, UsageError
from aisb_dataset_traces import Folder, Nonce, Seed

if TYPE_CHECKING:
    from aisb_dataset_synthetic import Filler

LongestDelay = Annotated[float | None, "maximum seconds between the end of a turn and the next one"]


def mooncake(
    *,
    files: DataFiles,
    tokenizer: Folder = None,
    block: Annotated[int, "tokens per block, that is, per hash id of the trace"] = 512,
    longest_delay: LongestDelay = None,
    seed: Seed = 0,
    nonce: Nonce = "",
) -> Iterator[Row]:
    """Sessions of a Mooncake trace: rows with the same session_id, or rows that continue earlier ones."""
    from aisb_dataset_traces._mooncake_sessions import mooncake_sessions
    from aisb_dataset_traces._session_rows import session_rows

    if block < 1:
        raise UsageError(f"block = {block} must be at least 1")
    sessions = mooncake_sessions(files, block=block, longest_delay=_checked(longest_delay))
    return session_rows(sessions, _filler(tokenizer, seed, nonce))


def weka(
    *,
    files: DataFiles,
    tokenizer: Folder = None,
    longest_delay: LongestDelay = None,
    seed: Seed = 0,
    nonce: Nonce = "",
) -> Iterator[Row]:
    """Sessions of coding agents in the form of kv-cache-tester: hash ids, times, and agents below others."""
    from aisb_dataset_traces._session_rows import session_rows
    from aisb_dataset_traces._weka import weka_sessions

    sessions = weka_sessions(files, longest_delay=_checked(longest_delay))
    return session_rows(sessions, _filler(tokenizer, seed, nonce))


def otel(
    *,
    files: DataFiles,
    tokenizer: Folder = None,
    longest_delay: LongestDelay = None,
    seed: Seed = 0,
    nonce: Nonce = "",
) -> Iterator[Row]:
    """Sessions of OpenTelemetry traces (OTLP in JSON) with the attributes gen_ai.*."""
    from aisb_dataset_traces._otel import otel_sessions
    from aisb_dataset_traces._session_rows import session_rows

    sessions = otel_sessions(files, longest_delay=_checked(longest_delay))
    return session_rows(sessions, _filler(tokenizer, seed, nonce))


def sharegpt(*, files: DataFiles) -> Iterator[Row]:
    """Conversations of a ShareGPT file as sessions; each text of the human is a turn."""
    from aisb_dataset_traces._conversations import sharegpt_sessions
    from aisb_dataset_traces._session_rows import session_rows

    return session_rows(sharegpt_sessions(files), None)


def endpoints(*, files: DataFiles, longest_delay: LongestDelay = None) -> Iterator[Row]:
    """Conversations of MLPerf Endpoints: rows with conversation_id, turn, role and content."""
    from aisb_dataset_traces._conversations import endpoints_sessions
    from aisb_dataset_traces._session_rows import session_rows

    return session_rows(endpoints_sessions(files, longest_delay=_checked(longest_delay)), None)


def _checked(longest_delay: float | None) -> float | None:
    if longest_delay is not None and longest_delay < 0:
        raise UsageError(f"longest_delay = {longest_delay:g} must be at least 0")
    return longest_delay


def _filler(tokenizer: Folder, seed: int, nonce: str) -> Filler:
    from aisb_dataset_synthetic import Filler

    return Filler(tokenizer, f"{seed}:{nonce}")
