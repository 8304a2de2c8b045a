"""Data files of people's own: asked as they are, or with a task file that is written for them."""

import base64
import json
import os
import sys
import tomllib
from collections import Counter

import pytest
from forked import run_forked
from own_rows import aisb, lines, run

from aisb._data import DataFile, DataFiles
from aisb._errors import UsageError
from aisb_engine._builtin.custom import custom

MCQ = 'question,A,B,C,answer,max_tokens\n2 + 3=,4,5,6,B,32\n7 + 9=,16,17,18,A,\n"3, then 4?",5,6,,A,64\n'
QA = [{"question": f"{n} + {n} * 2=", "answer": str(3 * n)} for n in range(1, 9)]
WORDS = [
    {"question": "The capital of France?", "answer": "Paris"},
    {"question": "Of Italy?", "answer": "Rome"},
]
PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


@pytest.fixture
def work(tmp_path):
    (tmp_path / "mcq.csv").write_text(MCQ)
    (tmp_path / "qa.jsonl").write_text(lines(QA))
    (tmp_path / "words.jsonl").write_text(lines(WORDS))
    known = [
        {"question": q, "reply": f"It is {a}."} for q, a in (("2 + 3=", "B"), ("7 + 9=", "A"), ("4?", "A"))
    ]
    known += [
        {"question": row["question"], "reply": f"So the answer is **{row['answer']}**."} for row in QA + WORDS
    ]
    (tmp_path / "known.jsonl").write_text(lines(known))
    return tmp_path


def test_a_csv_with_options_is_asked_as_it_is(work):
    out, task, sent = run(work, "--custom-dataset-path", "mcq.csv")
    assert out.split("\n\n")[0].split()[-5:] == ["mcq", task_version(out), "accuracy", "gen", "100.00"]
    assert task["evaluate"] == [{"use": "choice-match"}]
    assert len(sent) == 3


def task_version(out):
    return out.split("\n\n")[0].split()[-4]


def test_a_rows_own_max_tokens_stands_above_the_tasks(work):
    _, task, _ = run(work, "--custom-dataset-path", "mcq.csv")
    assert task["sample"]["max_tokens"] == "{max_tokens}"
    (log,) = work.glob("outputs/default/*/log/sim/mcq/worker-0")
    asked = [part.split(b",")[0].split(b"}")[0] for part in log.read_bytes().split(b'"max_tokens":')[1:]]
    assert {int(number) for number in asked} == {32, 64, 1024}


@pytest.mark.parametrize(("name", "evaluator"), [("qa", "numeric-match"), ("words", "exact-match")])
def test_open_questions_are_graded_as_numbers_where_all_answers_are(work, name, evaluator):
    out, task, _ = run(work, "--custom-dataset-path", f"{name}.jsonl")
    assert "100.00" in out
    assert [use["use"] for use in task["evaluate"]] == [evaluator]


def test_rows_without_answers_are_asked_and_not_graded(work):
    (work / "ask.jsonl").write_text('{"question": "Say something."}\n')
    _, task, sent = run(work, "--custom-dataset-path", "ask.jsonl")
    assert "evaluate" not in task
    assert len(sent) == 1


def test_a_type_can_be_set_and_a_name_that_is_taken_is_changed(work):
    (work / "gsm8k.csv").write_text(MCQ)
    _, task, _ = run(work, "--custom-dataset-path", "gsm8k.csv", "--custom-dataset-data-type", "qa")
    assert task["name"] == "gsm8k-custom"
    assert task["prompt"]["user"] == "Question: {question}\nAnswer:"


def test_a_run_on_own_data_is_gone_on_with(work):
    _, _, before = run(work, "--custom-dataset-path", "qa.jsonl", "--num-prompts", "3")
    aisb("run", "--reuse", "--num-prompts", "8", "--set", f"model.answers={work / 'known.jsonl'}", cwd=work)
    (predictions,) = work.glob("outputs/default/*/predictions/sim/qa.jsonl")
    assert len(before) == 3
    assert len(predictions.read_text().splitlines()) == 8


