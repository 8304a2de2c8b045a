from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import pytest
from pydantic import Field

from aisb import Ask, BatchSize, CacheNonce, DataFiles, HttpBackend, RowCount
from aisb._errors import ConfigError, PluginError
from aisb._options import REQUIRED, bind, injected_types, option_with, options, summary

if TYPE_CHECKING:
    from decimal import Decimal


def dice(
    *,
    path: Path,
    count: Annotated[int, "how many throws"] = 10,
    share: Annotated[float | None, Field(ge=0, le=1), "share of sixes"] = None,
    colour: Literal["red", "blue"] = "red",
    names: Sequence[str] = (),
    weights: Mapping[str, float] | None = None,
    seed: int | str = 0,
    loud: bool = False,
    anything=None,
) -> Iterator[Decimal]:
    """Throw dice.

    More of it.
    """
    raise NotImplementedError


@dataclass(kw_only=True)
class Shout(HttpBackend):
    """Shout at a service."""

    volume: Annotated[int, "how loud"] = 11
    words: list[str] = field(default_factory=lambda: ["hey"])
    hidden: int = field(default=0, init=False)


@dataclass
class Bare:
    size: int


class Written:
    """Have an __init__ of its own."""

    def __init__(self, size: Annotated[int, "how large"], *rest: int, **more: Any) -> None:
        self.size, self.rest, self.more = size, rest, more


def refused(factory, values, **others):
    with pytest.raises(ConfigError) as caught:
        bind(factory, values, where="tasks.dice.dataset", **others)
    return str(caught.value)


def test_options_are_read_from_a_functions_signature():
    table = {option.name: option for option in options(dice)}
    assert list(table) == [
        "path", "count", "share", "colour", "names", "weights", "seed", "loud", "anything",
    ]  # fmt: skip
    assert table["count"][:5] == ("count", "int", 10, False, "how many throws")
    assert (table["path"].required, table["path"].default) == (True, REQUIRED)
    assert [option.type for option in table.values()] == [
        "Path",
        "int",
        "float | None",
        '"red" | "blue"',
        "Sequence[str]",
        "Mapping[str, float] | None",
        "int | str",
        "bool",
        "Any",
    ]


def test_options_of_a_dataclass_are_its_fields_and_those_it_inherits():
    table = {option.name: option for option in options(Shout)}
    assert table["volume"].help == "how loud"
    assert table["words"].default == ["hey"]
    assert table["transport"].type == '"native" | "httpx"'
    assert table["headers"].default == {}
    assert "hidden" not in table


def test_options_of_a_class_with_its_own_init_are_that_inits_parameters():
    assert [(o.name, o.help, o.required) for o in options(Written)] == [("size", "how large", True)]


def test_a_partial_has_the_options_of_its_function_with_other_defaults():
    quiet = functools.partial(Shout, volume=1, words=["psst"])
    table = {option.name: option.default for option in options(quiet)}
    assert (table["volume"], table["words"]) == (1, ["psst"])
    assert summary(quiet) == "Shout at a service."


def read(*, source: DataFiles, path: Path, judge: Ask | None = None) -> Iterator[Decimal]:
    """Take what the engine gives."""
    raise NotImplementedError


def test_options_of_an_object_that_cannot_be_hashed_are_those_of_its_call():
    @dataclass
    class Maker:
        kind: str

        def __call__(self, size: int = 2) -> list[int]:
            return [0] * size

    maker = Maker("list")
    with pytest.raises(TypeError, match="unhashable"):
        hash(maker)
    assert [(one.name, one.default) for one in options(maker)] == [("size", 2)]


def test_parameters_that_the_engine_gives_are_no_options():
    assert [option.name for option in options(read)] == ["path"]
    assert injected_types(read) == {"source": DataFiles, "judge": Ask}


def test_the_roles_of_an_option_are_those_of_its_annotation():
    def made(
        *, rows: Annotated[int, "how many", RowCount] = 1, salt: Annotated[str, CacheNonce()] = ""
    ) -> None:
        """Make rows."""

    assert [option.roles for option in options(made)] == [(RowCount,), (CacheNonce,)]
    assert option_with(made, RowCount).name == "rows"
    assert option_with(made, BatchSize) is None


