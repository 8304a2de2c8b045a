"""Calls are read from every usual form and from no prose, and compared by name, argument and type."""

import json
import time

import pytest

from aisb import Sample
from aisb_evaluator_calls._matching import CallMatch
from aisb_evaluator_calls._reading import calls, strict_calls

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


def value(answer, target, functions=(), *, strict=True, language="python"):
    fields = {"functions": functions, "language": language}
    return CallMatch(strict=strict).score(answer, Sample("0", fields, target)).value


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
    (call,) = calls(text)
    assert call[:2] == ("area", {"base": 10, "height": 5})
    assert value(text, AREA, FUNCTIONS, strict=False) == 1
    assert value(text, AREA, FUNCTIONS) == (not text.startswith("I will"))


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
        ("[area(10, 5)]", False),
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


ROOM = [
    {
        "name": "hotel.book",
        "parameters": {
            "properties": {
                "city": {"type": "string"},
                "nights": {"type": "integer"},
                "floor": {"type": "integer"},
                "price": {"type": "float"},
                "sauna": {"type": "boolean"},
                "tags": {"type": "array", "items": {"type": "string"}},
                "sizes": {"type": "array", "items": {"type": "float"}},
                "spot": {"type": "tuple", "items": {"type": "float"}},
                "guest": {"type": "dict"},
                "guests": {"type": "array", "items": {"type": "dict"}},
                "date": {"type": "any"},
            },
            "required": ["city"],
        },
    }
]
BOOKED = [
    {
        "hotel.book": {
            "city": ["New York", "NYC"],
            "nights": [3, ""],
            "floor": ["top", ""],
            "price": [99.0, ""],
            "sauna": [True, ""],
            "tags": [["sea", "quiet"], ""],
            "sizes": [[1.5, 2.0], ""],
            "spot": [[1.5, 2.5], ""],
            "guest": [{"name": ["Ada"], "age": [36, ""]}, ""],
            "guests": [[{"name": ["Ada"]}, {"name": ["Bob"]}], ""],
            "date": ["tomorrow", ""],
        }
    }
]


@pytest.mark.parametrize(
    ("arguments", "strict", "lenient"),
    [
        ("city='new york.'", True, True),
        ("city=NYC", True, True),
        ("city='NYC', nights=3, price=99, sauna=True", True, True),
        ("city='NYC', price=99.0", True, True),
        ("city='NYC', price='99.0'", False, False),
        ("city='NYC', nights=3.0", False, False),
        ("city='NYC', nights='3'", False, False),
        ("city='NYC', floor=top", True, True),
        ("city='NYC', nights=1 + 2", True, True),
        ("city='NYC', nights=True", False, False),
        ("city='NYC', sauna=true", False, True),
        ("city='NYC', sauna='True'", False, False),
        ("city='NYC', sauna=1", False, False),
        ("city='NYC', tags=['Sea', 'quiet']", True, True),
        ("city='NYC', tags=('sea', 'quiet')", False, True),
        ("city='NYC', tags=['quiet', 'sea']", False, False),
        ("city='NYC', tags='sea, quiet'", False, False),
        ("city='NYC', sizes=[1.5, 2.0]", True, True),
        ("city='NYC', sizes=[1.5, '2.0']", False, False),
        ("city='NYC', spot=(1.5, 2.5)", True, True),
        ("city='NYC', spot=[1.5, 2.5]", True, True),
        ("city='NYC', guest={'name': 'ada'}", True, True),
        ("city='NYC', guest={'name': 'Ada', 'age': '36'}", False, False),
        ("city='NYC', guest={'age': 36}", False, False),
        ("city='NYC', guests=[{'name': 'Ada'}, {'name': 'Bob'}]", True, True),
        ("city='NYC', guests=[{'name': 'Bob'}, {'name': 'Ada'}]", False, False),
        ("city='NYC', date=tomorrow", True, True),
        ("city='NYC', stars=5", False, False),
        ("nights=3", False, False),
        ("'NYC'", False, True),
        ("'NYC', nights=3", False, True),
    ],
)
def test_types_are_those_of_the_leaderboard_unless_graded_leniently(arguments, strict, lenient):
    text = f"[hotel.book({arguments})]"
    assert value(text, BOOKED, ROOM) == strict
    assert value(text, BOOKED, ROOM, strict=False) == lenient


@pytest.mark.parametrize(
    ("text", "strict", "lenient"),
    [
        ("hotel.book(city='NYC')", True, True),
        ("```\n[hotel.book(city='NYC')]\n```", True, True),
        ("```python\n[hotel.book(city='NYC')]\n```", True, True),
        ('<tool_call>{"name": "hotel.book", "arguments": {"city": "NYC"}}</tool_call>', True, True),
        ('[{"name": "hotel_book", "arguments": {"city": "NYC"}}]', True, True),
        ("[hotel_book(city='NYC')]", False, True),
        ("Here is the call:\n[hotel.book(city='NYC')]", False, True),
        ("[hotel.book(city='NYC')]\nThis books a room.", False, False),
        ("[hotel.book(city='NYC'), hotel.book(city='NYC')]", False, False),
    ],
)
def test_strictly_the_reply_is_the_call_and_nothing_else(text, strict, lenient):
    assert value(text, BOOKED, ROOM) == strict
    assert value(text, BOOKED, ROOM, strict=False) == lenient
    assert value(text, "any call") == strict or "hotel_book(" in text or text.count("hotel.book(") > 1