def test_a_meta_file_beside_the_data_says_how_many_and_how_long(work):
    meta = {
        "request_count": "20",
        "sampling_mode": "shuffle",
        "output_config": {"method": "percentage", "params": {"percentage_distribute": [[7, 0.5], [9, 0.5]]}},
    }
    (work / "qa.jsonl.meta.json").write_text(json.dumps(meta))
    _, task, sent = run(work, "--custom-dataset-path", "qa.jsonl")
    assert task["dataset"]["request_count"] == 20
    assert task["dataset"]["output_shares"] == [[7, 0.5], [9, 0.5]]
    assert [one["id"] for one in sent] == [str(n) for n in range(20)]


def test_a_meta_file_elsewhere_is_named_by_its_flag(work):
    (work / "other.json").write_text('{"request_count": 2}')
    _, _, sent = run(work, "--custom-dataset-path", "qa.jsonl", "--custom-dataset-meta-path", "other.json")
    assert len(sent) == 2


@pytest.mark.parametrize(
    ("meta", "said"),
    [
        ("[]", "expected an object, found list"),
        ("{", "not JSON: "),
        ('{"count": 3}', "unknown key 'count'; known: output_config, request_count, sampling_mode"),
        ('{"request_count": 0}', "request_count is 0, but must be a whole number of at least 1"),
        ('{"sampling_mode": "any"}', "sampling_mode is 'any', but must be default, shuffle or random"),
        ('{"output_config": {"method": "normal"}}', "expected a method, uniform or percentage, and params"),
        (
            '{"output_config": {"method": "uniform", "params": {"min_value": 9, "max_value": 3}}}',
            "min_value 9 is above max_value 3",
        ),
        (
            '{"output_config": {"method": "percentage", "params": {"percentage_distribute": [[9, 0.4]]}}}',
            "[[9, 0.4]] must be [[max_tokens, share], …] whose shares are above 0 and sum to 1",
        ),
    ],
)
def test_a_meta_file_that_says_what_cannot_be_is_named(work, meta, said):
    (work / "qa.jsonl.meta.json").write_text(meta)
    error = aisb("run", "--models", "sim", "--custom-dataset-path", "qa.jsonl", cwd=work, code=2)
    assert error.startswith("error: qa.jsonl.meta.json: ")
    assert said in error


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--custom-dataset-path", "no.csv"], "no.csv: there is no such file"),
        (
            ["--custom-dataset-path", "known.txt"],
            "known.txt: expected a .jsonl, .json, .csv or .parquet file",
        ),
        (
            ["--custom-dataset-path", "qa.jsonl", "--custom-dataset-data-type", "mcq"],
            "rows of type mcq have A and B, its options, but these have question, answer",
        ),
        (
            ["--custom-dataset-path", "qa.jsonl", "--custom-dataset-data-type", "rag"],
            "the data type is 'rag', but must be mcq or qa or media",
        ),
        (
            ["--custom-dataset-path", "qa.jsonl", "--custom-dataset-infer-method", "ppl"],
            "the method ppl compares options, but rows of type qa have none",
        ),
        (
            ["--custom-dataset-path", "qa.jsonl", "--custom-dataset-meta-path", "no.json"],
            "no.json: there is no such file",
        ),
        (
            ["--custom-dataset-data-type", "qa"],
            "--custom-dataset-data-type needs a data file: --datasets FILE, or --custom-dataset-path FILE",
        ),
        (["--datasets", "./no.toml"], "./no.toml: there is no task file"),
        (["--datasets", "BFCL_gen_all"], "the task BFCL_gen_all is not offered yet"),
    ],
)
def test_what_cannot_be_asked_is_said(work, words, said):
    assert said in aisb("run", "--models", "sim", *words, cwd=work, code=2)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"question": "a", "answer": "b"}\n{"question": "torn', "own.jsonl, line 2: not JSON"),
        (
            '{"question": "a"}\n{"prompt": "a", "answer": "b"}\n',
            "own.jsonl, line 2: expected a row with a text `question`, found prompt, answer",
        ),
        (
            '{"question": {"stem": "a"}}\n',
            "own.jsonl, line 1: expected a row with a text `question`, found one of type dict",
        ),
        ("\n", "own.jsonl: there are no rows"),
    ],
)
def test_a_file_that_is_wrong_is_named_with_its_line(work, text, said):
    (work / "own.jsonl").write_text(text)
    assert said in aisb("tasks", "new", "own.jsonl", cwd=work, code=2)


