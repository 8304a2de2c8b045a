"""The demo's problems are right, and every task, variant and alias of the family renders and scores its rows."""

import ast
import json
import operator
import os
import re
from fractions import Fraction

import pytest
from task_family import TaskFamily, check_alias

from aisb import DataError, Prediction
from aisb._plugins import Plugins
from aisb_engine._data.datafiles import DataFolders
from aisb_engine._data.loading import load_samples
from aisb_engine._data.prompts import Renderer
from aisb_engine._resolve.config import RunInput, resolve
from aisb_engine._scoring.scoring import score

FAMILY = TaskFamily("aisb_dataset_math")
ROWS = [
    json.loads(line)
    for line in (FAMILY.folder / "data/demo_gsm8k.jsonl").read_text(encoding="utf-8").splitlines()
]
NOTE = re.compile(r"<<([^<>=]+)=([^<>]+)>>")
NUMBER = r"-?\d+(?:\.\d+)?"
OPERATORS = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv}

TASKS = FAMILY.tasks
GSM8K = ["gsm8k", "demo_gsm8k"]
NAMES = [f"{name}:{variant}" for name in GSM8K for variant in TASKS[name]["variants"]] + GSM8K
ALIASES = FAMILY.aliases


def calculate(text):
    """Calculate exactly, without floats."""

    def value(node):
        if isinstance(node, ast.Constant):
            return Fraction(ast.get_source_segment(text, node))
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            return -value(node.operand)
        assert isinstance(node, ast.BinOp), ast.dump(node)
        return OPERATORS[type(node.op)](value(node.left), value(node.right))

    return value(ast.parse(text, mode="eval").body)


def write_rows(root):
    """Write this family's rows as its tasks look for them."""
    (root / "gsm8k").mkdir()
    for split, count in (("train", 7400), ("test", 20)):
        rows = [
            {
                "question": f"{split} {n}: 2 * {n}?",
                "answer": f"It is 2*{n} = <<2*{n}={2 * n}>>{2 * n}.\n#### {2 * n:,}",
            }
            for n in range(count)
        ]
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (root / f"gsm8k/{split}.jsonl").write_text(text, encoding="utf-8")
    return root


def test_there_are_64_different_problems():
    assert len(ROWS) == 64
    assert len({row["question"] for row in ROWS}) == 64
    assert all(set(row) == {"question", "answer"} for row in ROWS)


@pytest.mark.parametrize("row", ROWS, ids=range(len(ROWS)))
def test_a_problem_is_calculated_right_in_two_to_five_steps(row):
    *steps, last = row["answer"].split("\n")
    notes = NOTE.findall(row["answer"])
    assert 2 <= len(steps) <= 5
    assert all(NOTE.search(step) for step in steps)
    for formula, result in notes:
        assert calculate(formula) == Fraction(result), f"{formula} is not {result}"
    assert last.startswith("#### ")
    assert Fraction(last.removeprefix("#### ").replace(",", "")) == Fraction(notes[-1][1])


@pytest.mark.parametrize("row", ROWS, ids=range(len(ROWS)))
def test_what_a_solution_shows_is_what_its_notes_say(row):
    shown = re.findall(rf"([-\d(][-\d+*/ ().]*) = \$?<<([^<>=]+)=([^<>]+)>>({NUMBER})", row["answer"])
    assert len(shown) == len(NOTE.findall(row["answer"]))
    for left, formula, result, right in shown:
        assert left.replace(" ", "") == formula
        assert Fraction(result) == Fraction(right)


@pytest.mark.parametrize("name", NAMES)
def test_a_task_renders_every_row_without_braces_or_notes_left(make_task, name):
    task, samples, renderer = make_task(name)
    for sample in samples:
        request = renderer.request(sample)
        text = request.text or "\n".join(message.content for message in request.messages)
        assert sample.fields["question"] in text
        assert not re.search(r"<<|>>|####|\{|\}", text)
        assert sample.fields["answer"] not in text
        assert request.params["max_tokens"] == 512
    assert task.summary
    assert task.source
    assert task.licence


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "form",
    [
        "{solution}\nThe answer is {number}",
        "{solution}\nanswer:{number}",
        "So, **{number}**.",
        "#### {number}",
    ],
)
async def test_the_gold_as_a_model_would_write_it_is_right_and_anothers_is_wrong(
    plugins, make_task, name, form
):
    task, samples, _ = make_task(name)
    samples = {sample.id: sample for sample in samples}
    golds = list(samples.values())

    async def share(source):
        predictions = [
            Prediction(sample.id, text=form.format(**source(n).fields), finish_reason="stop")
            for n, sample in enumerate(golds)
        ]
        (scores,) = (await score(task, samples, predictions, plugins)).values()
        return sum(one.value for one in scores) / len(scores)

    assert await share(lambda n: golds[n]) == 1
    others = [
        next(g for g in golds[n:] + golds[:n] if g.target != golds[n].target) for n in range(len(golds))
    ]
    assert await share(lambda n: others[n]) == 0


