"""Run folders made through the writers that a run uses itself: logs, samples, predictions, scores, results."""

import json
import random
from array import array
from pathlib import Path

import orjson
import tomli_w

from aisb import Prediction, Sample, Score, Timing, Usage
from aisb_engine import open_finished_run
from aisb_engine._record.log import LogWriter
from aisb_engine._record.predictions import (
    RenderedSample,
    read_logged_answers,
    write_predictions,
    write_samples,
)
from aisb_engine._record.runfolder import RunFolder, write_atomically
from aisb_engine._record.scores import write_scores
from aisb_engine._scoring.metrics import bounds, outcomes, summarize

MS = 1_000_000
SHOTS = "".join(
    f"Question: Example {n}: a farmer has {n * 7} hens and sells {n} of them on each of three days. How many are left?\n"
    f"Let's think step by step\nAnswer: Three days of {n} hens are {3 * n}. {n * 7} - {3 * n} = {4 * n}.\nThe answer is {4 * n}\n\n"
    for n in range(1, 9)
)
WORDS = (  # noqa: SIM905 - as a sentence they are read more easily
    "the a of to and in each every day week hour box boxes apples pens tickets metres litres dollars cents more fewer than twice half "
    "remaining total sold bought gives takes left number first second then so we have need multiply divide add subtract since because "
    "after before morning evening Janet Tom school garden train bus shop price cost equals which means altogether"
).split()


def answer(text="The answer is 18", *, at=1, tokens=40, **more):
    """A reply, streamed in two chunks."""
    timing = Timing(
        sent_ns=at * MS,
        headers_ns=(at + 2) * MS,
        chunk_ns=array("q", [(at + 20) * MS, (at + 20 + tokens) * MS]),
        chunk_kinds=("content", "content"),
        done_ns=(at + 21 + tokens) * MS,
    )
    values = {"text": text, "finish_reason": "stop", "usage": Usage(300, tokens), "timing": timing}
    return values | more


class Made:
    """A run folder under way: `add` one subtask after another, then `done`."""

    def __init__(self, work, timestamp="20261121_220301"):
        self.folder = RunFolder(Path(work) / timestamp)
        (self.folder.path / "configs").mkdir(parents=True)
        self.pairs = []

    def add(self, model, task, samples, replies, graded, *, repeats=1):
        """`samples` are (Sample, prompt); replies and graded have an entry an answer: values of Prediction, of Score."""
        folder = self.folder
        self.pairs.append((model, task))
        write_samples(folder, model, task, [RenderedSample(*one) for one in samples], sample_table={})
        keys = [(sample.id, repeat) for sample, _ in samples for repeat in range(repeats)]
        with LogWriter(folder.log(model, task) / "worker-0") as log:
            for (key, repeat), reply in zip(keys, replies, strict=True):
                log.append(Prediction(key, repeat, **reply), final=True)
        answers = read_logged_answers(folder, model, task, repeats)
        write_predictions(folder, model, task, answers, repeats=repeats, also_json=False)
        groups = {sample.id: sample.group for sample, _ in samples}
        scores = [
            Score(sample_id=key, repeat=repeat, evaluator="numeric-match", group=groups[key], **given)
            for (key, repeat), given in zip(keys, graded, strict=True)
        ]
        write_scores(folder, model, task, {"numeric-match": scores})
        metrics = summarize(scores)
        results = {
            "model": model, "task": task, "variant": None, "version": "9dc0b5", "mode": "gen",
            "metrics": metrics, "outcomes": outcomes(scores), "bounds": bounds(scores),
            "predictions": len(keys), "not_sent": 0, "failed": 0, "merge": False,
        }  # fmt: skip
        write_atomically(folder.results(model, task), orjson.dumps(results, default=str))
        return self

    def done(self):
        models, tasks = {m for m, _ in self.pairs}, {t for _, t in self.pairs}
        config = {
            "run": {"models": sorted(models), "datasets": sorted(tasks), "resolved": True},
            "models": {model: {"name": model, "backend": "sim", "abbr": model} for model in models},
            "tasks": {task: {"name": task, "summary": "word problems"} for task in tasks},
            "subtasks": [{"model": model, "task": task, "params": {"seed": 7}} for model, task in self.pairs],
        }
        self.folder.config.write_text(tomli_w.dumps(config))
        session = {
            "started": "2026-11-21T22:03:01.000+00:00", "ended": "2026-11-21T22:09:31.000+00:00",
            "command": ["aisb", "run", "--models", "a b"], "exit_code": 0,
        }  # fmt: skip
        manifest = {
            "sessions": [session], "aisb": "0.1.0", "python": "3.11.7", "platform": "Linux", "processors": 8,
            "plugins": {}, "models": {}, "tasks": {task: {"version": "9dc0b5", "data": {"sha256": "ab" * 32}} for task in tasks},
        }  # fmt: skip
        self.folder.manifest.write_text(json.dumps(manifest))
        return open_finished_run(self.folder.path)


def simple(work, texts, *, gold="18", models=("small",), task="gsm8k", **more):
    """One task: a sample a text, which every model answers with; right where it ends with the right answer."""
    made = Made(work, **more)
    samples = [
        (Sample(str(n), {}, gold), [{"role": "user", "content": f"Question {n}?"}]) for n in range(len(texts))
    ]
    for model in models:
        graded = [verdict(text, gold) for text in texts]
        made.add(model, task, samples, [answer(text) for text in texts], graded)
    return made.done()


def verdict(text, gold):
    """A score with the span of the last word."""
    found = text.split()[-1] if text.split() else None
    start = text.rfind(found) if found else 0
    right = found == gold
    outcome = "correct" if right else "wrong" if found else "unparsed"
    span = (start, start + len(found)) if found else None
    return {"value": float(right), "outcome": outcome, "answer": found, "rule": "last-word", "span": span}


def gsm8k_like(work, count, *, models=("small", "large"), seed=0):
    """A run as large as `count` answers of GSM8K: 8 examples in each prompt, outputs of 90 to 190 words."""
    draw = random.Random(seed)
    made = Made(work)
    rows = count // len(models)

    def told(least, most):
        words = [
            draw.choice(WORDS) if draw.random() < 0.8 else str(draw.randint(2, 999))
            for _ in range(draw.randint(least, most))
        ]
        return " ".join(words)

    golds = [str(draw.randint(1, 5000)) for _ in range(rows)]
    samples = [
        (Sample(str(n), {}, gold), f"{SHOTS}Question: {told(35, 60)}?\nLet's think step by step\nAnswer:")
        for n, gold in enumerate(golds)
    ]
    for model in models:
        texts = [
            f"{told(90, 190)}.\nThe answer is {gold if draw.random() < 0.7 else draw.randint(1, 5000)}"
            for gold in golds
        ]
        replies = [answer(text, at=n, tokens=len(text) // 4) for n, text in enumerate(texts)]
        made.add(
            model,
            "gsm8k",
            samples,
            replies,
            [verdict(text, gold) for text, gold in zip(texts, golds, strict=True)],
        )
    return made.done()


if __name__ == "__main__":  # a run folder for pictures and measurements: made_runs.py COUNT FOLDER
    import sys

    sys.stdout.write(f"{gsm8k_like(sys.argv[2], int(sys.argv[1])).folder}\n")
