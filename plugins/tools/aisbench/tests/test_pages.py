"""The migration page: both languages have the same commands and tables, and every command line is understood."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[4] / "docs"
ENGLISH, CHINESE = (DOCS / name for name in ("aisbench.md", "aisbench.zh.md"))
NAMES = ("ais_bench ", "aisb config", "aisb run")


def commands(page: Path) -> list[str]:
    lines = [line.strip().partition("  #")[0].rstrip() for line in page.read_text("utf-8").splitlines()]
    return [line for line in lines if line.startswith(NAMES)]


def test_both_languages_have_the_same_commands_keys_and_files() -> None:
    assert commands(ENGLISH) == commands(CHINESE)
    for pattern in (r"^\|", r"^#+ "):
        counts = [
            len(re.findall(pattern, page.read_text("utf-8"), re.MULTILINE)) for page in (ENGLISH, CHINESE)
        ]
        assert counts[0] == counts[1]


@pytest.mark.parametrize(
    "line", [one for one in commands(ENGLISH) if one.startswith("ais_bench") and "…" not in one]
)
def test_every_command_line_of_the_page_is_understood(ais_bench, work: Path, line: str) -> None:
    Path("my_configs/models").mkdir(parents=True)
    Path("demo.py").write_text(
        "from mmengine.config import read_base\n"
        "with read_base():\n"
        "    from ais_bench.benchmark.configs.models.vllm_api.vllm_api_general import models\n"
        "    from ais_bench.benchmark.configs.datasets.gsm8k.gsm8k_gen import gsm8k_datasets as datasets\n",
        encoding="utf-8",
    )
    words = shlex.split(line)[1:]
    if "--reuse" in words:
        said = ais_bench(*words, code=2).err
        assert "no run '20250628_151326'" in said
    else:
        ended = ais_bench(*words, *([] if "--search" in words else ["--dry-run"]))
        assert "gsm8k" in ended.out or "ceval" in ended.out or "synthetic" in ended.out
