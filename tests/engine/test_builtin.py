"""The readers and text steps that come with the engine, made by name as a task makes them."""

import json
import subprocess
import sys
import time

import pytest

from aisb._errors import ConfigError, DataError, UsageError
from aisb._plugins import Plugins
from aisb._types import Extract, Sample
from aisb_engine._data.datafiles import DataFolders

SAMPLE = Sample("0", {})


@pytest.fixture(scope="module")
def plugins():
    return Plugins.load()


@pytest.fixture
def rows(plugins, tmp_path):
    def read(name, content, use, **options):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        files = DataFolders([tmp_path]).find(name)
        return list(plugins.make("dataset", use, options, where="task.dataset", files=files))

    return read


@pytest.fixture
def step(plugins):
    def run(text, name, /, **options):
        found = plugins.make("postprocessor", name, options, where="task.postprocess.0")(text, SAMPLE)
        if isinstance(found, Extract):
            if found.span:
                assert text[slice(*found.span)] == found.text
            return found.text
        return found

    return run


def test_json_lines_are_rows(rows):
    assert rows("a.jsonl", '{"a": 1}\n\n{"a": "é\\n"}\r\n', "jsonl") == [{"a": 1}, {"a": "é\n"}]


def test_numbers_of_any_size_keep_their_digits(rows):
    assert rows("a.jsonl", '{"a": 123456789012345678901234567890}', "jsonl") == [
        {"a": 123456789012345678901234567890}
    ]


def test_a_torn_line_names_file_and_line(rows):
    with pytest.raises(
        DataError, match=r"a.jsonl, line 2: not JSON: (?!.* at at ).*: the line is incomplete"
    ):
        rows("a.jsonl", '{"a": 1}\n{"a": "b', "jsonl")


def test_a_line_that_is_no_object_says_what_it_is(rows):
    with pytest.raises(DataError, match=r"a.jsonl, line 1: expected an object with fields, found a list"):
        rows("a.jsonl", '[{"a": 1}]\n', "jsonl")


def test_one_json_value_over_several_lines_points_to_the_json_reader(rows):
    with pytest.raises(DataError, match=r"write use = 'json'"):
        rows("a.json", '[\n{"a": 1}\n]', "jsonl")


def test_json_is_a_list_an_object_of_objects_or_a_key_in_it(rows):
    assert rows("a.json", '[{"a": 1}, {"a": 2}]', "json") == [{"a": 1}, {"a": 2}]
    assert rows("a.json", '{"x": {"a": 1}, "y": {"a": 2}}', "json") == [
        {"key": "x", "a": 1},
        {"key": "y", "a": 2},
    ]
    nested = {"canary": "…", "data": {"examples": [{"a": 1}]}}
    assert rows("a.json", json.dumps(nested), "json", key="data.examples") == [{"a": 1}]


def test_json_without_rows_lists_the_keys(rows):
    content = '{"canary": "…", "examples": []}'
    with pytest.raises(
        DataError, match=r"found an object with the keys canary, examples; set its path: key = "
    ):
        rows("a.json", content, "json")
    with pytest.raises(DataError, match=r"key = 'rows': there is no 'rows'; the keys are canary, examples"):
        rows("a.json", content, "json", key="rows")


def test_broken_json_names_the_line_and_json_lines_the_reader(rows):
    with pytest.raises(DataError, match=r"a.json, line 2: not JSON: Expecting value at column 7"):
        rows("a.json", '[\n{"a": }]', "json")
    with pytest.raises(DataError, match=r"for one object per line write use = 'jsonl'"):
        rows("a.json", '{"a": 1}\n{"a": 2}', "json")
    with pytest.raises(DataError, match=r"a.json, row 2: expected an object with fields, found the text 'x'"):
        rows("a.json", '[{"a": 1}, "x"]', "json")


def test_csv_has_a_header_or_columns(rows):
    content = 'Question,Correct Answer,\n"a, ""b""\nc",1,x\n\nd,2,y\n'
    assert rows("a.csv", content, "csv") == [
        {"Question": 'a, "b"\nc', "Correct_Answer": "1", "column_2": "x"},
        {"Question": "d", "Correct_Answer": "2", "column_2": "y"},
    ]
    assert rows("a.csv", "1;2\r\n3;4\r\n", "csv", columns=["a", "b"], delimiter=";") == [
        {"a": "1", "b": "2"},
        {"a": "3", "b": "4"},
    ]
    assert rows("a.csv", "x,y\n3,4\n", "csv", columns=["a", "b"], skip=1) == [{"a": "3", "b": "4"}]


