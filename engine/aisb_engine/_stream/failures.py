"""Detect failures that services report inside a reply with a success status.

docs/servers.md lists the form of each service. An error is one of these: an object or a text under `error` in
an event, in a choice, or in an object inside them; an event with a name such as `error`; an event without any
part of an answer that has an HTTP error status, or a code and a message; a finish reason such as `abort`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from aisb._backend import error_text
from aisb._errors import AttemptFailed
from aisb._types import Failure, FailureKind
from aisb_engine._stream import problems

_ERROR_NAME = re.compile(
    r"(?:^|[._\-\s])(?:errors?|failed|failure|exceptions?|abort(?:ed)?|cancell?ed)(?:$|[._\-\s])"
)
EVENT_FIELDS = (b"event", b"error", b'{"error"')
"""Fields that mark an event as an error; llama.cpp writes `error: {…}`, others JSON without a field name."""

_CONTAINERS = {
    "choices", "delta", "message", "x_groq", "response", "data", "result", "details", "detail", "meta_info",
    "output", "outputs", "token", "body", "payload", "extra", "base_resp",
}  # fmt: skip
"""The objects that are searched for an error. The model's output and a content filter's result are not."""
_MAX_DEPTH = 5
_NO_ERROR = frozenset(("", "0", "200", "ok", "none", "null", "success", "successful", "false", "no error"))
"""Values of an error's fields that mean that there is no error."""

_STATUS_KEYS = (
    "code", "status", "status_code", "http_status_code", "http_code", "http_status", "error_code",
    "statusCode",
)  # fmt: skip
_TYPE_KEYS = ("type", "code", "status", "err_type", "error_type")
_MESSAGE_KEYS = (
    "message", "detail", "error_msg", "error_message", "msg", "status_msg", "err_msg", "err", "exception",
)  # fmt: skip
_HTTP_STATUS = re.compile(r"^HTTP_STATUS/(\d{3})$", re.MULTILINE)

_STATUS_BY_NAME = {
    400: r"invalidrequest|badrequest|invalidargument|invalidparameter|context(length|window|size)",
    422: r"unprocessable|validation",
    401: r"authentication|unauthori[sz]ed|unauthenticated|invalidapikey",
    402: r"insufficientbalance|paymentrequired",
    403: r"permission|forbidden|accessdenied",
    404: r"notfound",
    429: r"ratelimit|toomanyrequests|insufficientquota|resourceexhausted|throttling",
    501: r"notsupported|notimplemented|unimplemented",
    502: r"badgateway|upstream|connectionerror|providererror",
    503: r"overload|unavailable|insufficientsystemresource",
    504: r"timeout|timedout|deadlineexceeded",
    500: r"internal|servererror|apierror|backenderror|engineerror|enginedead",
}
"""The HTTP status for an error by a part of its name; the first match counts."""

_CUT_REASONS = {
    "abort", "aborted", "cancel", "cancelled", "canceled", "user_cancel", "interrupted", "preempt",
    "preempted", "not_finished",
}  # fmt: skip
_WHOLE_REASONS = {"stop", "length", "tool_calls", "content_filter", "eos_token", "stop_sequence"}
"""Nearly all replies end with one of these, which therefore skip the patterns of failures."""
_TIMEOUT_REASONS = {"timeout", "timed_out", "deadline_exceeded"}
_ERROR_REASON = re.compile(r"(?:.*_)?(?:errors?|failed|failure|exception)(?:_.*)?")
_STATUS_REASONS = {"insufficient_system_resource": 503, "overloaded": 503, "rate_limit_exceeded": 429}


def begins_error(line: bytes, data: list[bytes]) -> bool:
    """Return whether a line with one of `EVENT_FIELDS` makes its event an error; append its data to `data`.

    The name of an event is one such as `error`, `stream_error` or `response.failed`.
    """
    if line.startswith(b"event"):
        name = line.partition(b":")[2].decode("utf-8", "replace").strip().lower()
        return _ERROR_NAME.search(name) is not None
    data.append(line.removeprefix(b"error:"))
    return True


def error_event(data: bytes, status: int, statuses: Mapping[str, int]) -> AttemptFailed:
    """Return the exception for an event whose name marks an error. Its data may be any text, or empty.

    DashScope puts `HTTP_STATUS/429` in a comment line before the data.
    """
    text = data.decode("utf-8", "replace")
    status_line = _HTTP_STATUS.search(text)
    text = _HTTP_STATUS.sub("", text).strip()
    try:
        event = json.loads(text)
    except (ValueError, RecursionError):
        event = None
    error = event.get("error") if isinstance(event, Mapping) else None
    code = int(status_line[1]) if status_line else None
    return AttemptFailed(_failure(_Found(error or event, event, text.encode()), status, statuses, code))


def checked_event(event: Any, payload: bytes, status: int, statuses: Mapping[str, int]) -> dict[str, Any]:
    """Return the object of an event.

    Raises:
        AttemptFailed: the event is not an object, or holds an error.
    """
    if type(event) is list and len(event) == 1:  # the form of TGI on its root path
        event = event[0]
    if type(event) is not dict:
        text = f"the reply is JSON, but not an object: {problems.show(payload)}"
        raise AttemptFailed(problems.protocol(text, status))
    for error in _errors(event, _MAX_DEPTH):
        raise AttemptFailed(_failure(_Found(error, event, payload), status, statuses))
    return event


