"""The leaderboard's rows are joined with their answers, rendered with their functions, and scored."""

import json
import os
from pathlib import Path

import pytest
from task_family import TaskFamily

from aisb import DataError, Prediction
from aisb_dataset_tools._rows import CATEGORIES, WITHOUT_ANSWERS, tool, with_text_parameters
from aisb_engine._resolve.catalog import Catalog
from aisb_engine._scoring.scoring import measure, score

FAMILY = TaskFamily("aisb_dataset_tools")
ALIASES = {
    name: selection
    for name, selection in FAMILY.aliases.items()
    if selection.startswith("bfcl") and not selection.startswith("bfcl_multi_turn")  # their data is another
}


def function(name):
    return {
        "name": name,
        "description": f"Does {name}.",
        "parameters": {
            "type": "dict",
            "properties": {"x": {"type": "integer"}, "unit": {"type": "string"}},
            "required": ["x"],
        },
    }


def write_rows(root, version="v3"):
    """Write this family's rows as its tasks look for them."""
    folder = root / "bfcl"
    (folder / "possible_answer").mkdir(parents=True)
    for category in CATEGORIES:
        name = {"simple": "simple_python", "java": "simple_java"}.get(category, category)
        rows, answers = [], []
        for n in range(2):
            turn = [{"role": "user", "content": f"Do {category} {n}."}]
            if n:
                turn.insert(0, {"role": "system", "content": "Be brief."})
            rows.append({"id": f"{name}_{n}", "question": [turn], "function": [function("t.run")]})
            many = 2 if "parallel" in category else 1
            truth = [{"t.run": {"x": [10 * n + k], "unit": ["m", ""]}} for k in range(many)]
            answers.append({"id": f"{name}_{n}", "ground_truth": truth})
        file = f"BFCL_{version}_{name}.json"
        (folder / file).write_text("".join(json.dumps(row) + "\n" for row in rows))
        if category not in WITHOUT_ANSWERS:
            text = "".join(json.dumps(row) + "\n" for row in answers)
            (folder / "possible_answer" / file).write_text(text)
    (folder / f"BFCL_{version}_multi_turn_base.json").write_text('{"id": "multi"}\n')
    return root


def said(sample):
    if sample.target == "no call":
        return "None of the functions can be used."
    if sample.target == "any call":
        return "[t.run(x=1)]"
    truth = [json.loads(one)["t.run"] for one in sample.target]
    return "[" + ", ".join(f"t.run(x={one['x'][0]})" for one in truth) + "]"


def gold(task, sample, of):
    """Answer a row with the calls that are right for another; where no call is right, with a call."""
    asked_to_call = of.target if of is sample else "any call" if sample.target == "no call" else of.target
    calls = [] if asked_to_call == "no call" else [{"x": 1}]
    if not isinstance(asked_to_call, str):
        calls = [{"x": json.loads(one)["t.run"]["x"][0]} for one in asked_to_call]
    if of is not sample and sample.target == "any call":
        calls = []
    if task.variant != "native":
        text = ", ".join(f"t.run(x={one['x']})" for one in calls)
        return Prediction(sample.id, text=f"[{text}]" if calls else "None fits.", finish_reason="stop")
    made = tuple({"name": "t_run", "arguments": json.dumps(one)} for one in calls)
    return Prediction(sample.id, text="" if made else "None fits.", tool_calls=made, finish_reason="stop")


async def test_the_right_calls_are_right_and_those_of_another_row_are_wrong(plugins, make_task):
    task, samples, _ = make_task("bfcl")
    rows = {sample.id: sample for sample in samples}

    async def scores(text):
        predictions = [Prediction(sample.id, text=text(sample), finish_reason="stop") for sample in samples]
        return await score(task, rows, predictions, plugins)

    right = await scores(said)
    assert {one.value for one in right["call-match"]} == {1}
    assert {m.group for m in measure(task, right, plugins)["call-match"]} == {None, *CATEGORIES}

    def other(sample):
        group, _, position = sample.id.partition("/")
        if sample.target in ("no call", "any call"):
            return said(sample).replace("None", "[t.run()]") if sample.target == "any call" else "[t.run()]"
        return said(rows[f"{group}/{1 - int(position)}"])

    wrong = {one.sample_id: one.value for one in (await scores(other))["call-match"]}
    assert {value for name, value in wrong.items() if not name.startswith("live_relevance")} == {0}


def test_the_functions_and_the_rows_own_instructions_stand_in_the_system_turn(make_task):
    _, samples, renderer = make_task("bfcl")
    system, user = renderer.request(samples.samples[1]).messages
    assert system.role == "system"
    assert system.content.startswith("Be brief.\n\nYou call functions")
    assert "[func_name1(params_name1=params_value1, params_name2=params_value2...), func_name2(params)]" in (
        system.content
    )
    assert json.loads(system.content.splitlines()[-1]) == [function("t.run")]
    assert user.content == f"Do {samples.samples[1].group} 1."


