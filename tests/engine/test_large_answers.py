"""Many large answers need no more memory than one: they are read from the log when they are wanted."""

from __future__ import annotations

import asyncio
import json
import tracemalloc
from pathlib import Path

from aisb import Prediction, Sample, Score
from aisb._evaluator import Evaluator
from aisb._plugins import Plugins
from aisb_engine._record.log import LogWriter, read_folder
from aisb_engine._record.predictions import (
    RenderedSample,
    read_logged_answers,
    write_predictions,
    write_samples,
)
from aisb_engine._record.runfolder import RunFolder
from aisb_engine._scoring.scoring import score
from aisb_engine._scoring.steps import Steps
from aisb_engine._spec import Task

COUNT, SIZE = 50, 1_000_000


def answered(folder: RunFolder, text: str) -> None:
    """Leave a run in which each of some questions has this answer."""
    asked = [RenderedSample(Sample(str(n), {}, "18"), "Why?") for n in range(COUNT)]
    write_samples(folder, "m", "t", asked, sample_table={})
    with LogWriter(folder.log("m", "t") / "worker-0") as log:
        for one in asked:
            log.append(Prediction(one.sample.id, 0, text=text, finish_reason="stop"), final=True)


def folder_of(path: Path) -> RunFolder:
    path.mkdir()
    return RunFolder(path)


def test_the_log_is_read_and_predictions_written_in_the_memory_of_one_answer(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "run")
    answered(folder, "7" * SIZE)
    tracemalloc.start()
    try:
        answers = read_logged_answers(folder, "m", "t", 1)
        write_predictions(folder, "m", "t", answers, repeats=1)
        assert len(read_folder(folder.log("m", "t")).finished) == COUNT
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 20 * SIZE  # what parses JSON takes 14 times the size of a text for a moment
    with folder.predictions("m", "t").open() as lines:
        assert [len(json.loads(line)["prediction"]) for line in lines] == [SIZE] * COUNT
    table = json.loads(folder.predictions_json("m", "t").read_text())
    assert list(table) == [str(n) for n in range(COUNT)]
    assert {len(entry["prediction"]) for entry in table.values()} == {SIZE}


class Length(Evaluator):
    """Grades a text by its length."""

    def score(self, answer: str, sample: Sample) -> Score:
        return Score(len(answer) / 100_000)


def test_large_answers_are_graded_as_small_ones_are(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "run")
    answered(folder, "7" * 70_000)
    answers = read_logged_answers(folder, "m", "t", 1).without_times()
    table = {"name": "t", "summary": "A task", "dataset": {}, "sample": {}, "prompt": {"user": "{question}"}}
    task = Task.model_validate(table)
    samples = {one.sample.id: one.sample for one in answers.task.samples}
    plugins = Plugins.load()
    found = [
        asyncio.run(score(task, samples, predictions, plugins, steps=Steps([]), judges={"length": Length()}))
        for predictions in (answers.predictions, list(answers.predictions))
    ]
    assert found[0] == found[1]
    assert [one.value for one in found[0]["length"]] == [0.7] * COUNT


def test_a_part_of_large_predictions_is_loaded_like_all_of_them(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "run")
    answered(folder, "x" * 100_000)
    predictions = read_logged_answers(folder, "m", "t", 1).predictions
    assert [one.sample_id for one in predictions[3:5]] == ["3", "4"]
    assert {len(one.text) for one in predictions} == {100_000}
    assert {one.text for one in predictions.summaries()} == {""}
