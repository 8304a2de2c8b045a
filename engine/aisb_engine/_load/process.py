"""Prepare a process for sending: import modules early, and keep the garbage collector from blocking."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

from aisb._backend import Backend, HttpBackend


def import_transport(backend: Backend) -> None:
    """Import the transport now, so that the first request does not wait for it."""
    if isinstance(backend, HttpBackend):
        import aisb_engine._http.assembly  # noqa: F401


@contextmanager
def rare_collections() -> Iterator[None]:
    """Keep the garbage collector from blocking the loop: freeze the present objects, and collect rarely.

    There is no collection first: it would take longer than a short run, and there is little garbage.
    """
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