@pytest.mark.parametrize(
    ("factory", "text"),
    [(dice, "Throw dice."), (Shout, "Shout at a service."), (Bare, ""), (lambda: None, "")],
)
def test_the_summary_is_the_docstrings_first_line_or_nothing(factory: Callable[..., Any], text):
    assert summary(factory) == text


def test_values_are_converted_to_the_types_of_the_signature():
    values = {"path": "a/b", "count": "3", "share": 1, "names": ["x"], "weights": {"a": 1}, "seed": "s"}
    bound = bind(dice, values)
    assert bound == {
        "path": Path("a/b"),
        "count": 3,
        "share": 1.0,
        "names": ["x"],
        "weights": {"a": 1.0},
        "seed": "s",
    }
    assert isinstance(bound["share"], float)


def test_defaults_are_left_to_the_factory():
    assert bind(Shout, {}) == {}


def test_a_factory_with_kwargs_is_given_what_it_does_not_name():
    assert bind(Written, {"size": 1, "top_k": 5}) == {"size": 1, "top_k": 5}


def test_a_wrong_value_is_named_by_its_path_with_what_would_be_right():
    assert refused(dice, {"path": "x", "count": "many"}) == (
        "tasks.dice.dataset.count: 'many' is invalid: count takes int (how many throws); "
        "input should be a valid integer, unable to parse string as an integer"
    )


def test_a_wrong_choice_names_the_choices():
    assert refused(dice, {"path": "x", "colour": "green"}).startswith(
        'tasks.dice.dataset.colour: \'green\' is invalid: colour takes "red" | "blue"'
    )


def test_a_value_out_of_range_says_the_range():
    assert "; input should be less than or equal to 1" in refused(dice, {"path": "x", "share": 2})


def test_a_wrong_value_inside_a_table_is_named_by_its_own_path():
    assert refused(dice, {"path": "x", "weights": {"six": "heavy"}}).startswith(
        "tasks.dice.dataset.weights.six: 'heavy' is invalid: weights takes Mapping[str, float] | None"
    )


def test_a_value_that_fits_no_member_of_a_union_names_them_all():
    assert refused(dice, {"path": "x", "seed": [1]}) == (
        "tasks.dice.dataset.seed: [1] is invalid: seed takes int | str"
    )


def test_true_is_no_number():
    assert refused(dice, {"path": "x", "count": True}) == (
        "tasks.dice.dataset.count: True is invalid: count takes int (how many throws)"
    )


def test_a_text_is_no_list_of_texts():
    assert "names: 'abc' is invalid: names takes Sequence[str]" in refused(
        dice, {"path": "x", "names": "abc"}
    )


def test_a_long_value_is_cut():
    assert "..." in refused(dice, {"path": "x", "colour": "g" * 1000})
    assert len(refused(dice, {"path": "x", "colour": "g" * 1000})) < 250


def test_an_unknown_option_suggests_the_nearest_and_does_not_show_its_value():
    assert refused(Shout, {"api_key": "secret"}).startswith(
        "tasks.dice.dataset.api_key: no such option; did you mean 'api_key_env'?\n  known: url, headers"
    )
    assert "secret" not in refused(Shout, {"api_key": "secret"})


def test_an_option_that_must_be_given_is_named():
    assert refused(dice, {}) == "tasks.dice.dataset.path: must be set: path takes Path"


def test_a_value_for_what_the_engine_gives_is_refused():
    assert refused(read, {"source": "x"}) == "tasks.dice.dataset.source: no such option\n  known: path"


def test_a_built_in_without_a_signature_is_explained():
    with pytest.raises(PluginError) as caught:
        options(dict)
    assert str(caught.value) == (
        "the options of <class 'dict'> cannot be read: no signature found for builtin type <class 'dict'>; "
        "wrap it in a function"
    )
