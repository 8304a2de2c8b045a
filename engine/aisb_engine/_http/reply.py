"""Working out what a reply means: stamped bytes become events, JSON, chunks, and in the end a prediction.

None of it happens while bytes arrive: the transport calls `take` when enough of them wait, and the rest
follows when the reply has ended.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

import orjson

from aisb._backend import HttpBackend
from aisb._errors import AttemptFailed
from aisb._types import TOKEN_KINDS, Chunk, Failure, Prediction, Request, Timing, Usage
from aisb_engine._faults import RAISED, words
from aisb_engine._http.alike import Alike
from aisb_engine._http.compact import Runs, Stamps, Texts
from aisb_engine._http.complaints import failure_inside, refusal, shown
from aisb_engine._http.transport import FULL, Exchange, Unframe
from aisb_engine._record.kinds import Kinds
from aisb_engine._stream.compiled import events_in
from aisb_engine._stream.sse import Event, EventParser, JsonParser

_FIELDS = (b"data", b"event", b"id:", b"retry", b":")
_MOST = 2**53
"""More tokens than any reply has, and the largest number that every reader of JSON keeps exactly."""
_MANY, _FEW = 2_048, 8
"""From how many bytes on, or pieces, it pays to look for what the events in them have in common."""
_LONG, _SOONER = 512, 4_096
"""From so many chunks on, no more bytes wait than these: a long reply has much else in memory."""
_STAMP = 8
"""How many bytes one has."""
_KEEPALIVE = Chunk("keepalive")


class Reply:
    """One attempt's reply, put together as its bytes are handed over."""

    __slots__ = (
        "_alike", "_backend", "_calls", "_complete", "_counted", "_events", "_finish_reason",
        "_kinds", "_last", "_may_be_alike", "_odd", "_reasoning", "_sink", "_stamps", "_streamed", "_text",
        "_tokens", "_usage", "exchange", "failure",
    )  # fmt: skip

    def __init__(
        self, backend: HttpBackend, *, sink: Callable[[Chunk], None] | None = None, full: int = FULL
    ) -> None:
        self._may_be_alike = backend.copies_text and sink is None
        self.exchange = Exchange(self.take, full, takes_frames=self._may_be_alike)
        self.failure: Failure | None = None
        self._backend = backend
        self._sink = sink
        self._events: EventParser | JsonParser = (
            EventParser() if backend.stream_format == "sse" else JsonParser()
        )
        self._alike: Alike | None = None  # made when there is much to read
        self._streamed: bool | None = None  # not known before the first bytes
        self._complete = False  # [DONE] was seen
        self._odd = False  # some text may hold halves of characters
        # Small while they grow: thousands of long replies are under way at once.
        self._stamps = Stamps()
        self._kinds = Runs()
        self._tokens = array("i")
        self._counted = True  # every chunk with tokens said how many
        self._last = _KEEPALIVE
        self._text = Texts()
        self._reasoning = Texts()
        self._calls: dict[Any, dict[str, Any]] = {}
        self._finish_reason: str | None = None
        self._usage: Usage | None = None

    def take(self, exchange: Exchange, *, ended: bool = False) -> None:
        """Work out what waits in the exchange; a reply that is not a stream waits for its end."""
        if self.failure or not 200 <= exchange.status < 300:
            return
        if self._streamed is None:
            if exchange.size < 16 and not exchange.frames and not ended:
                return
            self._streamed = bool(exchange.frames) or _is_stream(exchange, self._backend.stream_format)
        if self._streamed:
            self._take_stream(exchange)
            if not ended:
                for growing in (self._stamps, self._text, self._reasoning):
                    growing.fold()
                if self._kinds.count >= _LONG:
                    exchange.full = min(exchange.full, _SOONER)

    def _take_stream(self, exchange: Exchange) -> None:
        unframe = exchange.unframe
        # A pattern pays off over many events; a short reply is read sooner in one go.
        many = len(exchange.frames) >= _FEW or exchange.size + sum(map(len, exchange.frames)) >= _MANY
        if many and self._may_be_alike and self._alike is None:
            self._alike = Alike(framed=unframe is not None)
        alike = self._alike if many or exchange.pattern else None
        if pieces := exchange.take():
            if unframe or alike is None:
                self._read(self._events.feed(pieces))
            else:
                times, bodies = zip(*pieces, strict=True)
                self._read_waiting([*times], [*bodies], alike, None)
        if exchange.read and self.failure is None:
            self._add_alike(*exchange.read())
        if exchange.frames:
            self._read_waiting(*exchange.take_frames(), alike, unframe)
        if alike:
            exchange.pattern = alike.pattern if alike.helps and self._between(unframe) else None

    def end(self, failure: Failure | None) -> None:
        """Take what is left, and settle whether this is an answer. `failure` is the transport's."""
        exchange = self.exchange
        exchange.on_full = None  # it led back here: without the cycle, all this goes as soon as it is done
        status = exchange.status
        if status and not 200 <= status < 300:
            self.failure = refusal(self._backend, exchange)
            return
        if status:
            self.take(exchange, ended=True)
        if failure is None:
            if self._streamed:
                self._end_stream()
            else:
                self._read_document()
        elif self.failure is None and not (failure.kind == "cut" and self._complete):
            self.failure = failure

    def prediction(self, request: Request, *, planned_ns: int | None, attempts: int) -> Prediction:
        """Return the prediction, with what there is of it when the attempt failed."""
        exchange = self.exchange
        text, reasoning = self._text.all(), self._reasoning.all()
        if self._odd:
            text, reasoning = _mended(text), _mended(reasoning)
            self._finish_reason = self._finish_reason and _mended(self._finish_reason)
            self._calls = {
                index: {name: value and _mended(value) for name, value in call.items()}
                for index, call in self._calls.items()
            }
        if self.failure is not None:  # what a service says of itself can be anything
            message = " ".join(_mended(self.failure.message).split())
            self.failure = replace(self.failure, message=message)
        tokens = self._tokens if self._counted and any(self._tokens) else array("i")
        made = Prediction(
            request.sample_id,
            request.repeat,
            request.turn,
            text,
            reasoning,
            tuple(self._calls.values()),
            self._finish_reason,
            self._usage,
            Timing(
                planned_ns,
                exchange.connected_ns,
                exchange.sent_ns,
                exchange.headers_ns,
                self._stamps.all(),
                Kinds(self._kinds.runs),
                tokens,
                exchange.done_ns,
                streamed=self._streamed is not False,
            ),
            attempts,
            self.failure,
        )
        try:
            final = self._backend.finalize(made, request)
            if not isinstance(final, Prediction):
                raise TypeError(f"finalize returned {final!r:.80}; it returns a Prediction")
        except RAISED as error:  # one request: recorded as its failure, and counted
            message = f"the backend cannot settle the reply ({words(error)})"
            return replace(made, failure=made.failure or self._broken(message))
        return final

    def _read_waiting(
        self, times: list[int], datas: list[bytes], alike: Alike | None, unframe: Unframe | None
    ) -> None:
        """Read pieces as they came; what is alike need not be parsed, nor lose the framing around it."""
        at = 0
        while alike and alike.helps and at < len(datas) and not self.failure:
            if alike.pattern and self._between(unframe):
                stamps, text, whole, part = alike.read(times[at:], datas[at:])
                if stamps:
                    self._events.passed()
                    self._add_alike(stamps, text)
                    at += whole
                    if part:
                        datas[at] = datas[at][part:]
                    continue
            if len(datas) - at < _FEW and sum(map(len, datas[at:])) < _MANY:
                break  # such as what ends a reply: no two events of it are alike
            # One event is read in the usual way, however many came with it.
            data = datas[at]
            end = alike.first(data)
            self._read_and_learn(times[at], data[:end], alike, unframe)
            if end < len(data):
                datas[at] = data[end:]
            else:
                at += 1
        if at < len(datas):
            self._read(self._events_of(times[at:], datas[at:], unframe))

    def _between(self, unframe: Unframe | None) -> bool:
        """Whether what comes next begins with an event, and a chunk of HTTP where it has its framing."""
        return self._events.between and (unframe is None or self.exchange.aligned)

    def _events_of(self, times: list[int], datas: list[bytes], unframe: Unframe | None) -> list[Event]:
        """Return the events that pieces complete, as they came."""
        if unframe is None:
            return self._events.feed(zip(times, datas, strict=True))
        if not self._between(unframe):
            return self._events.feed(unframe(times, datas))
        events, whole, part = events_in(times, datas)
        if events:
            self._events.passed()
        if whole < len(datas):
            rest = [datas[whole][part:], *datas[whole + 1 :]]
            events += self._events.feed(unframe(times[whole:], rest))
        return events

    def _read_and_learn(self, stamp: int, data: bytes, alike: Alike, unframe: Unframe | None) -> None:
        """Read a piece in the usual way, and take the pattern from it when it is one event and but a text."""
        alike.miss()
        events = self._events_of([stamp], [data], unframe)
        seen = self._kinds.count
        self._read(events)
        last = self._last
        if len(events) == 1 == self._kinds.count - seen and last == Chunk("content", last.text):
            alike.learn(data, events[0][1] or b"", last.text)

    def _add_alike(self, stamps: bytes, text: str) -> None:
        """Take chunks that are like an earlier one but for their text."""
        if not text:
            return
        self._stamps.frombytes(stamps)
        self._kinds.add("content", len(stamps) // _STAMP)
        self._text.append(text)
        self._uncounted()

    def _read(self, events: Iterable[Event]) -> None:
        """Take the events of a stream; one that cannot be read ends the reply."""
        if self.failure is not None:
            return
        loads, decode = orjson.loads, self._backend.decode
        payload: bytes | None = None
        try:
            for stamp, payload in events:
                if payload is None:
                    self._add(stamp, _KEEPALIVE)
                elif payload == b"[DONE]":
                    self._complete = True
                else:
                    try:
                        event = loads(payload)
                    except orjson.JSONDecodeError:
                        event = self._parse(payload)
                    if event.__class__ is not dict or "error" in event:
                        event = self._checked(event, payload)
                    chunk = decode(event)
                    if chunk is not None:
                        self._add(stamp, chunk)
        except AttemptFailed as error:
            self.failure = error.failure
        except RAISED as error:  # one request: recorded as its failure, and counted
            self.failure = self._broken(f"the backend cannot read {shown(payload)} ({words(error)})")

    def _checked(self, event: Any, payload: bytes) -> dict[str, Any]:
        """Return the object in an event. Raise `AttemptFailed` when it is none, or an error."""
        if event.__class__ is list and len(event) == 1:  # how TGI answers on its root path
            event = event[0]
        if event.__class__ is not dict:
            raise AttemptFailed(self._broken(f"the reply is JSON, but not an object: {shown(payload)}"))
        if "error" in event and event["error"] and not event.get("choices"):
            raise AttemptFailed(
                failure_inside(event, payload, self.exchange.status, self._backend.error_statuses)
            )
        made: dict[str, Any] = event
        return made

    def _add(self, stamp: int, chunk: Chunk) -> None:
        self._last = chunk
        kind, text, reasoning, tokens, finish_reason, usage, calls, _, whole = chunk
        if whole is not None:
            chunk = self._take_whole(chunk, whole)
            text = ""
        self._stamps.append(stamp)
        self._kinds.add(kind)
        if text:
            self._text.append(_only_text(text))
        if reasoning:
            self._reasoning.append(_only_text(reasoning))
        if self._counted:
            if tokens is None and kind in TOKEN_KINDS:
                self._uncounted()
            else:
                self._tokens.append(tokens or 0)
        if finish_reason and self._finish_reason != "content_filter":  # a refusal still ends with stop
            self._finish_reason = _only_text(finish_reason)
        if usage is not None:
            self._usage = _counts(usage)
        if calls:
            self._merge(calls)
        if self._sink is not None:
            self._sink(chunk)

    def _take_whole(self, chunk: Chunk, whole: str) -> Chunk:
        """Let the text so far be what the service says it is, and return the chunk with what is new in it."""
        before, self._text = self._text.all(), Texts()
        self._text.append(_only_text(whole))
        return chunk._replace(text=whole[len(before) :] if whole.startswith(before) else "")

    def _uncounted(self) -> None:
        """Forget the chunks' own token counts: one of them does not say it."""
        self._counted = False
        del self._tokens[:]

    def _merge(self, deltas: Iterable[Mapping[str, Any]]) -> None:
        """Lay the pieces of tool calls together by their index."""
        for delta in deltas:
            index = delta.get("index")
            if index is None:
                # Without an index a new id begins a call, and anything else goes on with the last one.
                fresh = not self._calls or (
                    delta.get("id") and delta["id"] != [*self._calls.values()][-1]["id"]
                )
                index = len(self._calls) if fresh else [*self._calls][-1]
            call = self._calls.setdefault(index, {"id": None, "name": None, "arguments": ""})
            call["id"] = call["id"] or _only_text(delta.get("id") or "") or None
            call["name"] = call["name"] or _only_text(delta.get("name") or "") or None
            call["arguments"] += delta.get("arguments") or ""

    def _end_stream(self) -> None:
        for stamp, payload in self._events.close():
            if payload is None or payload == b"[DONE]" or _is_json(payload):
                self._read([(stamp, payload)])
            elif self.failure is None:
                self.failure = self._cut(f"the stream ends in the middle of an event: {shown(payload)}")
        if self.failure is not None:
            return
        if self._backend.stream_end == "close":
            return  # also without any event: then nothing was said
        if all(kind == "keepalive" for kind, _ in self._kinds.runs):
            self.failure = self._broken("the reply is empty: a stream without an event that says anything")
        elif not (self._finish_reason or self._complete):
            self.failure = self._cut("the stream ended without a finish reason or [DONE]")

    def _read_document(self) -> None:
        """Take a reply that is not a stream: one JSON document, as one chunk."""
        pieces = self.exchange.take()
        body = b"".join(data for _, data in pieces)
        if body.lstrip()[:1] == b"<":
            self.failure = self._broken(
                f"a web page came in place of JSON: {shown(body)}; is url the address of the service?"
            )
        elif body.strip():
            self._read([(pieces[-1][0], body)])
            if self.failure is None and not self._kinds.count:
                self.failure = self._broken(f"the reply holds no answer: {shown(body)}")
        else:
            self.failure = self._broken("the reply is empty")

    def _parse(self, payload: bytes) -> Any:
        """Read JSON as some services write it: with NaN, and with halves of characters."""
        self._odd = True
        try:
            return json.loads(payload.decode("utf-8"))
        except UnicodeDecodeError as error:
            raise AttemptFailed(self._broken(f"the reply is not UTF-8: {shown(payload)}")) from error
        except ValueError as error:
            raise AttemptFailed(self._broken(f"the reply is not JSON: {shown(payload)}")) from error

    def _broken(self, text: str) -> Failure:
        return Failure("protocol", text, self.exchange.status or None)

    def _cut(self, text: str) -> Failure:
        return Failure("cut", text, self.exchange.status or None)


def _only_text(text: str) -> str:
    """Return a text that a backend took out of a reply; raise `TypeError` when it is none."""
    if text.__class__ is not str:
        raise TypeError(f"{text!r} is no text"[:200])
    return text


def _counts(usage: Usage) -> Usage:
    """Return a usage in which what is no number of tokens is not known."""
    found = (usage.input_tokens, usage.output_tokens, usage.cached_tokens, usage.reasoning_tokens)
    if all(count is None or (type(count) is int and 0 <= count < _MOST) for count in found):
        return usage
    return Usage(*(c if type(c) is int and 0 <= c < _MOST else None for c in found))


def _is_stream(exchange: Exchange, stream_format: str) -> bool:
    """Tell an event stream from a document: by how it begins, since some services name the wrong type.

    A stream of JSON values begins as a document does, but is not called one.
    """
    if stream_format == "json":
        kind = exchange.headers.get("content-type", "")
        return not kind.startswith(("application/json", "text/html"))
    if exchange.pieces and exchange.pieces[0][1][:5] == b"data:":
        return True
    start = b"".join(data for _, data in exchange.pieces).removeprefix(b"\xef\xbb\xbf").lstrip()
    if start[:1] in (b"{", b"[", b"<"):
        return False
    return start.startswith(_FIELDS) or exchange.headers.get("content-type", "").startswith(
        "text/event-stream"
    )


def _is_json(payload: bytes) -> bool:
    try:
        json.loads(payload)
    except ValueError:
        return False
    return True


def _mended(text: str) -> str:
    """Join halves of characters that were sent apart; one that stays alone becomes U+FFFD."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
