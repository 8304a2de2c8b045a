"""Read files with special formats of answers."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator

from aisb import DataFiles, Row


def drop_rows(*, files: DataFiles) -> Iterator[Row]:
    """Rows of JSON lines with `context` and `ref_text`; `answers` are its parts between bars."""
    for file in files:
        for line in file.lines():
            if not line.strip():
                continue
            try:
                row = json.loads(line)
                listed = row["ref_text"].split("|")
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
                raise file.error("expected an object with context and a text ref_text") from error
            answers = list(dict.fromkeys(one.strip() for one in listed if one.strip()))
            if not answers:
                raise file.error("ref_text has no answer")
            yield {**row, "answers": answers}


def trivia_tsv(*, files: DataFiles) -> Iterator[Row]:
    """Rows of lines with a question, a tab, and a list of answers in Python's syntax."""
    for file in files:
        for line in file.lines():
            if not line.strip():
                continue
            question, _, listed = line.rstrip("\r\n").partition("\t")
            answers = _listed(listed)
            if not answers:
                raise file.error(f"expected a question, a tab and a list ['…', '…'], found {line[:80]!r}")
            yield {"question": question, "answers": answers}


def _listed(text: str) -> list[str]:
    """Read a list of texts in Python's syntax, also if a CSV writer has doubled its quotes."""
    text = text.strip()
    if text.startswith('"') and text.endswith('"'):
        text = text[1:-1].replace('""', '"')
    try:
        found = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return []
    return [str(one) for one in found] if isinstance(found, list | tuple) else []


def squad_json(*, files: DataFiles) -> Iterator[Row]:
    """Rows of SQuAD's files: `title`, `context`, `question`, `answers`; if none, "unanswerable"."""
    for file in files:
        try:
            articles = json.loads(file.text())["data"]
            for article in articles:
                for paragraph in article["paragraphs"]:
                    for question in paragraph["qas"]:
                        texts = list(dict.fromkeys(answer["text"] for answer in question["answers"]))
                        yield {
                            "title": article.get("title", ""),
                            "context": paragraph["context"],
                            "question": question["question"].strip(),
                            "answers": texts or ["unanswerable"],
                        }
        except (ValueError, KeyError, TypeError) as error:
            file.line = None
            raise file.error('not {"data": [{"paragraphs": [{"context": …, "qas": […]}]}]}') from error


def line_pairs(*, files: DataFiles) -> Iterator[Row]:
    """Rows of two files, line by line: `source` of the first and `target` of the second."""
    if len(files.files) != 2:
        first = files.files[0] if files.files else None
        message = f"expected two files, texts and their targets, found {len(files.files)}"
        raise first.error(message) if first else ValueError(message)
    sources, targets = ([line.strip() for line in file.lines()] for file in files.files)
    if len(sources) != len(targets):
        names = " and ".join(file.path.name for file in files.files)
        raise files.files[1].error(
            f"{names} have {len(sources)} and {len(targets)} lines; both need one line for each text"
        )
    for source, target in zip(sources, targets, strict=True):
        yield {"source": source, "target": target}
