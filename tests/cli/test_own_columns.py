"""A data file as a task: its columns are found by their usual names, or named by options."""

import json

import pytest
from own_rows import aisb, lines, run
from task_family import write_parquet

from aisb_engine import Catalog, DataColumns, Plugins, task_from_data_file

GRADING = Catalog(Plugins.load()).grading
LETTERS = ["x", "y", "z"]


def made(tmp_path, rows, name="own.jsonl", **columns):
    """Return the dataset options, the prompt and the evaluators of the task that is made from these rows."""
    path = tmp_path / name
    path.write_text(rows if isinstance(rows, str) else lines(rows))
    table = task_from_data_file(path, GRADING, columns=DataColumns(**columns))
    options = {key: value for key, value in table["dataset"].items() if key not in {"use", "path"}}
    return options, table["prompt"], [use["use"] for use in table.get("evaluate", [])]


@pytest.mark.parametrize(
    ("row", "options"),
    [
        ({"question": "a", "answer": "b"}, {}),
        ({"prompt": "a", "completion": "b"}, {"question": "prompt", "answer": "completion"}),
        ({"instruction": "a", "input": "", "output": "b"}, {"question": "instruction", "answer": "output"}),
        (
            {"instruction": "a", "input": "c", "output": "b"},
            {"question": ["instruction", "input"], "answer": "output"},
        ),
        ({"input": "a", "target": "b"}, {"question": "input", "answer": "target"}),
        ({"problem": "a", "solution": "b"}, {"question": "problem", "answer": "solution"}),
        ({"problem": "a", "solution": "b", "answer": "c"}, {"question": "problem"}),
        ({"problem": "a", "solution": "b", "answer": None}, {"question": "problem", "answer": "solution"}),
        ({"Question": "a", "Correct Answer": "b"}, {"question": "Question", "answer": "Correct Answer"}),
        ({"question": "a", "notes": "b"}, {}),
        ({"question": "a", "choices": LETTERS, "answer": "B"}, {"choices": "choices"}),
        ({"question": "a", "options": LETTERS, "answer": "B"}, {}),
        ({"question": "a", "A": "x", "B": "y", "answer": "B"}, {}),
        ({"question": "a", "a": "x", "b": "y", "answer": "b"}, {"choices": ["a", "b"]}),
        (
            {"question": "a", "option1": "x", "option2": "y", "answer": "2"},
            {"choices": ["option1", "option2"]},
        ),
        (
            {"question": "a", "choices": {"text": LETTERS, "label": ["1", "2", "3"]}, "answerKey": "3"},
            {"choices": "choices", "answer": "answerKey"},
        ),
    ],
)
def test_usual_names_of_columns_are_known(tmp_path, row, options):
    assert made(tmp_path, [row])[0] == options


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("own.json", '{"problem": "a", "gold": "b"}\n{"problem": "c", "gold": "d"}\n'),
        ("own.jsonl", '[{"problem": "a", "gold": "b"},\n {"problem": "c", "gold": "d"}]\n'),
    ],
)
def test_json_with_a_row_per_line_and_a_list_are_told_apart_by_their_text(tmp_path, name, text):
    assert made(tmp_path, text, name)[0] == {"question": "problem", "answer": "gold"}


def test_nan_is_an_empty_cell(tmp_path):
    rows = '{"problem": "a", "solution": NaN, "gold": "b"}\n'
    assert made(tmp_path, rows)[0] == {"question": "problem", "answer": "gold"}


@pytest.mark.parametrize(
    ("answers", "form"),
    [(["A", "C"], None), (["1", "3"], None), ([1, 2], None), ([0, 2], "index"), (["x", "z"], None)],
)
def test_numbers_count_options_from_0_if_one_of_them_is_0(tmp_path, answers, form):
    rows = [{"question": str(n), "options": LETTERS, "answer": answer} for n, answer in enumerate(answers)]
    assert made(tmp_path, rows)[0].get("answer_is") == form


def test_a_number_that_is_no_position_is_an_error(tmp_path):
    rows = [{"question": str(n), "options": LETTERS, "answer": n} for n in (0, 3)]
    with pytest.raises(Exception, match="the answer of row 1 is 0, which is not one of its options"):
        made(tmp_path, rows)


