"""Every task, variant, layout and alias of the exams renders and scores small rows in the formats of upstream."""

import csv
import importlib.resources
import json
import re

import pytest
from likelihoods import check_log_likelihoods
from task_family import TaskFamily, check_alias, write_jsonl, write_parquet, write_text

from aisb import DataError, Prediction
from aisb_engine._scoring.scoring import score

FAMILY = TaskFamily("aisb_dataset_exams")
TASKS = FAMILY.tasks
ALIASES = FAMILY.aliases
MODES = FAMILY.modes
ASKED = [name for name, mode in MODES.items() if mode == "gen"]
PACKED = importlib.util.find_spec("pyarrow") is None


def rows(split, topic, count):
    """Questions of our own: which of four sums is right."""
    for n in range(count):
        right = (n * 7 + len(topic) + len(split)) % 4
        options = [f"{n + 10 * k + len(topic)}" for k in range(4)]
        yield f"{topic} {split} {n}: {n} + {10 * right + len(topic)}?", options, "ABCD"[right]


def write_csv(path, header, cells):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([header, *cells] if header else cells)


def mmlu(root, layout):
    for split, count in (("dev", 5), ("test", 6)):
        found = []
        for subject in ("anatomy", "us_foreign_policy"):
            asked = list(rows(split, subject, count))
            for question, options, letter in asked:
                found.append(
                    {
                        "question": question,
                        "subject": subject,
                        "choices": options,
                        "answer": "ABCD".index(letter),
                    }
                )
            if layout < 2:
                folder = root / ("mmlu", "mmlu/data")[layout] / split
                write_csv(
                    folder / f"{subject}_{split}.csv", None, [[q, *options, a] for q, options, a in asked]
                )
        if layout == 2:
            write_parquet(root / f"mmlu/all/{split}-00000-of-00001.parquet", found)


def mmlu_pro(root, layout):
    for split in ("validation", "test"):
        found = []
        for category in ("math", "computer science"):
            for n, (question, options, letter) in enumerate(rows(split, category, 5)):
                more = [f"about {k}" for k in range(6 if n % 2 else 0)]
                made = {"question_id": n, "question": question, "options": options + more, "answer": letter}
                found.append(made | {"answer_index": "ABCD".index(letter), "category": category, "src": ""})
        if layout == 0:
            write_jsonl(root / f"mmlu_pro/{split}.jsonl", found)
        else:
            folder = root / ("mmlu_pro/data", "mmlu_pro")[layout - 1]
            write_parquet(folder / f"{split}-00000-of-00001.parquet", found)


def ceval(root, layout):
    for split, more in (("dev", ["explanation"]), ("val", [])):
        for subject in ("logic", "college_physics"):
            cells = [
                [n, q, *options, a, *(["因为如此"] if more else [])]
                for n, (q, options, a) in enumerate(rows(split, subject, 5))
            ]
            folder = root / ("ceval/formal_ceval", "ceval")[layout] / split
            header = ["id", "question", "A", "B", "C", "D", "answer", *more]
            write_csv(folder / f"{subject}_{split}.csv", header, cells)


def cmmlu(root, layout):
    for split in ("dev", "test"):
        for subject in ("agronomy", "ancient_chinese"):
            cells = [[n, q, *options, a] for n, (q, options, a) in enumerate(rows(split, subject, 6))]
            folder = root / ("cmmlu", "cmmlu/data")[layout] / split
            write_csv(folder / f"{subject}.csv", ["", "Question", "A", "B", "C", "D", "Answer"], cells)


def gpqa(root, layout):
    for part in ("diamond", "main", "extended"):
        header = ["Record ID", "Question", "Correct Answer", *(f"Incorrect Answer {n}" for n in (1, 2, 3))]
        cells = [
            [f"rec{n}", f"{q}\n", *options["ABCD".index(a) :], *options[: "ABCD".index(a)]]
            for n, (q, options, a) in enumerate(rows(part, "physics", 8))
        ]
        write_csv(root / ("gpqa", "gpqa/dataset")[layout] / f"gpqa_{part}.csv", header, cells)


