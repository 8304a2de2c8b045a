"""Read the rows of LongBench, L-Eval and the key-value task, with complete prompts."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Sequence
from functools import lru_cache
from importlib.resources import files as resources
from typing import Annotated, Any

from aisb import DataFile, DataFiles, Row, UsageError
from aisb.helpers import read_jsonl

EXAMS = {
    "coursera": "letters",
    "quality": "letter",
    "tpo": "letter",
    "gsm100": "number",
    "sci_fi": "label",
    "codeU": "text",
    "topic_retrieval_longchat": "text",
}
"""The closed sets of L-Eval, and how their answers are graded; all others are graded by ROUGE."""

SYSTEMS = {
    "letters": (
        "Now you are given a very long document. Please follow the instruction based on this document. For "
        "multi-choice questions, there could be a single correct option or multiple correct options. Please "
        "only provide the letter corresponding to the answer (like A or AB) when answering."
    ),
    "number": (
        "Given several question answer pairs, you need to follow a similar format to answer the last "
        "question. Make sure the response is end with The answer is _ . "
    ),
    "label": (
        "Now you are given a scientific fiction. I will ask you some questions and the answer should be "
        '"True" or "False". Notice that you should answer the question based on the evidence in the document '
        "instead of your background knowledge."
    ),
    "codeU": (
        "Now you are given a code base consisting of a large amount of functions and the corresponding "
        "comments. In the end, I will call some functions defined in the code base. Please carefully read "
        "these codes and comments and answer the question."
    ),
    "topic_retrieval_longchat": (
        "Below is a record of our previous conversation on many different topics. You are the ASSISTANT, and "
        "I am the USER. At the beginning of each topic, the USER will say 'I would like to discuss the topic "
        "of <TOPIC>'. Memorize each <TOPIC>. At the end of the record, I will ask you to retrieve the "
        "first/second/third topic names. Now the record start."
    ),
    "rouge": (
        "Now you are given a very long document. Please follow the instruction after this document. These "
        "instructions may include summarizing a document, answering questions based on the document, or "
        "writing a required paragraph."
    ),
}
"""The system prompts, by kind or by set."""


@lru_cache(maxsize=1)
def longbench_sets() -> dict[str, dict[str, Any]]:
    """Return LongBench's sets: `prompt`, `max_tokens`, `metric`, and whether only the first line counts."""
    text = resources("aisb_dataset_long").joinpath("longbench.toml").read_text("utf-8")
    return tomllib.loads(text)


def longbench(*, files: DataFiles) -> Iterator[Row]:
    """Rows of `{dataset}.jsonl` files of LongBench; `asked` is the whole prompt, `max_tokens` its set's."""
    for file in files:
        name = str(file.fields.get("dataset") or file.path.name.split(".")[0]).removesuffix("_e")
        if name not in longbench_sets():
            raise file.error(f"{name!r} is not a set of LongBench; known: {', '.join(longbench_sets())}")
        table = longbench_sets()[name]
        for row in _objects(file, "input", "context", "answers"):
            # In one pass, since braces in a document are text.
            parts = (
                table["prompt"]
                .replace("{context}", "\0{context}\0")
                .replace("{input}", "\0{input}\0")
                .split("\0")
            )
            known = {"{context}": row["context"], "{input}": row["input"]}
            yield {
                "asked": "".join(known.get(part, part) for part in parts),
                "input": row["input"],
                "answers": row["answers"],
                "all_classes": row.get("all_classes") or [],
                "length": row.get("length"),
                "set": name,
                "max_tokens": table["max_tokens"],
            }


def leval(*, files: DataFiles) -> Iterator[Row]:
    """Rows of L-Eval's files, one for each instruction: `system`, `asked`, `answer`, `set`, `kind`."""
    for file in files:
        name = str(file.fields.get("set") or file.path.name.split(".")[0])
        kind = EXAMS.get(name, "rouge")
        system = SYSTEMS.get(name) or SYSTEMS["letters" if kind == "letter" else kind]
        for row in _objects(file, "instructions", "outputs", "input"):
            if len(row["instructions"]) != len(row["outputs"]):
                raise file.error("the row must have as many outputs as instructions")
            for question, answer in zip(row["instructions"], row["outputs"], strict=True):
                yield {
                    "system": system,
                    "asked": _leval_prompt(name, kind, row["input"], question, answer),
                    "answer": _leval_gold(name, kind, answer),
                    "question": question,
                    "set": name,
                    "kind": kind,
                }


def _leval_prompt(name: str, kind: str, document: str, question: str, answer: str) -> str:
    if kind == "number":
        return f"{document}\n\n{question}\n"
    if kind == "rouge":
        end = "?" if name == "natural_question" else ""
        ask = f"Instruction: {question}{end}\nAnswer this question with {len(answer.split())} words."
        return f"Document is as follows. {document}\n{ask}"
    return f"Document is as follows.\n{document}\nQuestion:{question}\nAnswer:"


def _leval_gold(name: str, kind: str, answer: str) -> str:
    answer = answer.strip()
    if kind == "label":  # "True [fact: False]": the answer by the story comes first
        return answer.split("[")[0].strip()
    if kind == "letter":  # "(B) Their subconscious …"
        return answer.lstrip("(")[:1]
    if name == "codeU" and "answer is" in answer.casefold():
        return answer[answer.casefold().rindex("answer is") + len("answer is") :].strip(" .:")
    return answer


def key_values(
    *,
    files: DataFiles,
    positions: Annotated[
        Sequence[int] | None, "positions of the requested key, each in turn; default: unchanged"
    ] = None,
) -> Iterator[Row]:
    """Rows of lines with `ordered_kv_records`, `key`, `value`: `data` is their JSON, `place` the key's."""
    for file in files:
        for row in _objects(file, "ordered_kv_records", "key", "value"):
            pairs = [(key, value) for key, value in row["ordered_kv_records"] if key != row["key"]]
            position = next(
                (at for at, (key, _) in enumerate(row["ordered_kv_records"]) if key == row["key"]), None
            )
            if position is None:
                raise file.error(f"no record has the key {row['key']!r}")
            for place in positions if positions is not None else [position]:
                if not 0 <= place <= len(pairs):
                    raise UsageError(f"positions: {place} is invalid; it must be 0 to {len(pairs)}")
                placed = [*pairs[:place], (row["key"], row["value"]), *pairs[place:]]
                lines = ",\n ".join(f'"{key}": "{value}"' for key, value in placed)
                yield {"data": f"{{{lines}}}", "key": row["key"], "value": row["value"], "place": place}


def _objects(file: DataFile, *names: str) -> Iterator[Row]:
    for row in read_jsonl(files=DataFiles([file])):
        missing = [name for name in names if name not in row]
        if missing:
            raise file.error(f"the row has no {missing[0]!r}; it needs {', '.join(names)}")
        yield row