def test_the_likelihood_of_options_is_compared_on_request(work):
    aisb("tasks", "new", "mcq.csv", "--infer-method", "ppl", cwd=work)
    table = tomllib.loads((work / "mcq.toml").read_text())
    assert table["mode"] == "logprob"
    assert table["prompt"]["style"] == "text"
    shown = json.loads(aisb("tasks", "show", "./mcq.toml", "--sample", "1", "--json", cwd=work))
    assert shown["prompts"][0] == "Question: 2 + 3=\nA. 4\nB. 5\nC. 6\nAnswer:"


@pytest.mark.slow
@pytest.mark.parametrize("data", ["mcq.csv", "qa.jsonl", "words.jsonl"])
def test_a_task_file_that_is_written_for_a_data_file_runs(work, data):
    out = aisb("tasks", "new", data, cwd=work)
    name = f"{data.partition('.')[0]}.toml"
    assert f"wrote {name}" in out
    assert f"aisb run --models sim --datasets ./{name}" in out
    assert "100.00" in run(work, "--datasets", f"./{name}")[0]


@pytest.mark.slow
def test_a_task_file_elsewhere_finds_its_data_and_a_run_of_it_goes_on(work):
    (work / "mine").mkdir()
    (work / "mine/qa.jsonl").write_text(lines(QA))
    aisb("tasks", "new", "mine/qa.jsonl", cwd=work)
    assert tomllib.loads((work / "mine/qa.toml").read_text())["dataset"]["path"] == "./qa.jsonl"
    aisb("tasks", "new", "mine/qa.jsonl", "-o", "far.toml", cwd=work)
    assert tomllib.loads((work / "far.toml").read_text())["dataset"]["path"] == "./mine/qa.jsonl"
    run(work, "--datasets", "mine/qa.toml", "--num-prompts", "2")
    aisb("run", "--reuse", "--datasets", "mine/qa.toml", "--num-prompts", "5", cwd=work)
    (predictions,) = work.glob("outputs/default/*/predictions/sim/qa.jsonl")
    assert len(predictions.read_text().splitlines()) == 5
    (work / "mine/qa.toml").unlink()
    assert "qa" in aisb("score", cwd=work)


def test_a_task_that_no_plugin_grades_is_said_with_what_to_install(work):
    said = aisb("--block", "evaluator-text", "tasks", "new", "qa.jsonl", cwd=work, code=2)
    assert "no grading of answers named 'number'" in said
    assert "a plugin defines it in its grading.toml; `aisb plugins list` shows what is installed" in said
    assert "plugin evaluator-text is blocked" in said
    assert not (work / "qa.toml").exists()


def test_a_task_file_is_not_overwritten(work):
    aisb("tasks", "new", "qa.jsonl", cwd=work)
    assert "qa.toml exists already; --force replaces it" in aisb("tasks", "new", "qa.jsonl", cwd=work, code=2)
    aisb("tasks", "new", "qa.jsonl", "--force", cwd=work)
    assert "x.txt: a task file ends with .toml" in aisb(
        "tasks", "new", "qa.jsonl", "-o", "x.txt", cwd=work, code=2
    )


def test_questions_on_pictures_are_asked_with_them(work):
    (work / "cup.png").write_bytes(PIXEL)
    rows = [
        {"type": "image", "path": ["cup.png"], "question": "What is it?", "answer": "a cup"},
        {"type": "image", "path": ["cup.png", "cup.png"], "question": "How many are there?", "answer": "two"},
    ]
    (work / "seen.jsonl").write_text(lines(rows))
    aisb("tasks", "new", "seen.jsonl", cwd=work)
    shown = json.loads(aisb("tasks", "show", "./seen.toml", "--sample", "2", "--json", cwd=work))
    kinds = [
        json.dumps(prompt).count("cup.png") + json.dumps(prompt).count("data:image")
        for prompt in shown["prompts"]
    ]
    assert kinds == [1, 2]
    out, _, sent = run(work, "--custom-dataset-path", "seen.jsonl")
    assert "seen" in out
    assert len(sent) == 2


