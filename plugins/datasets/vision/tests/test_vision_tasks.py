"""Every task on images renders rows in the formats of upstream and scores them: gold is right, shuffled is chance."""

import base64
import csv
import io
import json
from collections import Counter
from dataclasses import replace
from random import Random

import pytest
from task_family import TaskFamily, check_alias, comparing_judge, write_parquet, write_text

from aisb import DataError, Prediction
from aisb.helpers import data_url, wilson
from aisb_dataset_vision._ocrbench import ABILITIES
from aisb_dataset_vision._options import lettered, parse_list
from aisb_engine._scoring.metrics import over_areas
from aisb_engine._scoring.scoring import measure, score
from aisb_testing import make_png

FAMILY = TaskFamily("aisb_dataset_vision")
TASKS = FAMILY.tasks
ALIASES = FAMILY.aliases
NAMES = list(FAMILY.modes)
COUNT = 210
WORDS = [
    "granite",
    "41.7 %",
    "Elm Street",
    "no",
    "quarterly",
    "zebra fish",
    "Y2",
    "purple",
    "12 March",
    "Bhutan",
]
"""Answers of which none is near another."""


def image(number, width=40, height=20):
    """An image of its own content for each number."""
    return make_png(width, height, (number % 256, number // 256, 7))


def hub(number, width=40, height=20):
    """An image as the `datasets` library writes it to Parquet."""
    return {"bytes": image(number, width, height), "path": f"{number}.png"}


def write_tsv(path, rows):
    """A table as pandas writes it: cells with quotes or line ends are quoted."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), delimiter="\t", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())


def letter(number, options=4):
    return "ABCDEFGHIJ"[number * 7 % options]


def mmmu(root, layout=0):
    for at, subject in enumerate(("Accounting", "Music", "Physics")):
        rows = []
        for number in range(at * 70, at * 70 + 70):
            is_open = number % 10 == 9
            more = {f"image_{n}": None for n in range(2, 8)} | (
                {"image_2": hub(number + 300)} if number % 5 == 0 else {}
            )
            rows.append(
                {
                    "id": f"validation_{subject}_{number}",
                    "question": f"What does <image 1> show in case {number}?",
                    "options": "[]" if is_open else str([f"thing {number}", "it's <image 2>", "none", 'a "d"']),
                    "explanation": "",
                    "image_1": hub(number),
                    **more,
                    "answer": f"{number}.5" if is_open else letter(number),
                    "question_type": "open" if is_open else "multiple-choice",
                    "subfield": "Basics",
                }
            )  # fmt: skip
        folder = root / ("mmmu", "mmmu/data", "MMMU")[layout] / subject
        write_parquet(folder / "validation-00000-of-00001.parquet", rows)


def mmmu_pro_rows(vision):
    for number in range(COUNT):
        options = {"ABCDEFGHIJ"[at]: f"option {at} of {number}" for at in range(10)}
        question = {} if vision else {"question": f"Which one is <image 1>, case {number}?"}
        yield number, question, options, ("History", "Biology")[number % 2]


def mmmu_pro(root, layout=0, vision=False):
    if layout == 0:
        rows = [
            {"index": number, **question, "image": base64.b64encode(image(number)).decode(), **options,
             "answer": letter(number, 10), "category": subject}
            for number, question, options, subject in mmmu_pro_rows(vision)
        ]  # fmt: skip
        write_tsv(root / "mmmu_pro" / f"MMMU_Pro_{'V' if vision else '10c'}.tsv", rows)
        return
    folder = root / "MMMU_Pro" / ("vision" if vision else "standard (10 options)")
    rows = [
        {"id": str(number), **question, "options": str([*options.values()]), "answer": letter(number, 10),
         ("image" if vision else "image_1"): hub(number), "subject": subject}
        for number, question, options, subject in mmmu_pro_rows(vision)
    ]  # fmt: skip
    write_parquet(folder / "test-00000-of-00001.parquet", rows)


def mmmu_pro_vision(root, layout=0):
    mmmu_pro(root, layout, vision=True)


def mmstar(root, layout=0):
    rows = [
        {
            "index": number,
            "question": f'Which "thing" is it\nin picture {number}?',
            "image": base64.b64encode(image(number)).decode() if number % 9 else str(number + 1),
            "hint": "Look closely." if number % 3 == 0 else "",
            **{one: f"{one.lower()} {number}" for one in "ABCD"},
            "answer": letter(number),
            "category": ("coarse perception", "math")[number % 2],
            "l2-category": "some",
        }
        for number in range(COUNT)
    ]
    write_tsv(root / ("mmstar", "MMStar")[layout] / "MMStar.tsv", rows)


def realworldqa(root, layout=0):
    rows = [
        {"image": hub(number), "question": f"How far is car {number}?", "answer": WORDS[number * 3 % 10]}
        for number in range(COUNT)
    ]
    folder = root / ("RealworldQA", "realworldqa")[layout] / "data"
    write_parquet(folder / "test-00000-of-00002.parquet", rows[:100])
    write_parquet(folder / "test-00001-of-00002.parquet", rows[100:])


def mathvision(root, layout=0):
    rows = [
        {
            "id": str(number),
            "question": f"How long is the side of figure {number}? <image1>",
            "options": [] if number % 3 == 0 else [f"{n}" for n in range(5)],
            "image": f"images/{number}.jpg",
            "decoded_image": hub(number),
            "answer": str(number % 7 + 20) if number % 3 == 0 else letter(number, 5),
            "solution": None,
            "level": number % 5 + 1,
            "subject": ("algebra", "topology")[number % 2],
        }
        for number in range(COUNT)
    ]
    write_parquet(root / ("mathvision", "MathVision")[layout] / "data/test-00000-of-00001.parquet", rows)


def geometry3k(root, layout=0):
    rows = [
        {"images": [hub(number)], "problem": f"<image>Find x in figure {number}.", "answer": answer}
        for number in range(COUNT)
        for answer in (
            [f"{number % 9 + 1} \\sqrt {{ 3 }}", f"{number % 11 + 20}", f"{number % 7 + 1}.5"][number % 3],
        )
    ]
    write_parquet(root / "geometry3k/data/test-00000-of-00001.parquet", rows)


def document(root, layout, folder, sheet, subset):
    answers = [[WORDS[number * 3 % 10], f"{WORDS[number * 3 % 10]}!"] for number in range(COUNT)]
    if layout == 0:
        rows = [
            {"index": number, "question": f"What is the total on page {number}?", "answer": str(answers[number]),
             "image": base64.b64encode(image(number)).decode()}
            for number in range(COUNT)
        ]  # fmt: skip
        write_tsv(root / folder / sheet, rows)
        return
    rows = [
        {"questionId": str(number), "question": f"What is the total on page {number}?", "image": hub(number),
         "answers": answers[number]}
        for number in range(COUNT)
    ]  # fmt: skip
    write_parquet(root / "lmms-lab-DocVQA" / subset / "validation-00000-of-00001.parquet", rows)


def docvqa(root, layout=0):
    document(root, layout, "DocVQA", "DocVQA_VAL.tsv", "DocVQA")


def infovqa(root, layout=0):
    document(root, layout, "InfoVQA", "InfoVQA_VAL.tsv", "InfographicVQA")


def textvqa(root, layout=0):
    said = [[WORDS[number * 3 % 10]] * 8 + [f"sign {number}", f"{number}"] for number in range(COUNT)]
    questions = [f"What does sign {number} say?" for number in range(COUNT)]
    if layout == 2:
        rows = [
            {
                "question_id": number,
                "question": questions[number],
                "image": hub(number),
                "answers": said[number],
            }
            for number in range(COUNT)
        ]
        write_parquet(root / "lmms-lab-textvqa/data/validation-00000-of-00001.parquet", rows)
        return
    folder = root / "textvqa"
    (folder / "train_images").mkdir(parents=True, exist_ok=True)
    for number in range(COUNT):
        (folder / f"train_images/{number}.jpg").write_bytes(image(number))
    if layout == 1:
        rows = [
            {
                "question_id": number,
                "image_id": str(number),
                "question": questions[number],
                "answers": said[number],
            }
            for number in range(COUNT)
        ]
        write_text(folder / "TextVQA_0.5.1_val.json", json.dumps({"data": rows}))
        return
    rows = [
        {
            "question_id": number,
            "image": f"/home/me/textvqa/train_images/{number}.jpg",
            "question": questions[number],
        }
        for number in range(COUNT)
    ]
    write_text(folder / "textvqa_json/textvqa_val.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    noted = [
        {
            "question_id": number,
            "answers": [{"answer": one, "answer_id": n} for n, one in enumerate(said[number])],
        }
        for number in range(COUNT)
    ]
    write_text(folder / "textvqa_json/textvqa_val_annotations.json", json.dumps({"annotations": noted}))


def places(root, folder, splits):
    """Rows of two expressions; the boxes lie in eight fields of the image that do not touch."""
    for at, split in enumerate(splits):
        rows = []
        for number in range(at * 50, at * 50 + 55):
            width, height = 40 + at * 40, 20 + at % 2 * 20
            column, line = number * 3 % 4, number * 5 % 2
            rows.append(
                {
                    "question_id": str(number),
                    "image": hub(number, width, height),
                    "question": "Please provide a short description for this region.",
                    "answer": [f"the thing {number}", f"number {number} from the left"],
                    "segmentation": [1.0, 2.0],
                    "bbox": [column * width / 4, line * height / 2, width / 5, height / 3],
                    "iscrowd": 0,
                    "file_name": f"{number}.jpg",
                }
            )
        write_parquet(root / folder / "data" / f"{split}-00000-of-00001.parquet", rows)


def refcoco(root, layout=0):
    places(root, "RefCOCO", ("val", "test", "testA", "testB"))


def refcoco_plus(root, layout=0):
    places(root, "RefCOCOplus", ("val", "testA", "testB"))


def refcocog(root, layout=0):
    places(root, "RefCOCOg", ("val", "test"))


def hle(root, layout=0):
    rows = [
        {
            "id": f"{number:08x}",
            "question": f"What follows from premise {number}?",
            "image": "data:image/png;base64," + base64.b64encode(image(number)).decode()
            if number % 4 == 0
            else "",
            "image_preview": hub(number) if number % 4 == 0 else None,
            "answer": WORDS[number * 3 % 10],
            "answer_type": "exactMatch",
            "category": "Other",
        }
        for number in range(COUNT)
    ]
    write_parquet(root / "hle/data/test-00000-of-00001.parquet", rows)


def token(*of):
    """A word of its own for each key."""
    return "".join(Random(str(of)).choices("abcdefghijklmnopqrstuvwxyz", k=8))


def ocrbench_row(kind, number):
    """A question of a kind with its answers, its boxes, and what the boxes hold."""
    words = [token(kind, number, at) for at in range(6)]
    name = kind.rpartition(" ")[0]
    cells = "".join(f"<tr><td>{words[at]}</td><td>{words[at + 1]}</td></tr>" for at in (0, 2))
    answers, box, held = {
        "text counting": ([str(3 * 4**number)], None, None),
        "formula recognition": ([f"\\frac{{{words[0]}}}{{2}}"], None, None),
        "table parsing": ([f"<table>{cells}</table>"], None, None),
        "chart parsing": ([str({words[0]: {words[1]: words[2]}, words[3]: words[4]})], None, None),
        "document parsing": (["# " + words[0] + f"\n{words[1]}" * (1 + 60 * (number % 2))], None, None),
        "key information extraction": ([json.dumps({words[0]: words[1], words[2]: words[3]})], None, None),
        "key information mapping": ([json.dumps({words[0]: words[1]})], None, None),
        "text grounding": ([100 * number, 0, 100 * number + 90, 50], None, None),
        "VQA with position": ([words[0]], [100 * number, 500, 100 * number + 90, 550], None),
        "text spotting": (
            [words[0]], [[100 * number, 800, 100 * number + 90, 800, 100 * number + 90, 850, 100 * number, 850]], [words[0]]
        ),
        "handwritten answer extraction": ([words[0][:3].upper()], None, None),
    }.get(name, ([" ".join(words)], None, None))  # fmt: skip
    return {
        "index": token(kind, number),
        "image": base64.b64encode(image(number)).decode(),
        "question": f"{name} {number}: give the table as HTML"
        if name == "table parsing"
        else f"{name} {number}?",
        "answer": str(answers),
        "category": kind,
        "eval": "regression" if name == "text counting" else "without eval",
        "bbox_raw": str(box) if box else "without bbox",
        "content": str(held) if held else "without content",
    }


CHINESE_ALONE = {"handwritten answer extraction", "text translation"}
IN_BOTH = {
    "full-page OCR", "key information extraction", "document parsing", "table parsing", "formula recognition",
    "cognition VQA", "reasoning VQA",
}  # fmt: skip


def ocrbench_v2(root, layout=0):
    names = [name for kinds in ABILITIES.values() for name in kinds]
    kinds = [f"{name} en" for name in names if name not in CHINESE_ALONE]
    kinds += [f"{name} cn" for name in names if name in CHINESE_ALONE | IN_BOTH]
    rows = [
        ocrbench_row(kind, number)
        for kind in kinds
        for number in range(2 if kind.startswith("document parsing") else 8)
    ]
    write_tsv(root / ("ocrbench_v2", "OCRBench_v2")[layout] / "OCRBench_v2.tsv", rows)


def page(number):
    """A page of OmniDocBench as it is annotated: each part has its own words."""
    words = [token("page", number, at) for at in range(24)]
    parts = [
        ("header", None, {"text": words[0]}),
        ("title", 1, {"text": " ".join(words[1:4])}),
        ("text_block", 2, {"text": f"{words[4]} {words[5]} $x^{number % 9}$ {words[6]} {words[7]}"}),
        ("equation_isolated", 3, {"latex": f"$$\n\\frac{{{words[8]}}}{{{words[9]}}} = {number}\n$$"}),
        ("table", 4, {"latex": "\\begin{tabular}", "html": html_table(words[10 : 12 + 2 * (number % 3)])}),
        ("text_block", 7, {"text": f" {words[20]} {words[21]}"}),
        ("text_block", 5, {"text": f"{words[18]} {words[19]}"}),
        ("figure", 6, {}),
        ("page_number", None, {"text": str(number)}),
    ]  # fmt: skip
    return {
        "layout_dets": [
            {"category_type": category, "poly": [0.0] * 8, "ignore": False, "order": order, "anno_id": at, **more,
             "attribute": {"text_language": "text_en"}, "line_with_spans": []}
            for at, (category, order, more) in enumerate(parts)
        ],
        "extra": {"relation": [
            {"source_anno_id": 6, "target_anno_id": 5, "relation_type": "truncated"},
            {"source_anno_id": 4, "target_anno_id": 7, "relation_type": "parent_son"},
        ]},
        "page_info": {
            "page_no": number, "height": 20, "width": 40, "image_path": f"page_{number}.png",
            "page_attribute": {"data_source": "book", "language": "english", "layout": "single_column"},
        },
    }  # fmt: skip


def html_table(words):
    rows = [f"<tr><td>{words[at]}</td><td>{words[at + 1]}</td></tr>" for at in range(0, len(words) - 1, 2)]
    return f"<table>\n{''.join(rows)}\n</table>"


def omnidocbench(root, layout=0):
    folder = root / ("OmniDocBench", "omnidocbench")[layout]
    write_text(folder / "OmniDocBench.json", json.dumps([page(number) for number in range(COUNT)]))
    (folder / "images").mkdir()
    for number in range(COUNT):
        (folder / f"images/page_{number}.png").write_bytes(image(number))


MAKERS = {
    "mmmu": mmmu, "mmmu_pro": mmmu_pro, "mmmu_pro_vision": mmmu_pro_vision, "mmstar": mmstar,
    "realworldqa": realworldqa, "mathvision": mathvision, "geometry3k": geometry3k, "docvqa": docvqa,
    "infovqa": infovqa, "textvqa": textvqa, "refcoco": refcoco, "refcoco_plus": refcoco_plus,
    "refcocog": refcocog, "hle": hle, "ocrbench_v2": ocrbench_v2, "omnidocbench": omnidocbench,
}  # fmt: skip


def write_rows(root):
    """Write this family's rows as its tasks look for them."""
    for made in MAKERS.values():
        made(root)
    return root


def gold(task, row, of):
    """What a model would write that gives the gold of a row: a box as it counts coordinates, else the answer."""
    text = most_said(of.target)
    if task.evaluate[0].use == "ocrbench-v2":
        return Prediction(row.id, text=read_out(of), finish_reason="stop")
    if task.evaluate[0].use == "box-iou":
        sizes = [of.fields["image"][side] for side in ("width", "height")] * 2
        mine = [row.fields["image"][side] for side in ("width", "height")] * 2
        parts = [value / side for value, side in zip(json.loads(text), sizes, strict=True)]
        if task.variant == "pixels":
            box = [part * side for part, side in zip(parts, mine, strict=True)]
        else:
            box = [round(1000 * part, 2) for part in parts]
        text = f'```json\n[{{"bbox_2d": {box}, "label": "it"}}]\n```'
    return Prediction(row.id, text=text, finish_reason="stop")


def read_out(of):
    """What a model would write that reads an image of OCRBench v2 right."""
    kind = of.fields["category"].rsplit(" ", 1)[0]
    if kind == "text grounding":
        return f"[{', '.join(of.target)}]"
    if kind == "VQA with position":
        return json.dumps({"answer": of.target[0], "bbox": json.loads(of.fields["bbox_raw"])})
    if kind == "text spotting":
        ((x, y, _, _, right, low, *_),) = json.loads(of.fields["bbox_raw"])
        return f"[({x}, {y}, {right}, {low}, {of.target[0]})]"
    return of.target[0]


def most_said(target):
    return Counter(target).most_common(1)[0][0] if isinstance(target, list) else target


def written(task, row, of, position):
    """The gold of a row as a model would write it, in several forms."""
    if task.evaluate[0].use in {"anls", "vqa-accuracy", "box-iou", "ocrbench-v2", "omnidocbench"}:
        return gold(task, row, of)
    target = most_said(of.target)
    if task.evaluate[0].use == "math-verify" or (
        of.fields.get("kind") == "open" and task.name == "mathvision"
    ):
        form = ("<think>It is 7.</think>So \\boxed{{{0}}}", "Thus the answer is $\\boxed{{{0}}}$.")[
            position % 2
        ]
    else:
        form = ("I see it.\nANSWER: {0}", "Answer: {0}")[position % 2]
    return Prediction(row.id, text=form.format(target), finish_reason="stop")


async def values(task, rows, golds, plugins):
    predictions = [written(task, row, of, at) for at, (row, of) in enumerate(zip(rows, golds, strict=True))]
    (scores,) = (await score(task, {row.id: row for row in rows}, predictions, plugins)).values()
    return {one.sample_id: one.value for one in scores}


@pytest.mark.parametrize("name", [name for name in NAMES if name not in {"hle", "omnidocbench:markdown"}])
async def test_gold_answers_score_100_and_those_of_other_rows_score_as_chance(plugins, make_task, name):
    task, samples, _ = make_task(name)
    rows = list(samples)
    assert len(rows) >= 200
    right = await values(task, rows, rows, plugins)
    assert {key for key, value in right.items() if value < 0.99} == set()
    others = Random(5).sample(rows, len(rows))
    shuffled = await values(task, rows, others, plugins)
    # A page of other words still has tables, and a title before its text.
    right_from = 0.9 if task.evaluate[0].use == "omnidocbench" else 0.5
    share = sum(value > right_from for value in shuffled.values()) / len(rows)

    def key(row):
        if task.evaluate[0].use == "box-iou":
            number = int(row.fields["question_id"])
            return number * 3 % 4, number * 5 % 2
        if task.name == "ocrbench_v2":
            return row.fields["category"], str(row.target)
        return bool(row.choices), str(most_said(row.target))

    same = Counter(map(key, rows))
    chance = sum(count**2 for count in same.values()) / len(rows) ** 2
    low, high = wilson(share, len(rows), 3)
    assert low <= chance <= high, f"{share:.3f} [{low:.3f}, {high:.3f}], chance {chance:.3f}"


async def test_a_judge_that_compares_gives_100_to_the_answers_of_hle_and_chance_to_those_of_others(
    plugins, make_task
):
    task, samples, _ = make_task("hle")
    rows = list(samples)
    assert len(rows) >= 200
    judge = comparing_judge(r"\[correct_answer\]: (.*?)\n", r"\[response\]: (.*?)\n\nYour judgement")

    async def share(of):
        predictions = [
            Prediction(row.id, text=f"Answer: {gold.target}\nConfidence: 80%", finish_reason="stop")
            for row, gold in zip(rows, of, strict=True)
        ]
        scores = await score(task, {row.id: row for row in rows}, predictions, plugins, ask=judge)
        return sum(one.value for one in scores["judge"]) / len(rows)

    assert await share(rows) == 1
    others = Random(5).sample(rows, len(rows))
    same = Counter(row.target for row in rows)
    chance = sum(count**2 for count in same.values()) / len(rows) ** 2
    low, high = wilson(await share(others), len(rows), 3)
    assert low <= chance <= high


@pytest.mark.parametrize(
    ("name", "number"),
    [(name, number) for name in MAKERS for number in range(len(TASKS[name]["dataset"]["layouts"]))],
)
def test_every_layout_gives_the_same_samples_and_images(make_task, tmp_path, name, number):
    MAKERS[name](tmp_path, number)
    _, first, renderer = make_task(name)
    _, other, other_renderer = make_task(name, tmp_path)
    assert [(one.id, one.target, one.choices) for one in other] == [
        (one.id, one.target, one.choices) for one in first
    ]
    for at in (0, 1, 9):
        one = renderer.request(first.samples[at]).messages
        two = other_renderer.request(other.samples[at]).messages
        assert spelled(one) == spelled(two)


def spelled(messages):
    """The turns of a request, with the content of images in place of their addresses."""
    said = []
    for message in messages:
        if isinstance(message.content, str):
            said.append(message.content)
        else:
            said.extend(
                part.value if part.kind == "text" else data_url(part).partition(",")[2]
                for part in message.content
            )
    return said


def sent(number, width=40, height=20):
    return base64.b64encode(image(number, width, height)).decode()


CHOICE = (
    "Answer the following multiple choice question. The last line of your response should be of the following format: "
    "'ANSWER: [LETTER]' (without quotes) where [LETTER] is one of {}. Think step by step before answering.\n\n"
)
OPEN = (
    'The last line of your response should be of the form{}"ANSWER: [ANSWER]" (without quotes) where [ANSWER] is the answer '
    'to the problem.\n\n{}\n\nRemember to put your answer on its own line at the end in the form "ANSWER: [ANSWER]" (without '
    "quotes) where [ANSWER] is the answer to the problem, and you do not need to use a \\boxed command."
)
PROMPTS = {
    ("mmmu", 0): [
        CHOICE.format("A,B,C,D") + "What does ", sent(0), " show in case 0?\n\nA) thing 0\nB) it's ", sent(300),
        '\nC) none\nD) a "d"',
    ],
    ("mmmu", 9): [
        "\nSolve the following problem step by step. " + OPEN.format(" ", "What does ").split("What does")[0] + "What does ",
        sent(9),
        " show in case 9?" + OPEN.format(" ", "").split("problem.\n\n", 1)[1] + "\n",
    ],
    ("mmmu_pro", 0): [
        "Question: Which one is ", sent(0),
        ", case 0?\nOptions:\n" + "".join(f"{'ABCDEFGHIJ'[at]}. option {at} of 0\n" for at in range(10))
        + "Answer directly with the option letter from the given choices. ",
    ],
    ("mmmu_pro_vision:cot", 2): [
        sent(2),
        ("Answer the following multiple-choice question in the image. The last line of your response should be of the "
        "following format: 'Answer: $LETTER' (without quotes) where LETTER is one of the options. Think step by step "
        "before answering. "),
    ],
    ("mmstar", 0): [
        sent(1),
        ('Question: Hint: Look closely.\nWhich "thing" is it\nin picture 0?\nOptions:\nA. a 0\nB. b 0\nC. c 0\nD. d 0\n'
        "Please select the correct answer from the options above."),
    ],
    ("realworldqa", 4): [
        "Read the picture and solve the following problem step by step." + OPEN.format(" ", "How far is car 4?"),
        sent(4),
    ],
    ("mathvision", 1): [
        CHOICE.format("A,B,C,D,E")
        + "How long is the side of figure 1? <image1>\n\nA) 0\nB) 1\nC) 2\nD) 3\nE) 4",
        sent(1),
    ],
    ("mathvision", 0): [
        ("How long is the side of figure 0? <image1>\nPlease reason step by step, and put your final answer within "
        "\\boxed{} without units."),
        sent(0),
    ],
    ("geometry3k", 3): [
        sent(3),
        ("Find x in figure 3. You FIRST think about the reasoning process as an internal monologue and then provide the "
        "final answer. The reasoning process MUST BE enclosed within <think> </think> tags. The final answer MUST BE put "
        "in \\boxed{}."),
    ],
    ("docvqa", 7): [sent(7), "What is the total on page 7?\nAnswer the question using a single word or phrase."],
    ("textvqa", 8): [sent(8), "What does sign 8 say? Answer the question using a single word or phrase."],
    ("refcoco", 0): [
        sent(50, 80, 40),
        ('Locate every object that matches the description "the thing 50" in the image. Report bbox coordinates in JSON '
        "format."),
    ],
    ("omnidocbench", 5): [sent(5), "Parse the image"],
    ("hle", 4): [
        ("Your response should be in the following format:\nExplanation: {your explanation for your answer choice}\n"
        "Answer: {your chosen answer}\nConfidence: {your confidence score between 0% and 100% for your answer}"),
        sent(4),
        "What follows from premise 4?",
    ],
}  # fmt: skip


@pytest.mark.parametrize(("name", "number"), PROMPTS)
def test_a_question_is_asked_to_the_letter(make_task, name, number):
    _, samples, renderer = make_task(name)
    assert PROMPTS[name, number] in [spelled(renderer.request(one).messages) for one in samples]


async def test_the_overall_score_of_a_language_is_the_mean_over_its_abilities(plugins, make_task):
    task, samples, _ = make_task("ocrbench_v2")
    rows = list(samples)
    assert len({one.fields["category"] for one in rows}) == 30
    assert len({one.group for one in rows}) == 13
    wrong = Prediction("", text="", finish_reason="stop")
    predictions = [
        gold(task, row, row)
        if row.group in {"English text spotting", "Chinese text recognition"}
        else replace(wrong, sample_id=row.id)
        for row in rows
    ]
    graded = await score(task, {row.id: row for row in rows}, predictions, plugins)
    found = measure(task, graded, plugins)["ocrbench-v2"]
    values = {(one.name, one.group): one.value for one in over_areas(found, samples.groups)}
    # One of eight abilities, and one of five of which METEOR says a little less than 100 for one chunk of six words.
    assert values["naive_average", "English overall"] == pytest.approx(100 / 8)
    assert values["naive_average", "Chinese overall"] == pytest.approx(100 * (1 - 0.5 / 6**3 / 4) / 5)


def test_the_parts_of_a_page_are_in_reading_order_and_a_cut_paragraph_is_one(make_task):
    _, samples, _ = make_task("omnidocbench")
    sample, of = samples.samples[1], page(1)["layout_dets"]
    assert sample.target == "\n\n".join(
        [
            of[0]["text"],
            "1",
            f"# {of[1]['text']}",
            of[2]["text"],
            of[3]["latex"],
            of[4]["html"],
            of[6]["text"] + of[5]["text"],
        ]
    )
    assert {one["category"]: one.get("order") for one in sample.fields["elements"]}["text_block"] == 5
    assert "poly" not in str(sample.fields)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda row: row.pop("page_info"), r"KeyError\('page_info'\)"),
        (lambda row: row.pop("layout_dets"), r"KeyError\('layout_dets'\)"),
        (lambda row: row["layout_dets"][0].pop("category_type"), r"KeyError\('category_type'\)"),
        (lambda row: row.update(layout_dets=["x"]), "TypeError"),
    ],
)
def test_a_row_that_is_no_page_is_named(make_task, tmp_path, change, problem):
    rows = [page(0), page(1)]
    change(rows[1])
    write_text(tmp_path / "OmniDocBench/OmniDocBench.json", json.dumps(rows))
    with pytest.raises(
        DataError,
        match=rf"OmniDocBench.json, row 2: not a page of OmniDocBench \({problem}.*; it has layout_d",
    ):
        make_task("omnidocbench", tmp_path)


