"""The delivery of a reply: which bytes are sent when, and where a fault interrupts it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import Enum, auto
from typing import TYPE_CHECKING, TypeAlias

from aisb_mock._author import Pace, too_long
from aisb_mock._record import RecordedRequest, RequestRecorder
from aisb_mock._replies import Dialect, Refused, Reply

if TYPE_CHECKING:
    from aisb_mock._connection import MockConnection

STATUS_REASONS = {
    200: b"OK",
    400: b"Bad Request",
    401: b"Unauthorized",
    403: b"Forbidden",
    404: b"Not Found",
    405: b"Method Not Allowed",
    422: b"Unprocessable Entity",
    429: b"Too Many Requests",
    500: b"Internal Server Error",
    503: b"Service Unavailable",
}
JSON = b"application/json"
LAST_CHUNK = b"0\r\n\r\n"
CHANGES = {"encoding": b'{"caf\xe9":1,', "large-event": b"{" + b" " * 5_000_000}
"""The replacement of the opening brace of an event's JSON."""
HTML = b"<html><head><title>Welcome</title></head><body><h1>It works</h1><p>No model here.</p></body></html>"


class DeliveryEnd(Enum):
    """How a reply ends: complete, by a closed connection, or stalled for ever."""

    DONE = auto()
    CLOSE = auto()
    HOLD = auto()


Plan: TypeAlias = Iterator[tuple[int, "bytes | DeliveryEnd", int]]
"""The schedule of a reply: (time, bytes or the end, number of tokens)."""


def reply_bytes(status: int, body: bytes, kind: bytes = JSON, extra: bytes = b"") -> bytes:
    """Return a whole HTTP reply."""
    return b"HTTP/1.1 %d %b\r\nContent-Type: %b\r\nContent-Length: %d\r\n%b\r\n%b" % (
        status,
        STATUS_REASONS.get(status, b"Error"),
        kind,
        len(body),
        extra,
        body,
    )


def at_once(start: int, data: bytes) -> Plan:
    """Send bytes at once."""
    yield start, data, 0
    yield start, DeliveryEnd.DONE, 0


REFUSALS = {
    "status-401": Refused(401, "Incorrect API key provided.", "AuthenticationError"),
    "status-403": Refused(403, "This project may not use the model.", "PermissionDeniedError"),
    "status-404": Refused(404, "The model does not exist.", "NotFoundError"),
    "status-429": Refused(429, "Too many requests; try again later.", "RateLimitError"),
    "status-500": Refused(
        500, "Internal server error: the request timed out inside the engine.", "InternalServerError"
    ),
    "status-503": Refused(503, "The model is still loading.", "ServiceUnavailableError"),
}
"""The refusals of the faults `status-…`, with messages like those of services."""


def fault_status(kind: str) -> Refused:
    """Return the refusal of a fault `status-…`."""
    return too_long(4_096, 5_000, 4_488) if kind == "status-400" else REFUSALS[kind]


def plan_refusal(dialect: Dialect, start: int, refused: Refused, retry_after: float) -> Plan:
    """Return the plan of a refusal; a 429 has a Retry-After header."""
    extra = b"Retry-After: %s\r\n" % f"{retry_after:g}".encode() if refused.status == 429 else b""
    return at_once(start, reply_bytes(refused.status, dialect.error(refused), extra=extra))


def faulty(dialect: Dialect, start: int, kind: str, retry_after: float) -> Plan | None:
    """Return the plan of a fault that replaces the reply; None for one that interrupts it."""
    if kind.startswith("status-"):
        return plan_refusal(dialect, start, fault_status(kind), retry_after)
    if kind == "html":
        return at_once(start, reply_bytes(200, HTML, b"text/html"))
    if kind == "empty":
        return at_once(start, reply_bytes(200, b""))
    if kind in ("refuse", "hang"):
        return iter(((start, DeliveryEnd.CLOSE if kind == "refuse" else DeliveryEnd.HOLD, 0),))
    return None


