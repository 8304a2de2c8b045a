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
                yield {**row, **_derived_fields(row), "part": part}
            except (ValueError, KeyError, TypeError, RecursionError) as error:
                raise file.error("expected an object on one line, in FewCLUE's format") from error


def _derived_fields(row: dict[str, Any]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    if "candidates" in row:
        if GAP not in row["content"]:
            raise ValueError(GAP)
        fields["sentences"] = [row["content"].replace(GAP, idiom) for idiom in row["candidates"]]
        fields["gapped"] = row["content"].replace(GAP, "____")
    if isinstance(row.get("keyword"), list):
        fields["keywords"] = "，".join(row["keyword"])
    if isinstance(row.get("target"), dict):
        fields["span1"] = row["target"]["span1_text"]
        fields["span2"] = row["target"]["span2_text"]
    return fields
