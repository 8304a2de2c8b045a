"""The samples of a run in the form of the page: columns for the table, and compressed blocks of texts.

A task has columns of its samples (ids, groups, targets, beginnings of questions), and for each model columns
of its answers. A block holds the prompts and outputs of a few hundred samples; the page unpacks it when a
sample in it is opened or searched.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from aisb import OUTCOMES, FinishedRun, Row
from aisb_reporter_html._texts import Shared, TextPiece, beginnings, excerpt, shorten, text_pieces, turns

ANSWERS_PER_BLOCK = 250
SHORT = 80
"""Characters of an answer in the table."""
LONGEST_DETAILS = 2000
UNSCORED = len(OUTCOMES)
LIMITS = (40_000, 20_000, 10_000, 5_000, 2_500, 1_200, 600, 300, 150)
"""The lengths in characters to which outputs and prompts are cut, until the page is small enough."""


@dataclass(slots=True)
class Answered:
    """One model's answers in one task: the file, a line for each turn of an answer, and the scores."""

    model: str
    file: str
    lines: list[list[Row]]
    scores: Mapping[tuple[str, int], list[Row]]


@dataclass(slots=True)
class TaskAnswers:
    """One task: the ids of its samples, each one's group, target and choices, and every model's answers."""

    task: str
    samples: dict[str, Mapping[str, Any]]
    answered: list[Answered]


def read_tasks(run: FinishedRun) -> list[TaskAnswers]:
    """Read the prompts and answers task by task, in the run's order."""
    requests: dict[str, dict[str, list[Row]]] = {}  # by task and model
    for row in run.requests():
        requests.setdefault(row["task"], {}).setdefault(row["model"], []).append(row)
    models = dict.fromkeys([*run.models, *sorted({model for rows in requests.values() for model in rows})])
    tasks = []
    for name in dict.fromkeys([*run.tasks, *sorted(requests)]):
        task = TaskAnswers(name, {}, [])
        for model in models:
            if rows := requests.get(name, {}).get(model):
                task.answered.append(_read(run, task, model, rows))
        if task.answered:
            tasks.append(task)
    return tasks


def _read(run: FinishedRun, task: TaskAnswers, model: str, rows: list[Row]) -> Answered:
    scores: dict[tuple[str, int], list[Row]] = {}
    for score in run.scores(model, task.task):
        scores.setdefault((score["id"], score["repeat"]), []).append(score)
    lines: dict[tuple[str, int], list[Row]] = {}
    for row in rows:
        lines.setdefault((row["id"], row["repeat"]), []).append(row)
        task.samples.setdefault(
            row["id"],
            {"group": row["group"], "gold": row["gold"], "choices": ()},
        )
    if any(line["logprobs"] for line in next(iter(lines.values()), ())):
        # The compared options are not part of the prompt.
        for sample in run.samples(model, task.task):
            if sample["id"] in task.samples:
                task.samples[sample["id"]] = {**task.samples[sample["id"]], "choices": sample["choices"]}
    return Answered(model, rows[0]["file"], list(lines.values()), scores)


