"""Every Python block of docs/python.md is run, in order, and prints what the page says."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path

import pytest
from forked import run_forked

PAGE = Path(__file__).parents[1] / "docs" / "python.md"
BLOCK = re.compile(r"^```python\n(.*?)^```\n(?:\n```text\n(.*?)^```$)?", re.MULTILINE | re.DOTALL)
SCRIPT = """
import contextlib, io, json, sys
names = {}
outputs = []
for block in json.load(sys.stdin):
    with contextlib.redirect_stdout(io.StringIO()) as output:
        exec(compile(block, "docs/python.md", "exec"), names)
    outputs.append(output.getvalue())
print(json.dumps(outputs))
"""


@pytest.fixture(scope="module")
def blocks():
    """Each block with what the page says that it prints, and what it printed."""
    found = BLOCK.findall(PAGE.read_text(encoding="utf-8"))
    return [code for code, _ in found], [expected for _, expected in found]


def test_every_block_prints_what_the_page_says(blocks, tmp_path):
    codes, expected = blocks
    (tmp_path / "run_blocks.py").write_text(SCRIPT)
    ended = run_forked(
        [sys.executable, "-m", "run_blocks"],
        input=json.dumps(codes),
        cwd=tmp_path,
        env={**os.environ, "AISB_BLOCK": "", "COLUMNS": "100"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert len(codes) >= 7
    for code, wanted, output in zip(codes, expected, json.loads(ended.stdout), strict=True):
        pattern = ".*".join(re.escape(part) for part in wanted.split("…"))
        assert re.fullmatch(pattern, output, re.DOTALL), f"{code}\nprints\n{output}"
