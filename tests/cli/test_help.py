"""Help fits a screen, every command has an example, and what AISBench's flags mean is said."""

from __future__ import annotations

import re

import click
import pytest
from click.testing import CliRunner

from aisb_cli.main import cli


def commands(group=cli, path=()):
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        yield (*path, name), command
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))


def shown(*words, columns=80):
    done = CliRunner(env={"COLUMNS": str(columns)}).invoke(
        cli, words, terminal_width=columns, max_content_width=columns, prog_name="aisb"
    )
    assert done.exit_code == 0, done.output
    return done.output


@pytest.mark.parametrize("path", [(), *(path for path, _ in commands())], ids=" ".join)
def test_help_fits_a_screen_of_80_by_50(path):
    lines = shown(*path, "--help").splitlines()
    assert max(map(len, lines)) <= 80
    if path != ("mock", "serve"):  # an option for each thing that a service can do
        assert len(lines) <= 50


@pytest.mark.parametrize("path", [path for path, _ in commands()], ids=" ".join)
def test_every_command_has_an_example(path):
    text = shown(*path, "--help").partition("Options:")[0]
    command = dict(commands())[path]
    examples = [line for line in text.splitlines()[1:] if line.startswith("    ") and "aisb " in line]
    if not isinstance(command, click.Group):  # a group's examples are those of its commands
        assert examples, text
    for line in examples:
        assert set(line.split()) & {path[0], "aisb"}


def test_the_short_help_of_run_names_every_option_and_the_long_one_explains_it():
    short, long = shown("run", "--help"), shown("run", "--help-all")
    for parameter in dict(commands())["run",].params:
        flag = max(parameter.opts, key=len)
        if not getattr(parameter, "hidden", False) and flag != "--help-all":
            assert flag in re.sub(r"-\n +", "-", short), flag
        assert flag in long, flag
    for heading in ("Choose:", "Load:", "Where:", "Repeat:"):
        assert f"\n{heading}\n" in short
        assert f"\n{heading}\n" in long


def test_flags_of_aisbench_that_do_nothing_here_say_why():
    text = shown("run", "--help-all")
    below = text.partition("Flags of AISBench that do nothing here:\n")[2]
    assert "--disable-cb           Requests are always sent as answers come back." in below
    for flag in ("--summarizer", "--config-dir", "--max-workers-per-gpu"):
        assert flag in below


LISTINGS = [("plugins", "list"), ("tasks", "list"), ("runs", "list"), ("data", "list")]


@pytest.mark.parametrize("words", LISTINGS, ids=" ".join)
def test_every_listing_can_be_json(words, tmp_path, monkeypatch):
    import json

    monkeypatch.chdir(tmp_path)
    assert isinstance(json.loads(shown(*words, "--json")), list)


@pytest.mark.parametrize("group", ["runs", "tasks", "data", "plugins", "config"])
def test_the_help_of_a_group_cuts_no_sentence_off(group):
    shown = CliRunner().invoke(cli, [group, "--help"], env={"COLUMNS": "80"}).output
    listed = shown.partition("Commands:")[2]
    assert listed.strip()
    assert "..." not in listed
    assert ",.." not in listed