def test_the_splits_of_refcoco_are_groups_and_each_expression_is_a_row(make_task):
    _, samples, _ = make_task("refcoco")
    assert Counter(one.group for one in samples) == {"test": 110, "testA": 110, "testB": 110, "val": 110}
    first, second = samples.samples[:2]
    assert (first.fields["expression"], second.fields["expression"]) == (
        "the thing 50",
        "number 50 from the left",
    )
    assert (first.target, first.cluster) == (second.target, second.cluster)
    assert first.fields["image"]["width"] == 80
    assert "segmentation" not in first.fields


def test_the_sheet_of_a_row_names_the_row_that_has_its_image(make_task, tmp_path):
    rows = [
        {
            "index": n,
            "question": f"{n}?",
            "image": cell,
            "A": "a",
            "B": "b",
            "C": "",
            "D": "",
            "answer": "A",
            "category": "x",
        }
        for n, cell in enumerate([base64.b64encode(image(3)).decode(), "0", ""])
    ]
    write_tsv(tmp_path / "mmstar/MMStar.tsv", rows)
    _, samples, renderer = make_task("mmstar", tmp_path)
    assert [one.choices for one in samples] == [("a", "b"), ("a", "b")]
    assert [spelled(renderer.request(one).messages)[0] for one in samples] == [sent(3)] * 2
    rows[1]["image"] = "17"
    write_tsv(tmp_path / "mmstar/MMStar.tsv", rows)
    with pytest.raises(
        DataError, match=r"MMStar.tsv, line 3: the image is '17', and no row with this index has one"
    ):
        make_task("mmstar", tmp_path)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda cell: cell[:40] + "*" + cell[41:], "the image is not valid base64: "),
        (lambda cell: "*" + cell[1:], "the image is not valid base64: "),
        (lambda cell: cell[:-5], "the image is not valid base64: "),
        (lambda cell: "A" * 80, "the field 'images' holds 60 bytes that begin with "),
        (lambda cell: cell[:-16], "the field 'images': the image/png is cut off"),
        (lambda cell: f"['{cell}', '{cell[:-5]}']", "the image is not valid base64: "),
    ],
)
def test_a_cell_of_a_sheet_that_is_no_image_names_its_line(make_task, tmp_path, change, told):
    cell = base64.b64encode(image(3)).decode()
    rows = [
        {"index": n, "question": f"{n}?", "image": one, "A": "a", "B": "b", "answer": "A", "category": "x"}
        for n, one in enumerate([cell, change(cell)])
    ]
    write_tsv(tmp_path / "mmstar/MMStar.tsv", rows)
    with pytest.raises(DataError) as caught:
        make_task("mmstar", tmp_path)
    assert str(caught.value).startswith(f"{tmp_path}/mmstar/MMStar.tsv, line 3: {told}")
    assert "no file" not in str(caught.value)


