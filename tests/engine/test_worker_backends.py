"""A worker makes a backend that knows what the run's own backend knows after its probe."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from aisb import Backend, ConfigError, Request
from aisb._plugins import Component, Plugins
from aisb_engine._load.job import BackendRecipe
from aisb_engine._spec import Load
from aisb_mock import MockOptions, start_mock


@pytest.fixture(scope="module")
def plugins():
    return Plugins.load()


def made_again(plugins, name, options, backend):
    recipe = BackendRecipe.of(backend, plugins.find("backend", name), options)
    return pickle.loads(pickle.dumps(recipe)).make()


def test_options_stand_as_they_do_after_the_probe(plugins):
    options = {"tokens": 7}
    backend = plugins.make("backend", "sim", options)
    backend.start()
    try:
        other = made_again(plugins, "sim", options, backend)
        assert other.url == backend.url != ""
        assert (other.tokens, type(other)) == (7, type(backend))
    finally:
        backend._mock.stop()


async def test_the_model_that_a_probe_found_is_asked_for(plugins):
    with start_mock(MockOptions(models=("tiny",))) as mock:
        backend = plugins.make("backend", "openai-chat", {"url": mock.url})
        await backend.probe()
        other = made_again(plugins, "openai-chat", {"url": mock.url}, backend)
    assert other.model == "tiny"
    assert other.client is not None


def test_what_a_service_refused_is_not_sent_by_workers_either(plugins):
    options = {"url": "http://127.0.0.1:1"}
    backend = plugins.make("backend", "openai-chat", options)
    request = Request("0", messages=(), params={"max_tokens": 3})
    assert "stream_options" in backend.encode(request).body
    assert backend.adapt(400, "unknown field: stream_options")
    assert backend.adapt(400, "unsupported parameter: max_tokens")
    body = made_again(plugins, "openai-chat", options, backend).encode(request).body
    assert body == backend.encode(request).body
    assert "stream_options" not in body
    assert body["max_completion_tokens"] == 3


def test_the_inputs_of_a_triton_model_are_known_to_workers(plugins):
    options = {"url": "http://127.0.0.1:1"}
    backend = plugins.make("backend", "triton", options)
    backend.take_inputs(["text_input", "random_seed"])
    body = (
        made_again(plugins, "triton", options, backend)
        .encode(Request("0", text="Hi", params={"seed": 3}))
        .body
    )
    assert body["random_seed"] == 3


class Locked(Backend):
    """A backend whose state cannot be pickled."""

    def generate(self, request):
        raise NotImplementedError

    def state(self):
        return {"lock": Path, "line": lambda: None}


def test_a_state_that_cannot_be_pickled_is_refused_by_name():
    component = Component("backend", "locked", Locked, "test", "aisb-test")
    with pytest.raises(ConfigError) as raised:
        BackendRecipe.of(Locked(), component, {})
    message = str(raised.value)
    assert message.startswith("load.workers: line of backend 'locked' cannot be sent to other processes (")
    assert message.endswith("; use one worker")


def test_only_what_stands_at_the_top_of_a_module_has_a_place(plugins):
    assert Component("backend", "a", "some.module:Name", "p", "d").place == "some.module:Name"
    assert Component("backend", "a", Locked, "p", "d").place == f"{__name__}:Locked"
    assert Component("backend", "a", lambda: None, "p", "d").place is None
    assert Component("backend", "a", Load.model_validate, "p", "d").place is None
