"""What tests of several folders need: the little distributions, installed with pip into a folder of their own."""

import subprocess
import sys
from pathlib import Path

import pytest

DISTRIBUTIONS = Path(__file__).parent / "distributions"


@pytest.fixture(scope="session")
def installed(tmp_path_factory):
    """The folder with every distribution of tests/distributions, installed; put it on PYTHONPATH."""
    target = tmp_path_factory.mktemp("installed")
    sources = sorted(str(project.parent) for project in DISTRIBUTIONS.glob("*/pyproject.toml"))
    options = ["--quiet", "--disable-pip-version-check", "--no-index", "--no-deps", "--no-build-isolation"]
    subprocess.run(
        [sys.executable, "-m", "pip", "install", *options, "--target", str(target), *sources], check=True
    )
    return target
