"""Tools for the tests of plugins: contract suites for components, a scripted service, pytest fixtures.

Each name is imported at its first use, because every aisb command loads this package's command declarations.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aisb_testing._conformance import check_backend, check_plugin
    from aisb_testing._environments import check_environment
    from aisb_testing._installed import check_installed
    from aisb_testing._kinds import (
        check_command,
        check_dataset,
        check_evaluator,
        check_importer,
        check_postprocessor,
        check_reporter,
    )
    from aisb_testing._launching import check_launcher
    from aisb_testing._media import make_mp4, make_png, make_wav
    from aisb_testing._scripted import ScriptedService
    from aisb_testing._steps import (
        DONE,
        Step,
        chat_event,
        chat_stream,
        event_stream,
        sse,
        usage_of,
        whole_reply,
    )
    from aisb_testing._truth import ServedRequest, ServiceTruth

_PLACES = {
    "DONE": "aisb_testing._steps",
    "ScriptedService": "aisb_testing._scripted",
    "ServedRequest": "aisb_testing._truth",
    "ServiceTruth": "aisb_testing._truth",
    "Step": "aisb_testing._steps",
    "chat_event": "aisb_testing._steps",
    "chat_stream": "aisb_testing._steps",
    "check_backend": "aisb_testing._conformance",
    "check_command": "aisb_testing._kinds",
    "check_dataset": "aisb_testing._kinds",
    "check_environment": "aisb_testing._environments",
    "check_evaluator": "aisb_testing._kinds",
    "check_importer": "aisb_testing._kinds",
    "check_installed": "aisb_testing._installed",
    "check_launcher": "aisb_testing._launching",
    "check_plugin": "aisb_testing._conformance",
    "check_postprocessor": "aisb_testing._kinds",
    "check_reporter": "aisb_testing._kinds",
    "event_stream": "aisb_testing._steps",
    "make_mp4": "aisb_testing._media",
    "make_png": "aisb_testing._media",
    "make_wav": "aisb_testing._media",
    "sse": "aisb_testing._steps",
    "usage_of": "aisb_testing._steps",
    "whole_reply": "aisb_testing._steps",
}

__all__ = [
    "DONE",
    "ScriptedService",
    "ServedRequest",
    "ServiceTruth",
    "Step",
    "chat_event",
    "chat_stream",
    "check_backend",
    "check_command",
    "check_dataset",
    "check_environment",
    "check_evaluator",
    "check_importer",
    "check_installed",
    "check_launcher",
    "check_plugin",
    "check_postprocessor",
    "check_reporter",
    "event_stream",
    "make_mp4",
    "make_png",
    "make_wav",
    "sse",
    "usage_of",
    "whole_reply",
]


def __getattr__(name: str) -> Any:
    """Import a public name."""
    place = _PLACES.get(name)
    if place is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(place), name)
