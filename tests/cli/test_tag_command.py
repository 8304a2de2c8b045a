"""`aisb runs tag`: tags and notes on a real run, and finding runs by them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from aisb import RunError, UsageError
from aisb_cli.main import cli


def aisb(*words, work):
    return CliRunner().invoke(cli, [*words, "-w", str(work)])


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    work = tmp_path_factory.mktemp("home") / "work"
    for _ in range(2):
        done = aisb("run", "--models", "sim", "--datasets", "demo_gsm8k", "--num-prompts", "4", work=work)
        assert done.exit_code == 0, done.output
    return work


def test_tags_are_added_listed_and_removed_and_change_no_result(work):
    before = json.loads(aisb("runs", "show", "latest", "--json", work=work).stdout)
    done = aisb("runs", "tag", "latest", "baseline", "v2.1", "--note", "before the new kernel", work=work)
    assert done.stdout.endswith(": tags: baseline, v2.1; note: before the new kernel\n")
    after = json.loads(aisb("runs", "show", "latest", "--json", work=work).stdout)
    assert after["tags"] == ["baseline", "v2.1"]
    assert after["note"] == "before the new kernel"
    changed = {"tags", "note", "bytes"}
    assert {k: v for k, v in after.items() if k not in changed} == {
        k: v for k, v in before.items() if k not in changed
    }
    listed = json.loads(aisb("runs", "list", "--tag", "baseline", "--json", work=work).stdout)
    assert [one["run"] for one in listed] == [after["run"]]
    assert "  #baseline  #v2.1\n" in aisb("runs", "list", work=work).stdout
    assert "  tags: baseline, v2.1\n  note: before the new kernel\n" in aisb("runs", "show", work=work).stdout
    assert "tags: v2.1; note: before" in aisb("runs", "tag", "latest", "baseline", "-r", work=work).stdout
    done = aisb("runs", "tag", "latest", "--remove", "--note", "", work=work)
    assert done.stdout.endswith(": tags: none; note: none\n")


@pytest.mark.parametrize("name", ["two words", "<script>", "", "a" * 41])
def test_a_tag_that_is_no_word_is_refused_with_what_is_right(work, name):
    done = aisb("runs", "tag", "latest", name, work=work)
    assert isinstance(done.exception, UsageError)
    assert str(done.exception) == (
        f"{name!r} is not a tag: use 1 to 40 letters, digits and the characters . _ : + -\n"
        '  a sentence belongs in the note: --note "…"'
    )


def test_a_note_of_several_lines_is_refused(work):
    done = aisb("runs", "tag", "latest", "--note", "one\ntwo", work=work)
    assert str(done.exception) == "the note must be one line of at most 2000 characters"


def test_a_score_is_listed_with_its_interval_and_outcomes(work):
    (score,) = json.loads(aisb("runs", "show", "latest", "--json", work=work).stdout)["scores"]
    assert score["metric"] == "accuracy"
    assert score["unit"] == "%"
    assert score["n"] == 4 == sum(score["outcomes"].values())
    assert score["low"] <= score["value"] <= score["high"]
    assert list(score["outcomes"]) == ["correct", "wrong", "truncated", "unparsed", "refused", "error"]


def test_a_tag_names_its_run_wherever_a_run_is_named(work):
    aisb("runs", "tag", "latest~1", "first-try", work=work)
    path = aisb("runs", "path", "latest~1", work=work).stdout
    assert aisb("runs", "path", "first-try", work=work).stdout == path
    for words in (("runs", "show"), ("score",), ("logs",), ("audit",), ("runs", "tag")):
        done = aisb(*words, "first-try", work=work)
        assert done.exit_code == 0, done.output
    shown = aisb("runs", "show", "first-try", work=work).stdout
    assert shown.startswith(path.strip())


def test_a_tag_of_several_runs_lists_them(work):
    for run in ("latest", "latest~1"):
        aisb("runs", "tag", run, "both", work=work)
    done = aisb("runs", "show", "both", work=work)
    latest, before = (aisb("runs", "path", run, work=work).stdout.strip() for run in ("latest", "latest~1"))
    names = [path.rpartition("/")[2] for path in (latest, before)]
    assert isinstance(done.exception, RunError)
    assert str(done.exception) == (
        f"2 runs have the tag 'both'; name one by its timestamp: {names[0]}, {names[1]}"
    )


def test_latest_cannot_be_a_tag(work):
    done = aisb("runs", "tag", "latest", "latest", work=work)
    assert isinstance(done.exception, UsageError)
    assert "already names the latest run" in str(done.exception)


def test_damaged_tags_name_no_run(work):
    folder = aisb("runs", "path", "latest~1", work=work).stdout.strip()
    file = Path(folder, "configs/notes.json")
    kept = file.read_bytes()
    for damaged in (b"[", b"[]", b'{"tags": 3}'):
        file.write_bytes(damaged)
        assert "no run 'first-try'" in str(aisb("runs", "show", "first-try", work=work).exception)
    file.write_bytes(kept)
