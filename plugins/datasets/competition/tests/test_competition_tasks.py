"""Every competition task, variant and alias renders and scores rows of its formats."""

import json
import os
from pathlib import Path

import pytest
from task_family import TaskFamily, check_alias

from aisb import Prediction
from aisb_engine._scoring.scoring import score

FAMILY = TaskFamily("aisb_dataset_competition")
TASKS = FAMILY.tasks
NAMES = list(FAMILY.modes)
ALIASES = FAMILY.aliases

SOLVED = [
    ("What is $\\sqrt{8} + \\sqrt{2}$?", "We have $2\\sqrt2 + \\sqrt2$, so $\\boxed{3\\sqrt{2}}$."),
    ("Solve $x^2 = 4$.", "Both signs do: $\\boxed{-2, 2}$."),
    ("Half of a third?", "It is $\\boxed{\\frac{1}{6}}$, not $\\boxed{}$."),
    ("Which way is the sun at noon in Rome?", "It is $\\boxed{\\text{south}}$."),
    ("Where is $x > 2$?", "Right of it: $\\boxed{(2, \\infty)}$."),
    ("What is $7 \\cdot 12$?", "It is $\\boxed{84}$."),
]
MATH = [{"problem": problem, "solution": solution} for problem, solution in SOLVED]
GOLDS = ["3\\sqrt{2}", "-2, 2", "\\frac{1}{6}", "\\text{south}", "(2, \\infty)", "84"]
WHOLE = [("What is $9 \\cdot 9$?", "081"), ("What is $500 + 204$?", "704"), ("What is $2^5$?", "32")]
FILES = {
    "math/test.jsonl": MATH,
    "math/train.jsonl": [
        {"problem": f"What is {n} + 1?", "solution": f"\\boxed{{{n + 1}}}"} for n in range(6)
    ],
    "MATH/test.jsonl": MATH,
    "aime/aime.jsonl": [{"origin_prompt": q, "gold_answer": a} for q, a in WHOLE],
    "aime2025/aime2025.jsonl": [{"question": q, "answer": a} for q, a in WHOLE],
    "aime2026/aime2026.jsonl": [{"problem": q, "answer": int(a)} for q, a in WHOLE],
    "dapo-math-17k/dapo-math-17k.jsonl": [
        {"prompt": [{"role": "user", "content": q}], "reward_model": {"ground_truth": a}} for q, a in WHOLE
    ],
}


def write_rows(root):
    """Write this family's rows as its tasks look for them."""
    for name, rows in FILES.items():
        path = root / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return root


@pytest.mark.parametrize("name", NAMES)
def test_a_task_renders_its_rows_and_says_where_they_come_from(make_task, name):
    task, samples, renderer = make_task(name)
    questions = [q for q, _ in (SOLVED if name.startswith("math") else WHOLE)]
    for question, sample in zip(questions, samples, strict=True):
        request = renderer.request(sample)
        text = request.text or "\n".join(message.content for message in request.messages)
        assert question in text
        assert "\\boxed{}" in text or name in {"dapo_math", "dapo_math:text"}
        assert str(sample.target) not in text.replace(question, "").replace("\\boxed{4}", "")
    assert task.summary
    assert task.source
    assert task.licence


@pytest.mark.parametrize("name", [name for name in NAMES if not name.endswith(":judged")])
@pytest.mark.parametrize(
    "form",
    [
        "So, in 3 steps, $\\boxed{%s}$.",
        "The final answer is $%s$. I hope it is correct.",
        "**Answer:** %s",
        "<think>\\boxed{5}</think>\n\\[\\boxed{%s}\\]",
    ],
)
async def test_a_gold_as_a_model_would_write_it_is_right_and_anothers_is_wrong(
    plugins, make_task, name, form
):
    task, samples, _ = make_task(name)
    rows = list(samples)

    async def values(shift):
        predictions = [
            Prediction(sample.id, text=form.replace("%s", rows[n - shift].target), finish_reason="stop")
            for n, sample in enumerate(rows)
        ]
        (scores,) = (await score(task, {s.id: s for s in rows}, predictions, plugins)).values()
        return {one.value for one in scores}

    assert await values(0) == {1}
    assert await values(1) == {0}


def test_the_target_is_the_last_box_of_the_solution_that_holds_something(make_task):
    assert [sample.target for sample in make_task("math500")[1]] == GOLDS


def test_a_table_of_rows_by_number_is_read_as_the_lines_are(make_task, tmp_path):
    (tmp_path / "math").mkdir()
    table = {str(n): row for n, row in enumerate(MATH)}
    (tmp_path / "math/test_prm800k_500.json").write_text(json.dumps(table), encoding="utf-8")
    assert [sample.target for sample in make_task("math500", tmp_path)[1]] == GOLDS


def test_both_papers_of_2025_are_joined(make_task, tmp_path):
    (tmp_path / "aime2025").mkdir()
    for number, (question, answer) in enumerate(WHOLE[:2], 1):
        row = json.dumps({"problem": question, "answer": answer})
        (tmp_path / f"aime2025/test2025-{'I' * number}.jsonl").write_text(row, encoding="utf-8")
    assert [sample.target for sample in make_task("aime2025", tmp_path)[1]] == ["081", "704"]


def test_the_five_examples_come_from_the_train_split(make_task):
    _, samples, renderer = make_task("math500:few-shot")
    text = renderer.request(samples.samples[0]).text
    assert text.count("Answer: \\boxed{") == 5
    assert text.startswith("What is 0 + 1?\nPlease reason step by step, and put your final answer")
    assert text.endswith("}.")


@pytest.mark.parametrize(("alias", "target"), ALIASES.items())
def test_an_alias_leads_to_a_task_and_a_variant_of_it(plugins, alias, target):
    check_alias(plugins, alias, target)


@pytest.mark.data
@pytest.mark.skipif("AISB_DATA" not in os.environ, reason="needs $AISB_DATA")
@pytest.mark.parametrize(("name", "count"), [("math500", 500), ("aime2024", 30), ("aime2025", 30)])
async def test_all_real_golds_are_right_in_the_words_of_their_solutions(plugins, make_task, name, count):
    task, samples, renderer = make_task(name, Path(os.environ["AISB_DATA"]))
    assert len(samples) == count
    predictions = [
        Prediction(
            s.id,
            text=s.fields["solution"] if name == "math500" else f"$\\boxed{{{s.target}}}$",
            finish_reason="stop",
        )
        for s in samples
    ]
    (scores,) = (await score(task, {sample.id: sample for sample in samples}, predictions, plugins)).values()
    assert [one.sample_id for one in scores if one.value < 1] == []
    assert len({renderer.request(sample).messages for sample in samples}) == count
