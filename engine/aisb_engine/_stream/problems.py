"""Failures of malformed or incomplete replies, with their messages for users."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from aisb._errors import AttemptFailed
from aisb._types import Failure
from aisb_engine._faults import exception_text

_SHOWN = 80


def show(data: bytes | None) -> str:
    """Return the beginning of the received bytes in readable form."""
    return repr((data or b"")[:_SHOWN].decode("utf-8", "replace"))


def protocol(text: str, status: int) -> Failure:
    """Return the failure of a malformed reply."""
    return Failure("protocol", text, status or None)


def cut(text: str, status: int) -> Failure:
    """Return the failure of a reply that ends too early."""
    return Failure("cut", text, status or None)


def invalid_http(reason: str, data: bytes) -> AttemptFailed:
    """Return the exception for bytes that are not HTTP."""
    return AttemptFailed(Failure("protocol", f"the reply is not valid HTTP ({reason}): {data[:_SHOWN]!r}"))


def framing_failure(failure: Failure, status: int, done: bool) -> Failure | None:
    """Return a framing or compression failure with the status of its reply; None after [DONE]."""
    return None if done else replace(failure, status=status or None)


def unreadable(payload: bytes, error: BaseException, status: int) -> Failure:
    """Return the failure of an event for which the backend, or an earlier check, raised an exception."""
    if isinstance(error, AttemptFailed):
        return error.failure
    return protocol(f"the backend cannot read {show(payload)} ({exception_text(error)})", status)


def parse_odd_json(payload: bytes, status: int) -> Any:
    """Parse invalid JSON that some services write: with NaN, or with lone surrogates.

    Raises:
        AttemptFailed: it is not JSON.
    """
    try:
        return json.loads(payload.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise AttemptFailed(protocol(f"the reply is not UTF-8: {show(payload)}", status)) from error
    except (ValueError, RecursionError) as error:
        raise AttemptFailed(protocol(f"the reply is not JSON: {show(payload)}", status)) from error


def is_json_or_empty(payload: bytes) -> bool:
    """Return whether the bytes are one JSON value or empty; values nested too deeply count as JSON."""
    try:
        return not payload or json.loads(payload) is not ...
    except RecursionError:
        return True
    except ValueError:
        return False


def is_too_deep(payload: bytes) -> bool:
    """Return whether the bytes are JSON that is nested too deeply for the parser."""
    try:
        json.loads(payload)
    except RecursionError:
        return True
    except ValueError:
        return False
    return False


def refuse_event(event: dict[str, Any]) -> None:
    """Raise: the decoder of a reader without a backend, which reads documents only."""
    raise ValueError(f"expected a document, not a stream with an event: {event!r:.80}")


def document_failure(body: bytes, status: int) -> Failure | None:
    """Return the failure of a body that is neither a stream nor one JSON document; None if it may be one."""
    if body.lstrip()[:1] == b"<":
        text = f"the reply is a web page instead of JSON: {show(body)}; is url the address of the service?"
        return protocol(text, status)
    return None if body.strip() else protocol("the reply is empty", status)


def no_answer_failure(body: bytes, status: int) -> Failure:
    """Return the failure of a document in which the backend finds no answer."""
    return protocol(f"the reply holds no answer: {show(body)}", status)


def empty_stream_failure(status: int) -> Failure:
    """Return the failure of a stream that ended properly but held no answer."""
    text = "the reply holds no answer: the stream has no text, reasoning, tool call or finish reason"
    return protocol(text, status)


def event_cut_failure(payload: bytes, status: int) -> Failure:
    """Return the failure of a stream whose last event is incomplete."""
    return cut(f"the stream ends in the middle of an event: {show(payload)}", status)


def stream_failure(has_events: bool, ended: bool, status: int) -> Failure | None:
    """Return the failure of a stream without a proper answer, if any. `ended`: its end marker arrived."""
    if not has_events:
        return protocol("the reply is empty: the stream has no events with data", status)
    return None if ended else cut("the stream ended without a finish reason or [DONE]", status)
