"""HumanEval, HumanEval-X, MBPP and LiveCodeBench: rows of our own in the formats of upstream."""

import base64
import gzip
import json
import pickle
import shutil
import zlib

import pytest

from aisb import DataError, Prediction
from aisb_engine._data.datafiles import DataFolders
from aisb_engine._data.loading import load_samples
from aisb_engine._data.prompts import Renderer
from aisb_engine._resolve.config import RunInput, resolve
from aisb_engine._scoring.scoring import measure, score
from aisb_evaluator_code._sandbox import containment

boxed = pytest.mark.skipif(not containment().namespaces, reason="no namespaces can be made here")

HUMANEVAL = [
    {
        "task_id": f"HumanEval/{n}",
        "prompt": f'def add_{n}(x: int) -> int:\n    """ Add {n}.\n    >>> add_{n}(1)\n    {n + 1}\n    """\n',
        "entry_point": f"add_{n}",
        "canonical_solution": f"    return x + {n}\n",
        "test": f"def check(candidate):\n    assert candidate(1) == {n + 1}\n    assert candidate(-9) == {n - 9}\n",
    }
    for n in range(3)
]
MBPP = [
    {
        "text": f"Write a function to multiply by {n}.",
        "code": f"def times_{n}(x):\r\n  return x * {n}",
        "task_id": n,
        "test_setup_code": "",
        "test_list": [f"assert times_{n}(2) == {2 * n}", f"assert times_{n}(-1) == {-n}"],
        "challenge_test_list": [],
    }
    for n in range(1, 15)
]
SANITIZED = [
    {
        "source_file": "x",
        "task_id": row["task_id"],
        "prompt": row["text"],
        "code": row["code"],
        "test_imports": ["import math"],
        "test_list": [test.replace("== ", "== math.floor(") + ")" for test in row["test_list"]],
    }
    for row in MBPP
]
X = {
    "python": {
        "prompt": 'def twice(n):\n    """ Twice n. """\n',
        "declaration": "def twice(n):\n",
        "canonical_solution": "    return 2 * n\n",
        "test": "def check(twice):\n    assert twice(2) == 4\n\ncheck(twice)",
    },
    "cpp": {
        "prompt": "/*\nTwice n.\n*/\n#include<stdio.h>\nusing namespace std;\nint twice(int n){\n",
        "declaration": "#include<stdio.h>\nusing namespace std;\n#include<math.h>\nint twice(int n){\n",
        "canonical_solution": "    return 2 * n;\n}\n",
        "test": "#undef NDEBUG\n#include<assert.h>\nint main(){\n    assert (twice(2) == 4);\n}\n",
    },
    "js": {
        "prompt": "/* Twice n. */\nconst twice = (n) => {\n",
        "declaration": "\nconst twice = (n) => {\n",
        "canonical_solution": "  return 2 * n;\n}\n\n",
        "test": "const testTwice = () => {\n  console.assert(twice(2) === 4)\n}\n\ntestTwice()\n",
    },
    "go": {"prompt": "", "declaration": "", "canonical_solution": "", "test": ""},
}


def hidden(cases):
    return base64.b64encode(zlib.compress(pickle.dumps(json.dumps(cases)))).decode()


LIVE = [
    {
        "question_content": "Add two numbers.",
        "question_id": "1",
        "contest_date": "2024-09-01T00:00:00",
        "starter_code": "",
        "public_test_cases": json.dumps([{"input": "1 2\n", "output": "3\n", "testtype": "stdin"}]),
        "private_test_cases": hidden([{"input": "4 5\n", "output": "9\n", "testtype": "stdin"}]),
        "metadata": "{}",
    },
    {
        "question_content": "Reverse a list.",
        "question_id": "2",
        "contest_date": "2025-02-01T00:00:00",
        "starter_code": "class Solution:\n    def turn(self, xs):\n        ",
        "public_test_cases": json.dumps([{"input": "[1, 2]", "output": "[2, 1]", "testtype": "functional"}]),
        "private_test_cases": json.dumps([{"input": "[]", "output": "[]", "testtype": "functional"}]),
        "metadata": json.dumps({"func_name": "turn"}),
    },
]


