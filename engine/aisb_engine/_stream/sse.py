"""Reading server-sent events out of bytes that arrive in any pieces, each with the time it came.

The format: https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream. Two
things are taken more widely than there: a last event without its blank line counts, and comments are
reported, since they show that a service is alive.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

Event: TypeAlias = tuple[int, bytes | None]
"""(stamp of the piece that completed it, its data); None in place of data is a comment."""

_BOM = b"\xef\xbb\xbf"
_LF = 10


class EventParser:
    """Turn stamped pieces of a stream into stamped events, in linear time whatever the pieces are."""

    __slots__ = ("_after_cr", "_between", "_data", "_line", "_stamp", "_start")

    def __init__(self) -> None:
        self._line: list[bytes] = []  # the parts of a line that has not ended
        self._data: list[bytes] = []  # the data lines of an event that has not ended
        self._after_cr = False  # the last byte was CR: an LF that follows belongs to it
        self._start = True  # nothing but, perhaps, a byte order mark came
        self._between = False  # the next byte begins an event; False at the start, for the byte order mark
        self._stamp = 0

    @property
    def between(self) -> bool:
        """Whether the next byte begins an event, or the stream, which may begin with a byte order mark."""
        return self._between or (self._start and not self._line)

    def passed(self) -> None:
        """Take note that whole events, without such a mark, were read by another."""
        self._start, self._between = False, True

    def feed(self, pieces: Iterable[tuple[int, bytes]]) -> list[Event]:
        """Return the events that these pieces complete."""
        events: list[Event] = []
        add = events.append
        for stamp, data in pieces:
            if self._start and data[:6] == b"data: " and not self._line:  # no byte order mark
                self._start, self._between = False, True
            if self._between and data[:6] == b"data: " and b"\r" not in data:
                # What nearly every piece is: whole events of one line. Two searches and a slice.
                end = len(data) - 2
                if data.find(b"\n") == end and data[-1] == _LF:
                    if end > 6:
                        add((stamp, data[6:end]))
                    continue
                if data[-2:] == b"\n\n":
                    for part in data[:-2].split(b"\n\n"):
                        if part[:6] == b"data: " and b"\n" not in part:
                            if len(part) > 6:
                                add((stamp, part[6:]))
                        else:
                            self._take(stamp, part + b"\n\n", events)
                    continue
            self._take(stamp, data, events)
        return events

    def close(self) -> list[Event]:
        """Return the event that the stream ended in, when its blank line is missing."""
        events: list[Event] = []
        if self._line:
            line = b"".join(self._line)
            self._line.clear()
            self._end_line(self._stamp, line, events)
        self._end_event(self._stamp, events)
        return events

    def _take(self, stamp: int, data: bytes, events: list[Event]) -> None:
        if self._after_cr and data:
            self._after_cr = False
            if data[0] == _LF:
                data = data[1:]
        if not data:
            return
        self._stamp = stamp
        for part in data.splitlines(keepends=True):  # bytes split at LF, CR and CRLF only
            line = part.rstrip(b"\r\n")
            if len(line) == len(part):
                self._line.append(line)
                break
            if self._line:
                self._line.append(line)
                line = b"".join(self._line)
                self._line.clear()
            self._end_line(stamp, line, events)
        self._after_cr = data.endswith(b"\r")
        self._between = not (self._line or self._data or self._after_cr)

    def _end_line(self, stamp: int, line: bytes, events: list[Event]) -> None:
        if self._start:
            self._start = False
            line = line.removeprefix(_BOM)
        if not line:
            self._end_event(stamp, events)
        elif line[:5] == b"data:":
            self._data.append(line[6:] if line[5:6] == b" " else line[5:])
        elif line[:1] == b":":
            events.append((stamp, None))
        elif line == b"data":
            self._data.append(b"")
        # Any other field (event, id, retry) says nothing about the reply.

    def _end_event(self, stamp: int, events: list[Event]) -> None:
        if self._data:
            data = b"\n".join(self._data)
            self._data.clear()
            if data:
                events.append((stamp, data))


class JsonParser:
    """Turn stamped pieces of JSON values, each ended by a newline or a NUL, into stamped events.

    Neither byte can stand inside of JSON as services write it, so both are taken for an end.
    """

    __slots__ = ("_rest", "_stamp")

    between = False
    """Another that reads event streams cannot read these values."""

    def passed(self) -> None:
        """Do nothing: no other reads them."""

    def __init__(self) -> None:
        self._rest: list[bytes] = []
        self._stamp = 0

    def feed(self, pieces: Iterable[tuple[int, bytes]]) -> list[Event]:
        """Return the values that these pieces complete."""
        events: list[Event] = []
        for stamp, data in pieces:
            self._stamp = stamp
            first, *more = data.replace(b"\0", b"\n").split(b"\n")
            self._rest.append(first)
            for part in more:
                self._end(events)
                self._rest.append(part)
        return events

    def close(self) -> list[Event]:
        """Return the value that the stream ended with, which need not be ended itself."""
        events: list[Event] = []
        self._end(events)
        return events

    def _end(self, events: list[Event]) -> None:
        value = b"".join(self._rest).strip()
        self._rest.clear()
        if value:
            events.append((self._stamp, value.removeprefix(b"data:").lstrip()))