def read(path, **options):
    return list(custom(files=DataFiles([DataFile(path)]), **options))


def test_rows_are_given_in_order_drawn_or_shuffled_and_again_from_the_beginning(work):
    path = work / "qa.jsonl"
    asked = [row["question"] for row in QA]
    assert [row["question"] for row in read(path, request_count=3)] == asked[:3]
    assert [row["question"] for row in read(path, request_count=10)] == asked + asked[:2]
    mixed = [row["question"] for row in read(path, sampling="shuffle", request_count=16)]
    assert sorted(mixed[:8]) == sorted(mixed[8:]) == sorted(asked)
    assert mixed[:8] != asked
    drawn = Counter(row["question"] for row in read(path, sampling="random", request_count=400))
    assert set(drawn) == set(asked)
    assert max(drawn.values()) > min(drawn.values())
    again = [row["question"] for row in read(path, sampling="random", request_count=400)]
    assert Counter(again) == drawn


def test_output_lengths_are_drawn_for_the_rows_that_say_none(work):
    lengths = [
        row["max_tokens"] for row in read(work / "mcq.csv", output_range=[200, 210], request_count=300)
    ]
    assert lengths[0] == "32"
    assert {n for n in lengths if isinstance(n, int)} == set(range(200, 211))
    shares = Counter(
        row["max_tokens"]
        for row in read(work / "qa.jsonl", output_shares=[(5, 0.8), (6, 0.2)], request_count=1000)
    )
    assert 740 < shares[5] < 860
    assert shares[5] + shares[6] == 1000


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"request_count": 0}, "request_count = 0 must be at least 1"),
        ({"output_range": [9, 3]}, "output_range = [9, 3] must be [min, max] with 1 <= min <= max"),
        ({"output_shares": [(9, 0.5)]}, "output_shares = [[9, 0.5]] must be pairs"),
        ({"output_range": [1, 2], "output_shares": [(1, 1.0)]}, "exclude each other"),
    ],
)
def test_options_that_cannot_be_are_refused(work, options, said):
    with pytest.raises(UsageError) as error:
        read(work / "qa.jsonl", **options)
    assert said in str(error.value)


def graded(work, rows, replies, *words, name="own.jsonl"):
    """Ask rows of a file whose replies are known; return what was said, and the outcome of each sample by id."""
    (work / name).write_text(rows if isinstance(rows, str) else lines(rows))
    (work / "known.jsonl").write_text(lines({"question": q, "reply": r} for q, r in replies.items()))
    known = f"model.answers={work / 'known.jsonl'}"
    ended = run_forked(
        [sys.executable, "-m", "aisb_cli.main", "run", "--models", "sim", "--set", known,
         "--custom-dataset-path", name, *words],
        cwd=work, capture_output=True, text=True, check=False, timeout=120, env=os.environ | {"COLUMNS": "200"},
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    *_, folder = sorted((work / "outputs/default").iterdir(), key=lambda path: path.stat().st_mtime)
    scores = [json.loads(line) for path in folder.glob("results/*/*_scores.jsonl") for line in path.open()]
    return ended.stdout + ended.stderr, {one["id"]: one["outcome"] for one in scores}


APPLES = {f"{n} + 4 apples?": "That makes 7 apples." for n in range(4)}


@pytest.mark.parametrize("odd", ["", "  ", None, []])
def test_a_row_without_an_answer_is_not_asked_and_changes_nothing_for_the_others(work, odd):
    rows = [{"question": question, "answer": "7"} for question in APPLES]
    rows.insert(1, {"question": "And this?", "answer": odd})
    said, outcomes = graded(work, rows, APPLES)
    assert outcomes == dict.fromkeys(("0", "2", "3", "4"), "correct")
    assert "graded: 4 number answers by numeric-match; 1 row has no answer and is not sent: 1" in said
    assert "n 4," in said


def test_a_file_without_answers_is_said_to_be_not_scored_with_the_file_of_its_predictions(work):
    said, outcomes = graded(work, [{"question": question} for question in APPLES], APPLES)
    assert outcomes == {}
    said = " ".join(said.split())
    assert "own · sim: not scored, since the task has no evaluator; predictions/sim/own.jsonl has" in said
    assert "warning:" not in said
    (kept,) = (work / "outputs/default").glob("*/predictions/sim/own.jsonl")
    assert len(kept.read_text().splitlines()) == len(APPLES)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("odd", "reply", "outcome"),
    [
        ("N/A", "N/A", "correct"),
        ("N/A", "There are 7.", "wrong"),
        ("1/2", "So it is one half, 1/2.", "correct"),
        ("$8", "It costs $8.00 in all.", "correct"),
        ("1e3", "That is 1,000 in all.", "correct"),
        ("3 1/2", "We get 3.5 of them.", "correct"),
        ("8 apples", "The answer is 8 apples.", "correct"),
        ("八个", "答案是八个。", "correct"),
        ("Paris", "The answer is Lyon.", "wrong"),
        ([8], "We get 8.", "correct"),
        ([8, 9], "We get 9.", "correct"),
        ([8, 9], "We get 10.", "wrong"),
        (True, "True", "correct"),
    ],
)
def test_each_row_is_graded_by_its_own_kind(work, odd, reply, outcome):
    rows = [{"question": question, "answer": 7} for question in APPLES]
    rows.append({"question": "What else?", "answer": odd})
    _, outcomes = graded(work, rows, APPLES | {"What else?": reply})
    assert outcomes == dict.fromkeys("0123", "correct") | {"4": outcome}


