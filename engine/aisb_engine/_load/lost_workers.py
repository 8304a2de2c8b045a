"""Handle lost workers: their requests are sent again, or counted as lost.

In an accuracy run, the other workers or a new one send what the lost worker had in flight. In a performance
run that would change the measured load, so the loss is only counted, and the certificate reports it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aisb._types import request_id
from aisb_engine._load.episode_workers import reply_text
from aisb_engine._load.handing_out import SharedRequests
from aisb_engine._load.loads import part_of
from aisb_engine._load.share import LoadShare, read_requests
from aisb_engine._record.episodes import EpisodeKey
from aisb_engine._record.log import read_file
from aisb_engine._record.stored import Key

REPLACEMENTS = 3
"""The maximum number of times that one worker is replaced, since a request may crash every worker."""


@dataclass(frozen=True, slots=True)
class FinishedWork:
    """What a lost worker finished in this session: the requests that need no further attempt.

    For episodes, `replies` has the answered turns by sample and repeat, as records of the log, and `ended`
    the keys of the first turns of episodes that need not be continued.
    """

    keys: frozenset[Key]
    failures: Mapping[str, int]
    first_failure: str
    replies: Mapping[EpisodeKey, Sequence[str]] = field(default_factory=dict)
    ended: frozenset[Key] | None = None

    @classmethod
    def of(cls, path: Path, session: int, ended: Iterable[EpisodeKey] | None = None) -> FinishedWork:
        """Read the log of a worker that has ended; `ended` are the episodes that have, if there are any."""
        keys, failures, first = set[Key](), Counter[str](), ""
        replies: dict[EpisodeKey, list[str]] = {}
        over = {(*key, 0) for key in ended or ()}
        for record in read_file(path) if path.exists() else ():
            if record is None or record.session != session or not record.final:
                continue
            keys.add(record.prediction.key)
            if failure := record.prediction.failure:
                failures[failure.kind] += 1
                first = first or f"{request_id(*record.prediction.key)}: {failure.message}"
                over.add((*record.prediction.key[:2], 0))
            elif ended is not None:
                replies.setdefault(record.prediction.key[:2], []).append(reply_text(record.prediction))
        if ended is None:
            return cls(frozenset(keys), dict(failures), first)
        return cls(frozenset(keys), dict(failures), first, replies, frozenset(over))

    def counts(self, latest: Mapping[str, Any] | None) -> Mapping[str, Any]:
        """Return the counts that the worker would report now; `latest` is its last report."""
        reported = latest["counts"] if latest else {"sent": 0, "retried": 0, "output_tokens": 0}
        failed, finished = sum(self.failures.values()), len(self.keys)
        return {
            "counts": {
                "sent": max(reported["sent"], finished),  # the last report may be older than the log
                "received": finished - failed,
                "finished": finished,
                "failed": failed,
                "retried": reported["retried"],
                "in_flight": 0,
                "output_tokens": reported["output_tokens"],
            },
            "further_turns": 0 if self.ended is None else sum(turn > 0 for _, _, turn in self.keys),
            "failures": self.failures,
            "first_failure": self.first_failure,
        }


@dataclass(slots=True)
class LostWorkers:
    """The lost workers of one load.

    `planned` is the number of requests of the load, None if it ends by time.
    """

    share: LoadShare
    shared: SharedRequests | None
    planned: int | None
    unsent: int = 0
    _replaced: Counter[int] = field(default_factory=Counter)

    def may_replace(self, worker: int) -> bool:
        """Return whether a lost worker may be replaced, and count the replacement."""
        self._replaced[worker] += 1
        resends = self.shared is not None and self.shared.takes_back
        return resends and self._replaced[worker] <= REPLACEMENTS

    def record(self, worker: int, done: FinishedWork, requests: Path, passed_ns: int) -> dict[str, Any]:
        """Take back a worker's requests; return the record of the loss for `load.json`.

        `requests` is the file of its requests in an open loop; `passed_ns` is how long the load has run.
        """
        resent = missing = 0
        if self.shared is None:  # an open loop: the file has the worker's whole share, every turn planned
            missing = sum(
                (request.sample_id, request.repeat, turn) not in done.keys
                for _, request in read_requests(requests)
                for turn in range(request.turn, request.turn + 1 + len(request.followups))
            )
        elif self.share.is_endless:
            started = {key[:2] for key in done.keys}  # all turns of a conversation are one request here
            missing = max(0, self.shared.count_of(worker) - len(started))
            self.shared.take_back(worker, done.keys)
        else:
            over = done.keys if done.ended is None else done.ended
            resent, missing = self.shared.take_back(worker, over, done.replies)
        self.unsent += missing
        return {
            "worker": worker,
            "resent": resent,
            "lost": missing,
            "share": round(self._share(worker, missing, passed_ns), 4),
        }

    def _share(self, worker: int, missing: int, passed_ns: int) -> float:
        """Return the lost fraction of the load: of its requests, or of client time if time ends it."""
        duration = self.share.duration_ns
        if self.share.is_endless and duration:
            left = max(0.0, 1 - passed_ns / duration)
            return left * part_of(self.share.clients, worker, self.share.processes) / self.share.clients
        return missing / max(1, self.planned or missing)
