"""TGI's API: what is sent, what is read, and the contract."""

import pytest

from aisb import Prediction, Request, ServiceError
from aisb_backend_tgi import TGI, TGIStream
from aisb_engine._http.assembly import stream_once
from aisb_testing import check_backend, check_plugin


def body(backend=None, **params):
    return (backend or TGI()).encode(Request("17", text="6 x 7?", params=params)).body


def test_parameters_stand_under_their_own_names():
    sent = body(max_tokens=8, temperature=0.5, top_p=0.9, top_k=5, seed=3, stop="\n", repetition_penalty=1.1)
    assert sent == {
        "inputs": "6 x 7?",
        "parameters": {
            "details": True, "max_new_tokens": 8, "temperature": 0.5, "do_sample": True, "top_p": 0.9, "top_k": 5,
            "seed": 3, "stop": ["\n"], "repetition_penalty": 1.1,
        },
    }  # fmt: skip


def test_a_temperature_of_zero_is_greedy_and_sends_nothing_that_would_sample():
    sent = body(temperature=0, top_p=0.9, top_k=5, typical_p=0.5)["parameters"]
    assert sent == {"details": True, "do_sample": False}


def test_without_a_temperature_the_service_decides():
    assert body()["parameters"] == {"details": True}
    assert body(do_sample=True)["parameters"] == {"details": True, "do_sample": True}


def test_values_that_mean_off_elsewhere_and_are_refused_here_are_left_out():
    sent = body(temperature=1, top_p=1.0, top_k=-1, n=1, num_return_sequences=4, seed=None)["parameters"]
    assert sent == {"details": True, "temperature": 1, "do_sample": True}


def test_the_path_follows_the_form_and_the_root_is_told():
    request = Request("17", text="x")
    assert TGI().encode(request).path == "/generate"
    assert TGIStream().encode(request).path == "/generate_stream"
    root = TGIStream(path="/").encode(request)
    assert (root.path, root.body["stream"]) == ("/", True)
    assert "stream" not in TGIStream().encode(request).body


def test_the_url_may_be_that_of_an_endpoint():
    assert TGI(url="http://h:80/tgi/generate_stream").url == "http://h:80/tgi"


def test_a_sample_has_the_adapter_that_the_map_gives_it(tmp_path):
    file = tmp_path / "lora.json"
    file.write_text('{"17": "sql"}')
    backend = TGI(lora_map=str(file))
    assert body(backend)["parameters"]["adapter_id"] == "sql"
    assert "adapter_id" not in backend.encode(Request("18", text="x")).body["parameters"]


def test_a_special_token_has_no_text_and_ends_the_reply():
    backend = TGIStream()
    token = {"id": 5, "text": " a", "logprob": -1.0, "special": False}
    chunk = backend.decode({"index": 1, "token": token, "generated_text": None, "details": None})
    assert (chunk.kind, chunk.text, chunk.tokens) == ("content", " a", 1)
    details = {"finish_reason": "eos_token", "generated_tokens": 2, "input_length": 9, "seed": None}
    end = {"id": 2, "text": "</s>", "special": True}
    chunk = backend.decode({"token": end, "generated_text": " a", "details": details})
    assert (chunk.kind, chunk.text, chunk.whole, chunk.finish_reason) == ("finish", "", " a", "stop")
    assert (chunk.usage.input_tokens, chunk.usage.output_tokens) == (9, 2)


def test_a_reply_cut_by_length_ends_with_a_token_of_text():
    details = {"finish_reason": "length", "generated_tokens": 2}
    token = {"id": 5, "text": " b", "special": False}
    chunk = TGIStream().decode({"token": token, "generated_text": " a b", "details": details})
    assert (chunk.kind, chunk.text, chunk.finish_reason) == ("content", " b", "length")


@pytest.mark.parametrize(
    ("text", "reason", "left"),
    [("42\n\n", "stop", "42"), ("42\n\n", "length", "42\n\n"), ("42", "stop", "42")],
)
def test_the_stop_text_is_taken_from_the_end(text, reason, left):
    request = Request("17", text="x", params={"stop": ["\n\n"]})
    made = TGI().finalize(Prediction("17", text=text, finish_reason=reason), request)
    assert made.text == left


async def test_a_probe_says_model_version_and_length(mock):
    backend = TGI(url=mock(models=("m",), max_model_len=2048).url)
    info = await backend.probe()
    assert (info.models, info.detail, backend.model) == (("m",), "version 3.3.6, model length 2048", "m")
    with pytest.raises(ServiceError, match=r"/info does not list a model 'n'") as caught:
        await TGI(url=backend.url, model="n").probe()
    assert "it serves: m" in str(caught.value)
    await TGI(url=backend.url, model="n", check_model=False).probe()


async def test_a_service_without_info_is_asked_all_the_same(mock):
    info = await TGI(url=mock().url + "/elsewhere").probe()
    assert info.notes == ("the service does not describe itself at /info (404)",)


async def test_a_missing_key_is_said_before_the_first_request(mock):
    with pytest.raises(ServiceError, match=r"requires an API key \(401: Unauthorized\); put it into an env"):
        await TGI(url=mock(api_key="secret").url).probe()


@pytest.mark.parametrize("options", [{}, {"path": "/"}])
@pytest.mark.parametrize("factory", [TGI, TGIStream])
async def test_both_forms_and_the_root_answer_alike(mock, factory, options):
    backend = factory(url=mock(tokens=12).url, **options)
    chunks = [chunk async for chunk in stream_once(backend, Request("0", text="Tell me", params={"seed": 1}))]
    assert chunks[-1].finish_reason == "stop"
    assert chunks[-1].usage.output_tokens == 12
    assert len("".join(chunk.text for chunk in chunks).split()) == 12


@pytest.mark.parametrize("factory", [TGI, TGIStream])
def test_it_reads_whatever_a_service_sends(factory):
    assert len(check_backend(factory)) > 30


def test_the_plugin_keeps_the_contract():
    assert "backend tgi-stream" in check_plugin("aisb-backend-tgi")