@pytest.mark.slow
def test_numbers_texts_and_choices_in_one_file_are_asked_and_graded_each_in_its_way(work):
    rows = [
        {"question": "2 + 5?", "answer": "7"},
        {"question": "The capital of France?", "answer": "Paris"},
        {"question": "Which is red?", "A": "sky", "B": "blood", "answer": "B"},
        {"question": "Which is blue?", "A": "sky", "B": "blood", "answer": "1"},
        {"question": "Which is green?", "options": ["grass", "snow"], "answer": "grass"},
        {"question": "And this?"},
    ]
    replies = {
        "2 + 5?": "We get 7, I think.", "France?": "The answer is Paris.", "red?": "The second option: B.",
        "blue?": "B", "green?": "The answer is (A).",
    }  # fmt: skip
    said, outcomes = graded(work, rows, replies)
    assert outcomes == {"0": "correct", "1": "correct", "2": "correct", "3": "wrong", "4": "correct"}
    kinds = "3 choice answers by choice-match, 1 number answer by numeric-match, 1 text answer by exact-match"
    assert f"graded: {kinds}; 1 row has no answer and is not sent: 5" in said
    (predictions,) = work.glob("outputs/default/*/predictions/sim/own.jsonl")
    prompts = [str(json.loads(line)["origin_prompt"]) for line in predictions.read_text().splitlines()]
    assert "A. sky\\nB. blood\\nAnswer:" in prompts[2]
    assert "2 + 5?\\nAnswer:" in prompts[0]
    again = aisb("score", "latest", cwd=work)
    assert "80.00" in again
    assert "own" in aisb("audit", "latest", cwd=work)


def test_a_choice_without_an_answer_is_not_asked_and_a_file_without_any_is_kept(work):
    csv = "question,A,B,answer\nRed?,x,y,A\nBlue?,x,y,\nGreen?,x,y,B\n"
    said, outcomes = graded(work, csv, {"Red?": "A", "Green?": "A", "Blue?": "A"}, name="own.csv")
    assert outcomes == {"0": "correct", "2": "wrong"}
    assert "graded: 2 choice answers by choice-match; 1 row has no answer and is not sent: 1" in said
    none = "question,A,B\nRed?,x,y\nBlue?,x,y\n"
    said, outcomes = graded(work, none, {"Red?": "A", "Blue?": "A"}, name="none.csv")
    assert outcomes == {}
    assert "its predictions are kept, but not scored" in said


def test_a_performance_run_asks_every_row(work):
    rows = [{"question": "2 + 5?", "answer": "7"}, {"question": "And this?", "answer": ""}]
    said, _ = graded(work, rows, {"2 + 5?": "7", "this?": "8"}, "--mode", "perf", "--num-prompts", "5")
    assert "5/5 finished" in said  # two rows, in three rounds
    assert "not asked" not in said