def test_numbers_that_are_texts_of_options_are_no_positions(tmp_path):
    rows = [{"question": str(n), "options": ["2", "1"], "answer": n} for n in (1, 2)]
    assert made(tmp_path, rows)[0] == {"answer_is": "text"}
    rows.append({"question": "c", "options": ["5", "6"], "answer": 1})
    assert made(tmp_path, rows)[0] == {}


def test_whole_prompts_are_sent_as_they_are(tmp_path):
    assert made(tmp_path, [{"prompt": "Say {x}.", "completion": "x"}])[1] == {"user": "{question}"}
    assert made(tmp_path, [{"input": "Say x.", "output": "x"}])[1] == {
        "user": "Question: {question}\nAnswer:"
    }


def test_columns_can_be_named(tmp_path):
    rows = [{"stem": "a", "hint": "b", "p": "x", "q": "y", "right": "y"}]
    named = {"question": ["stem", "hint"], "answer": "right", "choices": ["p", "q"]}
    options, _, evaluators = made(tmp_path, rows, **named)
    assert options == named
    assert evaluators == ["choice-match"]


@pytest.mark.parametrize(
    ("rows", "columns", "said"),
    [
        (
            [{"stem": "a", "key": "b"}],
            {},
            "instruction, query, input)\n  its columns: stem, key\n  name them with --question COLUMN, --answer",
        ),
        (
            [{"question": "a", "reply": "b"}],
            {"answer": "replies"},
            "has no such column; did you mean 'reply'?\n  its columns: question, reply",
        ),
        (
            [{"question": "a", "choices": "x or y"}],
            {},
            "the column choices is 'x or y', not a list of options",
        ),
        (
            [{"messages": [{"role": "user", "content": "a"}]}, {"messages": "b"}],
            {},
            "row 2 is not a conversation, but others are",
        ),
        (
            [{"messages": [{"role": "user", "content": "a"}, {"role": "user", "content": "a"}]}],
            {},
            "line 1: turn 2 of the conversation is of 'user'; user and assistant alternate",
        ),
        ([{"messages": [{"role": "system", "content": "a"}]}], {}, "has no turn of the user"),
        ([{"messages": [{"role": "user", "content": 3}]}], {}, "has no text as its content"),
    ],
)
def test_what_cannot_be_read_is_an_error_that_says_what_to_do(tmp_path, rows, columns, said):
    with pytest.raises(Exception, match=r"own\.jsonl|row 2") as error:
        made(tmp_path, rows, **columns)
    assert said in str(error.value)


def test_a_csv_file_without_a_header_is_an_error_that_says_so(tmp_path):
    with pytest.raises(Exception, match=r"the first line of a \.csv file must name its columns"):
        made(tmp_path, "2 + 2?;4\n3 + 3?;6\n", "own.csv")


@pytest.fixture
def work(tmp_path):
    known = [{"question": q, "reply": f"It is {a}."} for q, a in (("2 + 3=", "B"), ("7 + 9=", "A"))]
    (tmp_path / "known.jsonl").write_text(lines(known))
    return tmp_path


@pytest.mark.parametrize("cell", ['["x", "y", "z"]', "['x', 'y', 'z']"])
def test_a_list_of_options_may_be_written_in_a_cell(work, cell):
    quoted = cell.replace('"', '""')
    (work / "own.csv").write_text(f'Question;Choices;Answer\n2 + 3=;"{quoted}";B\n')
    out, task, _ = run(work, "--datasets", "own.csv")
    assert "100.00" in out
    assert task["dataset"]["choices"] == "Choices"


ROWS = [
    {"input": "2 + 3=", "choices": ["4", "5"], "answer": 1},
    {"input": "7 + 9=", "choices": ["16", "1"], "answer": 0},
]


