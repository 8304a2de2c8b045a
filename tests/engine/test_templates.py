"""Templates: what is replaced, what stands as it is, and what an error says."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aisb._errors import ConfigError
from aisb._templates import Template, as_text


def render(text, **fields):
    return Template(text, "task.prompt.user").render(fields)


def test_a_name_between_braces_is_replaced():
    assert render("Question: {question}\nAnswer:", question="2 + 2?") == "Question: 2 + 2?\nAnswer:"


def test_a_path_leads_into_tables_and_lists():
    row = {"stem": "Which?", "choices": [{"text": "a"}, {"text": "b"}]}
    assert render("{q.stem} {q.choices.1.text}", q=row) == "Which? b"


def test_every_other_brace_stands_as_it_is():
    text = r'\boxed{} {"a": {"b": 1}} {0} {a b} {} { x } f(){ return; } \frac{1}{2} {2,3}'
    assert render(text, a="no", x="no") == text


def test_double_braces_are_the_name_itself_and_triple_braces_a_value_in_braces():
    assert render(r"{{answer}} \boxed{{{answer}}}", answer=18) == r"{answer} \boxed{18}"


def test_what_is_filled_in_is_not_read_as_a_template_again():
    assert render("{a}{b}", a="{b}", b="x") == "{b}x"


def test_null_is_nothing_and_lists_are_json():
    assert render("[{a}] {b} {c} {d}", a=None, b=[1, "é"], c=True, d=2.5) == '[] [1, "é"] true 2.5'


def test_one_field_alone_keeps_its_value():
    assert Template("{golds}").value({"golds": ["a", "b"]}) == ["a", "b"]
    assert Template("{golds} ").value({"golds": ["a"]}) == '["a"] '


def test_a_star_takes_each_element():
    row = {"options": [{"text": "a"}, {"text": "b"}, {"text": "c"}]}
    assert Template("{options.*.text}").value(row) == ["a", "b", "c"]


def test_an_unknown_name_suggests_the_nearest_and_lists_the_fields():
    with pytest.raises(ConfigError) as error:
        render("{qustion}", question="x", answer="y")
    assert str(error.value) == (
        "task.prompt.user: {qustion}: no field 'qustion' in row; did you mean 'question'?\n"
        "  the fields are: answer, question\n"
        "  for the text {qustion} itself write {{qustion}}"
    )


def test_a_path_that_ends_too_early_says_where():
    with pytest.raises(ConfigError, match=r"\{a.b.3\}: a.b is a list of 2, counted from 0"):
        render("{a.b.3}", a={"b": [1, 2]})
    with pytest.raises(ConfigError, match=r"\{a.b\}: a is 'text', with no parts"):
        render("{a.b}", a="text")


@given(st.text(alphabet="{}ab.0\\ \n"))
def test_a_text_without_names_in_braces_never_changes(text):
    template = Template(text)
    if not template.names and "{{" not in text:
        assert template.render({}) == text


@given(st.dictionaries(st.from_regex(r"[a-z_][a-z0-9_]{0,5}", fullmatch=True), st.text(), min_size=1))
def test_rendering_joins_the_values_in_order(fields):
    text = "|".join(f"{{{name}}}" for name in fields)
    assert Template(text).render(fields) == "|".join(as_text(value) for value in fields.values())