def test_a_run_without_a_mark_for_rows_without_an_answer_asks_them_as_it_did(work):
    rows = [{"question": "2 + 5?", "answer": "7"}, {"question": "And this?", "answer": ""}]
    graded(work, rows, {"2 + 5?": "7", "this?": "8"}, "--num-prompts", "1")
    (config,) = work.glob("outputs/default/*/configs/*.toml")
    old = config.read_text().replace("require_target = true\n", "").replace('selection = "groups"\n', "")
    (work / "old.toml").write_text(old)
    aisb("run", "-c", "old.toml", "-w", "again", "--num-prompts", "2", cwd=work)
    (predictions,) = work.glob("again/*/predictions/sim/own.jsonl")
    assert len(predictions.read_text().splitlines()) == 2


@pytest.mark.parametrize("mark", [";", "\t"])
def test_a_csv_file_with_another_mark_between_cells_is_read(work, mark):
    text = MCQ.replace('"3, then 4?"', "3 then 4?").replace(",", mark)
    said, outcomes = graded(work, f"\ufeff{text}", {"2 + 3=": "B", "7 + 9=": "A", "4?": "A"}, name="own.csv")
    assert outcomes == dict.fromkeys("012", "correct")
    quoted = f'"question"{mark}"answer"\n"How much, {mark} say?"{mark}"7"\n'
    assert graded(work, quoted, {"say?": "7"}, name="quoted.csv")[1] == {"0": "correct"}
    del said


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (
            {"A": "x", "C": "y", "answer": "C"},
            "line 2: the options are A, C, without B: letters must be consecutive",
        ),
        (
            {"B": "x", "C": "y", "answer": "C"},
            "line 2: the options are B, C, without A: letters must be consecutive",
        ),
        ({"A": "x", "B": " ", "C": "y", "answer": "A"}, "line 2: the options are A, C, without B"),
        ({"A": "x", "B": "y", "answer": "z"}, "the answer of row 2 is 'z', which is not one of its options"),
    ],
)
def test_options_with_a_gap_or_without_the_answer_are_an_error_with_their_place(work, row, said):
    (work / "own.jsonl").write_text(lines([{"question": "One?", "answer": "1"}, {"question": "Two?", **row}]))
    assert said in aisb("run", "--models", "sim", "--custom-dataset-path", "own.jsonl", cwd=work, code=2)


def test_a_column_that_only_looks_like_an_option_is_left_alone(work):
    rows = [{"question": "How long?", "N": "5", "T": "3", "answer": "7"}]
    assert graded(work, rows, {"long?": "7"})[1] == {"0": "correct"}


@pytest.mark.parametrize("escape", ["\\ud83d", "\\uDE00", "\\ude00\\ud83d"])
@pytest.mark.parametrize("field", ["question", "answer", "note"])
def test_half_a_surrogate_pair_is_an_error_with_file_and_line(work, escape, field):
    row = {"question": "3 + 4?", "answer": "7", "note": ""} | {field: "x MARK"}
    torn = json.dumps(row).replace("MARK", escape)
    (work / "own.jsonl").write_text(f'{{"question": "1 + 1? \\ud83d\\ude00", "answer": "2"}}\n{torn}\n')
    error = aisb("run", "--models", "sim", "--custom-dataset-path", "own.jsonl", cwd=work, code=2)
    assert "own.jsonl, line 2: half of a surrogate pair" in error


@pytest.mark.parametrize("answers", [("Paris", "", "Rome"), ("", "", "")])
def test_the_tasks_for_own_files_leave_rows_without_an_answer_out_unless_none_has_one(work, answers):
    (work / "custom").mkdir()
    rows = "".join(f"Capital {n}?,{answer}\n" for n, answer in enumerate(answers))
    (work / "custom/qa.csv").write_text(f"question,answer\n{rows}")
    aisb("run", "--models", "sim", "--datasets", "custom_qa", "--data-dir", ".", cwd=work)
    (predictions,) = work.glob("outputs/default/*/predictions/sim/custom_qa.jsonl")
    asked = [json.loads(line)["id"] for line in predictions.read_text().splitlines()]
    assert asked == (["0", "2"] if any(answers) else ["0", "1", "2"])