@dataclass(slots=True)
class Packer:
    """Builds the page's form of a task, with texts cut to `most` characters."""

    most: int

    def pack(self, task: TaskAnswers) -> tuple[dict[str, Any], list[bytes]]:
        """Return the page's columns of a task, and its blocks of texts."""
        places = {key: place for place, key in enumerate(task.samples)}
        shared = Shared()
        groups = list(
            dict.fromkeys(one["group"] for one in task.samples.values() if one["group"] is not None)
        )
        prompts, numbers = self._prompts(task, places, shared)
        blocks: list[bytes] = []
        head: dict[str, Any] = {
            "task": task.task,
            "ids": list(task.samples),
            "groups": groups,
            "group": [groups.index(g) if (g := s["group"]) is not None else -1 for s in task.samples.values()]
            if groups
            else [],
            "gold": [_short(one["gold"]) for one in task.samples.values()],
            "begins": beginnings([excerpt(found[0]) if found else "" for found in prompts]),
            "shared": [shorten(text, 4 * self.most)[:2] for text in shared.texts],
            "block": ANSWERS_PER_BLOCK,
            "first": len(blocks),
            "models": [],
        }
        rows = [self._sample(one, found) for one, found in zip(task.samples.values(), prompts, strict=True)]
        blocks += _blocks(rows)
        for answered, number in zip(task.answered, numbers, strict=True):
            first = len(blocks)
            columns, rows = self._answers(answered, places, number)
            head["models"].append({"model": answered.model, "file": answered.file, "first": first, **columns})
            blocks += _blocks(rows)
        return head, blocks

    def _prompts(
        self, task: TaskAnswers, places: Mapping[str, int], shared: Shared
    ) -> tuple[list[list[Any]], list[list[int]]]:
        """Return the different prompts of each sample, and for each model's answers which one it was."""
        known: list[list[Any]] = [[] for _ in task.samples]
        numbers: list[list[int]] = []
        for answered in task.answered:
            mine = []
            for lines in answered.lines:
                prompt, prompts = lines[0]["origin_prompt"], known[places[lines[0]["id"]]]
                if prompt not in prompts:
                    prompts.append(prompt)
                mine.append(prompts.index(prompt))
            numbers.append(mine)
        found = iter(shared.split([turns(prompt) for prompts in known for prompt in prompts]))
        return [[next(found) for _ in prompts] for prompts in known], numbers

    def _sample(self, sample: Mapping[str, Any], prompts: list[Any]) -> list[Any]:
        found = [
            [[role, place, *shorten(rest, self.most)[:2]] for role, place, rest in prompt]
            for prompt in prompts
        ]
        return [found, _text(sample["gold"]), list(sample["choices"])]

    def _answers(
        self, answered: Answered, places: Mapping[str, int], number: list[int]
    ) -> tuple[dict[str, Any], list[list[Any]]]:
        names = ("sample", "repeat", "outcome", "value", "answer", "tokens", "length", "ms")
        columns: dict[str, list[Any]] = {name: [] for name in names}
        rows = []
        for lines, prompt in zip(answered.lines, number, strict=True):
            last = lines[-1]
            scores = answered.scores.get((last["id"], last["repeat"]), [])
            score = scores[0] if scores else None
            usage = last["usage"] or {}
            outcome = OUTCOMES.index(score["outcome"]) if score else UNSCORED
            e2el = last["e2el_ms"]
            values = (
                places[last["id"]],
                last["repeat"],
                outcome,
                score and score["value"],
                _short(score["answer"]) if score else None,
                usage.get("output_tokens"),
                len(last["prediction"] or "") + len(last["reasoning"] or ""),
                None if e2el is None else round(e2el),
            )
            for name, value in zip(names, values, strict=True):
                columns[name].append(value)
            rows.append([prompt, self._output(lines, score), *_details_of(last, scores)])
        return columns, rows

    def _output(self, lines: list[Row], score: Row | None) -> list[list[Any]]:
        """Return the output in pieces: [kind, text, gaps, span]; the last turn is the one that was graded."""
        found: list[list[Any]] = []
        for line in lines:
            if len(lines) > 1:
                found.append(["turn", f"turn {line['turn'] + 1}", [], None])
            if line["reasoning"]:
                found.append(self._piece(TextPiece("reasoning", line["reasoning"]), None))
            span = score["span"] if score and line is lines[-1] else None
            at = 0
            for piece in text_pieces(line["prediction"] or "", line.get("reasoning_spans", ())):
                mine = (span[0] - at, span[1] - at) if span and at <= span[0] < at + len(piece.text) else None
                found.append(self._piece(piece, mine))
                at += len(piece.text)
        return found

    def _piece(self, piece: TextPiece, span: tuple[int, int] | None) -> list[Any]:
        most = self.most if piece.kind == "visible" else max(150, self.most // 2)
        if span:
            span = (span[0], min(span[1], len(piece.text)))
        text, gaps, moved = shorten(piece.text, most, span)
        return [piece.kind, text, gaps, moved if moved and moved[1] > moved[0] else None]


def _details_of(line: Row, scores: list[Row]) -> Iterator[Any]:
    """Yield further details of an answer: its scores, and named facts."""
    yield [
        [
            score["evaluator"],
            score["outcome"],
            score["value"],
            _text(score["answer"], 1000),
            score["rule"],
            _details(score["details"]),
        ]
        for score in scores
    ]
    failure = line["failure"]
    facts: dict[str, Any] = {
        "line": line["line"],
        "finish": line["finish_reason"],
        "usage": line["usage"],
        "attempts": line["attempts"] if line["attempts"] > 1 else None,
        "ttft": line["ttft_ms"],
        "e2el": line["e2el_ms"],
        "failure": f"{failure['kind']}: {failure['message']}"[:LONGEST_DETAILS] if failure else None,
        "calls": _text(line["tool_calls"], LONGEST_DETAILS) if line["tool_calls"] else None,
        "logprobs": [[p["total"], p["tokens"], p["greedy"]] for p in line["logprobs"] or ()] or None,
    }
    yield {name: value for name, value in facts.items() if value is not None}


def _details(details: Mapping[str, Any]) -> str:
    return _text(dict(details), LONGEST_DETAILS) or "" if details else ""


def _text(value: Any, most: int = 4000) -> str | None:
    """Return any value as text, cut if it is very long."""
    if value is None:
        return None
    text = value if isinstance(value, str) else orjson.dumps(value, default=str).decode()
    return text if len(text) <= most else f"{text[:most]} … ({len(text):,} characters)"


def _short(value: Any) -> str | None:
    text = _text(value)
    if text is None:
        return None
    line = " ".join(text.split())
    return line if len(line) <= SHORT else line[:SHORT] + "…"


def _blocks(rows: list[list[Any]]) -> list[bytes]:
    return [
        orjson.dumps(rows[start : start + ANSWERS_PER_BLOCK], default=str)
        for start in range(0, len(rows), ANSWERS_PER_BLOCK)
    ]
