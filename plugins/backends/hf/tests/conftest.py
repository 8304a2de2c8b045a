"""A small model that these tests build themselves: random weights, a few layers, a tokenizer of its own."""

import os
import shutil
from pathlib import Path

import hf_small
import pytest

os.environ["OMP_NUM_THREADS"] = "1"  # rows of a few numbers each: threads would wait for each other


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """The folder of a small chat model."""
    return hf_small.build(tmp_path_factory.mktemp("models") / "small")


@pytest.fixture(scope="session")
def copied(folder, tmp_path_factory):
    """Copy the small model's folder, to be changed: `copied()`."""

    def copy():
        return Path(shutil.copytree(folder, tmp_path_factory.mktemp("copies") / "model"))

    return copy
