"""Read MBPP and HumanEval-X: the requested function and its tests."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Sequence
from typing import Annotated

from aisb import DataFiles, Row
from aisb.helpers import read_jsonl

REQUIRED_TOOLS = {"python": (), "cpp": ("g++",), "java": ("javac", "java"), "js": ("node",)}
"""The programs that a language needs; Go and Rust are not supported yet."""

_DEFINED = re.compile(r"^(?:def|class)\s+(\w+)", re.MULTILINE)
_NAMES = {
    "python": re.compile(r"^def\s+(\w+)\(", re.MULTILINE),
    "cpp": re.compile(r"^(?! )[\w:<>,&* ]+?[ *&]+(\w+)\s*\(", re.MULTILINE),
    "java": re.compile(r"public\s+(?:static\s+)?[\w<>\[\], ?]+?\s+(\w+)\s*\("),
    "js": re.compile(r"^(?:const|let|var|function)\s+(\w+)", re.MULTILINE),
}


def mbpp(*, files: DataFiles) -> Iterator[Row]:
    """Rows of MBPP, whole or sanitized: `question`, `code`, `test`, `setup`, `entry_point`, `split`, `tests`.

    The splits are those of its authors, by task number: 1 to 10 are the examples, 11 to 510 the test.
    """
    for row in read_jsonl(files=files):
        file = files.current
        missing = {"task_id", "code", "test_list"} - row.keys()
        if file and missing:
            raise file.error(f"this row lacks {', '.join(sorted(missing))}, which rows of MBPP have")
        number = int(row["task_id"])
        code = str(row["code"]).replace("\r\n", "\n")
        tests = [str(test).replace("\r\n", "\n") for test in row["test_list"]]
        setup = [*row.get("test_imports", ()), str(row.get("test_setup_code") or "").replace("\r\n", "\n")]
        yield {
            **row,
            "question": row.get("text") or row.get("prompt"),
            "code": code,
            "test": tests,
            "tests": "\n".join(tests),
            "setup": "\n".join(line for line in setup if line),
            "entry_point": _tested(code, tests),
            "split": _split(number),
        }


def _split(number: int) -> str:
    return (
        "prompt" if number <= 10 else "test" if number <= 510 else "validation" if number <= 600 else "train"
    )


def _tested(code: str, tests: Sequence[str]) -> str:
    """Return the function that the reference defines and the first test calls."""
    called = re.findall(r"(\w+)\s*\(", tests[0]) if tests else []
    defined = _DEFINED.findall(code)
    return next((name for name in called if name in defined), defined[-1] if defined else "")


def humanevalx(
    *,
    files: DataFiles,
    languages: Annotated[Sequence[str] | None, "languages; default: those whose tools are installed"] = None,
) -> Iterator[Row]:
    """Rows of HumanEval-X with the `language`, the `entry_point` and the `solution`, file by file."""
    chosen = languages or [one for one, tools in REQUIRED_TOOLS.items() if all(map(shutil.which, tools))]
    for row in read_jsonl(files=files):
        file = files.current
        name = file.path.name if file else ""
        found = re.search(r"humanevalx?_(\w+?)\.", name)
        language = found[1] if found else ""
        if language not in REQUIRED_TOOLS:
            continue
        missing = {"prompt", "declaration", "canonical_solution", "test"} - row.keys()
        if file and missing:
            raise file.error(f"this row lacks {', '.join(sorted(missing))}, which rows of HumanEval-X have")
        if language not in chosen:
            continue
        names = _NAMES[language].findall(row["declaration"])
        entry = names[-1] if names else ""
        declaration = row["prompt"] if _is_torn(language, row["declaration"], entry) else row["declaration"]
        yield {
            **row,
            "language": language,
            "entry_point": entry,
            "declaration": declaration,
            "solution": (row["prompt"] if language == "python" else declaration) + row["canonical_solution"],
        }


def _is_torn(language: str, declaration: str, entry: str) -> bool:
    """Return whether a declaration, as in C++, continues after its head, unlike its prompt."""
    behind = declaration.rpartition(f"{entry}(")[2]
    return language == "cpp" and behind.count("{") > 1
