"""What the tests of a plugin run against: a suite for each kind of component, and fixtures for pytest."""

from aisb_testing._conformance import check_backend, check_plugin
from aisb_testing._kinds import (
    check_command,
    check_dataset,
    check_evaluator,
    check_importer,
    check_postprocessor,
    check_reporter,
)
from aisb_testing._launching import check_launcher

__all__ = [
    "check_backend",
    "check_command",
    "check_dataset",
    "check_evaluator",
    "check_importer",
    "check_launcher",
    "check_plugin",
    "check_postprocessor",
    "check_reporter",
]
