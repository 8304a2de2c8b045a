"""What a service says in place of an answer: refusals by status, and errors inside of a successful reply."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from aisb._backend import HttpBackend, error_text
from aisb._types import Failure

if TYPE_CHECKING:
    from aisb_engine._http.transport import Exchange

_SHOWN = 80
_ADVICE = {
    401: "; give the right key with --api-key-env",
    403: "; the service knows the key, or wants none, and refuses all the same",
    404: "; check url, path and the name of the model",
    405: "; check url and path",
}
"""What to do about a status, for which services themselves seldom have more than its name."""


def refusal(backend: HttpBackend, exchange: Exchange) -> Failure:
    """Say what a status that is not a success means, in the service's own words."""
    status = exchange.status
    if 300 <= status < 400:
        target = exchange.headers.get("location", "an address that it does not name")
        return Failure("status", f"HTTP {status}: the service redirects to {target}; set url to that", status)
    words = backend.error_message(status, b"".join(data for _, data in exchange.pieces))
    text = words if words.startswith("HTTP ") else f"HTTP {status}: {words}"
    text += _ADVICE.get(status, "")
    return Failure("status", text, status, _retry_after(exchange.headers.get("retry-after")))


def failure_inside(
    event: Mapping[str, Any], payload: bytes, status: int, statuses: Mapping[str, int]
) -> Failure:
    """Read an error that comes inside a successful reply; its own code, when it has one, is the status."""
    error = event["error"]
    code = error.get("code") if isinstance(error, Mapping) else event.get("code")
    if code is None:
        code = statuses.get(str(event.get("error_type")))
    text = f"the service reports an error inside its reply: {error_text(payload)}"
    if isinstance(code, int) and 400 <= code < 600:
        return Failure("status", text, code)
    return Failure("protocol", text, status)


def _retry_after(value: str | None) -> float | None:
    """Read seconds, or a date (RFC 9110, 10.2.3); a date that has passed is 0."""
    if value is None:
        return None
    try:
        if value.strip().isdecimal():
            return float(value)
        then = parsedate_to_datetime(value)
        return max(0.0, (then.astimezone(UTC) - datetime.now(UTC)).total_seconds())
    except (ValueError, OverflowError):
        return None


def shown(data: bytes | None) -> str:
    """Return the beginning of what came, as a person can read it."""
    return repr((data or b"")[:_SHOWN].decode("utf-8", "replace"))
