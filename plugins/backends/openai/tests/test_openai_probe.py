import socket

import pytest

from aisb import ServiceError, UsageError
from aisb_backend_openai import OpenAIChat, OpenAICompletions


def listing(*names, **more):
    return {"object": "list", "data": [{"id": name, "object": "model", **more} for name in names]}


async def refusal(backend, kind=ServiceError):
    with pytest.raises(kind) as raised:
        await backend.probe()
    return str(raised.value)


@pytest.fixture(autouse=True)
def no_key_of_the_developers_own(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


async def test_the_only_model_served_is_taken(answering):
    service = answering({"/v1/models": (200, listing("smollm2", owned_by="llamacpp", meta={"n_ctx": 2048}))})
    backend = OpenAIChat(url=service.url)
    info = await backend.probe()
    assert backend.model == "smollm2"
    assert info.models == ("smollm2",)
    assert info.detail == "owned by llamacpp, model length 2048"
    assert info.notes == ()


@pytest.mark.parametrize(
    ("url", "path"), [("/v1", "/v1/models"), ("/x/v1", "/x/v1/models"), ("/v4", "/v4/models")]
)
async def test_models_are_looked_for_beside_the_endpoint(answering, url, path):
    service = answering({path: (200, listing("m"))})
    backend = OpenAICompletions(url=service.url + url)
    await backend.probe()
    assert backend.model == "m"


async def test_several_models_and_none_chosen_lists_them(answering):
    service = answering({"/v1/models": (200, listing("b", "a"))})
    assert await refusal(OpenAIChat(url=service.url), UsageError) == (
        f"{service.place}/v1/models lists several models; choose one with --model-name: a, b"
    )


async def test_a_long_list_of_models_is_cut(answering):
    service = answering({"/v1/models": (200, listing(*(f"m{i:03}" for i in range(50))))})
    assert (await refusal(OpenAIChat(url=service.url), UsageError)).endswith("m018, m019 … and 30 more")


async def test_a_model_that_is_not_served_is_said_with_the_nearest(answering):
    service = answering({"/v1/models": (200, listing("qwen3-8b", "llama-3"))})
    assert await refusal(OpenAIChat(url=service.url, model="qwen3-8")) == (
        f"{service.place}/v1/models does not list a model 'qwen3-8'; did you mean 'qwen3-8b'?\n"
        "  it serves: llama-3, qwen3-8b\n"
        "  to use a name that is served without being listed: --set model.check_model=false"
    )


async def test_a_model_that_is_not_listed_is_taken_when_told_so(answering):
    service = answering({"/v1/models": (200, listing("a"))})
    backend = OpenAIChat(url=service.url, model="b", check_model=False)
    assert (await backend.probe()).models == ("a",)
    assert backend.model == "b"


@pytest.mark.parametrize(
    ("answer", "note"),
    [
        ((404, {"detail": "Not Found"}), "the service has no list of models (404: Not Found)"),
        ((403, {"error": {"message": "not yours"}}), "the service has no list of models (403: not yours)"),
        ((405, ""), "the service has no list of models (405)"),
        ((500, {"error": "broken"}), "the service has no list of models (500: broken)"),
        ((200, {"object": "list", "data": []}), "the service's list of models is empty"),
        ((200, {"object": "list", "data": None}), "the service's list of models is empty"),
        (
            (200, "<!doctype html><title>Hello</title>"),
            "the service's list of models is not JSON (it begins '<!doctype html><title>Hello</title>')",
        ),
    ],
)
async def test_without_a_list_a_chosen_model_goes_and_a_missing_one_is_asked_for(answering, answer, note):
    service = answering({"/v1/models": answer})
    info = await OpenAIChat(url=service.url, model="m").probe()
    assert (info.models, info.notes) == ((), (note,))
    assert await refusal(OpenAIChat(url=service.url), UsageError) == (
        f"no model is chosen, and {note}; set the model with --model-name"
    )


@pytest.mark.parametrize(
    "body", [[{"id": "m"}], {"models": [{"name": "m"}]}, {"data": [{"id": "m"}, {"object": "x"}, 3]}]
)
async def test_lists_of_other_shapes_are_read(answering, body):
    backend = OpenAIChat(url=answering({"/v1/models": (200, body)}).url)
    await backend.probe()
    assert backend.model == "m"


async def test_a_service_that_wants_a_key_says_how_to_give_one(answering):
    service = answering({"/v1/models": (401, {"error": "Unauthorized"})})
    assert await refusal(OpenAIChat(url=service.url)) == (
        f"{service.place} requires an API key (401: Unauthorized); put it into an environment variable "
        "and give that variable's name with --api-key-env"
    )


async def test_a_refused_key_is_named_by_its_variable(answering, monkeypatch):
    monkeypatch.setenv("SOME_KEY", "sk-secret")
    service = answering({"/v1/models": (401, "")})
    words = await refusal(OpenAIChat(url=service.url, api_key_env="SOME_KEY"))
    assert words == f"{service.place} refuses the API key in the environment variable SOME_KEY (401)"


async def test_a_refused_key_is_named_by_its_file(answering, tmp_path):
    (tmp_path / "key").write_text("sk-secret\n")
    service = answering({"/v1/models": (401, {"error": {"message": "Incorrect API key"}})})
    words = await refusal(OpenAIChat(url=service.url, api_key_file=str(tmp_path / "key")))
    assert words == f"{service.place} refuses the API key in {tmp_path}/key (401: Incorrect API key)"


async def test_a_variable_that_is_named_must_be_set(answering, monkeypatch):
    monkeypatch.delenv("SOME_KEY", raising=False)
    service = answering({"/v1/models": (200, listing("m"))})
    words = await refusal(OpenAIChat(url=service.url, api_key_env="SOME_KEY"), UsageError)
    assert "environment variable SOME_KEY, which should hold the API key, is not set" in words
    assert service.asked == []


async def test_the_key_of_openai_is_used_where_none_is_named(answering, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-default")
    service = answering({"/v1/models": (200, listing("m"))})
    await OpenAIChat(url=service.url).probe()
    assert service.asked[0][1]["authorization"] == "Bearer sk-default"


@pytest.mark.parametrize(
    ("url", "sent"),
    [
        ("https://api.openai.com", True),
        ("http://localhost:8000", True),
        ("http://[::1]:8000", True),
        ("http://10.0.0.7:8000", False),
        ("http://localhost.example.com", False),
    ],
)
def test_a_key_that_nobody_named_is_never_sent_in_the_clear(monkeypatch, url, sent):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-default")
    assert bool(OpenAIChat(url=url).auth_headers()) is sent
    named = OpenAIChat(url=url, api_key_env="OPENAI_API_KEY")
    assert named.auth_headers() == {"Authorization": "Bearer sk-default"}


async def test_a_service_that_is_still_loading_is_said_so(answering):
    service = answering({"/v1/models": (503, {"error": {"code": 503, "message": "Loading model"}})})
    assert await refusal(OpenAIChat(url=service.url, model="m")) == (
        f"{service.place}/v1/models is not ready (503: Loading model); try again when it is"
    )


async def test_a_redirect_names_its_target(answering):
    service = answering({"/v1/models": (308, "", {"location": "https://elsewhere/v1/models"})})
    assert await refusal(OpenAIChat(url=service.url, model="m")) == (
        f"{service.place}/v1/models redirects to https://elsewhere/v1/models; set url to its target"
    )


async def test_a_service_that_is_not_there_is_named():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = await refusal(OpenAIChat(url=f"http://127.0.0.1:{port}"))
    assert words == (f"127.0.0.1:{port} refused the connection; is the service running, and on this port?")


async def test_a_name_and_password_in_the_url_are_not_shown(answering):
    service = answering({"/v1/models": (200, listing("a", "b"))})
    words = await refusal(OpenAIChat(url=service.url.replace("http://", "http://me:secret@")), UsageError)
    assert "secret" not in words
    assert service.place in words
