"""`aisb doctor --launcher ray`: inspect a cluster's nodes, their code, clocks and limits."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from aisb_launcher_ray import _versions as versions
from aisb_launcher_ray._cluster import compare_versions, nodes
from aisb_launcher_ray._collector import Collector, Limits
from aisb_launcher_ray._node import RayNode

FEW_FILES = 4096
STREAMS = 1000
"""The number of requests in flight that one worker can sustain."""
MAX_UNCERTAINTY_MS = 1.0
PATIENCE = 60.0
"""The timeout of a node's answer, in seconds."""

Finding = Mapping[str, str]
"""`name`, `state` (ok, note or problem), `text` and `remedy`."""


def inspect_cluster(lease: float) -> Iterator[Finding]:
    """Inspect the cluster that this process is connected to."""
    import ray

    has = ray.cluster_resources()
    living = nodes()
    processors = has.get("CPU", 0)
    text = f"Ray {ray.__version__}, {len(living)} nodes, {processors:g} CPUs, {has.get('GPU', 0):g} GPUs"
    yield _found("cluster", "ok", text)
    if os.environ.get("RAY_AUTH_MODE") != "token":
        yield _found(
            "authentication",
            "note",
            "everyone who can reach Ray's ports can run code on the cluster",
            "set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN for all nodes and for aisb, before Ray starts",
        )
    differing = compare_versions(sorted({*versions.ALWAYS, *versions.packages()}), PATIENCE)
    carried = 0
    for node, address in living.items():
        name = f"node {address}"
        if lines := differing.get(address):
            yield _found(
                name, "problem", "; ".join(lines), "install the same aisb, with the same plugins, there"
            )
            continue
        try:
            limits, clock_ms = _measure(node, address, lease)
        except ray.exceptions.RayError as error:
            yield _found(name, "problem", f"it does not answer ({type(error).__name__})", "ray status")
            continue
        finding, most = _node(name, limits, clock_ms)
        carried += min(most, STREAMS * limits.processors)
        yield finding
    workers = round(processors)
    yield _found(
        "load",
        "ok" if carried else "problem",
        f"{workers} workers at one CPU each; by files, ports and processors about {carried:,} requests "
        "in flight",
    )


def _measure(node: str, address: str, lease: float) -> tuple[Limits, float]:
    """Start a collector on a node; return its limits, and the uncertainty of its clock in ms."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    options = ray.remote(Collector).options(
        num_cpus=0, scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False)
    )
    actor: Any = options.remote({}, lease)
    try:
        met = RayNode(address, (), actor, lease, {})
        met.open(PATIENCE)
        return Limits(*ray.get(actor.limits.remote(), timeout=lease)), met.clocks[0].uncertainty_ns / 1e6
    finally:
        actor.close.remote()


def _node(name: str, limits: Limits, clock_ms: float) -> tuple[Finding, int]:
    """Return the finding on a node, and the number of connections that it can hold."""
    known: Sequence[int] = [each for each in (limits.files, limits.ports) if each is not None]
    most = min(known, default=STREAMS * limits.processors)
    files = "no limit of open files" if limits.files is None else f"{limits.files:,} open files"
    ports = "" if limits.ports is None else f", {limits.ports:,} local ports"
    text = f"{limits.processors} processors, {files}{ports}; clock uncertainty {clock_ms:.2f} ms"
    if limits.files is not None and limits.files < FEW_FILES:
        return _found(name, "problem", text, "ulimit -n 65536 before `ray start` there"), most
    if clock_ms > MAX_UNCERTAINTY_MS:
        return _found(name, "note", text, "figures over several nodes have at least this uncertainty"), most
    return _found(name, "ok", text), most


def _found(name: str, state: str, text: str, remedy: str = "") -> Finding:
    return {"name": name, "state": state, "text": text, "remedy": remedy}
