"""Every long-text task renders and scores rows of its formats; hidden facts stand where they are said to."""

import csv
import json
import os
import unicodedata
import zipfile
from pathlib import Path
from random import Random

import pytest
from task_family import TaskFamily, as_jsonl, comparing_judge

from aisb import DataError, Prediction, Sample
from aisb_dataset_long._grading import LEvalScore, LongBenchScore, NeedleRecall, letters
from aisb_dataset_long._rows import EXAMS, longbench_sets
from aisb_engine._data.datafiles import DataFolders
from aisb_engine._data.loading import load_samples
from aisb_engine._resolve.catalog import Catalog
from aisb_engine._resolve.config import RunInput, resolve
from aisb_engine._scoring.scoring import measure, score

FAMILY = TaskFamily("aisb_dataset_long")
TASKS = FAMILY.tasks
NAMES = list(FAMILY.modes)
SMALL = [name for name in NAMES if not name.endswith(("32k", "128k", "200k", "256k", "1000k"))]
ALIASES = FAMILY.aliases
STORY = " ".join(f"On day {n} the miller walked to the well and back again." for n in range(60))
LEVAL_SETS = (*EXAMS, "gov_report_summ", "narrative_qa")


def longbench_rows(name):
    metric = longbench_sets()[name]["metric"]
    golds = {
        "f1": ["the red mill", "Ada Brun"],
        "f1-zh": ["红色的磨坊", "北京大学"],
        "rouge": ["The miller sold his grain.", "A bridge fell down at night."],
        "rouge-zh": ["会议讨论了预算。", "明天下雨，比赛取消。"],
        "label": ["Number of something", "City"],
        "number": ["Paragraph 7", "Paragraph 12"],
        "code": ["return a + b", "while True:"],
    }[metric]
    classes = ["City", "Number of something", "Person"] if metric == "label" else None
    return [
        {"context": f"{{input}} {name} {n}", "input": f"Ask {n}", "answers": [gold], "all_classes": classes}
        for n, gold in enumerate(golds)
    ]


def leval_row(name):
    golds = {
        "letters": ["AC", "B"],
        "letter": ["(B) the mill", "(A) the well"],
        "number": ["18", "7"],
        "label": ["True [fact: False]", "False [fact: True]"],
        "text": ["The answer is 12", "The answer is 5"] if name == "codeU" else ["bees", "old mills"],
        "rouge": ["The miller sold his grain.", "A bridge fell down at night."],
    }[EXAMS.get(name, "rouge")]
    return {"instructions": ["First?", "Second?"], "outputs": golds, "input": f"{name} {STORY}"}


FILES = {
    **{f"LongBench/data/{name}.jsonl": as_jsonl(longbench_rows(name)) for name in longbench_sets()},
    "LongBench-v2/data.json": json.dumps(
        [
            {
                "context": f"{STORY} {answer}",
                "question": "What then?",
                "answer": answer,
                "difficulty": "hard",
                "length": "short",
                **{f"choice_{letter}": f"thing {letter.lower()}{letter.lower()}" for letter in "ABCD"},
            }
            for answer in "BDA"
        ]
    ),
    **{f"LEval/LEval/Exam/{name}.jsonl": as_jsonl([leval_row(name)]) for name in LEVAL_SETS},
    "needle/mill.txt": STORY,
    **{
        f"lost_in_the_middle/kv-retrieval-{count}_keys.jsonl": as_jsonl(
            {
                "ordered_kv_records": [[f"key-{r}-{n}", f"value-{r}-{n}"] for n in range(count)],
                "key": f"key-{r}-3",
                "value": f"value-{r}-3",
            }
            for r in range(2)
        )
        for count in (75, 140, 300)
    },
}


def write_rows(root):
    """Write this family's rows as its tasks look for them."""
    for name, text in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    write_documents(root)
    return root


