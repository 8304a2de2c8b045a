"""A row's own functions in its request, and the calls of a reply as its answer."""

import json

import pytest

from aisb._errors import ConfigError, DataError
from aisb._plugins import Plugins
from aisb._types import Prediction, Request
from aisb_engine._data.datafiles import DataFolders
from aisb_engine._data.forms import convert_prompt
from aisb_engine._data.prompts import Renderer
from aisb_engine._data.samples import SampleMaker
from aisb_engine._scoring.scoring import score
from aisb_engine._spec import Task

FUNCTION = {"name": "add", "parameters": {"type": "object", "properties": {"a": {"type": "integer"}}}}
TOOL = {"type": "function", "function": FUNCTION}


@pytest.fixture(scope="module")
def plugins():
    return Plugins.load()


@pytest.fixture
def params(plugins):
    """Render the request of a row whose field `f` holds tools, and return its parameters."""

    def run(found, given=None, forced=None):
        task = Task(
            name="t", summary="", dataset={}, prompt={"user": "?", "tools": "{f}"}, params=given or {}
        )
        (sample,) = SampleMaker(task, plugins).make([("row 0", {"f": found})])
        return Renderer(task, plugins, DataFolders([]), forced=forced).request(sample).params

    return run


@pytest.mark.parametrize("found", [[TOOL], [FUNCTION], FUNCTION, json.dumps([FUNCTION])])
def test_functions_are_sent_in_openais_form_however_the_row_has_them(params, found):
    assert params(found) == {"tools": [TOOL]}


@pytest.mark.parametrize("found", [None, "", [], "[]"])
def test_a_row_without_functions_sends_no_tools(params, found):
    assert params(found) == {}


def test_a_rows_tools_stand_above_the_tasks_and_below_a_flag(params):
    assert params([TOOL], given={"tools": ["t"]})["tools"] == [TOOL]
    assert params([TOOL], forced={"tools": ["t"]})["tools"] == ["t"]


@pytest.mark.parametrize("found", ["add(a)", 7, [1], [{"description": "no name"}], [{"function": {}}]])
def test_what_is_no_list_of_tools_is_told_with_the_form_that_is_wanted(params, found):
    with pytest.raises(DataError) as caught:
        params(found)
    line, where = str(caught.value).splitlines()
    assert line.startswith("task.prompt.tools: {f} is ")
    assert line.endswith(
        'not a list of tools; one is {"type": "function", '
        '"function": {"name": …, "description": …, "parameters": {…}}}'
    )
    assert where == "  at sample 0"


def test_tools_must_be_one_field(plugins):
    task = Task(name="t", summary="", dataset={}, prompt={"user": "?", "tools": "use {f}"})
    with pytest.raises(ConfigError, match=r"task.prompt.tools: must be one field with a list of tools"):
        Renderer(task, plugins, DataFolders([]))


def test_a_text_endpoint_is_told_to_be_none_for_tools():
    with pytest.raises(ConfigError, match=r"has tools, which a text \(completions\) endpoint cannot be sent"):
        convert_prompt(Request("0", text="?", params={"tools": [TOOL]}), "text")


async def graded(plugins, *calls, text="", steps=()):
    task = Task(
        name="t",
        summary="",
        dataset={},
        evaluate=[{"use": "call-match"}],
        postprocess=[{"use": s} for s in steps],
    )
    (sample,) = SampleMaker(task, plugins).make([("row 0", {"functions": [FUNCTION]})])
    sample = type(sample)(sample.id, sample.fields, [json.dumps({"add": {"a": [1]}})])
    made = tuple({"id": None, "name": name, "arguments": arguments} for name, arguments in calls)
    prediction = Prediction("0", text=text, tool_calls=made, finish_reason="tool_calls")
    ((one,),) = (await score(task, {"0": sample}, [prediction], plugins)).values()
    return one


async def test_the_calls_of_a_reply_are_its_answer_whatever_it_says_beside_them(plugins):
    one = await graded(plugins, ("add", '{"a": 1}'), text="Let me add(a=2).", steps=["last-line"])
    assert (one.value, one.outcome, one.rule, one.span) == (1, "correct", "tool_calls", None)
    assert one.answer == '[{"name": "add", "arguments": {"a": 1}}]'


@pytest.mark.parametrize(
    "calls", [[("add", '{"a": 2}')], [("add", '{"a": 1')], [("sub", '{"a": 1}')], [("add", "")]]
)
async def test_another_call_is_wrong_and_so_is_one_that_cannot_be_read(plugins, calls):
    one = await graded(plugins, *calls)
    assert (one.value, one.outcome) == (0, "wrong")


async def test_two_calls_in_place_of_one_are_wrong(plugins):
    one = await graded(plugins, ("add", '{"a": 1}'), ("add", '{"a": 1}'))
    assert (one.value, one.details) == (0, {"problem": "2 calls instead of 1"})
