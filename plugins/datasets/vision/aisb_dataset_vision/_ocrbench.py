"""Read OCRBench v2, and add the ability and the language of each of its thirty kinds of question."""

from __future__ import annotations

from collections.abc import Iterator

from aisb import DataFiles, Row
from aisb_dataset_vision._sheets import vlmeval_tsv

ABILITIES = {
    "text recognition": ("text recognition", "fine-grained text recognition", "full-page OCR"),
    "text detection": ("text grounding", "VQA with position"),
    "text spotting": ("text spotting",),
    "relationship extraction": (
        "key information extraction", "key information mapping", "handwritten answer extraction",
    ),
    "element parsing": ("document parsing", "chart parsing", "table parsing", "formula recognition"),
    "mathematical calculation": ("math QA", "text counting"),
    "visual text understanding": ("document classification", "cognition VQA", "diagram QA"),
    "knowledge reasoning": (
        "reasoning VQA", "science QA", "APP agent", "ASCII art classification", "text translation",
    ),
}  # fmt: skip
"""The kinds of question of each ability; results are given for it in each language."""

LANGUAGE_NAMES = {"en": "English", "cn": "Chinese"}


def ocrbench_v2(*, files: DataFiles) -> Iterator[Row]:
    """Rows of OCRBench_v2.tsv with `ability`, as in "English text spotting", and `language`."""
    ability_of = {kind: ability for ability, kinds in ABILITIES.items() for kind in kinds}
    for row in vlmeval_tsv(files=files):
        kind, _, end = str(row.get("category", "")).strip().rpartition(" ")
        if kind not in ability_of or end not in LANGUAGE_NAMES:
            assert files.current  # noqa: S101 - a row was read from it
            raise files.current.error(f"{row.get('category')!r} is not a category of OCRBench v2")
        language = LANGUAGE_NAMES[end]
        yield {**row, "ability": f"{language} {ability_of[kind]}", "language": f"{language} overall"}
