"""Every installed task on its real data: all rows render, a gold answer is right, and a shuffled one is chance.

Run with AISB_DATA=FOLDER (make test-data). A task whose data is not there is skipped by name. A family whose
evaluator takes another kind of gold adds a line to `WRITTEN`.
"""

import os
from collections import Counter
from random import Random
from statistics import NormalDist

import pytest

from aisb.accuracy.scoring import score
from aisb.accuracy.stats import wilson
from aisb.data.datafiles import DataFolders
from aisb.data.prompts import Renderer
from aisb.data.samples import LETTERS, load_samples
from aisb.errors import ConfigError, DataError, PluginError
from aisb.plugins import Plugins
from aisb.resolve.catalog import Catalog, read_toml
from aisb.resolve.config import Asked, resolve
from aisb.types import Logprob, Prediction

pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif("AISB_DATA" not in os.environ, reason="needs $AISB_DATA"),
]

TASKS = [entry.name for entry in Catalog(Plugins.load()).entries("task")]
# One shuffle in twenty falls outside its own 95 % interval, so the 95 % are for all tasks together.
FAMILY_WISE = NormalDist().inv_cdf(1 - 0.05 / 2 / len(TASKS))
ENOUGH = 200
MOST = 1000
"""Answers are scored of so many rows at most, drawn once; all rows are read and rendered."""

WRITTEN = {
    "choice-match": ("ANSWER: {target}", "答案：{target}", "The answer is ({target})."),
    "exam-match": ("The answer is {target}.", "所以答案是：{target}", "**Answer: {target}**"),
    "numeric-match": ("So the answer is {target}.", "#### {target}", "\\boxed{{{target}}}"),
    "exact-match": ("{target}",),
    "code-run": ("Here it is:\n```\n{target}\n```\nIt runs in linear time.", "```\n{target}\n```"),
}
"""What a model would write that gives a target, for each evaluator; the rows take the forms in turn."""

UPSTREAM = {
    "humanevalx": {
        "cpp/22": "needs boost",
        "cpp/38": "a brace of the reference is missing",
        "cpp/137": "needs boost",
        "js/112": "its test compares lists by identity",
        "js/155": "its test compares lists by identity",
        "js/162": "needs the module js-md5",
    },
}
"""Gold answers that do not pass their own tests, and why: rows of each task by their ids."""


def names():
    plugins = Plugins.load()
    for entry in Catalog(plugins).entries("task"):
        yield entry.name
        yield from (f"{entry.name}:{variant}" for variant in read_toml(entry.path).get("variants", {}))


@pytest.fixture(scope="module")
def plugins():
    return Plugins.load()


@pytest.fixture(params=list(names()))
def ready(request, plugins):
    """A task with its samples, or a skip that says why there are none."""
    (task,) = resolve(plugins, Asked(models=["sim"], datasets=[request.param])).tasks.values()
    folders = DataFolders.default()
    try:
        samples = load_samples(task, plugins, folders)
        renderer = Renderer(task, plugins, folders)
    except (DataError, PluginError) as error:
        if "none of these exists" in str(error) or "needs pyarrow" in str(error):
            pytest.skip(f"{request.param}: {str(error).splitlines()[1].strip()} is not there")
        raise
    except ConfigError as error:
        if not task.evaluate:  # a load that is made as its user says
            pytest.skip(f"{request.param}: {str(error).splitlines()[0]}")
        raise
    return task, samples, renderer


def forms(task):
    if not task.evaluate:
        pytest.skip(f"{task.name} is not graded")
    evaluator = task.evaluate[0].use
    if evaluator not in WRITTEN:
        pytest.skip(f"{task.name}: no gold answer is known for the evaluator {evaluator!r}")
    if evaluator == "code-run" and not os.environ.get("AISB_ALLOW_CODE_EXECUTION"):
        pytest.skip(f"{task.name}: grading it runs programs (AISB_ALLOW_CODE_EXECUTION=1)")
    return WRITTEN[evaluator]


def drawn(samples):
    rows = list(samples)
    return Random(7).sample(rows, MOST) if len(rows) > MOST else rows


def key(sample):
    targets = sample.target if isinstance(sample.target, list) else [sample.target]
    return (bool(sample.choices), *sorted(str(target) for target in targets))


async def graded(task, plugins, rows, golds):
    """The scores of rows that are answered with the gold of the sample beside each."""
    written = forms(task)
    predictions = []
    for position, (row, gold) in enumerate(zip(rows, golds, strict=True)):
        target = gold.target[0] if isinstance(gold.target, list) else gold.target
        if task.mode == "logprob":
            totals = [-1.0 if letter == target else -9.0 for letter in LETTERS]
            logprobs = tuple(Logprob(total, 1, False, 0, 1, total, 1) for total in totals)
            predictions.append(Prediction(row.id, logprobs=logprobs))
        else:
            text = written[position % len(written)].format(target=target)
            predictions.append(Prediction(row.id, text=text, finish_reason="stop"))
    (scores, *_) = (await score(task, {row.id: row for row in rows}, predictions, plugins)).values()
    return scores


async def test_every_row_renders_and_its_gold_answer_is_right(plugins, ready):
    task, samples, renderer = ready
    for sample in samples:
        request = renderer.request(sample)
        assert request.text or request.messages or request.tokens
    assert len({sample.id for sample in samples}) == len(samples)
    forms(task)
    assert all(sample.target not in (None, "", []) for sample in samples)
    rows = drawn(samples)
    scores = await graded(task, plugins, rows, rows)
    known = UPSTREAM.get(task.name, {})
    wrong = [
        (one.sample_id, one.answer, one.outcome, dict(one.details))
        for one in scores
        if one.value < 1 and one.sample_id not in known
    ]
    assert not wrong, f"{len(wrong)} of {len(scores)}: {wrong[:5]}"


async def test_the_gold_of_another_row_is_right_as_often_as_chance(plugins, ready):
    task, samples, _ = ready
    forms(task)
    rows = drawn(samples)
    if len(rows) < ENOUGH:
        pytest.skip(f"{task.name} has {len(rows)} rows, and {ENOUGH} are wanted")
    golds = Random(11).sample(rows, len(rows))
    scores = await graded(task, plugins, rows, golds)
    for row, gold, one in zip(rows, golds, scores, strict=True):
        if key(row) == key(gold) or row.choices:
            assert (one.value == 1) == (key(row) == key(gold)), f"{row.id} answered as {gold.id}: {one}"
    share = sum(one.value for one in scores) / len(scores)
    same = Counter(key(row) for row in rows)
    chance = sum(count * count for count in same.values()) / len(rows) ** 2
    low, high = wilson(share, len(scores), FAMILY_WISE)
    assert low <= chance <= high, (
        f"{100 * share:.1f} % [{100 * low:.1f}, {100 * high:.1f}], {100 * chance:.1f} %"
    )
