"""Read LiveCodeBench: contest problems, whose tests have the input or the arguments of a program."""

from __future__ import annotations

import base64
import json
import pickle
import zlib
from collections.abc import Iterator
from io import BytesIO
from typing import Annotated, Any

from aisb import DataFiles, Row
from aisb.helpers import read_jsonl

WITH_STARTER = (
    "You will use the following starter code to write the solution to the problem and enclose your code "
    "within delimiters.\n```python\n{starter}\n```\n\n"
)
WITHOUT_STARTER = (
    "Read the inputs from stdin solve the problem and write the answer to stdout (do not directly test on "
    "the sample inputs). Enclose your code within delimiters as follows. Ensure that when the python program "
    "runs, it reads the inputs, runs the algorithm and writes output to STDOUT.\n"
    "```python\n# YOUR CODE HERE\n```\n\n"
)


class _TextOnly(pickle.Unpickler):
    """Unpickles only strings, since a pickle can call any function."""

    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"the pickle contains {module}.{name}, and only a text is allowed")


def livecodebench(
    *,
    files: DataFiles,
    since: Annotated[str | None, "skip problems from before this day, as in 2024-08-01"] = None,
    until: Annotated[str | None, "skip problems from after this day"] = None,
) -> Iterator[Row]:
    """Rows of LiveCodeBench with `format_prompt`, and with `cases` or `test` to grade programs."""
    for row in read_jsonl(files=files):
        file = files.current
        missing = {"question_content", "public_test_cases", "private_test_cases"} - row.keys()
        if file and missing:
            raise file.error(f"this row lacks {', '.join(sorted(missing))}, which rows of LiveCodeBench have")
        day = str(row.get("contest_date") or "")[:10]
        if (since and day < since) or (until and day > until):
            continue
        try:
            cases = json.loads(row["public_test_cases"]) + _private(row["private_test_cases"])
            name = json.loads(row.get("metadata") or "{}").get("func_name")
        except (ValueError, zlib.error, pickle.UnpicklingError, EOFError) as error:
            if file:
                raise file.error(f"its test cases cannot be read: {error}") from error
            raise
        starter = str(row.get("starter_code") or "")
        fields: dict[str, Any] = {"test": None, "cases": None, "entry_point": None}
        if name:
            fields |= {"test": _calls(name, cases), "entry_point": "Solution"}
        else:
            fields["cases"] = [{"input": case["input"], "output": case["output"]} for case in cases]
        prompt = WITH_STARTER.replace("{starter}", starter) if starter else WITHOUT_STARTER
        yield {
            **{key: value for key, value in row.items() if "test_cases" not in key},
            **fields,
            "format_prompt": prompt,
        }


def _private(packed: str) -> list[dict[str, Any]]:
    """Return the hidden test cases: JSON, or pickled, compressed and base64-encoded JSON."""
    try:
        return list(json.loads(packed))
    except ValueError:
        data = zlib.decompress(base64.b64decode(packed))
        return list(json.loads(_TextOnly(BytesIO(data)).load()))


def _calls(name: str, cases: list[dict[str, Any]]) -> list[str]:
    """Return a test for each case; arguments and the result are one line of JSON each."""
    tests = []
    for case in cases:
        arguments = [json.loads(line) for line in str(case["input"]).splitlines() if line.strip()]
        expected = json.loads(case["output"])
        call_arguments = ", ".join(repr(argument) for argument in arguments)
        tests.append(
            f"found = Solution().{name}({call_arguments})\n"
            "found = list(found) if isinstance(found, tuple) else found\n"
            f"assert found == {expected!r}"
        )
    return tests
