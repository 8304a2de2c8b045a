"""Every task of reading, knowledge and summaries renders and scores rows of its formats."""

import json
import os
from pathlib import Path

import pytest
from task_family import TaskFamily, as_jsonl, check_alias

from aisb import DataError, Prediction, Sample
from aisb_dataset_reading._answers import next_word, short_answer
from aisb_engine._scoring.scoring import measure, score

FAMILY = TaskFamily("aisb_dataset_reading")
TASKS = FAMILY.tasks
TASKS = {name: table for name, table in TASKS.items() if table.get("mode") != "logprob"}  # tried by backends
NAMES = [name for name in FAMILY.modes if name.split(":")[0] in TASKS]
ALIASES = FAMILY.aliases

KNOWN = [
    ("Who painted the ceiling", ["Ada Brun", "A. Brun"]),
    ("In which year", ["1923"]),
    ("Which band", ["The The", "Matt J."]),
    ("Which capital", ["Washington, D.C."]),
    ("How many moons", ["four", "4"]),
    ("Which river", ["the Oder"]),
    ("Which hill", ["Oak Hill"]),
]
SQUAD = {
    "data": [
        {
            "title": "Walls",
            "paragraphs": [
                {
                    "context": "The wall was built in 1210 by Odo of Ley. It fell in 1390.",
                    "qas": [
                        {
                            "question": "When was it built?",
                            "answers": [{"text": "1210"}, {"text": "in 1210"}],
                        },
                        {"question": "Who built it?", "answers": [{"text": "Odo of Ley"}]},
                    ],
                }
            ],
        }
    ]
}
SQUAD2 = json.loads(json.dumps(SQUAD))
SQUAD2["data"][0]["paragraphs"][0]["qas"].append({"question": "Who paid?", "answers": []})


FILES = {
    "drop_simple_eval/dev.jsonl": as_jsonl(
        {
            "context": f"Passage: They scored {n} and {n + 2}.\nQuestion: How many more?\nAnswer:",
            "ref_text": ref,
        }
        for n, ref in enumerate(["2", "12|twelve", "Ann Lee|Lee", "-5", "1,200 yards", "May 1960"])
    ),
    "triviaqa/trivia-dev.qa.csv": "".join(f"{q}?\t{a}\n" for q, a in KNOWN),
    "nq/NQ-open.dev.jsonl": as_jsonl({"question": q.lower(), "answer": a} for q, a in KNOWN),
    "squad/dev-v1.1.json": json.dumps(SQUAD),
    "squad/dev-v2.0.json": json.dumps(SQUAD2),
    "lambada/test.jsonl": as_jsonl(
        {"prompt": f"Long ago in {n} they met a tall and friendly", "label": label}
        for n, label in enumerate(["giant", "Gabriel", "o'hara", "the"])
    ),
    "Xsum/dev.jsonl": as_jsonl(
        {"dialogue": f"A long story of {word} and more.", "summary": f"{word} {word}ed everywhere."}
        for word in ("snow", "rust", "mud")
    ),
    "LCSTS/test.src.txt": "今天北京下了很大的雪，交通受阻。\n上海的一家公司发布了新手机。\n",
    "LCSTS/test.tgt.txt": "北京大雪交通受阻\n上海公司发布新手机\n",
}


def write_rows(root):
    """Write this family's rows as its tasks look for them."""
    for name, text in FILES.items():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    return root


def gold(sample, which=0):
    target = sample.target
    return target[min(which, len(target) - 1)] if isinstance(target, list) else target


FORMS = {
    "summary": ["%s", "<think>no</think>\n1. %s\nThat is all."],
    "lambada": ["%s", '"%s."', "**%s**, who waved.", "... tall and friendly %s. And so on."],
    "answer": [
        "%s",
        "The answer is %s.",
        "A: The answer is %s. It is a known thing.",
        "I think of 7.\nAnswer: **%s**",
    ],
}


@pytest.mark.parametrize(
    ("name", "form"),
    [
        (name, form)
        for name in NAMES
        for form in FORMS[
            {"xsum": "summary", "lcsts": "summary", "lambada": "lambada"}.get(name.split(":")[0], "answer")
        ]
    ],
)
async def test_a_gold_as_a_model_would_write_it_is_right_and_anothers_is_wrong(
    plugins, make_task, name, form
):
    task, samples, _ = make_task(name)
    rows = list(samples)

    async def values(shift, which=0):
        predictions = [
            Prediction(sample.id, text=form.replace("%s", gold(rows[n - shift], which)), finish_reason="stop")
            for n, sample in enumerate(rows)
        ]
        scores = await score(task, {sample.id: sample for sample in rows}, predictions, plugins)
        (metrics,) = measure(task, scores, plugins).values()
        (of,) = scores.values()
        return [(one.sample_id, one.answer) for one in of if one.outcome != "correct"], metrics[0].value

    assert (await values(0)) == ([], pytest.approx(100))
    assert (await values(0, which=1)) == ([], pytest.approx(100))
    wrong, value = await values(1)
    assert len(wrong) == len(rows)
    assert value < 35


