"""The launcher `ray`: workers are actors on a Ray cluster. Ray is imported when a run starts."""

from __future__ import annotations

from collections.abc import Mapping

from aisb import hookimpl

__all__: list[str] = []


@hookimpl
def aisb_launchers() -> Mapping[str, str]:
    """Declare the launcher."""
    return {"ray": "aisb_launcher_ray._launcher:RayWorkers"}
