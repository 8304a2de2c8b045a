"""Read traces of agents in the form of Weka's kv-cache-tester: one JSON object for each session."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from aisb import DataFile, DataFiles
from aisb_dataset_traces._fields import json_documents, listed_ids, listed_objects, seconds, whole_number
from aisb_dataset_traces._graph import Call, Session, link

LARGEST_ID = 1 << 44
"""Hash ids below it can be told apart by session in one number."""


def weka_sessions(files: DataFiles, *, longest_delay: float | None = None) -> Iterator[Session]:
    """Yield the sessions of traces with `id`, `block_size` and `requests`.

    A request has `t` (s), `in` and `out` (tokens), `hash_ids`, and may have `api_time` (s, the service's
    time) and `think_time` (s, the wait before it). An entry of the type `subagent` has requests of its own,
    whose times count from the start of the trace, or from the entry's own time if any of them is earlier.
    """
    for number, (file, document) in enumerate(json_documents(files)):
        requests = listed_objects(file, document, "requests", "a trace")
        name = document.get("id")
        if not isinstance(name, str):
            raise file.error(f"id is {name!r}, not the name of the session")
        block = whole_number(file, document, "block_size")
        scope = document.get("hash_id_scope", "local")
        if scope not in ("local", "global"):
            raise file.error(f"hash_id_scope is {scope!r}, not 'local' or 'global'")
        reader = _Requests(file, block, number + 1 if scope == "local" else 0)
        calls = list(reader.calls(requests))
        if not calls:
            raise file.error(f"the trace {name!r} has no request")
        yield Session(name, link(calls, longest_delay=longest_delay), block)


class _Requests:
    """Reads the requests of one trace; `scope` is its number if its hash ids are its own, else 0."""

    def __init__(self, file: DataFile, block: int, scope: int) -> None:
        self._file = file
        self._block = block
        self._scope = scope

    def calls(self, requests: list[Mapping[str, Any]]) -> Iterator[Call]:
        """Yield the calls of the main agent and of all agents below it."""
        for place, entry in enumerate(requests):
            if entry.get("type") != "subagent":
                yield self._call(entry, f"request {place}", (), 0.0)
                continue
            where = f"request {place}"
            begin = seconds(self._file, entry, "t") or 0.0
            inner = listed_objects(self._file, entry, "requests", f"{where}: a subagent")
            times = [one.get("t") for one in inner]
            is_relative = any(isinstance(one, int | float) and one < begin for one in times)
            # A name may occur twice in one trace, so its place is part of the path.
            agent = (f"{entry.get('agent_id', 'agent')}@{place}",)
            for position, one in enumerate(inner):
                offset = begin if is_relative else 0.0
                yield self._call(one, f"{where}, inner request {position}", agent, offset)

    def _call(self, entry: Mapping[str, Any], where: str, agent: tuple[str, ...], offset: float) -> Call:
        file = self._file
        at = seconds(file, entry, "t")
        if at is None:
            raise file.error(f"{where} has no time 't'; its keys are: {', '.join(entry)}")
        tokens = whole_number(file, entry, "in")
        output = whole_number(file, entry, "out", least=0)
        listed = listed_ids(file, entry) if "hash_ids" in entry else []
        keys = [self._key(one, where) for one in listed[: -(-tokens // self._block)]]
        spent, wait = seconds(file, entry, "api_time"), seconds(file, entry, "think_time")
        end = None if spent is None else at + offset + spent
        whole = min(len(keys), tokens // self._block)
        return Call(at + offset, end, keys, max(1, output), tokens, agent, wait, whole=whole)

    def _key(self, one: int, where: str) -> int:
        if not 0 <= one < LARGEST_ID:
            raise self._file.error(f"{where}: hash id {one} is not between 0 and {LARGEST_ID - 1}")
        return self._scope * LARGEST_ID + one