SOLVED = {
    "1": "a, b = map(int, input().split())\nprint(a + b)",
    "2": "class Solution:\n    def turn(self, xs):\n        return xs[::-1]",
}
"""What solves the problems of LIVE."""


def write(path, rows):
    path.parent.mkdir(exist_ok=True)
    text = "".join(json.dumps(row) + "\n" for row in rows)
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text, encoding="utf-8")


def write_rows(root):
    """Write this family's rows as its tasks look for them."""
    write(root / "humaneval/human-eval-v2-20210705.jsonl", HUMANEVAL)
    write(root / "mbpp/mbpp.jsonl", MBPP)
    write(root / "mbpp/sanitized-mbpp.jsonl", SANITIZED)
    for language, row in X.items():
        write(root / f"humanevalx/humanevalx_{language}.jsonl.gz", [row])
    for part in ("4", "5", "6"):
        write(root / f"code_generation_lite/test{part}.jsonl", LIVE)
    return root


def gold(task, sample, of):
    """Answer a row with what solves another, as a model would write it."""
    solved = SOLVED.get(of.fields.get("question_id"), of.target)
    return Prediction(sample.id, text=f"Here it is:\n```python\n{solved}\n```\nDone.", finish_reason="stop")


@pytest.fixture
def data(tmp_path):
    return write_rows(tmp_path)


@pytest.fixture
def make(plugins, data, monkeypatch):
    monkeypatch.setenv("AISB_ALLOW_CODE_EXECUTION", "1")

    def run(name):
        (task,) = resolve(plugins, RunInput(models=["sim"], datasets=[name])).tasks.values()
        folders = DataFolders([data])
        return task, load_samples(task, plugins, folders), Renderer(task, plugins, folders)

    return run


async def values(plugins, task, samples, texts):
    predictions = [
        Prediction(sample.id, text=text, finish_reason="stop")
        for sample, text in zip(samples, texts, strict=True)
    ]
    scores = await score(task, {sample.id: sample for sample in samples}, predictions, plugins)
    return [one.value for one in scores["code-run"]]


NAMES = {
    "humaneval": 3,
    "humaneval_gen_0_shot": 3,
    "humaneval_gen_0_shot_perf": 3,
    "humaneval:text": 3,
    "mbpp_passk_gen_3_shot_chat_prompt": 4,
    "sanitized_mbpp_passk_gen_3_shot_chat_prompt": 4,
    "livecodebench_0_shot_chat_v6": 2,
    "livecodebench_0_shot_chat_v4_v5": 4,
    "livecodebench_0_shot_chat_v4_v5_v6": 6,
}


@pytest.mark.parametrize("name", NAMES)
def test_every_row_renders(make, name):
    _, samples, renderer = make(name)
    assert len(samples) == NAMES[name]
    for sample in samples:
        request = renderer.request(sample)
        text = request.text or request.messages[-1].content
        assert (sample.fields.get("question") or sample.fields["prompt"]) in text


def test_three_examples_stand_between_begin_and_done(make):
    _, samples, renderer = make("mbpp")
    turns = renderer.request(samples.samples[0]).messages
    assert [turn.role for turn in turns] == ["user", "assistant"] * 3 + ["user"]
    assert "multiply by 2" in turns[0].content
    assert turns[1].content == "[BEGIN]\n 'def times_2(x):\n  return x * 2'\n[DONE]\n\n"
    assert turns[-1].content == (
        "You are an expert Python programmer, and here is your task: Write a function to multiply by 11. "
        "Your code should pass these tests:\n\n assert times_11(2) == 22\nassert times_11(-1) == -11\n"
    )


@boxed
@pytest.mark.parametrize("name", ["humaneval", "mbpp", "mbpp_sanitized"])
async def test_the_gold_is_right_and_another_rows_is_wrong(plugins, make, name):
    task, samples, _ = make(name)
    golds = [f"Here:\n```python\n{sample.target}\n```" for sample in samples]
    assert set(await values(plugins, task, samples, golds)) == {1}
    assert set(await values(plugins, task, samples, golds[1:] + golds[:1])) == {0}


