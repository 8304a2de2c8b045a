"""Every task, variant, layout and alias of common sense renders and scores small rows in the formats of upstream."""

import importlib.resources
import importlib.util
import json
import re
from math import log

import pytest
from likelihoods import check_log_likelihoods
from task_family import TaskFamily, check_alias, write_jsonl, write_parquet, write_text

from aisb import DataError, Logprob, Prediction
from aisb_engine._scoring.scoring import measure, score

FAMILY = TaskFamily("aisb_dataset_commonsense")
TASKS = FAMILY.tasks
ALIASES = FAMILY.aliases
MODES = FAMILY.modes
ASKED = [name for name, mode in MODES.items() if mode == "gen"]
COUNT = 12
PACKED = importlib.util.find_spec("pyarrow") is None


def hellaswag(root, layout):
    for split, name in (("val", "hellaswag"), ("train", "hellaswag_train_sampled25")):
        found = []
        for n in range(COUNT):
            text, endings = (
                f"A cook at {n}: 00 opens a {split} book.",
                [f"He reads page {n + k}." for k in range(4)],
            )
            if layout == 0:
                found.append({"query": f"Cooking: {text}", "choices": endings, "gold": n * 3 % 4})
            else:
                found.append(
                    {"activity_label": "Cooking", "ctx": text, "endings": endings, "label": n * 3 % 4}
                )
        if layout == 3:
            part = split.replace("val", "validation")
            write_parquet(root / f"hellaswag/data/{part}-00000-of-00001.parquet", found)
            continue
        path = (f"{name}.jsonl", f"hellaswag_{split}.jsonl", f"data/hellaswag_{split}.jsonl")[layout]
        write_jsonl(root / "hellaswag" / path, found)


def winogrande(root, layout):
    for split in ("train_xs", "dev"):
        sentence = "The cup did not fit in the box number {} of {} since the _ was too large."
        found = [
            {
                "qID": str(n),
                "sentence": sentence.format(n, split),
                "option1": "cup",
                "option2": "box",
                "answer": str(n % 2 + 1),
            }
            for n in range(COUNT)
        ]
        if layout == 2:
            part = {"train_xs": "train", "dev": "validation"}[split]
            write_parquet(root / f"winogrande/winogrande_xs/{part}-00000-of-00001.parquet", found)
        else:
            write_jsonl(root / ("winogrande", "winogrande_1.1")[layout] / f"{split}.jsonl", found)


def piqa(root, layout):
    folder, split = (("physicaliqa-train-dev", "dev"), ("piqa", "dev"), ("piqa", "valid"))[layout]
    goals = [
        {"goal": f"To open door {n},", "sol1": f"push it {n} times.", "sol2": "paint it."}
        for n in range(COUNT)
    ]
    write_jsonl(root / folder / f"{split}.jsonl", goals)
    write_text(root / folder / f"{split}-labels.lst", "".join(f"{n % 2}\n" for n in range(COUNT)))


def siqa(root, layout):
    folder = root / ("siqa", "socialiqa-train-dev")[layout]
    asked = {
        "question": "What does Ann want?",
        "answerA": "to sleep",
        "answerB": "to eat",
        "answerC": "to run",
    }
    write_jsonl(folder / "dev.jsonl", [{"context": f"Ann came home at {n}."} | asked for n in range(COUNT)])
    write_text(folder / "dev-labels.lst", "".join(f"{n % 3 + 1}\n" for n in range(COUNT)))


def boolq(root, layout):
    rows = [
        {
            "question": f"is {n} an even number",
            "passage": f"On the number {n}.",
            "idx": n,
            "label": n % 3 == 0,
        }
        for n in range(COUNT)
    ]
    if layout > 1:
        rows = [{("answer" if key == "label" else key): value for key, value in row.items()} for row in rows]
    if layout == 3:
        write_parquet(root / "boolq/data/validation-00000-of-00001.parquet", rows)
        return
    write_jsonl(root / ("SuperGLUE/BoolQ/val.jsonl", "BoolQ/val.jsonl", "boolq/dev.jsonl")[layout], rows)


def truthfulqa(root, layout):
    rows = [
        {
            "question": f"What happens on day {n}?",
            "mc1_targets": {f"Nothing on day {n}.": 1, "It rains frogs.": 0, f"{n} moons rise.": 0},
            "mc2_targets": {"It rains.": 0, "It rains frogs.": 0, f"Nothing on day {n}.": 1}
            if n % 3 == 2
            else {f"Nothing on day {n}.": 1, "A day passes.": 1, "It rains frogs.": 0},
        }
        for n in range(COUNT)
    ]
    write_text(root / ("truthfulqa/mc_task.json", "TruthfulQA/data/mc_task.json")[layout], json.dumps(rows))


