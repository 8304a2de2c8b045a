"""Read one HTTP/1.1 reply while it arrives: its framing, its events, and their chunks.

`StreamReader` is the only reader of replies, and this file its specification; aisb-speedups compiles it.
Bytes arrive in pieces of any size, each with a stamp; a chunk has the stamp of the piece that completes it.

- Framing: RFC 9112. A body is chunked, sized, or ends with the connection; gzip and deflate are decoded.
- Events: https://html.spec.whatwg.org/multipage/server-sent-events.html, with two extensions: the last event
  may lack its blank line, and a comment becomes a chunk of kind "keepalive". Some backends expect JSON values
  instead, each followed by a newline or a NUL.
- Chunks: each event is parsed as JSON and decoded by the backend. Most events differ only in their text and a
  running count. If the backend `copies_text`, the reader learns the bytes around both (the template).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson

from aisb._errors import AttemptFailed
from aisb._types import Chunk
from aisb_engine._faults import RAISED
from aisb_engine._stream import failures, problems
from aisb_engine._stream.compression import decoder_for
from aisb_engine._stream.head import CHUNKED, Head, read_head
from aisb_engine._stream.template import find_template

from .framing import CHUNK, CHUNK_END, CHUNK_SIZE, ENDED, HEAD, SIZED, TRAILERS, UNTIL_CLOSE
from .kind import BOM, DOCUMENT, EVENTS, UNKNOWN, VALUES, is_stream, only_comments, shows_kind
from .known import LAST_PIECE, KnownEvents, event_start
from .lines import SIZES, check_line, read_size
from .matching import Template
from .state import ReaderState

MISSES: Final = 8  # consecutive events without a match after which the reader stops learning a template
CR: Final = 13  # an int: Python finds it in bytes ten times as fast as b"\r"
loads: Final = orjson.loads


class StreamReader(ReaderState):
    """Reads one reply: call `feed` for each piece, `close` if the connection closes, and `end` at the end.

    `backend` decodes events; without one, the reader stores the body. `sink` receives each chunk; with a
    sink, the reader uses no template. `known` holds events of the service's earlier replies. Stamps are in
    nanoseconds, None if not yet taken; `failure` is set if the reply cannot be read.
    """

    __slots__ = ()

    def feed(self, stamp: int, data: bytes) -> bool:
        """Read a piece. Return True after the last event, or if the HTTP reply has ended or is invalid."""
        self.last_ns = stamp
        at_boundary = self._at_boundary
        if at_boundary:  # fast path: the framing of a piece that is exactly one event needs no parsing
            template = self._template
            framing = None if self._state == UNTIL_CLOSE else self._size_format
            if template is not None and template.add_piece(data, stamp, framing):
                return self.done
            if framing is not None and self._known is not None and self._read_known(data, stamp):
                return self.done
        try:
            self._read_framing(data, stamp)
        except AttemptFailed as error:
            self.failure = self.failure or problems.framing_failure(error.failure, self.status, self.done)
            self._state, self.keep_alive = ENDED, False
        if self._learns:
            ready = self._between and not self._rest and self._kind == EVENTS and self.decoder is None
            self._at_boundary = ready and self._state in (CHUNK_SIZE, UNTIL_CLOSE) and self.failure is None
            if at_boundary and self._at_boundary and self._known is not None:
                self._known.keep_piece(data)
        if self._state == ENDED and self.done_ns is None:
            self.done_ns = stamp
        return self.done or self._state == ENDED

    def _read_known(self, data: bytes, stamp: int) -> bool:
        """Read a piece that differs from an earlier reply's only in its id. Return False if it is new."""
        if data == LAST_PIECE:
            self.done = self._had_event = True
            self._state, self.done_ns, self._at_boundary = ENDED, stamp, False
            return True
        known = self._known
        if known is None:
            return False
        chunk = known.piece(data, self._event_start)
        if chunk is None and (start := event_start(data)) != self._event_start:
            self._event_start = start
            chunk = known.piece(data, start)
        if chunk is not None and self._add_decoded(chunk, stamp):
            self._learn(data[data.find(b"{") : -4], chunk)
        return chunk is not None

    def _read_first(self, data: bytes, stamp: int, known: KnownEvents) -> None:
        """Read the bytes that arrived with the head: mostly a piece that is known from earlier replies."""
        if self._sse and self._kind == UNKNOWN and self.decoder is None and self._read_known(data, stamp):
            self._kind, self._start, self.body_ns = EVENTS, False, stamp
            return
        self._read_framing(data, stamp)
        known.keep_piece(data)

    def close(self) -> bool:
        """Record that the connection is closed. Return whether the HTTP reply is complete."""
        if self._state == UNTIL_CLOSE:
            self._state, self.done_ns = ENDED, self.last_ns
        return self._state == ENDED

    def begin(self, status: int, headers: Mapping[str, str], stamp: int) -> None:
        """Set the head, for an HTTP client that parses the framing itself and feeds only the body."""
        self._begin_body(Head(status, headers, None, keep_alive=False), stamp)

    def _read_framing(self, data: bytes, stamp: int) -> None:
        if self._rest:
            data, self._rest = self._rest + data, b""
        at, end = 0, len(data)
        while at < end:
            state = self._state
            if state in (CHUNK, SIZED):
                body = data[at : at + self._left]
                self._left -= len(body)
                at += len(body)
                if not self._left:
                    self._state = CHUNK_END if state == CHUNK else ENDED
                    if state == CHUNK and data.startswith(b"\r\n", at):  # nearly always true
                        self._state = CHUNK_SIZE
                        at += 2
                self._read_body(body, stamp)
            elif state == CHUNK_SIZE:
                at = self._read_chunk_size(data, at)
            elif state == CHUNK_END:
                at = self._read_chunk_end(data, at)
            elif state == HEAD:
                at = self._read_head(data, at, stamp)
            elif state == TRAILERS:
                line = data.find(b"\r\n", at)
                if line == at:
                    self._state = ENDED
                check_line(data[at:line])
                at = line + 2 if line >= 0 else self._keep_line(data, at)
            elif state == UNTIL_CLOSE:
                self._read_body(data[at:], stamp)
                return
            else:  # the reply has ended; no request belongs to these bytes
                self.keep_alive = self.keep_alive and not data[at:].strip(b"\r\n")
                return

    def _read_head(self, data: bytes, at: int, stamp: int) -> int:
        found = read_head(data, at, self.max_head)
        if found is None:
            self._rest = data[at:]
            return len(data)
        head, end = found
        if head.status >= 200:  # 1xx is an interim reply; the final one follows
            self._begin_body(head, stamp)
            if end < len(data) and self._state == CHUNK_SIZE and self._learns and self._known is not None:
                self._read_first(data[end:], stamp, self._known)
                return len(data)
        return end

    def _begin_body(self, head: Head, stamp: int) -> None:
        self.status, self.headers, length, self.keep_alive = head
        self.headers_ns = stamp
        self.decoder = decoder_for(self.headers, self.max_reply)
        if not 200 <= self.status < 300:
            self._kind = DOCUMENT
        if length is None:
            self._state = UNTIL_CLOSE
        elif length == CHUNKED:
            self._state = CHUNK_SIZE
        else:
            self._state, self._left = SIZED if length else ENDED, length

    def _keep_line(self, data: bytes, at: int) -> int:
        """Store the beginning of a line until the rest arrives."""
        self._rest = data[at:]
        check_line(self._rest.removesuffix(b"\r"))
        return len(data)

    def _read_chunk_size(self, data: bytes, at: int) -> int:
        end = data.find(b"\r\n", at)
        if end < 0:
            return self._keep_line(data, at)
        digits = data[at:end]
        size = SIZES.get(digits)
        self._left = read_size(digits) if size is None else size
        self._state = CHUNK if self._left else TRAILERS
        if size is None and digits.isupper():
            self._size_format = b"%X\r\n"
        return end + 2

    def _read_chunk_end(self, data: bytes, at: int) -> int:
        if data.startswith(b"\r\n", at):
            self._state = CHUNK_SIZE
            return at + 2
        if data[at:] != b"\r":
            raise problems.invalid_http("a chunk is longer than its size", data[at:])
        self._rest = b"\r"
        return len(data)

    # The body: a document, events, or JSON values.

    def document(self) -> bytes:
        """Return the bytes of a body that is not a stream."""
        return b"".join([data for _, data in self._body])

    def _read_body(self, data: bytes, stamp: int) -> None:
        if self.decoder is not None and not (data := self.decoder.feed(data)):
            return
        self.body_ns = stamp
        if self._kind == UNKNOWN and self._sse and not self._body and data.startswith(b"data:"):
            self._kind = EVENTS  # nearly all streams begin like this
        if self._kind == EVENTS:
            self._read_events(data, stamp)
        elif self._kind == VALUES:
            self._read_values(data, stamp)
        else:
            self._body.append((stamp, data))
            if self._kind == UNKNOWN and shows_kind(self.document()):
                self._decide_kind()

    def _decide_kind(self) -> None:
        self._kind = DOCUMENT
        if is_stream(self.document(), self.headers.get("content-type", ""), sse=self._sse):
            self._kind = EVENTS if self._sse else VALUES
            read = self._read_events if self._sse else self._read_values
            for stamp, data in self._body:
                read(data, stamp)
            self._body = []

    def _read_events(self, data: bytes, stamp: int) -> None:
        if not (self._between and data.startswith(b"data: ") and data.endswith(b"\n\n")) or CR in data:
            self._read_lines(data, stamp)
            return
        self._start = False
        if data.find(b"\n") == len(data) - 2:
            self.read_event(data[6:-2], stamp)
            return
        for event in data[:-2].split(b"\n\n"):
            if event.startswith(b"data: ") and b"\n" not in event:
                self.read_event(event[6:], stamp)
            else:
                self._read_lines(event + b"\n\n", stamp)

    def _read_lines(self, data: bytes, stamp: int) -> None:
        if self._after_cr and data.startswith(b"\n"):
            data = data[1:]
        for part in data.splitlines(keepends=True):  # bytes are split at LF, CR and CRLF only
            line = part.rstrip(b"\r\n")
            self._line.append(line)
            if len(line) < len(part):
                whole = b"".join(self._line)
                self._line.clear()
                self._end_line(whole, stamp)
        self._after_cr = data.endswith(b"\r")
        self._between = not (self._line or self._data or self._is_error or self._after_cr)

    def _end_line(self, line: bytes, stamp: int) -> None:
        if self._start:
            self._start = False
            line = line.removeprefix(BOM)
        field, _, value = line.partition(b":")
        if not line:
            payload = b"\n".join(self._data)
            self._data.clear()
            self.read_event(payload, stamp)
            self._is_error = False
        elif field == b"data" or (self._is_error and not field):
            self._data.append(value.removeprefix(b" "))
        elif field in failures.EVENT_FIELDS:
            self._is_error = failures.begins_error(line, self._data)
        elif not field:
            self._add(stamp, Chunk("keepalive"))

    def _read_values(self, data: bytes, stamp: int) -> None:
        *ended, rest = data.replace(b"\0", b"\n").split(b"\n")  # services write JSON without either
        for part in ended:
            self._line.append(part)
            value = b"".join(self._line).strip()
            self._line.clear()
            self.read_event(value.removeprefix(b"data:").lstrip(), stamp)
        self._line.append(rest)

    # Chunks.

    def read_event(self, payload: bytes, stamp: int) -> None:
        """Read the data of one event, or a document: extract its text with the template, or decode it."""
        if self.failure is not None or not (payload or self._is_error):
            self.done = self.done or payload == b"[DONE]"
            return
        self._had_event = True
        if self._template is not None and not self._is_error and self._template.add_event(payload, stamp):
            return
        if payload == b"[DONE]" and not self._is_error:
            self.done = True
            return
        try:
            chunk = self._decode_event(payload)
            if chunk is not None and self._add_decoded(chunk, stamp):
                self._learn(payload, chunk)
        except RAISED as error:  # only this request fails, and the run counts it
            self.failure = None if self.done else problems.unreadable(payload, error, self.status)

    def _decode_event(self, payload: bytes) -> Chunk | None:
        if self._is_error:
            raise failures.error_event(payload, self.status, self._statuses)
        known = self._known if self._learns else None
        if known is not None and (chunk := known.get(payload)) is not None:
            return chunk
        try:
            event: Any = loads(payload)
        except ValueError:
            event = problems.parse_odd_json(payload, self.status)
            self.columns.has_surrogates, known = True, None
        if type(event) is not dict or payload.find(b"rror") >= 0:
            event = failures.checked_event(event, payload, self.status, self._statuses)
        chunk = self._decode(event)
        if chunk is None or chunk.kind == "role":
            failures.check_flat_error(event, payload, self.status, self._statuses)
        if known is not None and chunk is not None:
            known.keep(payload, chunk)
        return chunk

    def _add_decoded(self, chunk: Chunk, stamp: int) -> bool:
        """Add the chunk of an event. Return whether to learn from it: not from the first of its kind."""
        self._had_event = True
        self._add(stamp, chunk)
        if self._last_is_final and chunk.finish_reason is not None:
            self.done = True
        self._misses += 1
        return self._learns and (self.columns.run_length > 1 or self._misses > MISSES)

    def _add(self, stamp: int, chunk: Chunk) -> None:
        if self._template is not None:
            self._count_matches()
        new = self.columns.add(stamp, chunk)
        if self._sink is not None:
            self._sink(new)

    def _count_matches(self) -> None:
        if self._template is not None and self._template.count():
            self._misses = 0

    def _learn(self, payload: bytes, chunk: Chunk) -> None:
        """Learn the template from an event that did not match."""
        if self._misses > MISSES:
            self._learns = self._at_boundary = False
            self._template = None
        elif found := find_template(payload, chunk, self._decode):
            self._template = Template(self.columns, found, chunk)

    def answer_began(self) -> bool:
        """Return whether the body so far holds more than comments."""
        if self._had_event or self._data:
            return True
        return not only_comments(b"".join(self._line) or self.document())

    def end(self) -> bytes:
        """Finish reading. Return the document, or the bytes of an incomplete last event."""
        if self._kind == UNKNOWN:
            self._decide_kind()
        self._count_matches()
        self.streamed = self._kind != DOCUMENT
        if self._kind == EVENTS and not (self._line or self._data):  # true for nearly every complete stream
            return b""
        line = b"".join(self._line)
        if self._kind == EVENTS and line:
            self._end_line(line, self.body_ns or 0)
        rest = b"\n".join(self._data) if self._kind == EVENTS else line.strip()
        return rest if self.streamed else self.document()
