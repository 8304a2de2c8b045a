"""The record of a load in `load.json`, next to the log: what was requested, and how it went.

It is written before the first request and again at the end, so that reports can show a killed run as well.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import orjson

from aisb._backend import HttpBackend
from aisb._types import Sample
from aisb_engine._faults import backend_text
from aisb_engine._http.fetch import proxy_for
from aisb_engine._load.counting import ServiceCounters
from aisb_engine._load.loads import is_endless, requested_load
from aisb_engine._load.pacing import Clock
from aisb_engine._load.prefix_cache import PrefixCacheBuster
from aisb_engine._load.prepared import PreparedSubtask
from aisb_engine._load.runner import Note
from aisb_engine._load.session_facts import session_facts
from aisb_engine._masking import mask_url
from aisb_engine._progress import Progress
from aisb_engine._record.runfolder import write_atomically

MAX_UNCERTAINTY_NS = 1_000_000
"""The largest uncertainty of the clocks of several machines that still allows a common timeline."""


class LoadRecord:
    """The facts of one load while it runs."""

    def __init__(
        self,
        prepared: PreparedSubtask,
        progress: Progress,
        clock: Clock,
        cache_buster: PrefixCacheBuster | None,
        subtasks_at_once: int,
    ) -> None:
        self._prepared = prepared
        self._progress = progress
        self._clock = clock
        load, samples = prepared.subtask.load, prepared.samples
        load_facts = requested_load(
            load, prepared.backend, prepared.workers, prepared.subtask.merged, samples
        )
        sessions = session_facts(prepared)
        if sessions is not None and load.cache_share is None:  # a server need not keep everything
            load_facts |= {"cache_share": sessions["cache_share"], "min_cache_share": 0.0}
        self.facts: dict[str, Any] = {
            "requested": load_facts,
            "planned": None if _is_open_ended(prepared) else progress.total - progress.resumed,
            "warmups": {"sent": 0, "answered": 0},
            "started_ns": None,
            "ended_ns": None,
            "counters": {},
            "input_exact": _is_exact(samples, cache_buster if _has_rounds(prepared) else None),
            "sessions": sessions,
            "nonce": prepared.nonce or None,
            "proxy": _proxy(prepared),
            "subtasks_at_once": subtasks_at_once,
            "interrupted": False,
            "notes": list(prepared.notes),
        }

    def remark(self, line: str) -> None:
        """Add a remark on the measurement for the reader of its numbers."""
        if line not in self.facts["notes"]:
            self.facts["notes"].append(line)

    def keep_clock(self, facts: Mapping[str, Any]) -> None:
        """Record a launcher's report on another machine's clock; add a remark if it is too uncertain."""
        self.facts.setdefault("clocks", []).append(dict(facts))
        if facts["uncertainty_ns"] > MAX_UNCERTAINTY_NS:
            self.remark(
                f"the clock of node {facts['node']} has an uncertainty of "
                f"{facts['uncertainty_ns'] / 1e6:.1f} ms, and so have figures over several nodes, "
                "such as throughput"
            )

    def keep_loss(self, facts: Mapping[str, Any]) -> None:
        """Record a lost worker: how it was lost, and how many of its requests are sent again, or not."""
        self.facts.setdefault("lost_workers", []).append(dict(facts))

    def start(self, at_ns: int, folder: Path) -> int:
        """Record when the load starts, and write the file; return that time."""
        self.facts["started_ns"] = at_ns
        self.save(folder)
        return at_ns

    def save(self, folder: Path) -> None:
        """Write `load.json` into a subtask's log folder."""
        write_atomically(folder / "load.json", orjson.dumps(self.facts, option=orjson.OPT_INDENT_2))

    @asynccontextmanager
    async def recording(
        self, folder: Path, note: Note, stopping: asyncio.Event, *, counted: bool, watched: bool
    ) -> AsyncIterator[None]:
        """Record a load while it runs, and write the result at its end, also after an error.

        With `counted`, the service's counters are read before and after it. With `watched`, the activity of a
        local model in this process is shown.
        """
        async with AsyncExitStack() as stack:
            stack.callback(self.save, folder)
            if counted:
                await stack.enter_async_context(self._counters())
            stack.push(partial(self._end, stopping))
            if self._prepared.ends_by_time:
                await stack.enter_async_context(self._growing_total())
            if watched:
                await stack.enter_async_context(self._watched_model(note))
            yield

    def _end(self, stopping: asyncio.Event, _kind: object, error: BaseException | None, _at: object) -> None:
        """Record how the load ended. After an exception, such as a lost worker, it counts as interrupted."""
        if self.facts["planned"] is not None:  # less than before if a prompt could not be rendered
            self.facts["planned"] = self._progress.total - self._progress.resumed
        if line := self._prepared.broken_line():
            self.facts["notes"].append(line)
        self.facts["ended_ns"] = self._clock()
        self.facts["interrupted"] = stopping.is_set() or error is not None

    @asynccontextmanager
    async def _counters(self) -> AsyncIterator[None]:
        """Read the counters of the service before and after the block."""
        counting = ServiceCounters(self._prepared.backend, self.remark)
        await counting.begin()
        self.facts["counters"] = counting.table
        try:
            yield
        finally:
            await counting.end()
            self.facts["counters"] = counting.table

    @asynccontextmanager
    async def _growing_total(self) -> AsyncIterator[None]:
        """In a load that ends by time, keep the total at the number of requests sent so far."""

        async def follow() -> None:
            while True:
                self._progress.total = self._progress.sent
                await asyncio.sleep(0.1)

        follower = asyncio.create_task(follow())
        try:
            yield
        finally:
            follower.cancel()
            self._progress.total = self._progress.finished

    @asynccontextmanager
    async def _watched_model(self, note: Note) -> AsyncIterator[None]:
        """Show what a local model is doing, and note its own summary at the end."""
        backend = self._prepared.backend

        async def watch() -> None:
            while True:
                self._progress.detail = backend_text(backend.live, self.remark)
                await asyncio.sleep(0.5)

        watcher = asyncio.create_task(watch())
        try:
            yield
        finally:
            watcher.cancel()
            if words := backend_text(backend.summary, self.remark):
                note(words)


def _is_exact(samples: Sequence[Sample], cache_buster: PrefixCacheBuster | None) -> bool | None:
    """Return whether prompts have exactly the requested lengths; None if no lengths were requested."""
    fields: list[Mapping[str, Any]] = [one.fields for one in samples if "input_tokens_asked" in one.fields]
    if not fields:
        return None
    in_later_rounds = cache_buster is None or cache_buster.exact
    return in_later_rounds and all(each.get("input_exact") is True for each in fields)


def _is_open_ended(prepared: PreparedSubtask) -> bool:
    """Return whether the number of requests depends on the replies."""
    return prepared.ends_by_time or prepared.environment is not None


def _has_rounds(prepared: PreparedSubtask) -> bool:
    return is_endless(prepared.subtask.load) or prepared.row_count > len(prepared.samples)


def _proxy(prepared: PreparedSubtask) -> str | None:
    backend = prepared.backend
    proxy = proxy_for(backend.url) if isinstance(backend, HttpBackend) else None
    return mask_url(proxy) if proxy else None