def test_natively_the_functions_are_tools_with_names_and_types_that_services_take(make_task):
    _, samples, renderer = make_task("bfcl:native")
    request = renderer.request(samples.samples[0])
    assert request.messages[0].content.startswith("You call functions to do what is asked of you. If none")
    assert request.params["tools"] == [
        {"type": "function", "function": {
            "name": "t_run",
            "description": "Does t.run.",
            "parameters": {
                "type": "object",
                "properties": {"x": {"type": "integer"}, "unit": {"type": "string"}},
                "required": ["x"],
            },
        }}
    ]  # fmt: skip


def test_parameters_of_java_and_javascript_are_texts_in_the_syntax_of_the_language(make_task):
    _, samples, renderer = make_task("bfcl:native")
    (java,) = (sample for sample in samples if sample.id == "java/0")
    (shown,) = java.fields["functions"]
    assert java.fields["declared"] == [function("t.run")]
    assert java.fields["language"] == "java"
    assert shown["description"] == "Does t.run. Note that the provided function is in Java 8 SDK syntax."
    assert shown["parameters"]["properties"]["x"] == {
        "type": "string",
        "description": "It is a Java value of the type integer, written as text.",
    }
    (offered,) = renderer.request(java).params["tools"]
    assert offered["function"]["parameters"]["properties"]["x"]["type"] == "string"


def test_what_a_text_is_to_be_names_elements_and_entries():
    properties = {
        "list": {"type": "array", "items": {"type": "float"}, "description": "Sizes."},
        "table": {"type": "dict", "properties": {"n": {"type": "integer"}}},
        "other": {"type": "any"},
    }
    made = with_text_parameters(
        {"name": "f", "description": "", "parameters": {"properties": properties}}, "javascript"
    )
    assert {name: one["description"] for name, one in made["parameters"]["properties"].items()} == {
        "list": "Sizes. It is a JavaScript value of the type array, written as text. "
        "Its elements are of the type float, and not written as texts of their own.",
        "table": "It is a JavaScript value of the type dict, written as text. "
        'Its entries have this schema, and are not written as texts: {"n": {"type": "integer"}}',
        "other": "It can be any JavaScript object, written as text.",
    }


@pytest.mark.parametrize(("name", "right"), [("bfcl", 0), ("bfcl:lenient", 1), ("bfcl:native_lenient", 1)])
async def test_the_lenient_form_is_a_variant_of_its_own(plugins, make_task, name, right):
    task, samples, _ = make_task(name)
    sample = next(one for one in samples if one.id == "simple/1")
    text = "The call is:\n[t_run(x=10)]"
    (scores,) = (await score(task, {sample.id: sample}, [Prediction(sample.id, text=text)], plugins)).values()
    assert scores[0].value == right


def test_types_are_those_of_json_schema_at_every_depth():
    properties = {
        "type": {"type": "tuple"},
        "rows": {"type": "list", "items": {"type": "dict", "properties": {"n": {"type": "float"}}}},
    }
    made = tool({"name": "a.b.c", "parameters": {"type": "dict", "properties": properties}})["function"]
    assert made["name"] == "a_b_c"
    assert made["parameters"]["properties"] == {
        "type": {"type": "array", "items": {}},
        "rows": {"type": "array", "items": {"type": "object", "properties": {"n": {"type": "number"}}}},
    }


def test_answers_that_are_missing_are_named(make_task, tmp_path):
    root = write_rows(tmp_path)
    (root / "bfcl/possible_answer/BFCL_v3_multiple.json").unlink()
    with pytest.raises(DataError, match=r"there is no possible_answer/BFCL_v3_multiple\.json"):
        make_task("bfcl", root)
    (root / "bfcl/possible_answer/BFCL_v3_multiple.json").write_text('{"id": "x", "ground_truth": []}\n')
    with pytest.raises(DataError, match=r"BFCL_v3_multiple\.json has no answer to multiple_0"):
        make_task("bfcl", root)


@pytest.mark.parametrize(("alias", "target"), ALIASES.items())
def test_an_alias_leads_to_categories_that_there_are(plugins, make_task, alias, target):
    assert Catalog(plugins).aliases[alias] == target
    task, samples, _ = make_task(alias)
    assert task.name == "bfcl"
    assert len(samples) == 2 * len(task.dataset.select.get("category", CATEGORIES))


def plain(value):
    """Take the first of the values that fit, also inside tables."""
    if isinstance(value, dict):
        firsts = {key: fit[0] if isinstance(fit, list) and fit else fit for key, fit in value.items()}
        return {key: plain(first) for key, first in firsts.items() if first != ""}
    return [plain(one) for one in value] if isinstance(value, list) else value


CONTRADICTIONS = {
    "live_multiple/862",
    "live_multiple/964",
    "live_simple/106",
    "live_simple/112",
    "parallel_multiple/26",
}
"""Rows whose published answer has a parameter that the function does not declare, or lacks a required one."""


