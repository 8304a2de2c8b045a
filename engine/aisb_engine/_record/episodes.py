"""Store how episodes in an environment ended, next to the log, so that scoring needs no environment."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

import orjson

from aisb._errors import StorageError
from aisb_engine._record.runfolder import json_line

EPISODES = "episodes.jsonl"

EpisodeKey: TypeAlias = tuple[str, int]
EndedBy: TypeAlias = Literal["environment", "max_turns", "failure"]
"""What ended an episode: the environment, the bound on its turns, or an exception of the environment."""


@dataclass(frozen=True, slots=True)
class EndedEpisode:
    """An episode that has ended. `messages` are its whole conversation, the model's last reply included.

    `turns` is how many requests it took. `failure` says what the environment raised.
    """

    id: str
    repeat: int
    turns: int
    ended_by: EndedBy
    state: Mapping[str, Any] = field(default_factory=dict)
    messages: Sequence[Mapping[str, Any]] = ()
    failure: str | None = None

    @property
    def key(self) -> EpisodeKey:
        """The sample and the repeat."""
        return (self.id, self.repeat)

    def for_evaluators(self) -> dict[str, Any]:
        """Return what evaluators find in a sample's field `episode`."""
        shown = asdict(self)
        return {name: shown[name] for name in ("state", "messages", "turns", "ended_by")}


class EpisodeWriter:
    """Appends episodes as they end, one line and one write each."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / EPISODES
        folder.mkdir(parents=True, exist_ok=True)

    def append(self, episode: EndedEpisode) -> None:
        """Append one episode.

        Raises:
            StorageError: the file cannot be written.
        """
        try:
            file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
            try:
                # A killed command may have left part of a line.
                size = os.fstat(file).st_size
                torn = size > 0 and os.pread(file, 1, size - 1) != b"\n"
                os.write(file, (b"\n" if torn else b"") + json_line(asdict(episode)))
            finally:
                os.close(file)
        except OSError as error:
            raise StorageError(f"{self.path} cannot be written: {error.strerror}") from error


def read_episodes(folder: Path) -> dict[EpisodeKey, EndedEpisode]:
    """Return the episodes that have ended, by sample and repeat; the last line of each counts.

    An incomplete or damaged line is ignored: its episode counts as unfinished.
    """
    path, found = folder / EPISODES, dict[EpisodeKey, EndedEpisode]()
    if not path.exists():
        return found
    for line in path.read_bytes().splitlines():
        try:
            episode = EndedEpisode(**orjson.loads(line))
        except (ValueError, TypeError):
            continue
        found[episode.key] = episode
    return found
