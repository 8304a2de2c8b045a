"""Old names of core and engine work for one more minor version, and warn with their replacement."""

from dataclasses import replace
from typing import ClassVar

import pytest

import aisb_engine
from aisb import Backend, Counters, DataFile, DataFiles, Gauge, HttpBackend, Result, ServedModel
from aisb_analysis import options
from aisb_engine import Catalog, Plugins, Resolver, RunCommand, RunInput, command_options
from aisb_engine._readback import Answers
from aisb_engine._record.predictions import LoggedSamples
from aisb_engine._record.runfolder import RunFolder
from aisb_engine._reporting.runs import RunInfo
from aisb_engine._run import ExecutedRun
from aisb_engine._scoring.judging import Judging


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("CORRECT_FROM", "CORRECT_THRESHOLD"),
        ("Ledger", "OutcomeCounts"),
        ("NEVER_SENT", "ENGINE_PARAMS"),
        ("QUALITY_TIERS", "QUALITY_LEVELS"),
        ("USUAL_AGREEMENT", "TRUSTED_AGREEMENT"),
        ("WELL_KNOWN", "KNOWN_PARAMS"),
        ("declared_tier", "declared_quality"),
        ("own_task", "task_from_data_file"),
        ("reading_of", "reply_turns_of"),
        ("replayed_judge", "judge_from_log"),
        ("takes_files", "reads_files"),
    ],
)
def test_an_old_name_of_the_engine_is_the_new_one_and_warns(old, new):
    with pytest.warns(DeprecationWarning, match=f"aisb_engine.{old} is now {new}; 0.4 removes it"):
        assert getattr(aisb_engine, old) is getattr(aisb_engine, new)
    assert old not in aisb_engine.__all__


@pytest.mark.parametrize("name", command_options.__all__)
def test_the_old_place_of_shared_options_warns(name):
    match = rf"aisb_analysis.options.{name} is now aisb_engine.command_options.{name}; 0.4 removes it"
    with pytest.warns(DeprecationWarning, match=match):
        assert getattr(options, name) is getattr(command_options, name)


def test_old_names_of_attributes_have_the_values_of_the_new_ones(tmp_path):
    file = DataFile(tmp_path / "rows.jsonl", line=3)
    files = DataFiles([file], layout="rows/*.jsonl")
    result = Result("m", "t", "c2e13a", "gen", tmp_path, predictions=4, not_sent=1)
    folder = RunFolder(tmp_path)
    answers = Answers(LoggedSamples({}, []), {}, [])
    command, plugins = RunCommand(RunInput(models=["sim"])), Plugins.load()
    ended = ExecutedRun(folder, requests=7, secret_settings=["models.a.headers"])
    for value, old, new in [
        (file, "here", "position"),
        (files, "here", "position"),
        (result, "asked", "predictions"),
        (result, "not_asked_yet", "not_sent"),
        (aisb_engine.OutcomeCounts({"correct": 2, "wrong": 1}), "asked", "total"),
        (ended, "asked", "requests"),
        (ended, "give_again", "secret_settings"),
        (folder, "was_asked", "has_log"),
        (answers, "asked", "logged"),
        (RunInfo(folder, "finished", not_sent=2), "not_asked", "not_sent"),
        (command, "asked", "run_input"),
        (Resolver(plugins, Catalog(plugins), command.run_input), "asked", "run_input"),
        (Gauge(3, 1.5, 4), "looks", "samples"),
        (Gauge(3, 1.5, 4), "most", "maximum"),
        (Counters({"hits": 2.0}), "gained", "increases"),
    ]:
        with pytest.warns(DeprecationWarning, match=rf"\.{old} is now {new}; 0.4 removes it"):
            assert getattr(value, old) == getattr(value, new)


def test_an_old_name_of_a_method_is_the_new_method(tmp_path):
    file = DataFile(tmp_path / "rows.jsonl", line=3)
    with pytest.warns(DeprecationWarning, match="DataFile.wrong is now error; 0.4 removes it"):
        assert str(file.wrong("no question")) == f"{tmp_path}/rows.jsonl, line 3: no question"
    for owner, old, new in [
        (HttpBackend, "look", "probe_path"),
        (ServedModel, "wrong_model", "unlisted_model_error"),
        (Judging, "shown", "show_progress"),
        (Judging, "told", "summary"),
    ]:
        with pytest.warns(DeprecationWarning, match=f"{owner.__name__}.{old} is now {new}; 0.4 removes it"):
            assert getattr(owner, old) is getattr(owner, new)


def test_the_old_name_of_an_argument_sets_the_new_one_and_warns():
    old, new = RunInput(models=["old"]), RunInput(models=["new"])
    warning = "the argument asked of RunCommand is now run_input; 0.4 removes it"
    with pytest.warns(DeprecationWarning, match=warning):
        command = RunCommand(asked=old)
    assert command == RunCommand(old)
    with pytest.warns(DeprecationWarning, match=warning):
        assert replace(command, asked=new) == RunCommand(new)


def test_a_backend_with_the_old_attributes_has_the_new_ones():
    with pytest.warns(DeprecationWarning, match="0.4 removes it") as warned:

        class Parrot(Backend):
            takes: ClassVar = "text"

            @property
            def renders(self):
                return True

            async def generate(self, request):
                yield request

    assert [str(one.message) for one in warned] == [
        "Parrot.takes is now prompt_form; 0.4 removes it",
        "Parrot.renders is now has_chat_template; 0.4 removes it",
    ]
    assert {one.filename for one in warned} == {__file__}
    assert (Parrot().prompt_form, Parrot().has_chat_template) == ("text", True)

    class Lark(Parrot):
        """It inherits what its base defines under the old name."""

    assert (Lark.prompt_form, Lark.takes) == ("text", "text")


def test_the_old_attributes_of_a_backend_with_the_new_ones_can_be_read():
    class Finch(Backend):
        prompt_form: ClassVar = "text"

        async def generate(self, request):
            yield request

    with pytest.warns(DeprecationWarning, match="Backend.takes is now prompt_form; 0.4 removes it"):
        assert Finch().takes == "text"
    with pytest.warns(DeprecationWarning, match="Backend.renders is now has_chat_template; 0.4 removes it"):
        assert Finch().renders is False
