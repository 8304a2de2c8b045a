"""Every FewCLUE task renders and scores rows of its format, asked for a letter or by likelihood."""

import json

import pytest
from task_family import TaskFamily, check_alias

from aisb import DataError, Logprob, Prediction
from aisb_engine._data.samples import LETTERS
from aisb_engine._scoring.scoring import measure, score

FAMILY = TaskFamily("aisb_dataset_clue")
TASKS = FAMILY.tasks
ALIASES = FAMILY.aliases
WSC = {"span1_index": 0, "span2_index": 9, "span1_text": "小猫", "span2_text": "它"}
IDIOMS = ["一心一意", "三心二意", "四面八方", "五光十色", "六神无主", "七上八下", "八仙过海"]
ROWS = {
    "bustm": [
        {"id": 0, "sentence1": "今天几点下雨", "sentence2": "几点会下雨", "label": "1"},
        {"id": 1, "sentence1": "唱首歌", "sentence2": "明天冷吗", "label": "0"},
    ],
    "chid": [
        {"id": 0, "candidates": IDIOMS, "content": "他做事#idiom#，从不分心。", "answer": 0},
        {"id": 1, "candidates": IDIOMS, "content": "客人从#idiom#赶来。", "answer": 2},
    ],
    "cluewsc": [
        {"target": WSC, "idx": 0, "label": "true", "text": "小猫跳上桌子，它打翻了水。"},
        {"target": WSC, "idx": 1, "label": "false", "text": "小猫看着狗，它在叫。"},
    ],
    "csl": [
        {"id": 1, "abst": "本文研究桥梁的振动。", "keyword": ["桥梁", "振动"], "label": "1"},
        {"id": 2, "abst": "本文研究水稻的产量。", "keyword": ["水稻", "火箭"], "label": "0"},
    ],
    "eprstmt": [
        {"id": 0, "sentence": "用着很顺手，还会再来", "label": "Positive"},
        {"id": 1, "sentence": "三天就坏了", "label": "Negative"},
    ],
    "tnews": [
        {"label": "101", "label_desc": "news_culture", "sentence": "一本老书的新版", "keywords": ""},
        {"label": "114", "label_desc": "news_stock", "sentence": "大盘今天收涨", "keywords": ""},
    ],
}


def write_rows(root):
    """Write this family's rows as its tasks look for them."""
    for name, rows in ROWS.items():
        (root / "FewCLUE" / name).mkdir(parents=True)
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        for part in ("dev_few_all", "test_public"):
            (root / f"FewCLUE/{name}/{part}.json").write_text(text, encoding="utf-8")
    return root


async def graded(plugins, task, samples, predict, shift):
    rows = list(samples)
    predictions = [predict(sample, rows[n - shift].target) for n, sample in enumerate(rows)]
    (scores,) = (await score(task, {s.id: s for s in rows}, predictions, plugins)).values()
    (metrics,) = measure(task, {"choice-match": scores}, plugins).values()
    assert {metric.group for metric in metrics} == {None, "dev", "test"}
    return {one.value for one in scores}


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize("form", ["%s", "答案是：%s。", "<think>A</think>我选%s"])
async def test_a_letter_as_a_model_would_write_it_is_right_and_anothers_is_wrong(
    plugins, make_task, name, form
):
    task, samples, renderer = make_task(name)

    def predict(sample, target):
        return Prediction(sample.id, text=form.replace("%s", target), finish_reason="stop")

    assert len(samples) == 4
    assert await graded(plugins, task, samples, predict, 0) == {1}
    assert await graded(plugins, task, samples, predict, 1) == {0}
    for sample in samples:
        text = renderer.request(sample).messages[0].content
        assert all(f"{a}. {choice}" in text for a, choice in zip(LETTERS, sample.choices, strict=False))
        assert "{" not in text
    assert task.summary
    assert task.source
    assert task.licence


@pytest.mark.parametrize(
    "name", [f"{name}:{variant}" for name in TASKS for variant in ("ppl", "ppl-reference")]
)
async def test_the_likeliest_option_is_the_answer(plugins, make_task, name):
    task, samples, renderer = make_task(name)

    def predict(sample, target):
        request = renderer.request(sample)
        assert len(request.continuations) == len(sample.choices) == len(set(request.continuations))
        found = [
            Logprob(total, 4, greedy=False, length=12, whole=total - 6, whole_tokens=10)
            for total in [-2.0 if letter == target else -9.0 for letter in LETTERS[: len(sample.choices)]]
        ]
        return Prediction(sample.id, logprobs=tuple(found))

    assert await graded(plugins, task, samples, predict, 0) == {1}
    assert await graded(plugins, task, samples, predict, 1) == {0}


@pytest.mark.parametrize(
    ("name", "asked", "continuations"),
    [
        (
            "bustm",
            "语句一：“今天几点下雨”\n语句二：“几点会下雨”\n请判断语句一和语句二说的是否是一个意思？",
            ["两句话说的毫不相关。", "两句话说是的一个意思。"],
        ),
        ("cluewsc", "小猫跳上桌子，它打翻了水。\n此处，代词“它“被用于指代“小猫“吗?", ["否", "是"]),
        ("csl", "摘要：", ["本文研究桥梁的振动。", "本文研究桥梁的振动。\n关键词：桥梁，振动"]),
        ("eprstmt", '内容： "用着很顺手，还会再来"。情绪分类：', ["消极。", "积极。"]),
    ],
)
def test_an_option_is_scored_behind_the_sets_own_words(make_task, name, asked, continuations):
    _, samples, renderer = make_task(f"fewclue_{name}:ppl")
    request = renderer.request(samples.samples[0])
    assert (request.text or request.messages[0].content) == asked
    assert list(request.continuations) == continuations


def test_an_idiom_is_scored_in_its_gap(make_task):
    _, samples, renderer = make_task("fewclue_chid:ppl")
    request = renderer.request(samples.samples[0])
    assert request.text == "以下句子是否通顺？\n"
    assert request.continuations[1] == "他做事三心二意，从不分心。\n这个句子是通顺的。"


def test_a_row_without_its_gap_is_named(make_task, tmp_path):
    (tmp_path / "FewCLUE/chid").mkdir(parents=True)
    for part in ("dev_few_all", "test_public"):
        row = {"candidates": IDIOMS, "content": "无", "answer": 0}
        (tmp_path / f"FewCLUE/chid/{part}.json").write_text(json.dumps(row))
    with pytest.raises(
        DataError, match=r"dev_few_all\.json, line 1: expected an object on one line, in FewCLUE"
    ):
        make_task("fewclue_chid", tmp_path)


@pytest.mark.parametrize(("alias", "target"), ALIASES.items())
def test_an_alias_leads_to_a_task_and_a_variant_of_it(plugins, alias, target):
    check_alias(plugins, alias, target)
