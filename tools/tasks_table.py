"""Write the table of all installed tasks into docs/tasks.md."""
# ruff: noqa: INP001 - a program of the repository

import re
from pathlib import Path

from aisb_cli.tasks_table import markdown_table
from aisb_engine import Plugins

PAGE = Path(__file__).parents[1] / "docs/tasks.md"
BETWEEN = re.compile(
    r"(<!-- made by tools/tasks_table.py; do not write here -->\n\n).*(\n<!-- end of the table -->)",
    re.DOTALL,
)

if __name__ == "__main__":
    page = PAGE.read_text(encoding="utf-8")
    table = markdown_table(Plugins.load())
    PAGE.write_text(BETWEEN.sub(lambda found: found[1] + table + found[2], page), encoding="utf-8")