def test_a_csv_row_of_another_length_names_the_line_and_the_columns(rows):
    with pytest.raises(
        DataError, match=r"a.csv, line 3: the row has 1 cells, but the header 2: a, b; for a file"
    ):
        rows("a.csv", "a,b\n1,2\n3\n", "csv")
    with pytest.raises(DataError, match=r"a.csv, line 1: the row has 3 cells, but columns names 2: a, b"):
        rows("a.csv", "1,2,3\n", "csv", columns=["a", "b"])


def test_an_open_quote_is_named_by_the_line_where_its_row_begins(rows):
    with pytest.raises(
        DataError, match=r"a.csv, line 3: the row that begins here is not CSV: unexpected end of data; if"
    ):
        rows("a.csv", 'a,b\n1,2\n3,"4\n5,6\n7,8\n', "csv")


def test_a_header_that_repeats_a_name_is_refused(rows):
    with pytest.raises(DataError, match=r"a.csv, line 1: the header has a more than once"):
        rows("a.csv", "a,b,a\n1,2,3\n", "csv")


def test_a_cell_may_be_long(rows):
    assert len(rows("a.csv", "a\n" + "x" * 1_000_000 + "\n", "csv")[0]["a"]) == 1_000_000


def test_quotes_in_tsv_are_text(rows):
    assert rows("a.tsv", 'He said "no" to\t"5\n', "tsv", columns=["q", "a"]) == [
        {"q": 'He said "no" to', "a": '"5'}
    ]


def test_a_wrong_option_of_a_reader_is_named_by_its_path(rows):
    with pytest.raises(
        ConfigError, match=r"task.dataset.delimeter: no such option; did you mean 'delimiter'?"
    ):
        rows("a.csv", "a\n", "csv", delimeter=";")
    with pytest.raises(UsageError, match=r"delimiter = '::' must be one character"):
        rows("a.csv", "a\n", "csv", delimiter="::")


def test_parquet_rows_or_what_to_install(plugins, tmp_path):
    path = tmp_path / "a.parquet"
    files = DataFolders([tmp_path])
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        path.write_bytes(b"PAR1")
        with pytest.raises(UsageError, match=r"needs pyarrow: pip install 'aisb-engine\[parquet\]'"):
            list(plugins.make("dataset", "parquet", {}, files=files.find("a.parquet")))
        return
    pq.write_table(pa.table({"q": ["a", "b"], "n": [{"x": [1]}, {"x": []}]}), path)
    read = list(plugins.make("dataset", "parquet", {}, files=files.find("a.parquet")))
    assert read == [{"q": "a", "n": {"x": [1]}}, {"q": "b", "n": {"x": []}}]


def test_after_keeps_what_follows_the_last_or_first_marker(step):
    assert step("#### 1\n#### 2", "after", marker="#### ") == "2"
    assert step("#### 1\n#### 2", "after", marker="#### ", which="first") == "1\n#### 2"
    assert step("no marker", "after", marker="#### ") is None


def test_before_cuts_at_the_marker_and_keeps_a_text_without_it(step):
    assert step("18\nQuestion: next", "before", marker="\nQuestion:") == "18"
    assert step("18", "before", marker="\nQuestion:") == "18"
    assert step("a. b, c", "before", marker=[",", "."]) == "a"
    assert step("a. b, c", "before", marker=[",", "."], which="last") == "a. b"


def test_before_leaves_a_marker_with_which_the_text_begins(step):
    text = "Question: what?\nAnswer: 18\nQuestion: next"
    assert step(text, "before", marker="\nQuestion:") == "Question: what?\nAnswer: 18"
    assert step("\n" + text, "before", marker="\nQuestion:") == "\nQuestion: what?\nAnswer: 18"
    assert step(text, "before", marker="Question:", leading=True) == ""


def test_remove_and_replace(step):
    assert step("$1,234.50", "remove", characters="$,") == "1234.50"
    assert step("a <<1+1=2>>2 b", "remove", pattern="<<[^<>]*>>") == "a 2 b"
    assert step("aXXbXX", "remove", text="XX") == "ab"
    assert step("1 - 2", "replace", old=" - ", new="-") == "1-2"
    assert step("2024-01", "replace", old=r"(\d+)-(\d+)", new=r"\2/\1", pattern=True) == "01/2024"


def test_lines_strip_and_lower(step):
    assert step("\n\n  first \n last\n\n", "first-line") == "first"
    assert step("\n\n  first \n last\n\n", "last-line") == "last"
    assert step("only", "last-line") == "only"
    assert step(" \n ", "first-line") is None
    assert step(" \n ", "last-line") is None
    assert step("  x\n", "strip") == "x"
    assert step("'x.'", "strip", characters="'.") == "x"
    assert step("ABC É", "lower") == "abc é"


