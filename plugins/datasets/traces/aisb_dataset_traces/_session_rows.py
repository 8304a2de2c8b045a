"""Make the rows of sessions: their turns, whose prompts are generated when they are sent."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, overload

from aisb import Message, PromptPool, Row
from aisb_dataset_traces._graph import SeenParts, Session, Turn

if TYPE_CHECKING:
    from aisb_dataset_synthetic import Filler

KEPT_CHARACTERS = 256 << 20
"""The size of the texts that are kept for later turns, over all sessions: prompts of one session share them.
They are those of the sessions that sent a prompt last."""


def session_rows(sessions: Iterable[Session], filler: Filler | None) -> Iterator[Row]:
    """Yield one row for each session.

    `filler` generates the texts of parts for which the trace has none; without it, all turns have messages.
    """
    texts = BlockTexts(filler) if filler else None
    seen = SeenParts()
    for session in sessions:
        held, total = seen.add(session)
        turns = Turns(session, texts)
        row: dict[str, Any] = {
            "session": session.name,
            "at": turns.start,
            "turns": turns,
            "tools": list(session.tools),
        }
        if session.block and texts:
            row |= {"shared_tokens": held, "input_tokens_asked": total, "input_exact": texts.exact}
        else:
            row |= {"shared_characters": held, "input_characters": total}
        if session.left_out:
            row["left_out"] = dict(session.left_out)
        yield row


class BlockTexts:
    """Generates the texts of blocks, and keeps those of the sessions that sent a prompt last."""

    def __init__(self, filler: Filler) -> None:
        self._filler = filler
        self._kept: OrderedDict[str, dict[Hashable, str]] = OrderedDict()
        self._sizes: dict[str, int] = {}
        self._size = 0

    @property
    def exact(self) -> bool:
        """Whether the words of prompts are known to add up to the requested number of tokens."""
        return self._filler.tokenizer is not None and self._filler.sure

    @property
    def pool(self) -> PromptPool:
        """The words of texts."""
        return self._filler.pool

    def prompt(self, session: str, keys: Sequence[Hashable], tokens: int, block: int) -> str:
        """Return a prompt of this many tokens; the last block may be cut short."""
        if not tokens:
            return ""
        kept = self._kept.setdefault(session, {})
        self._kept.move_to_end(session)
        full, rest = divmod(tokens, block)
        complete = keys[:full]
        wanted = [(key, block) for key in dict.fromkeys(complete) if key not in kept]
        missing = max(0, full - len(keys)) * block + rest
        if missing:  # a block that is not complete, and tokens that the trace gives no block for
            last = keys[full] if len(keys) > full else f"{session}:{keys[-1] if keys else ''}:rest"
            wanted.append((last, missing))
        made = self._filler.texts(wanted)
        end = [made.pop()] if missing else []
        kept.update(zip((key for key, _ in wanted), made, strict=False))
        size = sum(map(len, made))
        self._sizes[session] = self._sizes.get(session, 0) + size
        self._size += size
        parts = [*map(kept.__getitem__, complete), *end]
        while self._size > KEPT_CHARACTERS and len(self._kept) > 1:
            oldest, _ = self._kept.popitem(last=False)
            self._size -= self._sizes.pop(oldest, 0)
        return " ".join(parts)


class Turns(Sequence[Mapping[str, Any]]):
    """The turns of a session in the form that a task reads them (`prompt.turns`), made when they are used.

    `pool` has the words of generated prompts.
    """

    __slots__ = ("_session", "_texts", "pool")

    def __init__(self, session: Session, texts: BlockTexts | None) -> None:
        self._session = session
        self._texts = texts if session.block else None
        self.pool = self._texts.pool if self._texts else None

    @property
    def start(self) -> float | None:
        """The time of the first turn in the trace, in seconds."""
        times = [turn.at for turn in self._session.turns if turn.at is not None]
        return min(times, default=None)

    def __len__(self) -> int:
        return len(self._session.turns)

    def __str__(self) -> str:
        return f"{len(self)} turns of session {self._session.name}"

    @overload
    def __getitem__(self, at: int) -> Mapping[str, Any]: ...
    @overload
    def __getitem__(self, at: slice) -> list[Mapping[str, Any]]: ...
    def __getitem__(self, at: int | slice) -> Mapping[str, Any] | list[Mapping[str, Any]]:
        if isinstance(at, slice):
            return [self._turn(place) for place in range(*at.indices(len(self)))]
        return self._turn(range(len(self))[at])

    def _turn(self, at: int) -> Mapping[str, Any]:
        turn = self._session.turns[at]
        made: dict[str, Any] = {
            "parent": turn.parent,
            "after": turn.after,
            "delay": turn.delay,
            "at": turn.at,
            "max_tokens": turn.output_tokens,
            "messages": partial(self._messages, at),
            "added": partial(self._added, at) if turn.continues else None,
        }
        if self._texts is not None:
            tokens = turn.input_tokens
            made |= {"input_tokens": tokens, "input_exact": self._texts.exact}
        return made

    def _messages(self, at: int) -> tuple[Message, ...]:
        """Return the whole prompt of a turn as it was recorded."""
        turn = self._session.turns[at]
        if self._texts is None:
            return self._recorded(at)
        text = self._texts.prompt(
            self._session.name, self._keys(at), turn.input_tokens or 0, self._session.block
        )
        return (Message("user", text),)

    def _added(self, at: int) -> tuple[Message, ...]:
        """Return what a turn adds to the prompt of its parent and the reply to that."""
        turn = self._session.turns[at]
        if self._texts is None:
            own = list(turn.messages)
            while own and own[0].role == "assistant":  # the recorded reply
                del own[0]
            return tuple(own)
        before = self._session.turns[turn.parent] if turn.parent is not None else None
        known = 0 if before is None else (before.input_tokens or 0) + (before.output_tokens or 0)
        tokens = max(1, (turn.input_tokens or 0) - known)
        own_keys = turn.own or (f"{self._session.name}:{at}",)
        text = self._texts.prompt(self._session.name, (f"{own_keys[-1]}:added",), tokens, tokens + 1)
        return (Message("user", text),)

    def _recorded(self, at: int) -> tuple[Message, ...]:
        return tuple(self._joined(at, lambda turn: turn.messages))

    def _keys(self, at: int) -> list[Hashable]:
        return self._joined(at, lambda turn: turn.own)

    def _joined(self, at: int, own: Callable[[Turn], Sequence[Any]]) -> list[Any]:
        """Return all parts of a prompt: those shared with the parent, then its own."""
        chain: list[Turn] = []
        place: int | None = at
        while place is not None:
            turn = self._session.turns[place]
            chain.append(turn)
            place = turn.parent if turn.shared else None
        parts: list[Any] = []
        for turn in reversed(chain):
            del parts[turn.shared :]
            parts.extend(own(turn))
        return parts
