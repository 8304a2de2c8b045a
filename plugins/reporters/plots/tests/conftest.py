"""Run folders to make pages of."""

from functools import partial

import plots_replies
import pytest


@pytest.fixture
def make(tmp_path):
    """Make a run folder from replies."""
    return partial(plots_replies.made_run, tmp_path)