@pytest.mark.parametrize("name", NAMES)
def test_a_task_renders_its_rows_and_says_where_they_come_from(make_task, name):
    task, samples, renderer = make_task(name)
    texts = set()
    for sample in samples:
        request = renderer.request(sample)
        texts.add(request.text or "\n".join(message.content for message in request.messages))
    assert len(texts) == len(samples)
    assert not [text for text in texts if "{" in text or "??" in text]
    assert task.summary
    assert task.source
    assert task.licence
    assert task.citation


def test_examples_are_other_rows_with_their_first_answer(make_task):
    _, samples, renderer = make_task("triviaqa")
    turns = [message.content for message in renderer.request(samples.samples[1]).messages]
    assert turns[0].endswith("'The answer is '.\nQ: Who painted the ceiling?")
    assert turns[1] == "A: The answer is Ada Brun.\n"
    assert [turn.splitlines()[-1] for turn in turns[::2]][-1] == "Q: In which year?"
    assert len(turns) == 11
    assert "In which year" not in "".join(turns[:-1])


def test_three_passages_stand_before_a_question_on_a_passage(make_task):
    _, samples, renderer = make_task("drop_gen_3_shot_str")
    text = renderer.request(samples.samples[5]).text
    assert text.count("Question: How many more?") == 4
    assert "# Examples\n---\nPassage: They scored 0" in text
    assert "Answer:\nAnswer: 12\n---\n" in text
    assert text.endswith("# Your Task\n---\nPassage: They scored 5 and 7.\nQuestion: How many more?\nAnswer:")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("The answer is Paris. It is the capital of France.", "Paris"),
        ("The answer is U.S.A.", "U.S.A"),
        ("The answer is Washington, D.C. It is a city.", "Washington, D.C"),
        ("The answer is Dr. No of the film.", "Dr. No of the film"),
        ("The answer is Portugal. The Man.", "Portugal. The Man"),
        ("Panama: a canal", "Panama: a canal"),
        ("\n\nA: Eli\nQ: another", "Eli"),
        ("First 5.\nAnswer: 7\nAnswer: 9", "9"),
        ("", None),
    ],
)
def test_a_short_answer_ends_with_its_sentence(text, found):
    got = short_answer()(text, Sample("0", {}))
    assert (got and got.text) == found
    assert got is None or text[slice(*got.span)] == got.text


@pytest.mark.parametrize(
    ("text", "target", "found"),
    [
        ("Giant.", "giant", "Giant"),
        ("the giant", "giant", "giant"),
        ("the", "the", "the"),
        ("they met a tall and friendly giant, and", "giant", "giant"),
        ("The answer is: giant", "giant", "giant"),
        ("giant-like folk", "giant", "giant"),
        ("…", "giant", None),
    ],
)
def test_the_word_that_completes_a_text_is_found_in_every_usual_reply(text, target, found):
    sample = Sample("0", {"prompt": "Once they met a tall and friendly"}, target)
    got = next_word()(text, sample)
    assert (got and got.text) == found


@pytest.mark.parametrize(
    ("task", "file", "text", "message"),
    [
        (
            "drop",
            "drop_simple_eval/dev.jsonl",
            '{"context": "a"}\n',
            r"line 1: expected an object with context",
        ),
        (
            "drop",
            "drop_simple_eval/dev.jsonl",
            '{"context": "a", "ref_text": "|"}\n',
            "ref_text has no answer",
        ),
        (
            "triviaqa",
            "triviaqa/trivia-dev.qa.csv",
            "Who?\tnobody\n",
            r"line 1: expected a question, a tab and",
        ),
        ("squad", "squad/dev-v1.1.json", "[]", r'not \{"data": \[\{"paragraphs"'),
        ("lcsts", "LCSTS/test.tgt.txt", "一\n", "test.src.txt and test.tgt.txt have 2 and 1 lines"),
    ],
)
def test_a_file_of_another_shape_is_named_with_what_is_wanted(make_task, tmp_path, task, file, text, message):
    for name, right in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text if name == file else right, encoding="utf-8")
    with pytest.raises(DataError, match=message):
        make_task(task, tmp_path)


@pytest.mark.parametrize(("alias", "target"), ALIASES.items())
def test_an_alias_leads_to_a_task_and_a_variant_of_it(plugins, alias, target):
    check_alias(plugins, alias, target)


@pytest.mark.data
@pytest.mark.skipif("AISB_DATA" not in os.environ, reason="needs $AISB_DATA")
@pytest.mark.parametrize("name", ["triviaqa", "nq"])
async def test_real_golds_are_right_but_those_with_a_sentences_end_inside(plugins, make_task, name):
    task, samples, _ = make_task(name, Path(os.environ["AISB_DATA"]))
    rows = list(samples)
    assert len(rows) == 3610
    predictions = [
        Prediction(
            sample.id, text=f"The answer is {sample.target[0]}. It is well known.", finish_reason="stop"
        )
        for sample in rows
    ]
    (scores,) = (await score(task, {sample.id: sample for sample in rows}, predictions, plugins)).values()
    wrong = [rows[position].target[0] for position, one in enumerate(scores) if one.value < 1]
    assert len(wrong) <= 4
    assert all(". " in gold for gold in wrong), wrong
