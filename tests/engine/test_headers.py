"""Headers that cannot be sent are refused before the first request, in a configuration and from the environment."""

import pytest
from minimal import Chat

from aisb import ConfigError
from aisb_engine import Catalog, Plugins, Resolver, RunInput
from aisb_engine._headers import own_headers
from aisb_engine._http.fetch import fetch

WORDS = "cannot be the name of a header: use letters, digits and !#$%&'*+-.^_`|~, and no space"


@pytest.fixture(scope="module")
def plugins():
    return Plugins.load()


def model(plugins, *sets):
    resolver = Resolver(plugins, Catalog(plugins), RunInput(sets=sets))
    return resolver.valid_model(resolver.model("vllm-chat"))


@pytest.mark.parametrize("name", ["X Team", "X:Team", "", "X-Täm", "X-Team\\n", "(X)"])
@pytest.mark.parametrize("option", ["headers", "headers_env"])
def test_a_name_that_is_no_token_is_refused_in_a_configuration(plugins, option, name):
    with pytest.raises(ConfigError) as refused:
        model(plugins, f'model.{option}={{"{name}"="HOME"}}')
    assert str(refused.value).startswith(f"models.vllm-chat.{option}.")
    assert str(refused.value).endswith(WORDS)


def test_names_that_are_tokens_are_taken_as_they_are(plugins):
    made = model(plugins, 'model.headers={"X-Team_1.a~!"="b c"}')
    assert made.options["headers"] == {"X-Team_1.a~!": "b c"}


def test_a_value_with_a_line_break_is_refused_and_not_repeated(plugins):
    with pytest.raises(ConfigError) as refused:
        model(plugins, 'model.headers={X-Team="hidden\\nEvil: 1"}')
    assert str(refused.value) == "models.vllm-chat.headers.X-Team: a header is one line of ASCII characters"


@pytest.mark.parametrize("transport", ["native", "httpx"])
async def test_a_value_from_the_environment_is_refused_before_anything_is_fetched(monkeypatch, transport):
    monkeypatch.setenv("TEAM", "hidden\tword")
    backend = Chat(url="http://127.0.0.1:9", headers_env={"X-Team": "TEAM"}, transport=transport)
    with pytest.raises(ConfigError) as refused:
        await fetch(backend, "/v1/models")
    assert str(refused.value) == "headers.X-Team: a header is one line of ASCII characters"


def test_a_backend_made_by_a_program_is_checked_as_well():
    for options, where in (
        ({"headers": {"X Team": "a"}}, "headers"),
        ({"headers_env": {"X Team": "HOME"}}, "headers_env"),
    ):
        with pytest.raises(ConfigError, match=rf"^{where}\.X Team: 'X Team' cannot be the name of a header"):
            own_headers(Chat(**options))
