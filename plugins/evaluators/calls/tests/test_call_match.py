"""Calls are read from every usual form and from no prose, and compared by name, argument and type."""

import time

import pytest

from aisb import Sample
from aisb_evaluator_calls._matching import CallMatch
from aisb_evaluator_calls._reading import Call, calls

AREA = [{"area": {"base": [10], "height": [5], "unit": ["cm", "centimeters", ""]}}]
FUNCTIONS = [
    {
        "name": "area",
        "parameters": {
            "properties": {
                "base": {"type": "integer"},
                "height": {"type": "float"},
                "unit": {"type": "string"},
            }
        },
    }
]


def value(answer, target, functions=()):
    return CallMatch().score(answer, Sample("0", {"functions": functions}, target)).value


@pytest.mark.parametrize(
    "text",
    [
        "[area(base=10, height=5)]",
        "area(base=10, height=5)",
        "[area(height=5, base=10)]",
        "```python\n[area(base=10, height=5)]\n```",
        "I will use the function area.\n\n[area(\n  base=10,\n  height=5)]",
        '[{"name": "area", "arguments": {"base": 10, "height": 5}}]',
        '{"name": "area", "parameters": {"base": 10, "height": 5}}',
        '[{"type": "function", "function": {"name": "area", "arguments": "{\\"base\\": 10, \\"height\\": 5}"}}]',
        '<tool_call>\n{"name": "area", "arguments": {"base": 10, "height": 5}}\n</tool_call>',
        '[{"area": {"base": 10, "height": 5}}]',
    ],
)
def test_a_call_is_read_from_every_usual_form(text):
    assert calls(text) == [Call("area", {"base": 10, "height": 5})]
    assert value(text, AREA, FUNCTIONS) == 1


@pytest.mark.parametrize(
    "text",
    [
        "",
        "None of these can be used, such as area(base=10).",
        "The area is 25.",
        "[1, 2]",
        '{"a": 1}',
        "x = f(1)",
    ],
)
def test_prose_and_data_are_no_calls(text):
    assert calls(text) == []
    assert value(text, "no call") == 1
    assert value(text, "any call") == 0


def test_values_of_other_kinds_are_read():
    text = "[a.b(x=-5, y=[1.5, 'z'], t=true, n=null, v=mapArea, d={'k': [1]}, from=3)]"
    (call,) = calls(text)
    assert call.name == "a.b"
    assert call.arguments == {
        "x": -5,
        "y": [1.5, "z"],
        "t": True,
        "n": None,
        "v": "mapArea",
        "d": {"k": [1]},
        "from": 3,
    }


@pytest.mark.parametrize(
    ("answer", "right"),
    [
        ("[area(base=10, height=5, unit='cm')]", True),
        ("[area(base=10, height=5, unit='CM.')]", True),
        ("[area(base=10, height=5.0)]", True),
        ("[area(10, 5)]", True),
        ("[area(base=10, height=5, unit='inch')]", False),
        ("[area(base=10)]", False),
        ("[area(base='10', height=5)]", False),
        ("[area(base=10.0, height=5)]", False),
        ("[area(base=True, height=5)]", False),
        ("[area(base=10, height=5, depth=2)]", False),
        ("[volume(base=10, height=5)]", False),
        ("[area(base=10, height=5), area(base=10, height=5)]", False),
        (None, False),
    ],
)
def test_name_arguments_and_types_must_fit(answer, right):
    assert value(answer, AREA, FUNCTIONS) == right


def test_several_calls_fit_in_any_order_each_once():
    target = [{"play": {"artist": ["A"]}}, {"play": {"artist": ["B"]}}]
    assert value("[play(artist='B'), play(artist='A')]", target) == 1
    assert value("[play(artist='A'), play(artist='A')]", target) == 0
    assert value("[play(artist='A')]", target) == 0


def test_tables_and_lists_are_compared_inside():
    target = [{"f": {"who": [{"name": ["Ada"], "age": [3, ""]}], "tags": [["x", "y"]]}}]
    assert value("[f(who={'name': 'ada'}, tags=['x', 'y'])]", target) == 1
    assert value("[f(who={'name': 'Ada', 'age': 3}, tags=['x', 'y'])]", target) == 1
    assert value("[f(who={'name': 'Ada', 'age': 4}, tags=['x', 'y'])]", target) == 0
    assert value("[f(who={'name': 'Ada', 'sex': 'f'}, tags=['x', 'y'])]", target) == 0
    assert value("[f(who={'name': 'Ada'}, tags=['y', 'x'])]", target) == 0


def test_why_a_call_is_wrong_is_kept():
    score = CallMatch().score("[area(base=9, height=5)]", Sample("0", {}, AREA))
    assert score.details["problem"] == "base = 9"


def test_a_hostile_reply_is_no_call_and_takes_no_time():
    start = time.process_time()
    for text in (
        "f(" * 9000,
        "[" * 19000,
        "f(" + "-" * 15000 + "1)",
        "f(x=" + "9" * 15000 + ")",
        "[\n" * 9000,
    ):
        calls(text)
    assert time.process_time() - start < 10