def test_a_wrong_image_names_the_row(make_task, tmp_path):
    mathvision(tmp_path)
    from pyarrow import Table, parquet

    file = tmp_path / "mathvision/data/test-00000-of-00001.parquet"
    rows = parquet.read_table(file).to_pylist()
    rows[4]["decoded_image"]["bytes"] = b"<html>404</html>"
    parquet.write_table(Table.from_pylist(rows), file)
    with pytest.raises(
        DataError,
        match=r"parquet, row 5: the field 'decoded_image' holds 16 bytes of the type text/plain: no known image",
    ):
        make_task("mathvision", tmp_path)


def test_a_question_without_its_annotation_is_named(make_task, tmp_path):
    textvqa(tmp_path)
    file = tmp_path / "textvqa/textvqa_json/textvqa_val_annotations.json"
    noted = json.loads(file.read_text())
    del noted["annotations"][2]
    file.write_text(json.dumps(noted))
    with pytest.raises(
        DataError, match=r"textvqa_val.jsonl, line 3: question_id 2 has no annotation in textvqa_val_ann"
    ):
        make_task("textvqa", tmp_path)


def test_a_row_without_options_is_an_error_where_all_have_them(make_task, tmp_path):
    rows = [{"id": "0", "question": "?", "options": "[]", "answer": "x", "image_1": hub(0), "subject": "Art"}]
    write_parquet(tmp_path / "MMMU_Pro/standard (10 options)/test-0.parquet", rows)
    with pytest.raises(DataError, match=r"row 1: the row has no options, and open_prompt is not set"):
        make_task("mmmu_pro", tmp_path)


