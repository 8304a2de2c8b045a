"""BIG-Bench Hard: its rows with their examples, and the grading of letters, words, numbers and brackets."""

import json
import os
from pathlib import Path

import pytest
from task_family import TaskFamily, check_alias

from aisb import DataError, Prediction, Sample
from aisb_dataset_reasoning._grading import BbhMatch, bbh_answer
from aisb_engine._scoring.scoring import measure, score

FAMILY = TaskFamily("aisb_dataset_reasoning")
ALIASES = FAMILY.aliases
NAMES = ["bbh", "bbh:text", "bbh:zero-shot"]
ROWS = {
    "boolean_expressions": [("not True and False is", "False"), ("True or False is", "True")],
    "dyck_languages": [("Close: [ {", "} ]"), ("Close: < (", ") >")],
    "fruit": [
        ("Which is red?\nOptions:\n(A) lemon\n(B) cherry\n(C) plum", "(B)"),
        ("Which is yellow?\nOptions:\n(A) lemon\n(B) cherry\n(C) plum", "(A)"),
        ("Which is a film?\nOptions:\n(A) cherry\n(B) plum, pear & co", "plum, pear & co"),
    ],
    "navigate": [
        ("Turn around twice.\nOptions:\n- Yes\n- No", "Yes"),
        ("Go on.\nOptions:\n- Yes\n- No", "No"),
    ],
    "object_counting": [("Two pears and a plum?", "3"), ("Five pears?", "5")],
    "word_sorting": [("List: pear apple", "apple pear"), ("List: rye oat", "oat rye")],
    "formal_fallacies": [("Is it?", "valid"), ("And this?", "invalid")],
}


def write_rows(root):
    """Write this family's rows as its tasks look for them."""
    for folder in ("data", "lib_prompt"):
        (root / "BBH" / folder).mkdir(parents=True)
    for task, rows in ROWS.items():
        examples = [{"input": question, "target": target} for question, target in rows]
        (root / f"BBH/data/{task}.json").write_text(json.dumps({"canary": "", "examples": examples}))
        (root / f"BBH/lib_prompt/{task}.txt").write_text(f"A notice.\n-----\nDo {task}.\n\nQ: a\nA: b.\n")
    return root


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "form",
    [
        "Let me see. So the answer is %s.",
        "First I thought the answer is nothing. The answer is **%s**.",
        "Reasoned.\n\nAnswer: %s",
        "%s",
        "<think>the answer is 77</think>the answer is: %s",
    ],
)
async def test_a_gold_as_a_model_would_write_it_is_right_and_anothers_is_wrong(
    plugins, make_task, name, form
):
    task, samples, _ = make_task(name)
    rows = {sample.id: sample for sample in samples}
    groups = {}
    for sample in samples:
        groups.setdefault(sample.group, []).append(sample)

    async def values(shift):
        predictions = [
            Prediction(
                sample.id, text=form.replace("%s", group[position - shift].target), finish_reason="stop"
            )
            for group in groups.values()
            for position, sample in enumerate(group)
        ]
        scores = await score(task, rows, predictions, plugins)
        names = {metric.group for metric in measure(task, scores, plugins)["bbh-match"]}
        assert names == {None, *ROWS}
        return [(one.sample_id, one.value) for one in scores["bbh-match"]]

    assert [sample_id for sample_id, value in await values(0) if value != 1] == []
    assert [sample_id for sample_id, value in await values(1) if value != 0] == []


def test_the_examples_of_a_task_stand_before_its_question_without_their_notice(make_task):
    _, samples, renderer = make_task("bbh")
    for sample in samples:
        (message,) = renderer.request(sample).messages
        assert message.content == (
            "Follow the given examples and answer the question.\n"
            f"Do {sample.group}.\n\nQ: a\nA: b.\n\n"
            f"Q: {sample.fields['input']}\nA: Let's think step by step."
        )


def test_only_lettered_options_are_choices(make_task):
    choices = {sample.group: sample.choices for sample in make_task("bbh")[1]}
    assert choices["fruit"] == ("cherry", "plum, pear & co")
    assert choices["navigate"] == ()