def check_flat_error(
    event: Mapping[str, Any], payload: bytes, status: int, statuses: Mapping[str, int]
) -> None:
    """Raise if an event without any part of an answer is an error.

    It has an HTTP error status (RFC 9457), or a code or a type with a message, or `success` is false.

    Raises:
        AttemptFailed: the event is an error.
    """
    if event.get("choices"):
        return
    for place in (event, event.get("base_resp")):
        if isinstance(place, Mapping) and _is_flat_error(place):
            raise AttemptFailed(_failure(_Found(place, event, payload), status, statuses))


def check_document(event: Any, body: bytes, status: int, statuses: Mapping[str, int]) -> None:
    """Raise if a document that is not decoded as an answer reports an error.

    Raises:
        AttemptFailed: it is not an object, has an error, or one of its choices is incomplete.
    """
    event = checked_event(event, body, status, statuses)
    check_flat_error(event, body, status, statuses)
    choices = event.get("choices")
    for choice in choices if isinstance(choices, list) else ():
        reason = choice.get("finish_reason") if isinstance(choice, Mapping) else None
        if isinstance(reason, str) and (failure := failed_finish(reason, status)):
            raise AttemptFailed(failure)


def failed_finish(reason: str | None, status: int | None = None) -> Failure | None:
    """Return the failure for a finish reason; None if the answer is complete.

    `abort` and `error` come from vLLM and SGLang; `cancelled`, `timeout` and `not_finished` from
    TensorRT-LLM; `insufficient_system_resource` from DeepSeek, `network_error` from Zhipu, `preempt` from
    MLC.
    """
    if not reason or reason in _WHOLE_REASONS:
        return None
    word = re.sub(r"[\s\-.:]+", "_", reason.strip().lower())
    text = f"the service ended an incomplete reply with the finish reason {reason!r:.60}"
    if word in _CUT_REASONS:
        return Failure("cut", text, status)
    if word in _TIMEOUT_REASONS:
        return Failure("timeout", text, status)
    if word in _STATUS_REASONS:
        return Failure("status", text, _STATUS_REASONS[word])
    return Failure("protocol", text, status) if _ERROR_REASON.fullmatch(word) else None


def _errors(place: Any, depth: int) -> Iterator[Any]:
    """Yield the values of `error` in an object and in the objects inside it."""
    if isinstance(place, list):
        for one in place:
            yield from _errors(one, depth)
        return
    if not isinstance(place, Mapping) or not depth:
        return
    for key, value in place.items():
        if key in ("error", "errors", "Error") and _describes_error(value):
            yield value
        elif key in _CONTAINERS:
            yield from _errors(value, depth - 1)
    code = _as_status(place.get("error_code"))
    if code is not None:
        yield place


def _describes_error(value: Any) -> bool:
    """Return whether a value under `error` describes an error, rather than its absence."""
    if isinstance(value, Mapping):
        return any(_describes_error(one) for one in value.values())
    if isinstance(value, list):
        return any(map(_describes_error, value))
    return str(value if value is not None else "").strip().lower() not in _NO_ERROR


def _is_flat_error(place: Mapping[str, Any]) -> bool:
    if place.get("object") == "error" or place.get("type") == "error" or place.get("success") is False:
        return True
    if any(_as_status(place.get(key)) is not None for key in _STATUS_KEYS):
        return True
    if _describes_error(place.get("error_code")):  # FastChat: 50001 beside a text
        return True
    has_message = any(
        isinstance(place.get(key), str) and _describes_error(place[key]) for key in _MESSAGE_KEYS
    )
    if not has_message:
        return isinstance(place.get("detail"), list) and bool(place["detail"])
    has_code = any(_describes_error(place.get(key)) for key in (*_STATUS_KEYS, "err_type", "error_type"))
    return has_code or set(place) <= {*_MESSAGE_KEYS, "request_id", "id"}


class _Found(NamedTuple):
    """An error inside a reply, its event, and the bytes of the event."""

    error: Any
    event: Any
    payload: bytes


def _failure(found: _Found, status: int, statuses: Mapping[str, int], code: int | None = None) -> Failure:
    """Return the failure for an error, with the status that the error gives or implies, if any."""
    for place in (found.error, found.event):
        if code is None and isinstance(place, Mapping):
            code = _status_of(place, statuses)
    text = f"the service reports an error inside its reply: {_message_of(found.error, found.payload)}"
    kind: FailureKind = "protocol" if code is None else "status"
    return Failure(kind, text, status or None if code is None else code)


def _status_of(place: Mapping[str, Any], statuses: Mapping[str, int]) -> int | None:
    for key in _STATUS_KEYS:
        if (code := _as_status(place.get(key))) is not None:
            return code
    if (code := statuses.get(str(place.get("error_type")))) is not None:
        return code
    for key in _TYPE_KEYS:
        name = re.sub(r"[^a-z]", "", str(place.get(key) or "").lower())
        for code, names in _STATUS_BY_NAME.items():
            if re.search(names, name):
                return code
    return None


def _as_status(code: Any) -> int | None:
    """Return a code as a number if it is an HTTP error status."""
    if isinstance(code, str) and code.isdecimal():
        code = int(code)
    return code if type(code) is int and 400 <= code < 600 else None


def _message_of(error: Any, payload: bytes) -> str:
    if isinstance(error, str):
        return error[:500]
    if isinstance(error, Mapping):
        return error_text(json.dumps(error, ensure_ascii=False).encode("utf-8", "replace"))
    return error_text(payload) or "an event without a message"
