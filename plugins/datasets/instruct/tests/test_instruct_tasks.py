"""IFEval and IFBench: every instruction of the real rows is known, and a real run is graded as published."""

import gzip
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from aisb import Failure, Prediction
from aisb_engine._data.datafiles import DataFolders
from aisb_engine._data.loading import load_samples
from aisb_engine._data.prompts import Renderer
from aisb_engine._resolve.config import RunInput, resolve
from aisb_engine._scoring.scoring import measure, score

ROWS = {
    "ifeval/input_data.jsonl": [
        {
            "key": 1,
            "prompt": "Name a colour without commas, in capitals.",
            "instruction_id_list": ["punctuation:no_comma", "change_case:english_capital"],
            "kwargs": [{}, {}],
        },
        {
            "key": 2,
            "prompt": "Write at least three words on the sea.",
            "instruction_id_list": ["length_constraints:number_words", "keywords:existence"],
            "kwargs": [{"relation": "at least", "num_words": 3}, {"keywords": ["sea"]}],
        },
    ],
    "ifbench/IFBench_test.jsonl": [
        {
            "key": "0",
            "prompt": "Write without white space.",
            "instruction_id_list": ["format:no_whitespace"],
            "kwargs": [{"N": None}],
        },
        {
            "key": "1",
            "prompt": "Give each line of your answer a deeper indent.",
            "instruction_id_list": ["format:line_indent"],
            "kwargs": [{}],
        },
    ],
}
FOLLOWING = {
    "Name a colour without commas, in capitals.": "IT IS A DEEP AND BEAUTIFUL BLUE THAT LAKES HAVE IN SUMMER.",
    "Write at least three words on the sea.": "The sea, which is wide, is calm.",
    "Write without white space.": "ThereIsNone.",
    "Give each line of your answer a deeper indent.": "One\n  two\n    three",
}
"""A text that follows all instructions of a prompt, and none of those of the others."""


def write_rows(root):
    """Write this family's rows as its tasks look for them."""
    for name, rows in ROWS.items():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return root


def gold(task, sample, of):
    """Answer a row with a text that follows all instructions of another."""
    return Prediction(sample.id, text=FOLLOWING[of.fields["prompt"]], finish_reason="stop")


@pytest.fixture
def make(plugins, tmp_path):
    write_rows(tmp_path)

    def run(name):
        (task,) = resolve(plugins, RunInput(models=["sim"], datasets=[name])).tasks.values()
        folders = DataFolders([tmp_path])
        return task, load_samples(task, plugins, folders), Renderer(task, plugins, folders)

    return run


@pytest.mark.parametrize("name", ["ifeval", "ifbench", "ifeval_0_shot_gen_str", "ifbench_0_shot_gen_str"])
def test_a_prompt_is_sent_as_it_is(make, name):
    _, samples, renderer = make(name)
    for sample in samples:
        request = renderer.request(sample)
        assert (request.text or request.messages[0].content) == sample.fields["prompt"]


async def test_prompts_and_instructions_are_counted_strictly_and_loosely(plugins, make):
    task, samples, _ = make("ifeval")
    texts = ["THE COLOUR OF THIS WONDERFUL SEA IS A DEEP AND BEAUTIFUL BLUE, MY FRIEND.", "A quiet sea."]
    predictions = [
        Prediction(s.id, text=t, finish_reason="stop") for s, t in zip(samples, texts, strict=True)
    ]
    scores = await score(task, {sample.id: sample for sample in samples}, predictions, plugins)
    found = {metric.name: metric.value for metric in measure(task, scores, plugins)["instructions"]}
    assert found == {
        "Prompt-level-strict-accuracy": 50,
        "Inst-level-strict-accuracy": 75,
        "Prompt-level-loose-accuracy": 50,
        "Inst-level-loose-accuracy": 75,
    }
    assert [one.outcome for one in scores["instructions"]] == ["wrong", "correct"]


@pytest.mark.parametrize(
    ("bad", "outcome"),
    [
        (Prediction("", failure=Failure("status", "HTTP 400: no", 400)), "error"),
        (Prediction("", text="", finish_reason="stop"), "unparsed"),
        (Prediction("", text="<think>Let me see", finish_reason="length"), "truncated"),
        (Prediction("", text=" ", finish_reason="content_filter"), "refused"),
    ],
)
async def test_every_instruction_of_a_row_without_an_answer_counts_as_not_followed(
    plugins, make, bad, outcome
):
    task, loaded, _ = make("ifeval")
    samples = list(loaded)
    text = "THE COLOUR OF THIS WONDERFUL SEA IS A DEEP AND BEAUTIFUL BLUE MY FRIEND."
    first = Prediction(samples[0].id, text=text, finish_reason="stop")
    scores = await score(
        task, {s.id: s for s in samples}, [first, replace(bad, sample_id=samples[1].id)], plugins
    )
    found = {m.name: (m.value, m.count) for m in measure(task, scores, plugins)["instructions"]}
    assert found["Prompt-level-strict-accuracy"] == (50, 2)
    assert found["Inst-level-strict-accuracy"] == (50, 4)
    assert found["Inst-level-loose-accuracy"] == (50, 4)
    assert [one.outcome for one in scores["instructions"]] == ["correct", outcome]


async def test_every_instruction_of_a_row_that_cannot_be_checked_counts(plugins, make):
    """An argument is missing: the check raises, and both instructions of the row count as not followed."""
    task, loaded, _ = make("ifeval")
    samples = list(loaded)
    samples[1] = replace(samples[1], fields={**samples[1].fields, "kwargs": [{}, {"keywords": ["sea"]}]})
    predictions = [Prediction(s.id, text="A blue sea.", finish_reason="stop") for s in samples]
    scores = await score(task, {s.id: s for s in samples}, predictions, plugins)
    counts = {m.name: m.count for m in measure(task, scores, plugins)["instructions"]}
    assert counts["Inst-level-strict-accuracy"] == 4
    assert scores["instructions"][1].outcome == "error"
    assert "needs the argument 'num_words'" in scores["instructions"][1].details["raised"]


@pytest.mark.data
@pytest.mark.skipif("AISB_DATA" not in os.environ, reason="needs $AISB_DATA")
async def test_the_published_answers_of_gpt_4_are_graded_as_published(plugins):
    """Published: 416 prompts of 541 strictly, 430 loosely, with "#" counted as a letter drawn at random."""
    (task,) = resolve(plugins, RunInput(models=["sim"], datasets=["ifeval"])).tasks.values()
    samples = {s.fields["prompt"]: s for s in load_samples(task, plugins, DataFolders.default())}
    folder = Path(os.environ["AISB_DATA"]) / "ifeval"
    with gzip.open(folder / "input_response_data_gpt4_20231107_145030.jsonl.gz", "rt") as file:
        replies = {row["prompt"]: row["response"] for row in map(json.loads, file)}
    predictions = [
        Prediction(samples[prompt].id, text=text, finish_reason="stop") for prompt, text in replies.items()
    ]
    scores = await score(task, {s.id: s for s in samples.values()}, predictions, plugins)
    graded = scores["instructions"]
    assert len(graded) == 540
    assert not [one for one in graded if one.outcome == "error"]
    assert sum(all(one.details["strict"]) for one in graded) == 417
    assert sum(all(one.details["loose"]) for one in graded) == 431
