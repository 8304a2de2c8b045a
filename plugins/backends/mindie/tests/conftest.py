"""The project's mock server, as one more service to ask."""

import pytest

from aisb.testing.mock import MockOptions, start_mock


@pytest.fixture
def mock():
    """Start mock servers with the options given; they stop with the test."""
    running = []

    def start(**options):
        running.append(start_mock(MockOptions(**options)))
        return running[-1]

    yield start
    for process in running:
        process.stop()