def wanted(sample):
    """Yield the calls of a target, with the first of the values that fit and what the function requires."""
    declared = {one["name"]: one["parameters"] for one in sample.fields["declared"]}
    for one in sample.target:
        ((name, parameters),) = json.loads(one).items()
        given = {}
        for key, fit in parameters.items():
            values = [value for value in fit if value != ""]
            if fit and (fit[0] != "" or (len(fit) == 1 and key in declared[name]["required"])):
                given[key] = fit[0]
            elif values and key in declared[name]["required"]:
                given[key] = values[0]
        types = {key: declared[name]["properties"].get(key, {}) for key in given}
        language = sample.fields["language"]
        yield name, {key: source(plain(value), types[key], language) for key, value in given.items()}


def source(value, declared, language):
    """Write a value as a language writes it; Python's stay as they are."""
    if language == "python" or isinstance(value, str):
        return value
    kind = declared["type"]
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        inner = declared.get("items", {}).get("type", "any")
        elements = ", ".join(quoted(one, inner, language) for one in value)
        forms = {"Array": "new Object[]{%s}", "ArrayList": "new ArrayList<Object>(Arrays.asList(%s))"}
        return forms.get(kind, "[%s]") % elements
    if isinstance(value, dict) and language == "java":
        puts = " ".join(f'put("{key}", {quoted(one, "any", language)});' for key, one in value.items())
        return f"new HashMap<String, Object>() {{{{ {puts} }}}}"
    if isinstance(value, dict):
        pairs = ", ".join(f"{key}: {quoted(one, 'any', language)}" for key, one in value.items())
        return f"{{{pairs}}}"
    return f"{value}L" if kind == "long" else str(value)


def quoted(value, kind, language):
    return f'"{value}"' if isinstance(value, str) else source(value, {"type": kind}, language)


def literal(value, declared, language):
    """Write an argument of a call: a text in quotation marks, other source as it is."""
    is_text = isinstance(value, str) and (language == "python" or declared["type"] == "String")
    return (
        (json.dumps(value) if language == "java" else repr(value))
        if is_text or language == "python"
        else value
    )


@pytest.mark.data
@pytest.mark.skipif("AISB_DATA" not in os.environ, reason="needs $AISB_DATA")
async def test_all_real_answers_are_right_as_tool_calls(plugins, make_task):
    task, samples, renderer = make_task("bfcl:native", Path(os.environ["AISB_DATA"]))
    assert len(samples) == 3641
    rows, predictions = {sample.id: sample for sample in samples}, []
    for sample in samples:
        offered = {one["function"]["name"] for one in renderer.request(sample).params.get("tools", [])}
        calls = [] if isinstance(sample.target, str) else list(wanted(sample))
        if sample.target == "any call":
            calls = [(next(iter(offered)), {})]
        assert {name.replace(".", "_") for name, _ in calls} <= offered
        made = [{"name": n.replace(".", "_"), "arguments": json.dumps(given)} for n, given in calls]
        finish = "tool_calls" if made else "stop"
        text = "" if made else "None of them can be used."
        predictions.append(Prediction(sample.id, text=text, tool_calls=tuple(made), finish_reason=finish))
    (scores,) = (await score(task, rows, predictions, plugins)).values()
    assert {one.sample_id: one.details for one in scores if one.value < 1}.keys() == CONTRADICTIONS


@pytest.mark.data
@pytest.mark.skipif("AISB_DATA" not in os.environ, reason="needs $AISB_DATA")
async def test_all_real_answers_are_right_as_calls(plugins, make_task):
    task, samples, _ = make_task("bfcl", Path(os.environ["AISB_DATA"]))
    assert len(samples) == 3641

    def written(sample):
        if isinstance(sample.target, str):
            return said(sample)
        calls = []
        for name, given in wanted(sample):
            (properties,) = (
                o["parameters"]["properties"] for o in sample.fields["declared"] if o["name"] == name
            )
            language = sample.fields["language"]
            pairs = [
                f"{key}={literal(value, properties.get(key, {}), language)}" for key, value in given.items()
            ]
            calls.append(f"{name}({', '.join(pairs)})")
        return f"[{', '.join(calls)}]"

    rows = {sample.id: sample for sample in samples}
    predictions = [Prediction(name, text=written(row), finish_reason="stop") for name, row in rows.items()]
    (scores,) = (await score(task, rows, predictions, plugins)).values()
    assert {one.sample_id: one.details for one in scores if one.value < 1}.keys() == CONTRADICTIONS


def test_live_and_other_categories_have_averages_of_their_own(make_task):
    _, samples, _ = make_task("bfcl")
    parts = {sample.group: sample.fields["part"] for sample in samples}
    assert {part for name, part in parts.items() if name.startswith("live_")} == {"live"}
    assert {part for name, part in parts.items() if not name.startswith("live_")} == {"non_live"}