def write_documents(root, folder="aa_lcr", count=6):
    """Write rows of AA-LCR, two on each set of documents, and the zip file with these."""
    (root / folder / "extracted_text").mkdir(parents=True)
    with zipfile.ZipFile(root / folder / "extracted_text/AA-LCR_extracted-text.zip", "w") as archive:
        rows = []
        for number in range(count):
            category, name = ("Company Reports", "Law")[number % 2], f"set_{number // 2}"
            files = [
                f"Re\u0301port {number // 2}.txt",
                "annex.txt",
            ]  # the zip has the accent as one character
            for file in files:
                text = f"\ufeffThe {file} of {category} {name}: {STORY}\n"
                archive.writestr(f"lcr/{category}/{name}/{unicodedata.normalize('NFC', file)}", text)
            rows.append(
                {
                    "document_category": category,
                    "document_set_id": name,
                    "question_id": str(number),
                    "question": f"Who walks in set {number}?",
                    "answer": f"the miller {number}",
                    "data_source_filenames": ";".join(files),
                    "data_source_urls": "",
                }
            )
    with (root / folder / "AA-LCR_Dataset.csv").open("w", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def said(sample):
    target = sample.target
    return ", ".join(target) if isinstance(target, list) else target


@pytest.mark.parametrize("name", [name for name in SMALL if name != "aa_lcr"])
@pytest.mark.parametrize("form", ["%s", "<think>\\boxed{no}</think>\n%s"])
async def test_a_gold_as_a_model_would_write_it_is_right_and_anothers_is_wrong(
    plugins, make_task, name, form
):
    task, samples, renderer = make_task(name)
    form = form.replace("%s", "\\boxed{%s}") if "chain" in name else form
    groups = {}
    for sample in samples:
        groups.setdefault(sample.group, []).append(sample)

    async def values(shift):
        predictions = [
            Prediction(
                sample.id, text=form.replace("%s", said(group[position - shift])), finish_reason="stop"
            )
            for group in groups.values()
            for position, sample in enumerate(group)
        ]
        scores = await score(task, {sample.id: sample for sample in samples}, predictions, plugins)
        assert {m.group for m in measure(task, scores, plugins)[task.evaluate[0].use]} == {None, *groups}
        (of,) = scores.values()
        return [one.value for one in of]

    assert await values(0) == pytest.approx([1] * len(samples))
    other = await values(1)
    assert sum(other) / len(other) < 0.35
    for sample in samples:
        request = renderer.request(sample)
        assert request.messages[-1].content
    assert task.summary
    assert task.source
    assert task.licence


def test_all_21_sets_are_there_and_asked_in_their_own_words_with_their_own_limit(make_task):
    _, samples, renderer = make_task("longbench")
    assert len({sample.group for sample in samples}) == 21
    for sample in samples:
        request = renderer.request(sample)
        text = request.messages[0].content
        assert f"{{input}} {sample.group} " in text  # braces of a document stay
        assert "{context}" not in text
        assert request.params["max_tokens"] == longbench_sets()[sample.group]["max_tokens"]
    hotpot = renderer.request(next(s for s in samples if s.group == "hotpotqa")).messages[0].content
    assert hotpot.startswith(
        "Answer the question based on the given passages. Only give me the answer and do"
    )
    assert hotpot.endswith("\n\nQuestion: Ask 0\nAnswer:")


def test_longbench_v2_lists_its_options_in_its_own_way(make_task):
    _, samples, renderer = make_task("longbench_v2")
    text = renderer.request(samples.samples[0]).messages[0].content
    assert " Choices: \n (A) thing aa \n (B) thing bb \n (C) thing cc \n (D) thing dd \n Let’s think" in text
    assert text.startswith(
        "Please read the following text and answer the questions below.\n <text> \n On day 0"
    )


@pytest.mark.parametrize(
    ("name", "answer", "gold", "value"),
    [
        ("hotpotqa", "The Red Mill.", "red mill", 1),
        ("hotpotqa", "red", "red mill", 2 / 3),
        ("trec", "City\nor Person", "City", 1),
        ("trec", "City or Person", "City", 0.5),
        ("passage_retrieval_en", "Paragraph 7", "Paragraph 7", 1),
        ("passage_retrieval_en", "Paragraph 7 or 8", "Paragraph 7", 0.5),
        ("passage_retrieval_zh", "段落17", "段落7", 0),
        ("passage_count", "", "3", 0),
        ("lcc", "```python\nx = 1 # one\n```", "x = 1 # one", 1),
        ("multifieldqa_zh", "北京", "北京", 1),
        ("dureader", "今天下雨，明天晴", "今天下雨，明天晴", 1),
        ("samsum", "a b\nand more", "a b", 1),
    ],
)
def test_longbench_sets_are_graded_as_its_own_script_does(name, answer, gold, value):
    fields = {"set": name, "all_classes": ["City", "Person"]}
    assert LongBenchScore().score(answer, Sample("0", fields, [gold])).value == pytest.approx(value)


@pytest.mark.parametrize(
    ("name", "answer", "gold", "value"),
    [
        ("quality", "The answer is (B).", "B", 1),
        ("quality", "B. The mill, as A says", "B", 1),
        ("coursera", "A, C", "AC", 1),
        ("coursera", "A", "AC", 0),
        ("sci_fi", "True, since it does", "True", 1),
        ("sci_fi", "False", "True", 0),
        ("gsm100", "so 12 + 6. The answer is 18 .", "18", 1),
        ("codeU", "The answer is old mills.", "old mills", 1),
        ("codeU", "f(2) returns 4.\nThe call returns 7.", "7", 1),
        ("codeU", "f(2) returns 4.\nThe call returns 7.", "4", 0),
        ("topic_retrieval_longchat", "The first topic is the life of bees.", "The life of bees", 1),
        ("topic_retrieval_longchat", "The first topic is mills.", "The life of bees", 0),
        ("gov_report_summ", "", "some words", 0),
    ],
)
def test_leval_sets_are_graded_by_their_kind(name, answer, gold, value):
    assert LEvalScore().score(answer, Sample("0", {"set": name}, gold)).value == value


@pytest.mark.parametrize(
    ("text", "found"), [("(A)", "A"), ("AC", "AC"), ("A and C", "AC"), ("", ""), ("C,A", "AC")]
)
def test_the_letters_of_several_options_are_read(text, found):
    assert letters(text) == found


@pytest.mark.parametrize(("depth", "low", "high"), [(0, 0, 0.01), (50, 0.45, 0.6), (100, 0.9, 1)])
def test_a_fact_stands_at_its_depth_in_a_text_of_the_length_asked_for(make_task, depth, low, high):
    _, samples, _ = make_task(f"needle:4k:depth={depth}")
    assert len(samples) == 4
    for sample in samples:
        text, (fact,) = sample.fields["text"], sample.fields["needles"]
        assert abs(len(text) - 4 * sample.fields["length"]) < 80
        assert text.count(fact) == 1
        assert low <= text.index(fact) / (len(text) - len(fact)) <= high
        assert sample.target[0] in fact
        before = text[: text.index(fact)].rstrip()
        assert not before or before.endswith((".", "well", "day")) or depth == 100


def test_several_facts_are_spread_and_each_counts_its_share(make_task):
    _, samples, renderer = make_task("needle:several-4k")
    sample = samples.samples[0]
    text = renderer.request(sample).messages[0].content
    places = [text.index(fact) for fact in sample.fields["needles"]]
    assert places == sorted(places)
    assert places[-1] - places[0] > len(text) / 2
    judge = NeedleRecall()
    assert judge.score(f"{sample.target[0]} and {sample.target[1]}", sample).value == 0.4
    assert judge.score("12,345", Sample("0", {}, ["12345"])).value == 1
    assert judge.score("123456", Sample("0", {}, ["12345"])).value == 0


def test_texts_are_the_same_each_time_and_others_with_another_seed(make_task, plugins, data):
    first, again = ([s.fields["text"] for s in make_task("needle")[1]] for _ in range(2))
    assert first == again
    asked = RunInput(models=["sim"], datasets=["needle"], sets=["task.dataset.seed=1"])
    (task,) = resolve(plugins, asked).tasks.values()
    assert [s.fields["text"] for s in load_samples(task, plugins, DataFolders([data]))] != first


def test_the_key_stands_at_each_place_in_turn(make_task):
    _, samples, renderer = make_task("lost_in_the_middle")
    assert [sample.fields["place"] for sample in samples] == [0, 18, 37, 56, 74] * 2
    for sample in samples:
        pairs = json.loads(sample.fields["data"])
        assert list(pairs).index(sample.fields["key"]) == sample.fields["place"]
        assert len(pairs) == 75
        assert renderer.request(sample).messages[0].content.endswith("Corresponding value:")


@pytest.mark.parametrize(
    ("task", "file", "text", "message"),
    [
        (
            "longbench",
            "LongBench/data/nothing.jsonl",
            "{}\n",
            "'nothing' is not a set of LongBench; known: narrat",
        ),
        (
            "longbench",
            "LongBench/data/lcc.jsonl",
            "{}\n",
            "line 1: the row has no 'input'; it needs input, con",
        ),
        ("longbench", "LongBench/data/lcc.jsonl", "{\n", "line 1: not JSON"),
        (
            "leval",
            "LEval/LEval/Exam/tpo.jsonl",
            '{"instructions": ["a"], "outputs": [], "input": ""}',
            "as many",
        ),
        ("needle", "needle/mill.txt", "Too short.", "10 characters are too short to hide facts in"),
    ],
)
def test_a_file_of_another_shape_is_named_with_what_is_wanted(make_task, tmp_path, task, file, text, message):
    for name, right in {**FILES, file: text}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text if name == file else right, encoding="utf-8")
    with pytest.raises(DataError, match=message):
        make_task(task, tmp_path)