def test_regex_takes_the_first_group_of_the_last_match(step):
    text = "Answer: 1\nanswer: 2"
    assert step(text, "regex", pattern=r"(?i)answer: (\d)") == "2"
    assert step(text, "regex", pattern=r"answer: (\d)", ignore_case=True, which="first") == "1"
    assert step(text, "regex", pattern=r"^answer: (?P<n>\d)$", group="n") == "2"
    assert step(text, "regex", pattern=r"\d", group=0) == "2"
    assert step(text, "regex", pattern=r"x") is None


def test_a_wrong_option_of_a_step_says_what_is_wrong(step):
    for name, options, message in (
        ("regex", {"pattern": "("}, r"'\(' is not a regular expression"),
        ("regex", {"pattern": "a", "group": 1}, r"group = 1: the pattern 'a' has 0 groups"),
        ("remove", {}, r"set what to remove: characters, text or pattern"),
        ("after", {"marker": ""}, r"marker must not be empty"),
        ("replace", {"old": "a", "new": r"\2", "pattern": True}, r"does not fit the pattern"),
        ("strip-reasoning", {"tags": []}, r"tags must name at least one tag"),
    ):
        with pytest.raises(UsageError, match=message):
            step("text", name, **options)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("no reasoning", "no reasoning"),
        ("<think>is it 5?</think>\n18", "18"),
        ("is it 5?</think>18", "18"),
        ("<think>5 and on and on", None),
        ("<think></think>", None),
        ("The answer is 18. <think>wait, 5", "The answer is 18."),
        ("<think>a<think>b</think>c</think>18", "18"),
        ("<Thinking>5</THINKING>18", "18"),
        ("<think>1</think>a<think>2</think>b", "a\nb"),
        ("1 <think>2</think> 3 </think>18", "18"),
    ],
)
def test_reasoning_is_taken_out(step, text, left):
    assert step(text, "strip-reasoning") == left


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("The answer is **18**.", "The answer is 18."),
        ("答案是**18**元", "答案是18元"),
        ("***B***", "B"),
        ("*B* and _C_ and __D__", "B and C and D"),
        ("## Answer\n> `B`", "Answer\nB"),
        ("```python\nprint(1)\n```\n", "print(1)\n"),
        ("see [the paper](https://example.org/x)", "see the paper"),
        ("2 * 3 * 4 = 24, 2**3**1, snake_case_name, #5", "2 * 3 * 4 = 24, 2**3**1, snake_case_name, #5"),
    ],
)
def test_markdown_is_taken_off(step, text, left):
    assert step(text, "strip-markdown") == left


HOSTILE = [
    "*" * 1_000_000,
    "**a " * 250_000,
    "`a" * 500_000,
    "[a](" * 250_000,
    "_a " * 330_000,
    "<think>" * 140_000,
    "</think" * 140_000,
    "#" * 1_000_000,
    " " * 1_000_000,
    "\n" * 1_000_000,
    "a" * 1_000_000,
]
STEPS = [
    ("after", {"marker": "####"}),
    ("before", {"marker": ["\nQuestion:", "####"]}),
    ("remove", {"characters": ",", "text": "**", "pattern": "<<[^<>]*>>"}),
    ("replace", {"old": "aa", "new": "b"}),
    ("strip", {}),
    ("first-line", {}),
    ("last-line", {}),
    ("lower", {}),
    ("regex", {"pattern": "a{3}"}),
    ("strip-reasoning", {}),
    ("strip-markdown", {}),
]


@pytest.mark.parametrize(("name", "options"), STEPS, ids=[name for name, _ in STEPS])
def test_a_text_of_ten_times_the_length_takes_no_hundred_times_as_long(plugins, name, options):
    run = plugins.make("postprocessor", name, options)
    for text in HOSTILE:
        spent = []
        for part in (text[: len(text) // 10], text):
            started = time.process_time()
            run(part, SAMPLE)
            spent.append(time.process_time() - started)
        assert spent[1] < 40 * spent[0] + 0.2, f"{text[:8]!r}: {spent}"


def test_importing_the_plugin_loads_nothing_heavy():
    code = """
import sys, aisb_engine._builtin.custom, aisb_engine._builtin.imported, aisb._readers, aisb_engine._builtin.steps, aisb_engine._builtin.tables
print([m for m in ('pydantic', 'httpx', 'numpy', 'orjson') if m in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_map_puts_a_text_in_place_of_another(step):
    table = {"true": "A", "false": "B"}
    assert step("false", "map", table=table) == "B"
    assert step("maybe", "map", table=table) is None
    assert step("maybe", "map", table=table, default="C") == "C"