MAKERS = {
    "hellaswag": hellaswag,
    "winogrande": winogrande,
    "piqa": piqa,
    "siqa": siqa,
    "boolq": boolq,
    "truthfulqa": truthfulqa,
}


def write_rows(root):
    """Write this family's rows as its tasks look for them."""
    for made in MAKERS.values():
        made(root, 0)
    return root


def said(request):
    return request.text or "\n".join(message.content for message in request.messages)


@pytest.mark.parametrize("name", ASKED)
def test_a_variant_renders_every_row_and_leaves_no_brace(make_task, name):
    _, samples, renderer = make_task(name)
    assert len(samples) == COUNT
    texts = {said(renderer.request(sample)) for sample in samples}
    assert len(texts) == COUNT
    assert not any(re.search(r"[{}]", text) for text in texts)
    if not name.startswith("boolq"):
        assert all(all(c in said(renderer.request(one)) for c in one.choices) for one in samples)


@pytest.mark.parametrize("name", ASKED)
@pytest.mark.parametrize(
    "form",
    ["ANSWER: {0}", "答案：{0}", "The answer is ({0}).", "{0}. {1}", "Let me see.\nSo it is {1}", "{0}"],
)
async def test_the_gold_as_a_model_would_write_it_is_right_and_anothers_is_wrong(
    plugins, make_task, name, form
):
    task, samples, _ = make_task(name)

    async def share(letters):
        texts = [
            form.format(a, one.choices["ABCD".index(a)]) for one, a in zip(samples, letters, strict=True)
        ]
        predictions = [
            Prediction(one.id, text=text, finish_reason="stop")
            for one, text in zip(samples, texts, strict=True)
        ]
        (scores,) = (await score(task, {one.id: one for one in samples}, predictions, plugins)).values()
        return sum(one.value for one in scores) / len(scores)

    assert await share([one.target for one in samples]) == 1
    wrong = ["ABCD"[("ABCD".index(one.target) + 1) % len(one.choices)] for one in samples]
    assert await share(wrong) == 0


@pytest.mark.parametrize("name", [name for name, mode in MODES.items() if mode == "logprob"])
async def test_a_log_likelihood_variant_compares_a_continuation_for_each_option(plugins, make_task, name):
    await check_log_likelihoods(plugins, *make_task(name))


@pytest.mark.parametrize(
    ("name", "number"),
    [
        pytest.param(
            name, number, marks=pytest.mark.skipif(PACKED and way.get("use") == "parquet", reason="pyarrow")
        )
        for name in MAKERS
        for number, way in enumerate(TASKS[name]["dataset"]["layouts"])
    ],
)
def test_every_layout_gives_the_same_samples(make_task, tmp_path, name, number):
    MAKERS[name](tmp_path, number)
    _, first, renderer = make_task(name)
    _, other, other_renderer = make_task(name, tmp_path)
    assert [(one.id, one.target, one.choices) for one in other] == [
        (one.id, one.target, one.choices) for one in first
    ]
    assert said(other_renderer.request(other.samples[1])) == said(renderer.request(first.samples[1]))


REFERENCE = """
hellaswag_gen_0_shot_chat_prompt hellaswag_gen_10_shot_chat_prompt hellaswag_ppl_0_shot_chat_prompt
winogrande_gen_0_shot_chat_prompt winogrande_gen_5_shot_chat_prompt piqa_gen_0_shot_chat_prompt piqa_gen_0_shot_str
piqa_ppl_0_shot_str siqa_gen siqa_gen_0_shot_chat siqa_ppl_0_shot_chat SuperGLUE_BoolQ_gen
SuperGLUE_BoolQ_gen_0_shot_cot_str SuperGLUE_BoolQ_gen_0_shot_noncot_str SuperGLUE_BoolQ_gen_0_shot_str
SuperGLUE_BoolQ_gen_0_shot_str_perf SuperGLUE_BoolQ_gen_5_shot_str SuperGLUE_BoolQ_gen_883d50_str
"""


@pytest.mark.parametrize("alias", sorted({*REFERENCE.split(), *ALIASES}))
def test_an_alias_leads_to_a_task_and_a_variant_of_it(plugins, alias):
    check_alias(plugins, alias, ALIASES[alias])