@boxed
async def test_a_base_model_goes_on_with_the_function(plugins, make):
    task, samples, _ = make("humaneval:text")
    texts = [sample.fields["canonical_solution"] for sample in samples]
    assert await values(plugins, task, samples, texts) == [1, 1, 1]


@boxed
async def test_repeats_give_pass_at_k(plugins, make):
    task, samples, _ = make("humaneval")
    predictions = [
        Prediction(sample.id, repeat, text=f"```\n{sample.target if repeat else 'x = 1'}\n```")
        for sample in samples
        for repeat in range(2)
    ]
    scores = await score(task, {sample.id: sample for sample in samples}, predictions, plugins)
    found = {metric.name: metric.value for metric in measure(task, scores, plugins)["code-run"]}
    assert found["pass@2"] == 100
    assert found["avg@2"] == 50


@pytest.mark.slow
@boxed
async def test_each_language_has_a_result_where_its_tools_are(plugins, make):
    task, samples, _ = make("humanevalx")
    tools = {"python": "sh", "cpp": "g++", "js": "node"}
    assert {sample.group for sample in samples} == {one for one, tool in tools.items() if shutil.which(tool)}
    right = [f"```{sample.group}\n{sample.target}\n```" for sample in samples]
    assert set(await values(plugins, task, samples, right)) == {1}
    wrong = [text.replace("2 * n", "3 * n") for text in right]
    assert set(await values(plugins, task, samples, wrong)) == {0}


@boxed
async def test_a_contest_is_graded_by_its_hidden_tests(plugins, make):
    task, samples, _ = make("livecodebench:v6")
    right = [
        "```python\na, b = map(int, input().split())\nprint(a + b)\n```",
        "```python\nclass Solution:\n    def turn(self, xs):\n        return xs[::-1]\n```",
    ]
    assert await values(plugins, task, samples, right) == [1, 1]
    public_only = [
        "```python\nprint(3)\n```",
        "```python\nclass Solution:\n    def turn(self, xs): return [2, 1]\n```",
    ]
    assert await values(plugins, task, samples, public_only) == [0, 0]


def test_a_contests_row_says_which_form_its_answer_has(make):
    _, samples, renderer = make("livecodebench:v6")
    first, second = (renderer.request(sample).messages[0].content for sample in samples)
    assert "writes output to STDOUT.\n```python\n# YOUR CODE HERE\n```\n\n### Answer:" in first
    assert "class Solution:\n    def turn(self, xs):" in second


def test_hidden_tests_that_would_run_something_are_refused(make, data):
    class Evil:
        def __reduce__(self):
            return (print, ("run",))

    packed = base64.b64encode(zlib.compress(pickle.dumps(Evil()))).decode()
    write(data / "code_generation_lite/test6.jsonl", [{**LIVE[0], "private_test_cases": packed}])
    with pytest.raises(
        DataError,
        match=r"test6.jsonl, line 1: its test cases cannot be read: the pickle contains builtins.print",
    ):
        make("livecodebench:v6")


@pytest.mark.parametrize(
    ("name", "file", "words"),
    [
        ("mbpp", "mbpp/mbpp.jsonl", "this row lacks code, test_list, which rows of MBPP have"),
        ("humanevalx", "humanevalx/humanevalx_cpp.jsonl.gz", "this row lacks canonical_solution"),
        (
            "livecodebench:v6",
            "code_generation_lite/test6.jsonl",
            "this row lacks private_test_cases",
        ),
    ],
)
def test_a_row_without_its_columns_names_file_and_line(make, data, name, file, words):
    write(data / file, [{"task_id": 1, "prompt": "x", "question_content": "x", "public_test_cases": "[]"}])
    with pytest.raises(DataError, match=rf"{file}, line 1: {words}"):
        make(name)
