"""What a reporter wrote, `aisb import` reads back, and grades as the run did."""

import pytest
from every_family import aisb

from aisb_engine import open_finished_run

FORMATS = ("every-eval-ever", "inspect", "lm-eval")


def headlines(folder):
    return {
        result.task: (result.headline.value, result.predictions)
        for result in open_finished_run(folder).results
    }


def grades(folder, task):
    return {(row["id"], row["repeat"]): row["value"] for row in open_finished_run(folder).scores(task=task)}


@pytest.mark.parametrize("form", FORMATS)
def test_answers_are_read_back_with_the_same_scores(published, tmp_path, form):
    run, _ = published
    aisb(tmp_path, "import", run / "exchange" / form, "-w", tmp_path / "back")
    (back,) = (tmp_path / "back").glob("2*")
    assert headlines(back) == headlines(run)
    assert 0 < headlines(run)["demo_gsm8k"][0] < 100
    for task in ("demo_gsm8k", "mmlu", "piqa"):
        assert grades(back, task) == grades(run, task)
    said = aisb(tmp_path, "compare", run, back)
    assert said.count("tie") == 3


@pytest.mark.parametrize("form", FORMATS)
def test_likelihoods_are_read_back_with_the_same_scores(published, tmp_path, form):
    _, run = published
    aisb(tmp_path, "import", run / "exchange" / form, "--as", "piqa:ppl", "-w", tmp_path / "back")
    (back,) = (tmp_path / "back").glob("2*")
    assert grades(back, None) == grades(run, None)
