"""What tests of aisb and of its plugins run against: a mock inference server, and suites for plugins."""

from aisb_testing._conformance import check_backend, check_plugin
from aisb_testing._launching import check_launcher

__all__ = ["check_backend", "check_launcher", "check_plugin"]
