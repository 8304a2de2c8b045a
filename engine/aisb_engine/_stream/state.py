"""The state of a reader: the head and the chunks of its reply so far, and its position in the bytes."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from aisb._backend import HttpBackend
from aisb._types import Chunk, Failure
from aisb_engine._stream import problems
from aisb_engine._stream.compression import LARGEST_REPLY, Decoder
from aisb_engine._stream.head import LONGEST_HEAD

from .columns import Columns  # relative: aisb-speedups compiles these files in a package of another name
from .framing import HEAD
from .kind import DOCUMENT, UNKNOWN
from .known import KnownEvents
from .matching import Template


class ReaderState:
    """The state of a `StreamReader`, whose docstring explains the arguments.

    It has slots because a run creates a reader for each request: that is a third faster than with a dict.
    """

    __slots__ = (
        "_after_cr", "_at_boundary", "_between", "_body", "_data", "_decode", "_event_start", "_had_event",
        "_is_error", "_kind", "_known", "_last_is_final", "_learns", "_left", "_line", "_misses", "_rest",
        "_sink", "_size_format", "_sse", "_start", "_state", "_statuses", "_template", "body_ns", "columns",
        "decoder", "done", "done_ns", "failure", "headers", "headers_ns", "keep_alive", "last_ns",
        "max_head", "max_reply", "status", "streamed",
    )  # fmt: skip

    def __init__(
        self,
        backend: HttpBackend | None = None,
        sink: Callable[[Chunk], None] | None = None,
        known: KnownEvents | None = None,
    ) -> None:
        self.status: int = 0
        self.headers: Mapping[str, str] = {}  # names in lower case
        self.headers_ns: int | None = None
        self.last_ns: int | None = None
        self.done_ns: int | None = None
        self.body_ns: int | None = None  # when the latest bytes of the body arrived
        self.keep_alive: bool = False  # the connection can be used again
        self.failure: Failure | None = None
        self.done: bool = False  # the last event has arrived, such as [DONE]
        self.streamed: bool = True
        self.decoder: Decoder | None = None
        self.max_reply: int = LARGEST_REPLY  # bytes, decompressed
        self.max_head: int = LONGEST_HEAD
        self.columns = Columns()
        self._state: int = HEAD
        self._rest: bytes = b""  # the beginning of an incomplete line
        self._left: int = 0  # bytes of the body, or of its current chunk, still to come
        self._size_format: bytes = b"%x\r\n"
        self._decode = backend.decode if backend else problems.refuse_event
        self._statuses = backend.error_statuses if backend else {}
        self._sse: bool = backend is not None and backend.stream_format == "sse"
        self._sink, self._known = sink, known
        self._kind: int = DOCUMENT if backend is None else UNKNOWN
        self._body: list[tuple[int, bytes]] = []  # a document, or a body whose kind is still unknown
        self._start: bool = True  # a byte order mark may follow
        self._between: bool = True  # the next byte begins an event
        self._after_cr: bool = False  # the last byte was a CR, so an LF that follows ends the same line
        self._line: list[bytes] = []  # the parts of an incomplete line
        self._data: list[bytes] = []  # the data lines of an incomplete event
        self._is_error: bool = False  # the name of the incomplete event marks an error
        self._last_is_final: bool = backend is not None and backend.stream_end == "final"
        self._had_event: bool = False
        self._event_start: bytes = b""  # the first bytes of all events, up to the end of their id
        self._learns: bool = backend is not None and backend.copies_text and sink is None
        self._template: Template | None = None
        self._misses: int = 0  # events since the last match
        self._at_boundary: bool = False  # the next piece may be exactly one event
