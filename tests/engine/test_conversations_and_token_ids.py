"""Tasks for speed: later turns, token ids, a row's own time, and texts that are made when they are needed."""

import json
import math

import pytest

from aisb._errors import ConfigError, DataError
from aisb._plugins import Plugins
from aisb._templates import Template
from aisb_engine._data.datafiles import DataFolders
from aisb_engine._data.loading import load_samples
from aisb_engine._data.prompts import Renderer
from aisb_engine._spec import Task


@pytest.fixture(scope="module")
def plugins():
    return Plugins.load()


@pytest.fixture
def render(plugins, tmp_path):
    """Render the requests of a task over the rows given."""

    def run(*rows, prompt=None, sample=None):
        (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        table = {"path": "rows.jsonl"}
        task = Task(name="toy", summary="", dataset=table, prompt=prompt or {}, sample=sample or {})
        folders = DataFolders([tmp_path])
        renderer = Renderer(task, plugins, folders)
        return [renderer.request(one) for one in load_samples(task, plugins, folders)]

    return run


def test_later_turns_are_a_list_of_templates(render):
    (request,) = render(
        {"turns": ["Hi", "And now?"]},
        prompt={"user": "{turns.0}", "followups": ["{turns.1}", "Bye, {turns.0}"]},
    )
    assert [message.content for message in request.messages] == ["Hi"]
    assert request.followups == ("And now?", "Bye, Hi")


def test_later_turns_are_one_field_that_is_a_list(render):
    requests = render(
        {"q": "Hi", "later": ["a", "b"]},
        {"q": "Ho", "later": []},
        prompt={"user": "{q}", "followups": "{later}", "style": "text"},
    )
    assert [(one.text, one.followups) for one in requests] == [("Hi", ("a", "b")), ("Ho", ())]


def test_later_turns_that_are_no_list_name_the_sample(render):
    with pytest.raises(
        DataError, match=r"prompt.followups: {later} is 'x', not a list of turns\n  at sample 0"
    ):
        render({"q": "Hi", "later": "x"}, prompt={"user": "{q}", "followups": "{later}"})


def test_later_turns_in_a_text_are_refused_with_both_ways_to_write_them(render):
    with pytest.raises(ConfigError, match=r"one field with the later turns \('{turns}'\), or a list"):
        render({"q": "Hi"}, prompt={"user": "{q}", "followups": "and {q}"})


def test_a_turn_that_a_row_lacks_is_an_error(render):
    with pytest.raises(ConfigError, match=r"prompt.followups.0: {turns.1}: turns is a list of 1"):
        render({"turns": ["Hi"]}, prompt={"user": "{turns.0}", "followups": ["{turns.1}"]})


def test_token_ids_are_sent_in_place_of_a_prompt(render):
    (request,) = render({"ids": [5, 6, 7]}, prompt={"tokens": "{ids}"})
    assert (request.tokens, request.text, request.messages) == ((5, 6, 7), None, None)


@pytest.mark.parametrize("ids", [[], "5 6", [1, -2], [1.5], [True], None])
def test_what_is_no_list_of_token_ids_is_an_error(render, ids):
    with pytest.raises(
        DataError, match=r"prompt.tokens: {ids} is .*, not a list of token ids\n  at sample 0"
    ):
        render({"ids": ids}, prompt={"tokens": "{ids}"})


@pytest.mark.parametrize(
    "more", [{"shots": 1, "shot": "{a}"}, {"system": "s"}, {"intro": "i"}, {"followups": ["f"]}]
)
def test_token_ids_stand_alone(more):
    with pytest.raises(
        ValueError,
        match=rf"prompt.tokens replaces the whole prompt, so prompt.{next(iter(more))} cannot be set",
    ):
        Task(name="toy", summary="", dataset={}, prompt={"tokens": "{ids}"} | more)


def test_a_row_has_a_time_of_its_own(render):
    requests = render(
        {"question": "a", "t": 0},
        {"question": "b", "t": "1.5"},
        {"question": "c", "t": None},
        sample={"at": "{t}"},
    )
    assert [request.at for request in requests] == [0, 1.5, None]


@pytest.mark.parametrize("at", [-1, "soon", math.inf, math.nan])
def test_a_time_that_is_none_names_the_line(render, at):
    with pytest.raises(
        DataError, match=r"task.sample.at: '.*' is not a number of seconds(.|\n)*rows.jsonl, line 1"
    ):
        render({"question": "a", "t": at}, sample={"at": "{t}"})


def test_how_long_a_made_prompt_is_goes_with_its_request(render):
    (request, other) = render(
        {"question": "a", "input_tokens_asked": 7, "input_exact": True, "else": 1}, {"question": "b"}
    )
    assert request.facts == {"input_tokens_asked": 7, "input_exact": True}
    assert other.facts == {}


def test_a_text_that_is_made_when_it_is_needed_is_what_it_says():
    class Late:
        def __str__(self):
            return "made {now}"

    assert Template("It is {text}.").render({"text": Late()}) == "It is made {now}."
