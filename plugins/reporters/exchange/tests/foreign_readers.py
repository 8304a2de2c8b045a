"""The programs of other tools that read their own formats: in a Python environment of their own.

    make test-readers                                                     makes it in .readers (440 MB)
    python plugins/reporters/exchange/tests/foreign_readers.py FOLDER     makes it elsewhere
    AISB_READERS=FOLDER make test                                         uses it

Their requirements contradict those of this project (every-eval-ever needs an older huggingface_hub), and
together they are large. Without `AISB_READERS`, the tests that need them are skipped.
"""

import json
import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

FULL = ("inspect-ai==0.3.285", "jsonschema", "rich", "pyyaml", "jinja2", "numpy", "requests", "pytablewriter")
ALONE = ("every-eval-ever==0.3.0", "lm-eval==0.4.13")
"""Packages of which only readers are used, so that what the rest of them needs (torch, pandas) is left out."""


def read(script, *arguments):
    """Run a script with the environment of foreign readers; return the JSON that it prints."""
    folder = os.environ.get("AISB_READERS")
    if not folder:
        pytest.skip("it needs the tools whose formats these are: make test-readers")
    ended = subprocess.run(
        [Path(folder) / "bin" / "python", "-W", "ignore", "-c", script, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


def make(folder):
    venv.create(folder, with_pip=True)
    pip = [Path(folder) / "bin" / "python", "-m", "pip", "install", "--quiet"]
    subprocess.run([*pip, *FULL], check=True)
    # Its code runs with Python 3.11, although its metadata asks for 3.12.
    subprocess.run([*pip, "--no-deps", "--ignore-requires-python", *ALONE], check=True)


if __name__ == "__main__":
    make(sys.argv[1])
