"""From rows to samples: ids, derived fields, targets, choices, groups, selection."""

import json
import os
import subprocess
import sys

import pytest

from aisb._errors import ConfigError, DataError
from aisb._plugins import Plugins
from aisb_engine._data.datafiles import DataFolders
from aisb_engine._data.loading import _row_bytes, load_samples
from aisb_engine._data.samples import SampleMaker
from aisb_engine._spec import Task


@pytest.fixture(scope="module")
def plugins():
    return Plugins.load()


@pytest.fixture
def load(plugins, tmp_path):
    def run(rows, sample=None, *, dataset=None, **how):
        if rows is not None:
            text = "".join(json.dumps(row) + "\n" for row in rows)
            (tmp_path / "toy.jsonl").write_text(text, encoding="utf-8")
        table = {"path": "toy.jsonl", **(dataset or {})}
        task = Task(name="toy", summary="", dataset=table, sample=sample or {})
        return load_samples(task, plugins, DataFolders([tmp_path]), **how)

    return run


CHOICES = {"choices": ["{A}", "{B}", "{C}"], "target_letter": "{answer}"}
ROW = {"question": "?", "A": "one", "B": "two", "C": "three", "answer": "B"}


def test_ids_are_positions(load):
    loaded = load([{"q": "a"}, {"q": "b"}, {"q": "c"}])
    assert [(s.id, s.fields["q"]) for s in loaded] == [("0", "a"), ("1", "b"), ("2", "c")]
    assert (len(loaded), loaded.count, loaded.layout) == (3, 3, "toy.jsonl")


def test_ids_of_groups_count_within_the_group_and_selection_leaves_them(load):
    rows = [{"q": n, "subject": "ab"[n % 2]} for n in range(5)]
    everything = load(rows, {"group": "{subject}"})
    assert [s.id for s in everything] == ["a/0", "b/0", "a/1", "b/1", "a/2"]
    some = load(rows, {"group": "{subject}"}, dataset={"select": {"subject": ["b"]}})
    assert [(s.id, s.group, s.fields["q"]) for s in some] == [("b/0", "b", 1), ("b/1", "b", 3)]
    assert some.count == 5
    assert some.sha256 == everything.sha256


def test_selecting_by_a_field_or_value_that_is_not_there_says_what_is(load):
    rows = [{"subject": "anatomy"}, {"subject": "virology"}]
    with pytest.raises(
        ConfigError, match=r"task.dataset.select.subjekt: no field 'subjekt'; did you mean 'subject'?"
    ):
        load(rows, dataset={"select": {"subjekt": ["anatomy"]}})
    with pytest.raises(ConfigError) as error:
        load(rows, dataset={"select": {"subject": ["virology", "anatomi"]}})
    assert str(error.value) == (
        "task.dataset.select.subject: no row has subject = 'anatomi'; did you mean 'anatomy'?; "
        "there are: anatomy, virology"
    )


def test_what_a_path_says_is_a_field_of_its_rows(load, tmp_path):
    for subject in ("anatomy", "virology"):
        (tmp_path / f"{subject}.csv").write_text("q\n1\n2\n")
    loaded = load(None, {"group": "{subject}"}, dataset={"use": "csv", "path": "{subject}.csv"})
    assert [s.id for s in loaded] == ["anatomy/0", "anatomy/1", "virology/0", "virology/1"]
    assert [path.name for path in loaded.files] == ["anatomy.csv", "virology.csv"]


def test_derived_fields_and_the_target_are_cleaned(load):
    sample = {
        "fields": {
            "steps": {"value": "{answer}", "clean": [{"use": "before", "marker": "####"}, {"use": "strip"}]},
            "both": {"value": "{steps}!"},
        },
        "target": "{answer}",
        "clean": [{"use": "after", "marker": "#### "}, {"use": "remove", "characters": ","}],
    }
    (made,) = load([{"answer": "6 * 200 = 1,200\n#### 1,200"}], sample)
    assert made.fields["both"] == "6 * 200 = 1,200!"
    assert made.target == "1200"


def test_a_target_that_is_a_list_stays_one_and_each_is_cleaned(load):
    (made,) = load([{"golds": [" a ", 5]}], {"target": "{golds}", "clean": [{"use": "strip"}]})
    assert made.target == ["a", "5"]


def test_a_step_that_finds_nothing_in_the_data_names_the_line(load, tmp_path):
    sample = {"target": "{answer}", "clean": [{"use": "after", "marker": "#### "}]}
    with pytest.raises(DataError) as error:
        load([{"answer": "#### 1"}, {"answer": "two"}], sample)
    assert str(error.value) == (
        f"task.sample.target: the step 'after' found nothing in 'two'\n  at {tmp_path}/toy.jsonl, line 2"
    )