def agieval(root, layout):
    folder = root / ("agieval", "agieval/v1", "AGIEval/data/v1")[layout]
    plain = {"passage": None, "answer": None, "other": {"source": "here"}}
    for exam, dot in (("lsat-ar", "({letter}){text}"), ("logiqa-zh", "{letter} {text}")):
        write_jsonl(
            folder / f"{exam}.jsonl",
            [
                plain
                | {
                    "passage": "Five are there. ",
                    "question": question,
                    "options": [
                        dot.format(letter=m, text=text)
                        for m, text in zip("ABCDE", [*options, "none of these"], strict=True)
                    ],
                    "label": letter,
                }
                for question, options, letter in rows("v1", exam, 6)
            ],
        )
    options = [f"({letter})是{n}" for n, letter in enumerate("ABCD")]
    labels = [["A", "C"], "B", ["B", "C", "D"], [], "A D"]
    write_jsonl(
        folder / "gaokao-physics.jsonl",
        [plain | {"question": f"第{n}题", "options": options, "label": x} for n, x in enumerate(labels)],
    )
    values = ["$\\frac{1}{2}$", "$5$;$10$", "$[0,2]$", "3", "$2\\sqrt{2}$", "371,\\!043"]
    for exam in ("math", "gaokao-mathcloze"):
        write_jsonl(
            folder / f"{exam}.jsonl",
            [
                plain | {"question": f"Find {n}.", "options": None, "label": None, "answer": value}
                for n, value in enumerate(values)
            ],
        )


def arc(name, long):
    def made(root, layout):
        folder = root / (f"ARC/{name}", f"ARC-V1-Feb2018-2/ARC-{long}", f"ARC/ARC-{long}")[layout]
        for split, count in (("Dev", 30), ("Test", 6)):
            found = []
            for n, (question, options, letter) in enumerate(rows(split, long, count)):
                labels = "1234" if n % 3 == 2 else "ABCDE"
                texts = [*options, "none of these"] if n % 3 == 1 else options
                choices = [{"text": text, "label": label} for text, label in zip(texts, labels, strict=False)]
                asked = {"stem": question, "choices": choices}
                found.append({"id": str(n), "question": asked, "answerKey": labels["ABCD".index(letter)]})
                if layout == 2:
                    columns = {key: [choice[key] for choice in choices] for key in ("text", "label")}
                    found[-1] |= {"question": question, "choices": columns}
            if layout == 2:
                part = {"Dev": "validation", "Test": "test"}[split]
                write_parquet(folder / f"{part}-00000-of-00001.parquet", found)
            else:
                write_jsonl(folder / f"ARC-{long}-{split}.jsonl", found)

    return made


def race(root, layout):
    for split in ("validation", "test"):
        for level in ("high", "middle"):
            asked = list(rows(split, level, 6))
            if layout == 0:
                write_jsonl(
                    root / f"race/{split}/{level}.jsonl",
                    [
                        {"article": "Once.", "question": q, "options": options, "answer": a}
                        for q, options, a in asked
                    ],
                )
            if layout == 2:
                write_parquet(
                    root / f"race/{level}/{split}-00000-of-00001.parquet",
                    [
                        {
                            "example_id": level,
                            "article": "Once.",
                            "question": q,
                            "options": options,
                            "answer": a,
                        }
                        for q, options, a in asked
                    ],
                )
            for number in (0, 3) if layout == 1 else ():
                part = [list(column) for column in zip(*asked[number : number + 3], strict=True)]
                article = {"article": "Once.", "id": f"{level}{number}.txt"}
                article |= dict(zip(("questions", "options", "answers"), part, strict=True))
                folder = root / "RACE" / split.replace("validation", "dev") / level
                write_text(folder / f"{number}.txt", json.dumps(article))


MAKERS = {
    "mmlu": mmlu,
    "mmlu_pro": mmlu_pro,
    "ceval": ceval,
    "cmmlu": cmmlu,
    "gpqa": gpqa,
    "agieval": agieval,
    "arc_c": arc("ARC-c", "Challenge"),
    "arc_e": arc("ARC-e", "Easy"),
    "race": race,
}
LAYOUTS = [
    pytest.param(
        name, number, marks=pytest.mark.skipif(PACKED and way.get("use") == "parquet", reason="pyarrow")
    )
    for name, task in TASKS.items()
    for number, way in enumerate(task["dataset"]["layouts"])
]