def test_a_box_of_refcoco_that_is_none_is_named(make_task, tmp_path):
    rows = [{"question_id": "0", "image": hub(0), "answer": ["it"], "bbox": [1.0, 2.0], "file_name": "0.jpg"}]
    write_parquet(tmp_path / "RefCOCO/data/val-00000-of-00001.parquet", rows)
    with pytest.raises(
        DataError, match=r"row 1: bbox must be x, y, width and height, and it is \[1.0, 2.0\]"
    ):
        make_task("refcoco", tmp_path)


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("['a', \"it's\"]", ["a", "it's"]),
        ('["a", "b"]', ["a", "b"]),
        (["a", None, 3], ["a", "3"]),
        ({"A": "x", "B": "y", "C": None}, ["x", "y"]),
        ("plain", ["plain"]),
        ("[not a list", ["[not a list"]),
        ("[__import__('os').getcwd()]", ["[__import__('os').getcwd()]"]),
        ("[1, 2)", ["[1, 2)"]),
        (None, []),
        ("  ", []),
        (7, ["7"]),
    ],
)
def test_lists_are_read_as_data_sets_write_them(value, found):
    assert parse_list(value) == found


def test_letters_are_as_many_as_options():
    assert lettered(["x"] * 5) == "A,B,C,D,E"


REFERENCE = """
docvqa_gen geometry3k_gen omnidocbench_gen ocrbench_v2_gen_0_shot_chat glm4v_textvqa_gen_base64 hle_llmjudge infovqa_gen mathvision_gen mmmu_gen
mmmu_pro_options10_cot_gen mmmu_pro_options10_gen mmmu_pro_vision_cot_gen mmmu_pro_vision_gen mmstar_gen mmstar_gen_cot
realworldqa_gen realworldqa_gen_base64 refcoco_gen refcoco_gen_base64 refcoco_plus_gen refcoco_plus_gen_base64
refcocog_gen refcocog_gen_base64 textvqa_gen textvqa_gen_base64
"""


@pytest.mark.parametrize("alias", sorted({*REFERENCE.split(), *ALIASES}))
def test_an_alias_leads_to_a_task_and_a_variant_of_it(plugins, alias):
    check_alias(plugins, alias, ALIASES[alias])