@pytest.mark.parametrize(("alias", "target"), ALIASES.items())
def test_an_alias_leads_to_a_task_and_a_variant_or_set_of_it(plugins, alias, target):
    name, *words = target.split(":")
    assert Catalog(plugins).aliases[alias] == target
    (task,) = resolve(plugins, RunInput(models=["sim"], datasets=[alias])).tasks.values()
    assert task.name == name
    for word in words:
        if "=" in word:
            field, _, value = word.partition("=")
            assert task.dataset.select == {field: [value]}
            assert value in {*longbench_sets(), *EXAMS} or alias.startswith("leval_")
        else:
            assert task.variant == word


@pytest.mark.data
@pytest.mark.skipif("AISB_DATA" not in os.environ, reason="needs $AISB_DATA")
@pytest.mark.parametrize(("name", "count"), [("leval", 280), ("lost_in_the_middle", 2500)])
async def test_all_real_golds_are_right(plugins, make_task, name, count):
    task, samples, renderer = make_task(name, Path(os.environ["AISB_DATA"]))
    assert len(samples) == count
    predictions = [Prediction(sample.id, text=said(sample), finish_reason="stop") for sample in samples]
    (scores,) = (await score(task, {sample.id: sample for sample in samples}, predictions, plugins)).values()
    assert [one.value for one in scores] == pytest.approx([1] * count)
    # One question of L-Eval stands there twice.
    assert len({renderer.request(sample).messages for sample in samples}) >= count - 1