def write_rows(root):
    """Write this family's rows as its tasks look for them."""
    for made in MAKERS.values():
        made(root, 0)
    return root


def said(request):
    return request.text or "\n".join(message.content for message in request.messages)


async def share(plugins, task, samples, texts):
    """The share of right answers, when the samples are answered with these texts."""
    predictions = [
        Prediction(one.id, text=text, finish_reason="stop") for one, text in zip(samples, texts, strict=True)
    ]
    (scores,) = (await score(task, {one.id: one for one in samples}, predictions, plugins)).values()
    return sum(one.value for one in scores) / len(scores)


@pytest.mark.parametrize("name", ASKED)
def test_a_variant_renders_every_row_and_leaves_no_brace(make_task, name):
    _, samples, renderer = make_task(name)
    assert len(samples) >= 8 or samples.samples[0].group is None
    for sample in samples:
        text = said(renderer.request(sample))
        assert not re.search(r"[{}]", re.sub(r"\\\w+\{[^{}]*\}(\{[^{}]*\})?", "", text))
        question = sample.fields["question"]
        assert (question["stem"] if isinstance(question, dict) else question.strip()) in text
        if not name.endswith(":perf"):
            assert all(choice in text for choice in sample.choices)


@pytest.mark.parametrize("name", ASKED)
@pytest.mark.parametrize(
    "form", ["ANSWER: {0}", "答案：{0}", "The answer is ({0}).", "想一想。\n\n**答案: {0}**", "{0}"]
)
async def test_the_gold_as_a_model_would_write_it_is_right_and_anothers_is_wrong(
    plugins, make_task, name, form
):
    task, samples, _ = make_task(name)
    golds = [one for one in samples if one.choices or form == "答案：{0}"]
    assert await share(plugins, task, golds, [form.format(one.target) for one in golds]) == 1
    others = [
        next(
            g
            for g in golds[n:] + golds[:n]
            if g.target != one.target and bool(g.choices) == bool(one.choices)
        )
        for n, one in enumerate(golds)
    ]
    assert await share(plugins, task, golds, [form.format(one.target) for one in others]) == 0


@pytest.mark.parametrize("name", [name for name, mode in MODES.items() if mode == "logprob"])
async def test_a_log_likelihood_variant_compares_a_continuation_for_each_option(plugins, make_task, name):
    await check_log_likelihoods(plugins, *make_task(name))


@pytest.mark.parametrize(("name", "number"), LAYOUTS)
def test_every_layout_gives_the_same_samples(make_task, tmp_path, name, number):
    MAKERS[name](tmp_path, number)
    _, first, _ = make_task(name)
    _, other, renderer = make_task(name, tmp_path)
    assert [(one.id, one.target, one.choices) for one in other] == [
        (one.id, one.target, one.choices) for one in first
    ]
    assert said(renderer.request(other.samples[0]))


REFERENCE = """
mmlu_gen mmlu_gen_0_shot_cot_chat_prompt mmlu_gen_5_shot_str mmlu_gen_5_shot_chat_prompt mmlu_ppl_0_shot_str
mmlu_pro_gen_0_shot_str mmlu_pro_gen_5_shot_str ceval_gen ceval_gen_0_shot_cot_chat_prompt
ceval_gen_0_shot_noncot_chat_prompt ceval_gen_0_shot_str ceval_gen_0_shot_str_perf ceval_gen_5_shot_str
ceval_ppl_0_shot_str cmmlu_gen_0_shot_cot_chat_prompt cmmlu_gen_5_shot_cot_chat_prompt
cmmlu_ppl_0_shot_cot_chat_prompt gpqa_gen gpqa_gen_0_shot_cot_chat_prompt gpqa_gen_0_shot_str gpqa_ppl_0_shot_str
agieval_gen_0_shot_chat_prompt ARC_c_gen_0_shot_chat_prompt ARC_c_gen_25_shot_chat_prompt ARC_c_ppl_0_shot_str
ARC_e_gen_0_shot_chat_prompt ARC_e_gen_25_shot_chat_prompt ARC_e_ppl_0_shot_str race_gen race_middle_gen_5_shot_chat
race_middle_gen_5_shot_cot_chat race_high_gen_5_shot_chat race_high_gen_5_shot_cot_chat race_ppl_0_shot_chat
"""