def test_a_call_in_prose_is_none_where_no_call_is_right():
    text = "None of them fits. It would look so:\n[hotel.book(city='NYC')]"
    assert value(text, "no call", ROOM) == 1
    assert value(text, "no call", ROOM, strict=False) == 0


def typed(**kinds):
    """Return a function with parameters of these types, all of them required."""
    properties = {
        name: {"type": kind.partition(" ")[0], "items": {"type": kind.partition(" ")[2] or "any"}}
        for name, kind in kinds.items()
    }
    return [{"name": "a.run", "parameters": {"properties": properties, "required": list(kinds)}}]


@pytest.mark.parametrize(
    ("language", "kind", "fitting", "right", "wrong"),
    [
        ("java", "integer", 5, ["5"], ["5L", "'five'"]),
        ("java", "long", 5, ["5L", "5l"], ["5", "5.0"]),
        ("java", "double", 0.5, ["0.5", "5e-1"], ["0.5f", "'half'"]),
        ("java", "float", 0.5, ["0.5f"], ["0.5"]),
        ("java", "boolean", True, ["true"], ["True", "1"]),
        ("java", "String", "a, b", ['"a, b"', '"A b"'], ['"a, c"']),
        ("java", "any", "new Path('/x')", ["new Path('/x')"], ["new Path('/y')"]),
        ("java", "Array String", ["a", "b"], ['new String[]{"a", "b"}'], ['new String[]{"b", "a"}', '["a"]']),
        ("java", "ArrayList long", [1, 2], ["new ArrayList<Long>(Arrays.asList(1L, 2L))"], ["[1, 2]"]),
        ("java", "ArrayList String", ["a"], ['new ArrayList<>() {{ add("a"); }}'], ["new ArrayList<>()"]),
        (
            "java",
            "HashMap",
            {"k": ["v"], "n": [5]},
            ['new HashMap<String, Object>() {{ put("k", "v"); put("n", 5); }}'],
            ["new HashMap<>()", '{"k": "v", "n": 5}'],
        ),
        ("javascript", "integer", 5, ["5"], ["5.5", "'5 '"]),
        ("javascript", "float", 3.0, ["3", "3.0"], ["3n"]),
        ("javascript", "Bigint", 5, ["5n"], ["5"]),
        ("javascript", "Boolean", True, ["true"], ["True"]),
        ("javascript", "String", "a", ["'a'", '"a"'], ['"b"']),
        ("javascript", "array String", ["a", "b"], ["['a', \"b\"]", "new Array('a', 'b')"], ["['a']"]),
        ("javascript", "array integer", [1, 2], ["[1, 2]"], ["['1', '2']"]),
        (
            "javascript",
            "dict",
            {"k": ["v"], "n": [1]},
            ["{k: 'v', n: 1}", '{"k": "v", "n": 1}'],
            ["{k: 'v'}"],
        ),
        ("javascript", "any", "(x) => x > 3", ["(x) => x > 3"], ["(x) => x > 4"]),
    ],
)
def test_java_and_javascript_are_read_as_they_are_written(language, kind, fitting, right, wrong):
    functions, target = typed(x=kind, y="String"), [{"a.run": {"x": [fitting], "y": ["z"]}}]
    for text in right:
        assert value(f'[a.run(x={text}, y="z")]', target, functions, language=language) == 1
        assert value(f'[a.run(x={text}, y="z")]', target, functions, language=language, strict=False) == 1
    for text in wrong:
        assert value(f'[a.run(x={text}, y="z")]', target, functions, language=language) == 0


def test_tool_calls_of_java_give_values_of_json_or_texts_in_its_syntax():
    functions, target = typed(n="long", on="boolean"), [{"a.run": {"n": [5], "on": [True]}}]
    for arguments, right in (
        ({"n": "5L", "on": "true"}, 1),
        ({"n": 5, "on": True}, 1),
        ({"n": "5", "on": True}, 0),
    ):
        text = json.dumps([{"name": "a_run", "arguments": arguments}])
        assert value(text, target, functions, language="java") == right


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
        strict_calls(text)
        strict_calls(text, "java")
    functions, target = typed(x="array"), [{"a.run": {"x": [["a"]]}}]
    for text in ("[" * 9000 + "]" * 9000, "{a: " * 4000 + "}" * 4000, "[1," * 6000, "new Array(" * 1800):
        assert value(f"[a.run(x={text})]", target, functions, language="javascript") == 0
    assert time.process_time() - start < 10
