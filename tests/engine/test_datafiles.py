"""Data files: where they are looked for, what their paths say, and what is said about a broken one."""

import gzip
import hashlib
from pathlib import Path

import pytest

from aisb._errors import ConfigError, DataError
from aisb_engine._data.datafiles import DataFolders
from aisb_engine._spec import DatasetTable


def locate(root, *, split=None, beside=None, source="https://example.org/data", **table):
    folders = DataFolders([root] if isinstance(root, Path) else root, beside)
    return folders.locate(DatasetTable(**table), split=split, task="toy", source=source)


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def lines(files):
    return [line for file in files for line in file.lines()]


def test_the_first_folder_that_has_the_file_is_taken(tmp_path):
    write(tmp_path / "b/toy.jsonl", "second\n")
    write(tmp_path / "c/toy.jsonl", "third\n")
    files = locate([tmp_path / x for x in "abc"], path="toy.jsonl").files
    assert lines(files) == ["second\n"]


def test_folders_come_from_the_flag_the_variable_and_the_working_folder(monkeypatch):
    monkeypatch.setenv("AISB_DATA", "/somewhere/data")
    assert list(DataFolders.default("given").roots) == [
        Path("given"),
        Path("/somewhere/data"),
        Path("datasets"),
    ]
    monkeypatch.delenv("AISB_DATA")
    assert list(DataFolders.default().roots) == [Path("datasets")]


def test_a_missing_file_names_each_place_and_the_source(tmp_path):
    with pytest.raises(DataError) as error:
        locate([tmp_path / "a", tmp_path / "b"], path="toy/{split}.jsonl", split="test")
    assert str(error.value) == (
        "no data for toy; none of these exists:\n"
        f"  {tmp_path}/a/toy/test.jsonl\n"
        f"  {tmp_path}/b/toy/test.jsonl\n"
        "  the data comes from https://example.org/data\n"
        "  place it there, or name its folder with --data-dir or the variable AISB_DATA\n"
        "  aisb data pull toy downloads it, or tells which files to place where"
    )


def test_a_path_with_a_dot_is_beside_the_task_file(tmp_path):
    write(tmp_path / "data/toy.jsonl", "x\n")
    (tmp_path / "tasks").mkdir()
    assert lines(locate([], beside=tmp_path / "tasks", path="../data/toy.jsonl").files) == ["x\n"]


def test_an_absolute_path_is_taken_as_it_is(tmp_path):
    path = write(tmp_path / "toy.jsonl", "x\n")
    assert lines(locate([], path=str(path)).files) == ["x\n"]


def test_names_in_a_path_stand_for_what_files_have_there(tmp_path):
    for subject in ("virology", "anatomy", "a_b"):
        write(tmp_path / f"mmlu/test/{subject}_test.csv", subject)
    write(tmp_path / "mmlu/test/readme.txt", "no")
    found = locate(tmp_path, path="mmlu/{split}/{subject}_{split}.csv", split="test")
    assert [file.fields for file in found.files] == [{"subject": s} for s in ("a_b", "anatomy", "virology")]
    assert found.files.layout == "mmlu/test/{subject}_test.csv"


def test_a_name_that_stands_twice_in_a_path_is_the_same_in_both_places(tmp_path):
    write(tmp_path / "a/a.csv", "")
    write(tmp_path / "a/b.csv", "")
    assert [f.path.name for f in locate(tmp_path, path="{x}/{x}.csv").files] == ["a.csv"]


def test_brackets_and_stars_in_a_path_are_themselves(tmp_path):
    write(tmp_path / "a[1]/x.csv", "")
    write(tmp_path / "a1/y.csv", "")
    assert [f.fields for f in locate(tmp_path, path="a[1]/{name}.csv").files] == [{"name": "x"}]


def test_a_list_of_paths_joins_files_in_its_order(tmp_path):
    write(tmp_path / "b.txt", "b\n")
    write(tmp_path / "a.txt", "a\n")
    assert lines(locate(tmp_path, path=["b.txt", "a.txt"]).files) == ["b\n", "a\n"]
    with pytest.raises(DataError, match=r"c\.txt"):
        locate(tmp_path, path=["b.txt", "c.txt"])


def test_the_first_layout_that_exists_is_used_with_its_own_options(tmp_path):
    write(tmp_path / "hub/toy.csv", "x")
    layouts = [
        {"path": "upstream/toy.jsonl"},
        {"path": "hub/toy.csv", "use": "csv", "columns": ["a"]},
        {"path": "other/toy.csv", "use": "csv"},
    ]
    found = locate(tmp_path, layouts=layouts, delimiter=";")
    assert (found.use, found.options) == ("csv", {"delimiter": ";", "columns": ["a"]})
    assert found.files.layout == "hub/toy.csv"
    with pytest.raises(DataError) as error:
        locate(tmp_path / "none", layouts=layouts)
    assert all(name in str(error.value) for name in ("upstream/toy.jsonl", "hub/toy.csv", "other/toy.csv"))