def test_the_four_examples_are_the_fixed_ones_of_the_train_split(make_task):
    _, samples, renderer = make_task("gsm8k")
    request = renderer.request(samples.samples[7])
    assert [message.content for message in request.messages[:2]] == [
        "Question: train 7364: 2 * 7364?\nLet's think step by step\nAnswer:",
        "It is 2*7364 = 14728.\nThe answer is 14728\n",
    ]
    asked = [message.content.split(":")[1] for message in request.messages if message.role == "user"]
    assert asked == [" train 7364", " train 1708", " train 669", " train 6724", " test 7"]


def test_the_text_variant_is_one_string_that_ends_where_the_answer_begins(make_task):
    _, samples, renderer = make_task("gsm8k:text")
    request = renderer.request(samples.samples[7])
    assert request.text.count("Let's think step by step\nAnswer:\nIt is 2*") == 4
    assert request.text.endswith("\n\nQuestion: test 7: 2 * 7?\nLet's think step by step\nAnswer:\n")
    assert request.params == {"max_tokens": 512}


def test_the_demo_takes_its_examples_from_its_own_rows_but_never_the_question_itself(make_task):
    _, samples, renderer = make_task("demo_gsm8k")
    for sample in samples:
        *before, last = [m.content for m in renderer.request(sample).messages if m.role == "user"]
        assert len(set(before)) == 4
        assert last not in before


@pytest.mark.parametrize(("alias", "target"), ALIASES.items())
def test_an_alias_leads_to_a_task_and_a_variant_of_it(plugins, alias, target):
    check_alias(plugins, alias, target)


def test_data_that_is_not_there_is_named_with_its_source(plugins, tmp_path):
    (task,) = resolve(plugins, RunInput(models=["sim"], datasets=["gsm8k"])).tasks.values()
    with pytest.raises(
        DataError, match=r"gsm8k/test.jsonl(.|\n)*the data comes from https://github.com/openai/grade"
    ):
        load_samples(task, plugins, DataFolders([tmp_path]))


@pytest.mark.data
@pytest.mark.skipif("AISB_DATA" not in os.environ, reason="needs $AISB_DATA")
def test_the_real_test_split_has_1319_rows_with_numbers_for_golds(plugins):
    (task,) = resolve(plugins, RunInput(models=["sim"], datasets=["gsm8k"])).tasks.values()
    folders = DataFolders.default()
    samples = load_samples(task, plugins, folders)
    assert len(samples) == 1319
    assert all(re.fullmatch(NUMBER, sample.target) for sample in samples)
    renderer = Renderer(task, plugins, folders)
    assert len({renderer.request(sample).messages for sample in samples}) == 1319


def test_the_rows_of_the_hub_are_the_same(make_task, data, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    table = pytest.importorskip("pyarrow").Table
    for split in ("train", "test"):
        rows = [json.loads(line) for line in (data / f"gsm8k/{split}.jsonl").read_text().splitlines()]
        path = tmp_path / f"gsm8k/main/{split}-00000-of-00001.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        parquet.write_table(table.from_pylist(rows), path)
    plugins = Plugins.load()
    (task,) = resolve(plugins, RunInput(models=["sim"], datasets=["gsm8k"])).tasks.values()
    folders = DataFolders([tmp_path])
    _, first, renderer = make_task("gsm8k")
    found = load_samples(task, plugins, folders)
    assert [sample.target for sample in found] == [sample.target for sample in first]
    assert Renderer(task, plugins, folders).request(found.samples[0]).messages == (
        renderer.request(first.samples[0]).messages
    )
