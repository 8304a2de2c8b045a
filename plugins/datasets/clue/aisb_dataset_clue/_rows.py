"""Read FewCLUE's files, and add the fields that its tasks need: filled gaps, joined keywords, spans."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from aisb import DataFiles, Row

GAP = "#idiom#"


def fewclue(*, files: DataFiles) -> Iterator[Row]:
    """Rows of JSON lines files, with `part`: dev or test, by the file's name.

    If the row has them, `sentences` is the text with each candidate in its gap, `keywords` the joined
    keywords, and `span1` and `span2` the texts of the spans.
    """
    for file in files:
        part = file.path.name.split("_")[0]
        for line in file.lines():
            if not line.strip():
                continue
            try:
                row = json.loads(line)
                yield {**row, **_made(row), "part": part}
            except (ValueError, KeyError, TypeError, RecursionError) as error:
                raise file.error("expected an object on one line, in FewCLUE's format") from error


def _made(row: dict[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    if "candidates" in row:
        if GAP not in row["content"]:
            raise ValueError(GAP)
        made["sentences"] = [row["content"].replace(GAP, idiom) for idiom in row["candidates"]]
        made["gapped"] = row["content"].replace(GAP, "____")
    if isinstance(row.get("keyword"), list):
        made["keywords"] = "，".join(row["keyword"])
    if isinstance(row.get("target"), dict):
        made["span1"] = row["target"]["span1_text"]
        made["span2"] = row["target"]["span2_text"]
    return made