@pytest.mark.parametrize("alias", sorted({*REFERENCE.split(), *ALIASES}))
def test_an_alias_leads_to_a_task_and_a_variant_of_it(plugins, alias):
    check_alias(plugins, alias, ALIASES[alias])


def test_every_subject_has_a_category_and_its_name():
    tables = {
        (name, field): made["clean"][0]["table"]
        for name, task in TASKS.items()
        for field, made in task["sample"].get("fields", {}).items()
        if made.get("clean", [{}])[0].get("use") == "map" and field != "letter"
    }
    counts = {key: len(table) for key, table in tables.items()}
    assert counts == {
        ("mmlu", "category"): 57,
        ("ceval", "topic"): 52,
        ("ceval", "category"): 52,
        ("ceval", "hard"): 8,
        ("ceval", "hard_area"): 2,
        ("cmmlu", "topic"): 67,
        ("cmmlu", "category"): 67,
        ("cmmlu", "china_specific"): 15,
        ("cmmlu", "china_area"): 2,
        ("agieval", "hint"): 21,
        ("agieval", "ending"): 21,
        ("agieval", "category"): 21,
    }
    areas = {"humanities", "stem", "social-science", "other"}
    assert all(set(tables[name, "category"].values()) == areas for name in ("mmlu", "ceval", "cmmlu"))


def test_a_subject_and_an_area_can_be_selected_and_keep_their_ids(make_task):
    _, samples, _ = make_task("mmlu:subject=us_foreign_policy")
    assert [one.id for one in samples] == [f"us_foreign_policy/{n}" for n in range(6)]
    _, samples, _ = make_task("mmlu:category=stem")
    assert {one.group for one in samples} == {"anatomy"}
    _, samples, _ = make_task("race_high_gen_5_shot_cot_chat")
    assert {one.group for one in samples} == {"high"}


def test_the_five_examples_of_mmlu_are_those_of_the_same_subject(make_task):
    _, samples, renderer = make_task("mmlu")
    request = renderer.request(samples.samples[-1])
    assert len(request.messages) == 11
    question, answer, *_ = (message.content for message in request.messages)
    assert question == (
        "There is a single choice question about us foreign policy. Answer the question by replying A, B, C or D.\n"
        "Question: us_foreign_policy dev 0: 0 + 17?\nA. 17\nB. 27\nC. 37\nD. 47\nAnswer: "
    )
    assert answer == "A\n"


def test_the_text_form_of_mmlu_is_the_one_that_published_numbers_were_made_with(make_task):
    _, samples, renderer = make_task("mmlu:text")
    text = renderer.request(samples.samples[0]).text
    begin = "The following are multiple choice questions (with answers) about  anatomy.\n\nanatomy dev 0: 0 + 27?\nA. 7\n"
    assert text.startswith(begin)
    assert text.count("\nAnswer: ") == 5
    assert text.endswith("\n\nanatomy test 0: 0 + 37?\nA. 7\nB. 17\nC. 27\nD. 37\nAnswer:")


async def test_a_base_model_that_goes_on_with_further_questions_is_graded_by_its_first_letter(
    plugins, make_task
):
    task, samples, _ = make_task("mmlu:text")
    some = samples.samples[:4]
    on = "\n\nAnother question?\nA. 1\nB. 2\nC. 3\nD. 4\nAnswer: "
    for other in "ABCD":
        assert await share(plugins, task, some, [f" {one.target}{on}{other}" for one in some]) == 1
    reasons = "A. is wrong.\nB. is wrong too.\n\nThe answer is "
    assert await share(plugins, task, some, [f"{reasons}{one.target}" for one in some]) == 1


