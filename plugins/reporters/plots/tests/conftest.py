"""Browsers that open the pages, and run folders to make them of."""

import importlib.util
import sys
from functools import partial
from pathlib import Path

import pytest

# Tests say `from plots_replies import …`: helpers of tests, found without any path being added.
spec = importlib.util.spec_from_file_location("plots_replies", Path(__file__).with_name("plots_replies.py"))
module = sys.modules["plots_replies"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)


@pytest.fixture
def make(tmp_path):
    """Make a run folder from replies."""
    return partial(module.made_run, tmp_path)
