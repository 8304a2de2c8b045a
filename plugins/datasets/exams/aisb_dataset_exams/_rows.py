"""Read the files of AGIEval and RACE, whose rows need more than templates."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from aisb import DataFiles, Row
from aisb.helpers import read_jsonl

_LETTER = re.compile(r"\s*\(?([A-H])(?:\s*[).:．、：]+\s*|\s+)")


def agieval_rows(*, files: DataFiles) -> Iterator[Row]:
    """Rows of AGIEval: `option_lines` with letters, `choices` without them, and the `target`.

    The target is a letter, several (`ACD`), or the value of a question without options. A row without
    label and answer is skipped; jec-qa-kd has one.
    """
    for row in read_jsonl(files=files):
        file = files.current
        missing = {"question", "options", "label"} - row.keys()
        if file and missing:
            raise file.error(f"this row lacks {', '.join(sorted(missing))}, which rows of AGIEval have")
        options = row["options"] or None
        label = row["label"] or ""
        letters = "".join(re.findall("[A-H]", "".join(label)))
        target = letters if options else str(row.get("answer") or "").strip()
        if not target:
            continue
        yield {
            **row,
            "passage": row.get("passage") or "",
            "option_lines": "".join(f"{option}\n" for option in options or ()),
            "choices": _without_letters(options) if options else None,
            "target": target,
        }


def _without_letters(options: list[str]) -> list[str]:
    """Remove "(A)" and the like from options, if each begins with its own letter."""
    found = [_LETTER.match(option) for option in options]
    return [
        option[match.end() :].strip() if match and match[1] == letter else option.strip()
        for option, match, letter in zip(options, found, "ABCDEFGH", strict=False)
    ]


def race_articles(*, files: DataFiles) -> Iterator[Row]:
    """Rows of RACE in its authors' format: a file per article with `questions`, `options` and `answers`."""
    for file in files:
        try:
            article: Any = json.loads(file.text())
            questions = list(zip(article["questions"], article["options"], article["answers"], strict=True))
        except (json.JSONDecodeError, KeyError, TypeError, ValueError) as error:
            raise file.error(
                "expected a RACE article: one JSON object with article, questions, options and answers "
                f"({type(error).__name__}: {error})"
            ) from error
        for question, options, answer in questions:
            yield {
                "article": article["article"],
                "question": question,
                "options": options,
                "answer": answer,
            }