def whole(dialect: Dialect, reply: Reply, pace: Pace, start: int, fault: str | None) -> Plan:
    """Send a reply in one piece, at the time of its last token."""
    tokens = reply.output_tokens
    due = start + pace.first + sum(_gap(pace, 1) for _ in range(tokens - 1))
    body = dialect.whole(reply)
    if fault == "error-event":
        body, tokens = dialect.error(fault_status("status-500")), 0
    elif fault in ("garbage", "early-end"):
        body, tokens = body[: len(body) // 2], 0
    elif fault in CHANGES:
        body = body.replace(b"{", CHANGES[fault], 1)
    data = reply_bytes(200, body)
    if fault in ("cut", "stall"):
        yield due, data[: -max(1, len(body) // 2)], 0
        yield due, DeliveryEnd.CLOSE if fault == "cut" else DeliveryEnd.HOLD, 0
    else:
        yield due, data, tokens
        yield due, DeliveryEnd.DONE, 0


def plan_stream(dialect: Dialect, reply: Reply, pace: Pace, start: int, fault: str | None) -> Plan:
    """Send a reply event by event, each at the time of its tokens; a fault interrupts it halfway."""
    yield (
        start,
        b"HTTP/1.1 200 OK\r\n"
        + (b"Content-Type: " + dialect.stream_type + b"\r\n" if dialect.stream_type else b"")
        + b"Transfer-Encoding: chunked\r\n\r\n",
        0,
    )
    due = first = start + pace.first
    halfway = max(1, reply.output_tokens // 2)
    made = 0
    for kind, data, tokens in dialect.events(reply):
        if fault in CHANGES and made >= halfway and kind in ("token", "finish"):
            data, fault = data.replace(b"{", CHANGES[fault], 1), None  # noqa: PLW2901 - this one event
        elif fault and made >= halfway and kind in ("token", "finish"):
            yield from _broken(dialect, due, fault)
            if fault != "garbage":
                return
            fault = None
        if kind == "token":
            if made:
                due += _gap(pace, tokens)
            made += tokens
            yield due, b"%x\r\n%b\r\n" % (len(data), data), tokens
        else:
            at = max(start, first - pace.role) if kind == "role" else due
            if kind == "usage":
                due = at = due + pace.usage
            yield at, b"%x\r\n%b\r\n" % (len(data), data), 0
    yield due, LAST_CHUNK, 0
    yield due, DeliveryEnd.DONE, 0


def _gap(pace: Pace, tokens: int) -> int:
    more = pace.slowdown() if pace.slowdown else 0
    if pace.gaps is None or pace.rng is None:
        return (pace.gap + more) * tokens
    return (int(pace.gaps.draw(pace.rng) * 1_000_000) + more) * tokens


def _broken(dialect: Dialect, due: int, fault: str) -> Plan:
    if fault == "cut":
        yield due, DeliveryEnd.CLOSE, 0
    elif fault == "early-end":
        yield due, LAST_CHUNK, 0
        yield due, DeliveryEnd.DONE, 0
    elif fault == "stall":
        yield due, DeliveryEnd.HOLD, 0
    else:
        data = dialect.garbage if fault == "garbage" else dialect.error_event(fault_status("status-500"))
        yield due, b"%x\r\n%b\r\n" % (len(data), data), 0
        if fault == "error-event":
            yield due, LAST_CHUNK, 0
            yield due, DeliveryEnd.DONE, 0


class Delivery:
    """A reply in progress: follows its plan, and records the times of sending."""

    __slots__ = ("_connection", "_ended", "_entry", "_finish", "_item", "_plan", "_record", "gone")

    def __init__(
        self,
        connection: MockConnection,
        plan: Plan,
        entry: RecordedRequest,
        record: RequestRecorder,
        ended: Callable[[RecordedRequest, str], None],
    ) -> None:
        self._connection = connection
        self._plan = plan
        self._entry = entry
        self._record = record
        self._ended = ended
        self._item = next(plan)
        self.gone = False

    def step(self, now: int) -> int | None:
        """Send the parts that are due; return the time of the next part."""
        if self.gone:
            return None
        due, data, tokens = self._item
        sending: list[bytes] = []
        end: DeliveryEnd | None = None
        while due <= now:
            if isinstance(data, DeliveryEnd):
                end = data
                break
            sending.append(data)
            if tokens:
                self._record.sent(self._entry, now, due, tokens)
            self._item = due, data, tokens = next(self._plan)
        if sending:
            self._connection.write(sending[0] if len(sending) == 1 else b"".join(sending))
        if end is not None:
            self._end(end)
            return None
        return None if self._connection.paused else due

    def abort(self) -> None:
        """Stop, because the client has disconnected."""
        if not self.gone:
            self._close("client")

    def _end(self, end: DeliveryEnd) -> None:
        if end is DeliveryEnd.HOLD:
            return
        self._close("server" if end is DeliveryEnd.CLOSE else "complete")
        self._connection.finished(close=end is DeliveryEnd.CLOSE)

    def _close(self, how: str) -> None:
        self.gone = True
        self._ended(self._entry, how)