def test_a_path_stands_above_layouts(tmp_path):
    write(tmp_path / "mine.jsonl", "mine\n")
    write(tmp_path / "toy.jsonl", "toy\n")
    assert lines(locate(tmp_path, path="mine.jsonl", layouts=[{"path": "toy.jsonl"}]).files) == ["mine\n"]


def test_a_path_with_a_split_needs_one(tmp_path):
    with pytest.raises(
        ConfigError, match=r"task.dataset.split: must be set: the path toy/\{split\}.jsonl has"
    ):
        locate(tmp_path, path="toy/{split}.jsonl")


def test_the_hash_of_one_file_is_its_sha256_packed_or_not(tmp_path):
    content = b'{"a": 1}\n{"a": 2}'
    write(tmp_path / "a.jsonl", content)
    write(tmp_path / "b.jsonl.gz", gzip.compress(content))
    write(tmp_path / "c.jsonl", gzip.compress(content))
    for name in ("a.jsonl", "b.jsonl", "b.jsonl.gz", "c.jsonl"):
        files = locate(tmp_path, path=name).files
        assert lines(files) == ['{"a": 1}\n', '{"a": 2}']
        assert files.sha256 == hashlib.sha256(content).hexdigest()


def test_the_hash_of_several_files_is_that_of_their_list_and_needs_no_reading_before(tmp_path):
    write(tmp_path / "a.txt", "a")
    write(tmp_path / "b.txt", "b")
    listed = "".join(f"{hashlib.sha256(x.encode()).hexdigest()}  {x}.txt\n" for x in "ab")
    files = locate(tmp_path, path="{name}.txt").files
    assert files.sha256 == hashlib.sha256(listed.encode()).hexdigest()


def test_a_byte_order_mark_is_passed_over(tmp_path):
    write(tmp_path / "a.txt", b"\xef\xbb\xbfx\n")
    assert lines(locate(tmp_path, path="a.txt").files) == ["x\n"]


def test_another_encoding_names_file_line_and_byte(tmp_path):
    path = write(tmp_path / "a.txt", b"fine\ncaf\xe9\n")
    with pytest.raises(DataError) as error:
        lines(locate(tmp_path, path="a.txt").files)
    assert str(error.value) == (
        f"{path}, line 2: byte 0xe9 at 3 is not UTF-8; find the encoding (often GB18030 or Latin-1), then\n"
        "  iconv -f GB18030 -t UTF-8 a.txt > new"
    )


def test_utf_16_is_named(tmp_path):
    write(tmp_path / "a.txt", "x\n".encode("utf-16"))
    with pytest.raises(DataError, match=r"a.txt, line 1: the file is UTF-16, but must be UTF-8"):
        lines(locate(tmp_path, path="a.txt").files)


def test_a_git_lfs_pointer_is_named_with_what_to_do(tmp_path):
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
    path = write(tmp_path / "a.jsonl", pointer)
    expected = (
        f"{path}: this is a Git LFS pointer, not the data; run `git lfs pull` in {tmp_path}; "
        "or get the file from https://example.org/data"
    )
    for read in (lambda file: list(file.lines()), lambda file: file.read()):
        with pytest.raises(DataError) as error:
            read(locate(tmp_path, path="a.jsonl").files.files[0])
        assert str(error.value) == expected


def test_a_packed_file_that_is_cut_says_so(tmp_path):
    write(tmp_path / "a.txt.gz", gzip.compress(b"line\n" * 5000)[:-20])
    with pytest.raises(DataError, match=r"a.txt.gz.*cannot be read to its end"):
        lines(locate(tmp_path, path="a.txt").files)


def test_files_of_one_pattern_are_read_packed_and_plain_together(tmp_path):
    (tmp_path / "b.jsonl").write_text("{}\n")
    (tmp_path / "c.jsonl").write_text("{}\n")
    for name in ("a", "c"):
        (tmp_path / f"{name}.jsonl.gz").write_bytes(gzip.compress(b"{}\n"))
    found = DataFolders([tmp_path]).find("{name}.jsonl").files
    assert [(file.path.name, file.fields["name"]) for file in found] == [
        ("a.jsonl.gz", "a"),
        ("b.jsonl", "b"),
        ("c.jsonl", "c"),
    ]


def test_examples_of_another_split_are_not_looked_for_in_a_layout_without_splits(tmp_path):
    write(tmp_path / "toy/all.jsonl", "{}\n")
    write(tmp_path / "toy/train.jsonl", "{}\n")
    layouts = [{"path": "toy/all.jsonl"}, {"path": "toy/{split}.jsonl"}]
    table = DatasetTable(layouts=layouts, split="test")
    folders = DataFolders([tmp_path])
    assert folders.locate(table).files.layout == "toy/all.jsonl"
    assert folders.locate(table, split="test").files.layout == "toy/all.jsonl"
    assert folders.locate(table, split="train").files.layout == "toy/train.jsonl"
    with pytest.raises(ConfigError, match=r"toy/all\.jsonl has no \{split\}, so there is no split 'train'"):
        folders.locate(DatasetTable(layouts=layouts[:1], split="test"), split="train")