@pytest.mark.parametrize("name", ["own.jsonl", "own.json", "rows.json", "own.csv", "own.tsv", "own.parquet"])
def test_a_file_of_each_format_is_a_task(work, name):
    path = work / name
    if name == "own.json":
        path.write_text(json.dumps(ROWS))
    elif name == "rows.json":
        path.write_text(json.dumps({"version": 1, "data": ROWS}))
    elif name.endswith(".jsonl"):
        path.write_text(lines(ROWS))
    elif name.endswith(".parquet"):
        pytest.importorskip("pyarrow")
        write_parquet(path, ROWS)
    else:
        mark = "," if name.endswith(".csv") else "\t"
        rows = [[row["input"], *row["choices"], str(row["answer"])] for row in ROWS]
        rows.insert(0, ["input", "option_a", "option_b", "answer"])
        path.write_text("".join(f"{mark.join(row)}\n" for row in rows))
    out, task, sent = run(work, "--datasets", f"./{name}")
    assert "100.00" in out
    assert task["dataset"]["answer_is"] == "index"
    assert len(sent) == 2


def test_a_run_says_which_columns_it_uses_and_resumes(work):
    (work / "my rows, new.jsonl").write_text(lines(ROWS))
    known = f"model.answers={work / 'known.jsonl'}"
    words = ["run", "--models", "sim", "--set", known, "--datasets", "my rows, new.jsonl"]
    aisb(*words, "--num-prompts", "1", cwd=work)
    (log,) = work.glob("outputs/default/*/logs/infer/sim/*.out")
    assert log.stem == "my-rows--new"
    assert "columns: question = input, choices = choices, answers count options from 0" in log.read_text()
    aisb("run", "--reuse", "--datasets", "my rows, new.jsonl", "--num-prompts", "2", cwd=work)
    (predictions,) = work.glob("outputs/default/*/predictions/sim/*.jsonl")
    assert len(predictions.read_text().splitlines()) == 2


def test_files_with_one_name_are_several_tasks_beside_others(work):
    (work / "a").mkdir()
    (work / "a/own.jsonl").write_text(lines(ROWS))
    (work / "own.csv").write_text("question,answer\n2 + 3=,5\n")
    names = ["a/own.jsonl", "own.csv", "demo_gsm8k"]
    shown = aisb("run", "--models", "sim", "--datasets", *names, "--dry-run", cwd=work)
    assert [line.split()[1] for line in shown.splitlines()[2:5]] == ["own", "own-2", "demo_gsm8k"]


def test_a_conversation_is_sent_up_to_its_last_question(work):
    turns = [
        ("system", "Be brief."),
        ("user", "Hi"),
        ("assistant", "Hello"),
        ("user", "2 + 3="),
        ("assistant", "B"),
    ]
    row = {"messages": [{"role": role, "content": content} for role, content in turns]}
    (work / "own.jsonl").write_text(lines([row]))
    _, task, sent = run(work, "--datasets", "own.jsonl")
    assert [turn["content"] for turn in sent[0]["origin_prompt"]] == [text for _, text in turns[:-1]]
    assert task["prompt"]["conversation"] == "last"
    assert sent[0]["gold"] == "B"


def test_a_data_file_is_shown_with_its_prompts(work):
    (work / "own.jsonl").write_text(lines([{"stem": "2 + 3=", "key": "5"}]))
    words = ["tasks", "show", "own.jsonl", "--question", "stem", "--answer", "key", "--sample", "1", "--json"]
    shown = json.loads(aisb(*words, cwd=work))
    assert shown["prompts"][0][0]["content"] == "Question: 2 + 3=\nAnswer:"


def test_long_reference_answers_call_for_a_judge(work):
    row = {"question": "2 + 3=", "answer": "Two and three make five. " * 5}
    (work / "own.jsonl").write_text(lines([row]))
    aisb("run", "--models", "sim", "--datasets", "own.jsonl", cwd=work)
    (log,) = work.glob("outputs/default/*/logs/infer/sim/own.out")
    assert "1 reference answer is long" in log.read_text()
    assert "--judge NAME grades by meaning" in log.read_text()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--datasets", "./own.txt"], "./own.txt: this is neither a task file (.toml) nor a data file"),
        (["--datasets", "./none.jsonl"], "none.jsonl: there is no such file"),
        (["--datasets", "demo_gsm8k", "--question", "a"], "--question needs a data file: --datasets FILE"),
    ],
)
def test_a_path_that_is_no_task_is_an_error_that_says_what_to_do(work, words, said):
    (work / "own.txt").write_text("x")
    assert said in " ".join(aisb("run", "--models", "sim", *words, cwd=work, code=2).split())
