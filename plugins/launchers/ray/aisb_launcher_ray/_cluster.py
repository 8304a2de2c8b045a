"""The connection of this process to a running cluster, or to its own cluster on this machine."""

from __future__ import annotations

import atexit
import logging
import os
import secrets
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from aisb import RunError

OBJECT_STORE = 200 << 20
"""The shared memory of our own cluster in bytes: batches are the largest objects."""


def connect_cluster(address: str | None) -> bool:
    """Connect to a cluster unless connected; return whether it is our own.

    Without an address, and without `RAY_ADDRESS`, one is started here; it ends with this process.

    Raises:
        RunError: there is no cluster at the address, or none can be started.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    address = address or os.environ.get("RAY_ADDRESS") or None
    # Ray listens on all network interfaces, so a token protects its ports.
    # Ray reads this at its import.
    if address is None and "ray" not in sys.modules:
        os.environ.setdefault("RAY_AUTH_MODE", "token")
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
        os.environ.setdefault("RAY_worker_niceness", "0")  # else workers give way to all other processes
    import ray

    if ray.is_initialized():
        return _own
    options: dict[str, Any] = {"address": address}
    if address is None:
        folder = tempfile.mkdtemp(prefix="aisb-ray-", dir="/tmp")  # socket paths must be short
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        options = {
            "address": "local",
            "include_dashboard": False,
            "object_store_memory": OBJECT_STORE,
            "_temp_dir": folder,
        }
    _silence()
    try:
        with _restored_signals():
            ray.init(log_to_driver=False, logging_level="ERROR", configure_logging=False, **options)
    except Exception as error:
        where = f"the Ray cluster at {address}" if address else "a Ray cluster on this machine"
        raise RunError(f"{where} cannot be used: {_first_line(error)}") from error
    globals()["_own"] = address is None
    atexit.register(ray.shutdown)
    return address is None


_own = False


def head_address() -> str:
    """Return the address of the head of the cluster that this process is connected to, as `HOST:PORT`."""
    import ray

    return str(ray.get_runtime_context().gcs_address)


def disconnect_cluster() -> None:
    """Disconnect from a cluster without a head; Ray takes five seconds for that."""
    import ray

    ray.shutdown()


def nodes() -> Mapping[str, str]:
    """Return the address of each living node by its id."""
    import ray

    return {node["NodeID"]: node["NodeManagerAddress"] for node in ray.nodes() if node["Alive"]}


def check_versions(
    payloads: Sequence[bytes],
    within: float,
    why_stop: Callable[[], str],
    only: Container[str] | None = None,
) -> None:
    """Refuse nodes whose code differs from this command's; with `only`, check the nodes with these ids.

    `why_stop` returns why the run has been stopped, or an empty text.

    Raises:
        RunError: a node differs, and the message names each with its missing or different packages; or the
            run was stopped.
    """
    from aisb_launcher_ray import _versions as versions

    differing = compare_versions(versions.needed(payloads), within, only, why_stop)
    problems = [f"  node {address}: {line}" for address, lines in differing.items() for line in lines]
    if problems:
        what_to_do = "install the same aisb, with the same plugins, on each node"
        raise RunError("\n".join(["nodes of the cluster cannot run these workers:", *problems, what_to_do]))


def compare_versions(
    names: Sequence[str],
    within: float,
    only: Container[str] | None = None,
    why_stop: Callable[[], str] = str,
) -> Mapping[str, list[str]]:
    """Return the differences of these packages between each living node and this machine, by node address.

    A node that does not answer `within` this number of seconds is listed, too; a dead node is omitted.

    Raises:
        RunError: the run was stopped, for the reason that `why_stop` returns.
    """
    import ray
    from ray import cloudpickle
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    from aisb_launcher_ray import _versions as versions

    ours = versions.hashes(names)
    cloudpickle.register_pickle_by_value(versions)  # nodes may lack this package
    hash_packages = ray.remote(num_cpus=0, max_retries=0)(versions.hashes)
    living = {node: address for node, address in nodes().items() if only is None or node in only}
    calls = {
        node: hash_packages.options(
            scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False)
        ).remote(names)
        for node in living
    }
    ends = time.monotonic() + within
    while True:
        _, waiting = ray.wait(list(calls.values()), num_returns=len(calls), timeout=1)
        alive = nodes()
        if not any(call in waiting for node, call in calls.items() if node in alive):
            break
        if time.monotonic() > ends:
            break
        if reason := why_stop():
            raise RunError(reason)
    found: dict[str, list[str]] = {}
    for node, call in calls.items():
        if node not in alive:
            continue
        try:
            lines = versions.version_differences(ours, ray.get(call, timeout=0.1))
        except ray.exceptions.GetTimeoutError:
            lines = [f"it did not answer within {within:g} s"]
        except Exception as error:  # noqa: BLE001 - of Ray, in many kinds
            lines = [f"it cannot be reached: {_first_line(error)}"]
        found.setdefault(living[node], []).extend(lines)
    return found


def _silence() -> None:
    """Keep Ray's messages about dead nodes off standard output, and its warnings off standard error.

    Ray has no setting for the first: its options cover only the output of workers. It warns of a thread that
    cannot set a handler for SIGTERM, which it should not do.
    """
    logging.getLogger("ray").setLevel(logging.ERROR)
    from ray._private import worker

    with suppress(AttributeError):
        worker.print_to_stdstream = lambda *_, **__: None


@contextmanager
def _restored_signals() -> Iterator[None]:
    """Restore the handlers that `ray.init` replaces."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.getsignal(number) for number in numbers]
    try:
        yield
    finally:
        with suppress(ValueError):  # not the main thread
            for number, handler in zip(numbers, before, strict=True):
                signal.signal(number, handler)


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
