"""Read the sessions of Mooncake traces: rows of one session id, or rows that continue earlier ones."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any

from aisb import DataFile, DataFiles
from aisb.helpers import read_jsonl
from aisb_dataset_traces._fields import block_ids, current_file, field_of, seconds, whole_number
from aisb_dataset_traces._graph import Call, Session, Turn, common_parts, link


def mooncake_sessions(
    files: DataFiles, *, block: int, longest_delay: float | None = None
) -> Iterator[Session]:
    """Yield the sessions of JSON lines with input_length, output_length and hash_ids, in order of time.

    Rows with a `session_id` are the turns of that session in the order of the file, each `delay` milliseconds
    after the one before it. Without hash ids, `input_length` is what the turn adds to the conversation.
    Rows without a session id need a `timestamp` (ms): a row whose hash ids continue those of an earlier
    row is its next turn. Its delay contains the time that the service took, which the trace does not state.
    """
    named: dict[str, _NamedSession] = {}
    chains = _Chains(block)
    for row in read_jsonl(files=files):
        file = current_file(files)
        if "session_id" not in row:
            chains.add(file, row)
            continue
        name = row["session_id"]
        if not isinstance(name, str | int):
            raise file.error(f"session_id is {name!r}, not a text")
        if str(name) not in named:
            named[str(name)] = _NamedSession(str(name), block, longest_delay)
        named[str(name)].add(file, row)
    sessions = [
        *(one.session for one in named.values()),
        *(Session(name, link(calls, longest_delay=longest_delay), block) for name, calls in chains.calls()),
    ]
    yield from sorted(sessions, key=_start)


def _start(session: Session) -> float:
    return session.turns[0].at or 0.0


class _NamedSession:
    """A session whose rows state its id; each row is the next turn."""

    def __init__(self, name: str, block: int, longest_delay: float | None) -> None:
        self.session = Session(name, [], block)
        self._longest_delay = longest_delay
        self._keys: Sequence[Hashable] = ()
        self._context = 0
        self._at = 0.0

    def add(self, file: DataFile, row: Mapping[str, Any]) -> None:
        """Add the next turn."""
        turns, block = self.session.turns, self.session.block
        tokens = whole_number(file, row, "input_length")
        output = whole_number(file, row, "output_length")
        if "hash_ids" in row:
            keys: Sequence[Hashable] = block_ids(file, row, tokens, block)
        else:
            tokens += self._context
            keys = [f"{self.session.name}:{place}" for place in range(-(-tokens // block))]
            self._context = tokens + output
        delay, at = self._times(file, row)
        shared = common_parts(self._keys, keys)
        continues = bool(turns) and shared >= (turns[-1].input_tokens or 0) // block
        parent = len(turns) - 1 if turns else None
        turns.append(Turn(parent, (), delay, at, continues, shared, tuple(keys[shared:]), tokens, output))
        self._keys = keys

    def _times(self, file: DataFile, row: Mapping[str, Any]) -> tuple[float, float | None]:
        """Return the delay of a turn and its time in the trace, both in seconds."""
        at, delay = seconds(file, row, "timestamp", 1000), seconds(file, row, "delay", 1000)
        if at is not None and self.session.turns:
            if at < self._at:
                raise file.error(
                    f"timestamp {at * 1000:g} is earlier than that of the turn before it in session "
                    f"{self.session.name!r}"
                )
            delay = at - self._at if delay is None else delay
        self._at = self._at if at is None else at
        delay = delay or 0.0
        return (delay if self._longest_delay is None else min(delay, self._longest_delay)), at


class _Chains:
    """Rows without a session id, each joined to the session of the row that it continues."""

    def __init__(self, block: int) -> None:
        self._block = block
        self._calls: list[list[Call]] = []
        self._lines: list[int] = []
        self._session_of: dict[Hashable, int] = {}
        self._seen: set[Hashable] = set()
        self._at = 0.0

    def add(self, file: DataFile, row: Mapping[str, Any]) -> None:
        """Add a row; rows must be in the order of time."""
        field_of(file, row, "timestamp")
        at = seconds(file, row, "timestamp", 1000) or 0.0
        if at < self._at:
            raise file.error(
                f"the trace is out of order: this request is {self._at - at:g} s earlier than the previous "
                "one; sort its lines by timestamp"
            )
        self._at = at
        tokens = whole_number(file, row, "input_length")
        output = whole_number(file, row, "output_length")
        keys, whole = block_ids(file, row, tokens, self._block), tokens // self._block
        found = next((self._session_of[key] for key in reversed(keys) if key in self._session_of), None)
        is_known = whole and keys[whole - 1] in self._seen
        self._seen.update(keys[:whole])
        if found is None:
            found = len(self._calls)
            self._calls.append([])
            self._lines.append(file.line or 0)
        self._calls[found].append(Call(at, None, keys, output, tokens, whole=whole))
        # A prompt that consists of blocks of others, such as a system prompt, identifies no session.
        if whole and not is_known:
            self._session_of[keys[whole - 1]] = found

    def calls(self) -> Iterator[tuple[str, list[Call]]]:
        """Yield the name and the calls of each session."""
        for line, calls in zip(self._lines, self._calls, strict=True):
            yield f"line-{line}", calls