@pytest.mark.parametrize(
    ("text", "target", "value"),
    [
        ("So the answer is true.", "True", 1),
        ("Answer: True", "True", 1),
        ("The answer is: True, since one is.", "True", 1),
        ("So it is not so: No.", "No", 1),
        ("So the answer is apple, pear.", "apple pear", 1),
        ("So the answer is pear, apple.", "apple pear", 0),
        ("the answer is 1,200.", "1200", 1),
        ("the answer is -3", "3", 0),
        ('we need "}", "]". So the answer is } ].', "} ]", 1),
        ("So the answer is }].", "} ]", 1),
        ("So the answer is } ] ].", "} ]", 0),
        ("So the answer is valid.", "invalid", 0),
        ("Hence $\\boxed{\\text{No}}$.", "No", 1),
        ("Hence $\\boxed{\\text{No}}$.", "Yes", 0),
        ("So **\\(\\boxed{\\mathrm{True}}\\)**.", "True", 1),
        ("\\boxed{\\textbf{invalid}}", "valid", 0),
        ("The answer is $\\text{No}$.", "No", 1),
        ("\\boxed{\\text{apple pear}}", "apple pear", 1),
        ("\\boxed{\\text{pear apple}}", "apple pear", 0),
        ("\\boxed{No}\n\nThe \\boxed command is required.", "No", 1),
        ("<answer>No</answer>", "No", 1),
        # A row of which only the letter is known.
        ("So the answer is (B) 12/24/1929.", "(B)", 1),
        ("The correct option is (C).", "(C)", 1),
        ("So the answer is (A) Thomas.", "(B)", 0),
        ("Today is a fine day.", "Yes", None),
        ("Some words\nand others", "apple pear", None),
    ],
)
def test_free_answers_are_graded_by_their_kind(text, target, value):
    sample = Sample("0", {}, target)
    found = bbh_answer()(text, sample)
    assert (found and BbhMatch().score(found.text, sample).value) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("The sorted words: apple banana cherry", 1),
        ("1. apple\n2. banana\n3. cherry", 1),
        ("Sorted:\n\n- apple\n- banana\n- cherry\n", 1),
        ("apple\nbanana\ncherry", 1),
        ("Here is the sorted list:\n\napple banana cherry", 1),
        ("**Sorted list:** apple, banana, cherry", 1),
        ("1. cherry\n2. apple\n3. banana", 0),
        ("Sorted: cherry apple banana", 0),
        ("By first letters: a, b, c.\nSo I am done.", 0),
    ],
)
def test_sorted_words_are_found_at_the_end_of_a_text(text, value):
    sample = Sample("0", {}, "apple banana cherry")
    found = bbh_answer()(text, sample)
    assert BbhMatch().score(found.text if found else None, sample).value == value


def test_a_task_without_its_examples_is_named(make_task, tmp_path):
    root = write_rows(tmp_path)
    (root / "BBH/lib_prompt/navigate.txt").unlink()
    with pytest.raises(
        DataError, match=r"navigate\.json: its examples are missing: there is no navigate\.txt"
    ):
        make_task("bbh", root)


def test_a_file_of_another_shape_is_named(make_task, tmp_path):
    root = write_rows(tmp_path)
    (root / "BBH/data/navigate.json").write_text('{"rows": []}')
    with pytest.raises(DataError, match=r'navigate\.json.*: not \{"examples": \[\{"input"'):
        make_task("bbh", root)


@pytest.mark.parametrize(("alias", "target"), ALIASES.items())
def test_an_alias_leads_to_a_task_and_a_variant_of_it(plugins, alias, target):
    check_alias(plugins, alias, target)


@pytest.mark.data
@pytest.mark.skipif("AISB_DATA" not in os.environ, reason="needs $AISB_DATA")
async def test_all_real_golds_are_right_but_the_three_that_are_no_letter(plugins, make_task):
    task, samples, _ = make_task("bbh", Path(os.environ["AISB_DATA"]))
    rows = {sample.id: sample for sample in samples}
    assert (len(rows), len({sample.group for sample in samples})) == (6511, 27)
    predictions = [
        Prediction(sample.id, text=f"Reasoned. So the answer is {sample.target}.", finish_reason="stop")
        for sample in samples
    ]
    (scores,) = (await score(task, rows, predictions, plugins)).values()
    # Three golds of upstream are an option's words, where the question asks for its letter.
    wrong = {one.sample_id.split("/")[0]: rows[one.sample_id].target for one in scores if one.value < 1}
    assert set(wrong) <= {"movie_recommendation", "ruin_names"}
    assert sum(one.value < 1 for one in scores) <= 3
    assert not any(len(gold) == 3 for gold in wrong.values())