def test_a_missing_column_names_the_line_and_the_fields_there_are(load, tmp_path):
    with pytest.raises(ConfigError) as error:
        load([{"question": "?", "answr": "1"}], {"target": "{answer}"})
    assert str(error.value) == (
        "task.sample.target: {answer}: no field 'answer' in row; did you mean 'answr'?\n"
        "  the fields are: answr, question\n"
        "  for the text {answer} itself write {{answer}}\n"
        f"  at {tmp_path}/toy.jsonl, line 1"
    )


def test_an_unknown_step_or_option_is_named_by_its_path(load):
    with pytest.raises(
        ConfigError, match=r"task.sample.clean.0.mark: no such option; did you mean 'marker'?"
    ):
        load([{"a": 1}], {"target": "{a}", "clean": [{"use": "after", "mark": "x"}]})


def test_the_target_of_choices_is_a_letter(load):
    (made,) = load([ROW], CHOICES)
    assert (made.choices, made.target) == (("one", "two", "three"), "B")
    (made,) = load([ROW | {"answer": "(c)"}], CHOICES)
    assert made.target == "C"
    (made,) = load([ROW | {"answer": 3}], CHOICES)
    assert made.target == "C"
    (made,) = load([ROW | {"answer": 0}], {"choices": ["{A}", "{B}"], "target_index": "{answer}"})
    assert made.target == "A"


def test_choices_can_be_a_field_that_is_a_list(load):
    row = {"options": [{"text": "x"}, {"text": "y"}], "gold": 1}
    (made,) = load([row], {"choices": "{options.*.text}", "target_index": "{gold}"})
    assert (made.choices, made.target) == (("x", "y"), "B")


@pytest.mark.parametrize(
    ("row", "sample", "message"),
    [
        ({"answer": "E"}, CHOICES, r"target_letter: 'E' is none of the 3 choices A to C"),
        ({"answer": ""}, CHOICES, r"target_letter: '' is none of the 3 choices A to C"),
        (
            {"answer": 3},
            CHOICES | {"target_letter": None, "target_index": "{answer}"},
            r"'3' is none of the 3 choices",
        ),
        ({"A": "text"}, {"choices": "{A}"}, r"task.sample.choices: \{A\} is 'text', not a list"),
        ({"A": list(range(27))}, {"choices": "{A}"}, r"27 choices, but there are 26 letters"),
        ({"A": ""}, {"group": "{A}"}, r"task.sample.group: the group is empty"),
        (
            {"A": "soon"},
            {"max_tokens": "{A}"},
            r"task.sample.max_tokens: 'soon' is not a whole number of at least 1",
        ),
    ],
)
def test_a_row_that_does_not_fit_is_an_error_with_its_line(load, row, sample, message):
    with pytest.raises(DataError, match=message + r"(.|\n)*toy.jsonl, line 1"):
        load([ROW | row], sample)


@pytest.mark.parametrize(
    ("sample", "message"),
    [
        (
            CHOICES | {"target": "{A}"},
            r"task.sample.target_letter: the target is already set by task.sample.target;",
        ),
        ({"target_letter": "{answer}"}, r"task.sample.target_letter: needs choices"),
        (
            {"choices": "{A} {B}"},
            r"task.sample.choices: must be a list of templates, or one field that is a list",
        ),
        (
            {"choices": ["{A}"], "shuffle": 1},
            r"task.sample.shuffle: needs choices, and target_letter or target_index",
        ),
    ],
)
def test_a_sample_table_that_contradicts_itself_is_refused(load, sample, message):
    with pytest.raises(ConfigError, match=message):
        load([ROW], sample)


def test_shuffled_choices_take_the_target_along(load):
    rows = [ROW | {"question": str(n)} for n in range(300)]
    loaded = load(rows, CHOICES | {"shuffle": 7})
    for sample in loaded:
        assert sorted(sample.choices) == ["one", "three", "two"]
        assert sample.choices["ABC".index(sample.target)] == "two"
    places = [sum(s.target == letter for s in loaded) for letter in "ABC"]
    assert min(places) > 60, "each place is about as frequent"


def test_shuffling_hangs_on_the_seed_and_the_id_alone(load):
    rows = [ROW | {"subject": "ab"[n % 2]} for n in range(20)]
    sample = CHOICES | {"group": "{subject}"}
    one = load(rows, sample | {"shuffle": 7})
    some = load(rows, sample | {"shuffle": 7}, dataset={"select": {"subject": ["b"]}})
    assert [s for s in one if s.group == "b"] == list(some)
    assert [s.choices for s in load(rows, sample | {"shuffle": 8})] != [s.choices for s in one]


def test_samples_made_again_from_their_own_fields_are_the_same(load, plugins):
    sample = CHOICES | {"shuffle": 7, "group": "{question}", "fields": {"both": {"value": "{A}{B}"}}}
    loaded = load([ROW, ROW], sample)
    maker = SampleMaker(Task(name="toy", summary="", dataset={}, sample=sample), plugins)
    assert [maker.again(s) for s in loaded] == list(loaded)


