"""Browsers that open the pages, and run folders to make them of."""

import importlib.util
import sys
from pathlib import Path

# Tests say `from made_runs import …`: helpers of tests, found without any path being added.
spec = importlib.util.spec_from_file_location("made_runs", Path(__file__).with_name("made_runs.py"))
module = sys.modules["made_runs"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
