"""Turn a reply that was read into a prediction, or into the failure that it is."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from aisb._backend import HttpBackend
from aisb._errors import AttemptFailed
from aisb._types import Failure, Prediction, Request, Timing
from aisb_engine._faults import RAISED, exception_text
from aisb_engine._http.transport import Exchange
from aisb_engine._record.kinds import Kinds
from aisb_engine._stream import StreamReader, problems
from aisb_engine._stream.columns import Columns
from aisb_engine._stream.failures import failed_finish

_ADVICE = {
    401: "; give the right key with --api-key-env",
    403: "; the service does not allow it: check what the key may use, or give one with --api-key-env",
    404: "; check url, path and the name of the model",
    405: "; check url and path",
}
"""Advice for statuses that services seldom explain beyond their name."""


def finish(backend: HttpBackend, exchange: Exchange, failure: Failure | None) -> Failure | None:
    """Finish reading a reply; return its failure, if any. `failure` is that of the transport."""
    reader = exchange.reader
    rest = reader.end()
    if reader.status and not 200 <= reader.status < 300:
        return refusal(backend, exchange)
    if failure is None and reader.decoder is not None:
        failure = _unpacked(reader)
    if failure is not None:  # after [DONE], a failure of the connection no longer matters
        whole = reader.done and reader.columns.holds_answer()
        return reader.failure or (None if whole else failure)
    if reader.failure is None:
        reader.failure = (
            _finish_stream(backend, reader, rest) if reader.streamed else _finish_document(reader, rest)
        )
    if reader.failure is None:
        reader.failure = failed_finish(reader.columns.finish_reason, reader.status)
    if reader.failure is None and not reader.columns.holds_answer():
        reader.failure = _empty(backend, reader, rest)
    return reader.failure


def _empty(backend: HttpBackend, reader: StreamReader, body: bytes) -> Failure | None:
    """Return the failure of a complete reply without an answer; None if it ends with its connection."""
    if not reader.streamed:
        return problems.no_answer_failure(body, reader.status)
    return None if backend.stream_end == "close" else problems.empty_stream_failure(reader.status)


def _finish_document(reader: StreamReader, body: bytes) -> Failure | None:
    if problem := problems.document_failure(body, reader.status):
        return problem
    reader.read_event(body, reader.body_ns or 0)
    return reader.failure


def _finish_stream(backend: HttpBackend, reader: StreamReader, rest: bytes) -> Failure | None:
    if rest and rest != b"[DONE]" and not problems.is_json_or_empty(rest):
        return problems.event_cut_failure(rest, reader.status)
    reader.read_event(rest, reader.body_ns or 0)
    if reader.failure is not None or backend.stream_end == "close":
        return reader.failure
    ended = reader.done or bool(reader.columns.finish_reason)
    return problems.stream_failure(reader.columns.has_events(), ended, reader.status)


def document(exchange: Exchange) -> bytes:
    """Return the body of a reply that is not a stream.

    Raises:
        AttemptFailed: the reply is broken or incomplete.
    """
    reader = exchange.reader
    body = reader.end()
    failure = reader.failure or _unpacked(reader)
    if failure is not None:
        raise AttemptFailed(failure)
    return body


def _unpacked(reader: StreamReader) -> Failure | None:
    """Return the failure of an incomplete compressed reply; None if it is complete or not compressed."""
    if reader.decoder is None or reader.decoder.complete:
        return None
    return problems.cut("the compressed reply ends in the middle", reader.status)


def predict(
    backend: HttpBackend,
    exchange: Exchange,
    request: Request,
    failure: Failure | None,
    *,
    planned_ns: int | None,
    attempts: int,
) -> Prediction:
    """Return the prediction of an attempt; a failed one keeps what was received."""
    reader = exchange.reader
    columns = reader.columns
    if columns.has_surrogates:
        _mend(columns)
    if failure is not None:  # services report anything here
        failure = replace(failure, message=" ".join(mend(failure.message).split()))
    prediction = Prediction(
        request.sample_id,
        request.repeat,
        request.turn,
        columns.all_text(),
        columns.all_reasoning(),
        tuple(columns.calls.values()),
        columns.finish_reason,
        columns.usage,
        Timing(
            planned_ns,
            exchange.connected_ns,
            exchange.sent_ns,
            reader.headers_ns,
            columns.all_stamps(),
            Kinds(columns.runs()),
            columns.tokens(),
            reader.done_ns,
            reader.streamed or not 200 <= reader.status < 300,
        ),
        attempts + exchange.resent,
        failure,
    )
    try:
        final = backend.finalize(prediction, request)
        if not isinstance(final, Prediction):
            raise TypeError(f"finalize returned {final!r:.80}; it returns a Prediction")
    except RAISED as error:  # one request: recorded as its failure, and counted
        text = f"the backend cannot finalize the reply ({exception_text(error)})"
        return replace(prediction, failure=failure or Failure("protocol", text, reader.status or None))
    return final


def refusal(backend: HttpBackend, exchange: Exchange) -> Failure:
    """Return the failure of an error status, in the service's own words."""
    reader = exchange.reader
    status = reader.status
    if 300 <= status < 400:
        target = reader.headers.get("location", "an address that it does not name")
        return Failure("status", f"HTTP {status}: the service redirects to {target}; set url to that", status)
    body = reader.document()
    if problems.is_too_deep(body):
        return problems.protocol(
            f"HTTP {status}, with JSON that is nested too deeply: {problems.show(body)}", status
        )
    try:
        message = backend.error_message(status, body)
    except RAISED as error:  # one request: recorded as its failure, and counted
        return problems.unreadable(body, error, status)
    text = message if message.startswith("HTTP ") else f"HTTP {status}: {message}"
    text += _ADVICE.get(status, "")
    return Failure("status", text, status, _retry_after(reader.headers.get("retry-after")))


def _retry_after(value: str | None) -> float | None:
    """Parse seconds or a date (RFC 9110, 10.2.3) into seconds from now; a past date is 0."""
    if value is None:
        return None
    try:
        if value.strip().isdecimal():
            return float(value)
        then = parsedate_to_datetime(value)
        return max(0.0, (then.astimezone(UTC) - datetime.now(UTC)).total_seconds())
    except (ValueError, OverflowError):
        return None


def _mend(columns: Columns) -> None:
    """Repair all texts of a reply that may hold lone surrogates."""
    text, reasoning = mend(columns.all_text()), mend(columns.all_reasoning())
    columns.replace_text(text, reasoning)
    columns.finish_reason = columns.finish_reason and mend(columns.finish_reason)
    for call in columns.calls.values():
        call.update({name: value and mend(value) for name, value in call.items()})


def mend(text: str) -> str:
    """Join surrogate pairs that were sent in separate pieces; a lone surrogate becomes U+FFFD."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