def test_another_split_is_read_where_the_path_has_one(load, tmp_path):
    (tmp_path / "train.jsonl").write_text('{"q": "train"}')
    (tmp_path / "test.jsonl").write_text('{"q": "test"}')
    table = {"path": "{split}.jsonl", "split": "test"}
    assert [s.fields["q"] for s in load(None, dataset=table)] == ["test"]
    assert [s.fields["q"] for s in load(None, dataset=table, split="train")] == ["train"]
    with pytest.raises(
        ConfigError, match=r"toy.jsonl has no \{split\}, so there is no split 'train' to read"
    ):
        load([{"q": 1}], split="train")


def test_a_dataset_without_files_is_hashed_by_its_rows_and_gets_path_as_an_option(installed):
    code = """if True:
        from aisb_engine._data.datafiles import DataFolders
        from aisb._plugins import Plugins
        from aisb_engine._data.loading import _row_bytes, load_samples
        from aisb_engine._spec import Task
        def load(**table):
            task = Task(name="toy", summary="", dataset={"use": "dice", "colour": "red", **table})
            return load_samples(task, Plugins.load(), DataFolders([]))
        one, same, other = load(count=3), load(count=3), load(count=4)
        print([sample.id for sample in one], one.files, one.layout)
        print(one.sha256 == same.sha256, one.sha256 == other.sha256)
        try:
            load(path="x")
        except Exception as error:
            print(error)
    """
    environment = {**os.environ, "PYTHONPATH": str(installed), "AISB_BLOCK": ""}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    first, second, third, *_ = done.stdout.splitlines()
    assert first == "['0', '1', '2'] () None"
    assert second == "True False"
    assert third.startswith("task.dataset.path: no such option")


class Text(str):
    """A text of a class of its own, as generators yield."""

    __slots__ = ()


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": "one two", "max_tokens": 1, "input_tokens": None, "input_exact": False},
        {"b": Text('a"b\\c/\b\t\n\f\r\x00\x1f'), "a": "\x7f", "é": "é \ud800 \U0001f600"},
        {"z": [1, {"y": 2, "x": "\x7f"}], "a": {"d": 1, "c": [True]}, "f": 1e16, "n": -(10**30)},
        {"path": DataFolders, "empty": ""},
        {2: "a", 1: "b"},
        {},
    ],
    ids=["usual", "characters", "nested", "objects", "numbers_as_names", "empty"],
)
def test_a_row_is_hashed_as_json_with_sorted_keys(row):
    assert _row_bytes(row) == json.dumps(row, sort_keys=True, default=str).encode()


def test_no_path_and_no_rows_are_errors(load):
    with pytest.raises(ConfigError, match=r"task.dataset.path: must be set: the dataset 'jsonl' reads files"):
        load(None, dataset={"path": None})
    with pytest.raises(DataError, match=r"toy.jsonl: there are no rows"):
        load([])


def test_a_layout_brings_its_rows_to_the_names_of_the_task(load, tmp_path):
    layouts = [
        {"path": "own.jsonl"},
        {"path": "hub.jsonl", "fields": {"text": "{q}", "options": "{choices.*.text}"}},
    ]
    sample = {"choices": "{options}", "target_index": "0", "fields": {"asked": {"value": "{text}?"}}}
    (tmp_path / "hub.jsonl").write_text('{"q": "a", "choices": [{"text": "x"}, {"text": "y"}]}\n')
    (only,) = load(None, sample, dataset={"path": None, "layouts": layouts})
    assert (only.choices, only.target, only.fields["asked"]) == (("x", "y"), "A", "a?")
    named = [{"path": "{split}.jsonl", "splits": {"dev": "hub"}, "fields": layouts[1]["fields"]}]
    (same,) = load(None, sample, dataset={"path": None, "layouts": named, "split": "dev"})
    assert same.fields == only.fields
    (tmp_path / "own.jsonl").write_text('{"text": "b", "options": ["z"]}\n')
    (only,) = load(None, sample, dataset={"path": None, "layouts": layouts})
    assert (only.choices, only.fields["asked"]) == (("z",), "b?")


def test_a_row_with_null_for_its_choices_has_none(load):
    rows = [{"options": ["x", "y"], "answer": "A"}, {"options": None, "answer": "4"}]
    first, second = load(rows, {"choices": "{options}", "target": "{answer}"})
    assert (first.choices, first.target) == (("x", "y"), "A")
    assert (second.choices, second.target) == ((), "4")


def test_rows_of_one_passage_are_one_cluster(load):
    rows = [{"text": "A long passage."}, {"text": "Another."}, {"text": "A long passage."}]
    first, second, third = load(rows, {"cluster": "{text}"})
    assert first.cluster == third.cluster != second.cluster
    assert len(first.cluster) == 12
    assert next(iter(load(rows))).cluster is None
