"""What tests of plugins run against: suites for components, a scripted service, fixtures for pytest."""

from aisb_testing._conformance import check_backend, check_plugin
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