def test_chinese_exams_name_the_subject_in_chinese(make_task):
    _, samples, renderer = make_task("ceval:text")
    text = renderer.request(samples.samples[0]).text
    assert text.startswith(
        2 * "以下是中国关于大学物理考试的单项选择题，请选出其中的正确答案。\n" + "college_physics dev 0"
    )
    assert text.count("以下是") == 6  # before all, and before each example
    assert text.endswith("\n答案: ")
    _, samples, renderer = make_task("cmmlu")
    last = renderer.request(samples.samples[0]).messages[-1].content
    assert last.startswith(
        "请回答以下关于农学的单项选择题, 你回答的最后一行**必须**是以下格式 '答案: $选项' (不带引号), 其中"
    )
    assert "\n\nA) 8\nB) 18" in last


def test_the_options_of_gpqa_are_drawn_once_and_the_target_follows(make_task):
    _, first, _ = make_task("gpqa")
    _, again, _ = make_task("gpqa")
    assert [one.choices for one in first] == [one.choices for one in again]
    assert len({one.target for one in first}) > 1
    for one in first:
        assert one.choices["ABCD".index(one.target)] == one.fields["Correct_Answer"]


def test_gpqa_cot_asks_each_question_four_times_with_options_in_other_orders(make_task):
    _, samples, renderer = make_task("gpqa:cot")
    assert len(samples) == 4 * 8
    orders = [one.choices for one in samples if one.fields["Record_ID"] == "rec3"]
    assert len(orders) == 4
    assert len(set(orders)) > 1
    assert "The last line of your response should be of the following format: 'Answer: $LETTER'" in said(
        renderer.request(samples.samples[0])
    )


def test_mmlu_pro_has_up_to_ten_options_and_words_of_a_group_are_joined(make_task):
    _, samples, renderer = make_task("mmlu_pro:few-shot-text")
    assert {one.group for one in samples} == {"math", "computer_science"}
    one = samples.samples[-2]
    assert len(one.choices) == 10
    text = renderer.request(one).text
    assert text.startswith(
        "Answer the following multiple choice question about computer science, and give your answer option directly.\n"
        "Question:\ncomputer science validation 0"
    )
    assert "\nJ. about 5\nAnswer: " in text


def test_an_arc_question_may_have_five_options_or_numbers_for_letters(make_task):
    _, samples, renderer = make_task("arc_c:few-shot")
    assert [len(one.choices) for one in samples] == [4, 5, 4, 4, 5, 4]
    assert samples.samples[2].fields["answerKey"] in "1234"
    assert samples.samples[2].target in "ABCD"
    assert len(renderer.request(samples.samples[0]).messages) == 51


def test_data_that_is_not_there_is_named_with_its_source(make_task, tmp_path):
    with pytest.raises(
        DataError, match=r"gpqa_diamond.csv(.|\n)*comes from https://github.com/idavidrein/gpqa"
    ):
        make_task("gpqa", tmp_path)


def test_a_row_of_agieval_without_any_answer_is_left_out_and_odd_labels_are_read(make_task):
    _, samples, _ = make_task("agieval:exam=gaokao-physics")
    assert [one.target for one in samples] == ["AC", "B", "BCD", "AD"]
    _, samples, renderer = make_task("agieval:exam=logiqa-zh")
    assert samples.samples[0].choices[4] == "none of these"
    text = said(renderer.request(samples.samples[0]))
    assert text.startswith("以下是一道中国公务员考试题，请选择正确的答案。\nFive are there. logiqa-zh v1 0")
    assert text.endswith("\nE none of these\n答案是： ")


def test_a_file_that_is_not_agievals_or_races_is_named(make_task, tmp_path):
    write_jsonl(tmp_path / "agieval/lsat-ar.jsonl", [{"question": "?", "options": ["(A)x"]}])
    with pytest.raises(
        DataError, match=r"lsat-ar.jsonl, line 1: this row lacks label, which rows of AGIEval have"
    ):
        make_task("agieval", tmp_path)
    write_text(tmp_path / "RACE/test/high/1.txt", '{"article": "Once."}')
    with pytest.raises(DataError, match=r"1.txt.*: expected a RACE article: .* \(KeyError: 'questions'\)"):
        make_task("race", tmp_path)