def test_the_text_of_hellaswag_begins_after_its_activity_and_examples_come_from_the_train_split(make_task):
    _, samples, renderer = make_task("hellaswag:few-shot")
    messages = renderer.request(samples.samples[1]).messages
    assert len(messages) == 21
    assert messages[0].content == (
        "Continue the following text without adding any additional information or formatting:\n\n"
        "A cook at 0: 00 opens a train book.\n"
        "A) He reads page 0.\nB) He reads page 1.\nC) He reads page 2.\nD) He reads page 3.\n"
        "What is the right option?"
    )
    assert messages[1].content == "A\n"
    assert messages[-1].content.startswith("A cook at 1: 00 opens a val book.\nA)")


def test_the_examples_of_winogrande_stand_at_the_fixed_places(make_task):
    _, samples, renderer = make_task("winogrande:few-shot")
    messages = renderer.request(samples.samples[0]).messages
    assert [re.search(r"number (\d+) of (\w+)", m.content).groups() for m in messages[::2]] == [
        *((str(n), "train_xs") for n in (0, 2, 4, 6, 8)),
        ("0", "dev"),
    ]
    assert messages[1].content == "Answer: A"
    assert "answer to the question.\n\nQuestion: The cup" in messages[0].content


def test_a_question_of_boolq_is_never_its_own_example(make_task):
    _, samples, renderer = make_task("boolq:few-shot-text")
    for sample in samples:
        text = renderer.request(sample).text
        assert text.count(sample.fields["question"] + "\n") == 1
        assert text.count("\nAnswer:") == 6
        assert text.endswith("\nA. Yes\nB. No\nAnswer:")


def test_the_options_of_truthfulqa_are_drawn_and_the_target_follows(make_task):
    _, samples, _ = make_task("truthfulqa")
    assert len({one.target for one in samples}) > 1
    for one in samples:
        assert one.choices["ABC".index(one.target)] == one.fields["mc1"]["choices"][0]
        assert one.fields["mc2"]["letters"] == (["C"] if int(one.id) % 3 == 2 else ["A", "B"])


@pytest.mark.parametrize(
    ("labels", "told"), [(11, "11 labels, and .* has more rows"), (13, "13 labels, and .* has 12 rows")]
)
def test_labels_that_do_not_go_with_the_rows_are_counted(make_task, tmp_path, labels, told):
    piqa(tmp_path, 0)
    write_text(tmp_path / "physicaliqa-train-dev/dev-labels.lst", "0\n" * labels)
    with pytest.raises(DataError, match=rf"dev-labels.lst.*: it has {told}"):
        make_task("piqa", tmp_path)


def test_a_torn_row_beside_labels_names_file_and_line(make_task, tmp_path):
    siqa(tmp_path, 0)
    first = (tmp_path / "siqa/dev.jsonl").read_text(encoding="utf-8").splitlines()[0]
    write_text(tmp_path / "siqa/dev.jsonl", first + '\n{"context": "b')
    with pytest.raises(DataError, match=r"siqa/dev.jsonl, line 2: not JSON: .*: the line is incomplete"):
        make_task("siqa", tmp_path)


def test_answers_of_truthfulqa_without_their_truth_are_named(make_task, tmp_path):
    write_text(tmp_path / "truthfulqa/mc_task.json", '[{"question": "?", "mc1_targets": ["yes", "no"]}]')
    with pytest.raises(DataError, match=r"mc_task.json, row 1: mc1_targets must be an object of answers"):
        make_task("truthfulqa", tmp_path)


async def test_mc2_is_the_share_of_the_probability_that_true_answers_have(plugins, make_task):
    task, samples, _ = make_task("truthfulqa_mc2")
    some = samples.samples[:2]
    options = [(log(0.3), log(0.1), log(0.4)), (log(0.1), log(0.2), log(0.1))]
    predictions = [
        Prediction(one.id, logprobs=tuple(Logprob(total, 3, False) for total in totals))
        for one, totals in zip(some, options, strict=True)
    ]
    scores = await score(task, {one.id: one for one in some}, predictions, plugins)
    assert [one.value for one in scores["probability-share"]] == pytest.approx([0.5, 0.75])
    (metric,) = measure(task, scores, plugins)["probability-share"]
    assert (metric.name, metric.value, metric.count) == ("mc2", pytest.approx(62.5), 2)