async def test_a_judge_that_compares_gives_100_to_the_answers_of_aa_lcr_and_chance_to_those_of_others(
    plugins, make_task, tmp_path
):
    write_documents(tmp_path, count=210)
    task, samples, _ = make_task("aa_lcr", tmp_path)
    rows = list(samples)
    assert len(rows) == 210
    judge = comparing_judge(r"OFFICIAL ANSWER: (.*?)\n", r"CANDIDATE ANSWER TO ASSESS: (.*)")

    async def share(of):
        predictions = [
            Prediction(row.id, text=f"It is {gold.target}", finish_reason="stop")
            for row, gold in zip(rows, of, strict=True)
        ]
        scores = await score(task, {row.id: row for row in rows}, predictions, plugins, ask=judge)
        return sum(one.value for one in scores["judge"]) / len(rows)

    assert await share(rows) == 1
    others = Random(5).sample(rows, len(rows))
    same = sum(row is other for row, other in zip(rows, others, strict=True))
    inside = sum(row.target in other.target for row, other in zip(rows, others, strict=True))
    assert same <= inside <= 10  # "the miller 2" is in "the miller 21"
    assert await share(others) == pytest.approx(inside / 210)


def test_a_question_of_aa_lcr_has_its_documents_in_the_order_of_the_table(make_task, tmp_path):
    _, samples, renderer = make_task("aa_lcr")
    sample = samples.samples[3]
    assert (sample.target, sample.cluster) != (samples.samples[1].target, samples.samples[1].cluster)
    (turn,) = renderer.request(sample).messages
    assert turn.content == (
        "BEGIN INPUT DOCUMENTS\n\n"
        f"BEGIN DOCUMENT 1:\nThe Re\u0301port 1.txt of Law set_1: {STORY}\nEND DOCUMENT 1\n\n"
        f"BEGIN DOCUMENT 2:\nThe annex.txt of Law set_1: {STORY}\nEND DOCUMENT 2\n\n"
        "END INPUT DOCUMENTS\n\nAnswer the following question using the input documents provided above.\n\n"
        "START QUESTION\n\nWho walks in set 3?\n\nEND QUESTION"
    )
    write_documents(tmp_path, "AA-LCR")
    _, other, _ = make_task("aa_lcr", tmp_path)
    assert [one.fields["documents"] for one in other] == [one.fields["documents"] for one in samples]


def test_a_document_that_is_missing_and_a_torn_zip_are_named(make_task, tmp_path):
    write_documents(tmp_path)
    table = tmp_path / "aa_lcr/AA-LCR_Dataset.csv"
    table.write_text(table.read_text("utf-8").replace("annex.txt", "lost.txt", 1), "utf-8")
    with pytest.raises(
        DataError, match=r"Dataset.csv, line 2: the document Company Reports/set_0/lost.txt is not in the"
    ):
        make_task("aa_lcr", tmp_path)
    packed = tmp_path / "aa_lcr/extracted_text/AA-LCR_extracted-text.zip"
    packed.write_bytes(packed.read_bytes()[:-30])
    with pytest.raises(DataError, match=r"extracted-text.zip: not a zip file that can be read"):
        make_task("aa_lcr", tmp_path)
