"""The answers to one sample as a line of `samples_*.jsonl`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from math import fsum
from string import ascii_uppercase
from typing import Any

from aisb import AisbError
from aisb.helpers import Template, as_text
from aisb_reporter_exchange._conversations import prompt_text, question
from aisb_reporter_exchange._subtasks import Answer, ScoredSubtask


def sample_line(
    subtask: ScoredSubtask, repeats: Sequence[Answer], number: int, metric: str
) -> dict[str, Any]:
    """Return the line of a sample; `number` is its position if its id has none, `metric` names its value."""
    first = repeats[0]
    doc = _doc(first)
    target = as_text(first.sample["target"])
    arguments, responses, kept = _requests(subtask, repeats)
    return {
        "doc_id": _position(first.id, number),
        "doc": doc,
        "target": target,
        "arguments": arguments,
        "resps": responses,
        "filtered_resps": kept,
        "filter": "none",
        "metrics": [metric],
        "doc_hash": _hash(json.dumps(doc, sort_keys=True, ensure_ascii=False, default=str)),
        "prompt_hash": _hash(prompt_text(first)),
        "target_hash": _hash(target),
        metric: mean_value(repeats),
        "outcomes": [answer.score["outcome"] for answer in repeats if answer.score],
    }


def mean_value(repeats: Sequence[Answer]) -> float:
    """Return the mean of the values of the answers to one sample, at least one of which was graded."""
    values = [float(answer.score["value"]) for answer in repeats if answer.score]
    return fsum(values) / len(values)


def _requests(
    subtask: ScoredSubtask, repeats: Sequence[Answer]
) -> tuple[dict[str, Any], list[Any], list[Any]]:
    """Return the arguments of each request, its responses, and what was kept of them to be graded."""
    first, prompt = repeats[0], prompt_text(repeats[0])
    if first.last.get("logprobs"):
        scores = [[str(one["total"]), str(one["greedy"])] for one in first.last["logprobs"]]
        arguments = {
            f"gen_args_{place}": {"arg_0": prompt, "arg_1": text}
            for place, text in enumerate(_continuations(subtask, first, len(scores)))
        }
        return arguments, [[score] for score in scores], scores
    answers = ["" if answer.score is None else as_text(answer.score["answer"]) for answer in repeats]
    request = {"arg_0": prompt, "arg_1": dict(subtask.params)}
    texts = [answer.last["prediction"] or "" for answer in repeats]
    return {"gen_args_0": request}, [texts], answers if len(answers) == 1 else [answers]


def _continuations(subtask: ScoredSubtask, answer: Answer, number: int) -> list[str]:
    """Return the texts whose likelihoods were compared, made from the sample as the run made them."""
    template = Template(subtask.task.get("logprob", {}).get("continuation", " {letter}"), "continuation")
    choices = [as_text(choice) for choice in answer.sample.get("choices") or ()]
    texts = []
    for place in range(number):
        letter = ascii_uppercase[place % len(ascii_uppercase)]
        choice = choices[place] if place < len(choices) else letter
        try:
            fields = answer.sample.get("fields") or {}
            texts.append(template.render({**fields, "letter": letter, "choice": choice}))
        except AisbError:  # a run without its samples lacks the fields
            texts.append(f" {choice}")
    return texts


def _doc(answer: Answer) -> dict[str, Any]:
    if answer.fields:
        return answer.fields
    choices = [as_text(choice) for choice in answer.sample.get("choices") or ()]
    doc = {"question": question(answer), "answer": answer.sample["target"]}
    return doc | ({"choices": choices} if choices else {})


def _position(name: str, number: int) -> int:
    """Return the position of a row in its file or group, which is the end of the id of its sample."""
    last = name.rpartition("/")[2]
    return int(last) if last.isdecimal() else number


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
